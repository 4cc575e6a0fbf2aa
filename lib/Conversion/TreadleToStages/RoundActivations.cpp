//===- RoundActivations.cpp - Activations stored as matrices take them ----===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "treadle/Conversion/TreadleToStages/TreadleToStages.h"
#include "treadle/Dialect/Treadle/IR/Treadle.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

namespace treadle {
#define GEN_PASS_DEF_ROUNDACTIVATIONSPASS
#include "treadle/Conversion/TreadleToStages/Passes.h.inc"
} // namespace treadle

using namespace mlir;
using namespace treadle;

/// True if `use` is the input of a matrix in bf16. An odd K would leave half a pair at the end of a
/// row.
static bool isRoundedBy(OpOperand &use) {
  auto linear = dyn_cast<LinearOp>(use.getOwner());
  return linear && &use == &linear.getInputMutable() &&
         linear.getWeight().getType().getElementType().isBF16() &&
         linear.getWeight().getType().getShape().back() % 2 == 0;
}

/// The arguments of stages that take `value`; nothing if something else does.
static SmallVector<BlockArgument> getArguments(Value value) {
  SmallVector<BlockArgument> arguments;
  for (OpOperand &use : value.getUses()) {
    auto stage = dyn_cast<StageOp>(use.getOwner());
    if (!stage)
      return {};
    arguments.push_back(stage.getBody()->getArgument(use.getOperandNumber()));
  }
  return arguments;
}

namespace {
struct RoundActivations : public treadle::impl::RoundActivationsPassBase<RoundActivations> {
  using RoundActivationsPassBase::RoundActivationsPassBase;

  void runOnOperation() override {
    getOperation()->walk([&](StageOp stage) {
      for (OpResult result : stage->getResults())
        round(stage, result);
    });
  }

  void round(StageOp stage, OpResult result) {
    auto type = cast<RankedTensorType>(result.getType());
    if (!type.getElementType().isF32() || type.getRank() != 2 || type.getDimSize(0) < manyRows)
      return;
    SmallVector<BlockArgument> arguments = getArguments(result);
    auto isOnlyRounded = [](BlockArgument argument) {
      return !argument.use_empty() && llvm::all_of(argument.getUses(), isRoundedBy);
    };
    if (arguments.empty() || !llvm::all_of(arguments, isOnlyRounded))
      return;
    Type rounded = type.clone(BFloat16Type::get(&getContext()));
    Operation *yield = stage.getBody()->getTerminator();
    OpOperand &yielded = yield->getOpOperand(result.getResultNumber());
    OpBuilder builder(yield);
    yielded.set(arith::TruncFOp::create(builder, stage.getLoc(), rounded, yielded.get()));
    result.setType(rounded);
    for (BlockArgument argument : arguments)
      argument.setType(rounded);
  }
};
} // namespace

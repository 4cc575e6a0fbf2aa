//===- CheckContract.cpp - The border between model and target code -------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "treadle/Dialect/Treadle/IR/Treadle.h"
#include "treadle/Dialect/Treadle/Transforms/Passes.h"

#include "mlir/IR/Matchers.h"
#include "llvm/ADT/TypeSwitch.h"

namespace treadle {
#define GEN_PASS_DEF_CHECKCONTRACTPASS
#include "treadle/Dialect/Treadle/Transforms/Passes.h.inc"
} // namespace treadle

using namespace mlir;
using namespace treadle;

static bool isRows(Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  return tensor && tensor.getRank() == 2 && tensor.getElementType().isF32();
}

/// Static shapes for everything an op touches.
static LogicalResult checkTypes(Operation *op) {
  auto isOpen = [](Type type) {
    auto shaped = dyn_cast<ShapedType>(type);
    return shaped && !shaped.hasStaticShape();
  };
  if (llvm::any_of(op->getOperandTypes(), isOpen) || llvm::any_of(op->getResultTypes(), isOpen))
    return op->emitOpError("expects static shapes behind the contract; specialise the rows first");
  return success();
}

/// An op that a target knows how to run.
static LogicalResult checkOp(Operation *op) {
  if (isa<StageCoreOpInterface, LoopOp, YieldOp, PickOp, GetWeightOp, GetStateOp, func::ReturnOp>(
          op) ||
      op->hasTrait<OpTrait::ConstantLike>())
    return success();
  bool hasTensors = llvm::any_of(op->getResultTypes(), llvm::IsaPred<RankedTensorType>);
  bool isKnown = hasTensors ? op->hasTrait<OpTrait::Elementwise>() &&
                                  llvm::all_of(op->getResultTypes(), isRows)
                            : isa_and_nonnull<arith::ArithDialect>(op->getDialect());
  if (!isKnown)
    return op->emitOpError("has no stage; expects a stage core, an elementwise op over rank-2 f32, "
                           "a loop, a reference or scalar arithmetic");
  return success();
}

/// One more than the largest value of the index of a loop or of a constant; 0 for others.
static int64_t boundOf(Value index) {
  APInt constant;
  auto argument = dyn_cast<BlockArgument>(index);
  auto loop = argument ? dyn_cast<LoopOp>(argument.getOwner()->getParentOp()) : LoopOp();
  if (loop && loop.getIndex() == index)
    return loop.getMax();
  if (matchPattern(index, m_ConstantInt(&constant)) && !constant.isNegative())
    return constant.getSExtValue() + 1;
  return 0;
}

/// Each index stays below the size of its dimension in every iteration.
static LogicalResult checkIndices(Operation *op, ValueRange indices, ArrayRef<int64_t> sizes,
                                  StringRef what) {
  for (auto [index, size] : llvm::zip(indices, sizes)) {
    int64_t bound = boundOf(index);
    if (bound == 0)
      return op->emitOpError("expects the index of a loop or a constant as slot");
    if (bound > size)
      return op->emitOpError("expects slots below ")
             << size << " of " << what << ", got up to " << bound - 1;
  }
  return success();
}

/// What an op reads by the iteration of loops is there.
static LogicalResult checkSlots(Operation *op, SymbolTable &symbols) {
  return llvm::TypeSwitch<Operation *, LogicalResult>(op)
      .Case([&](GetWeightOp get) {
        auto weight = symbols.lookup<WeightOp>(get.getSymbol());
        return checkIndices(op, get.getSlot(), weight.getSlots(), "@" + get.getSymbol().str());
      })
      .Case([&](GetStateOp get) {
        auto state = symbols.lookup<StateOp>(get.getSymbol());
        return checkIndices(op, get.getSlot(), state.getSlots(), "@" + get.getSymbol().str());
      })
      .Case([&](PickOp pick) {
        return checkIndices(op, pick.getIndices(), pick.getValues().getType().getShape(),
                            "its values");
      })
      .Default(success());
}

namespace {
struct CheckContract : public treadle::impl::CheckContractPassBase<CheckContract> {
  void runOnOperation() override {
    SymbolTable symbols(getOperation());
    for (auto function : getOperation().getOps<func::FuncOp>()) {
      if (!function->hasAttr("treadle.entry"))
        continue;
      WalkResult result = function.getBody().walk([&](Operation *op) {
        return WalkResult(success(succeeded(checkTypes(op)) && succeeded(checkOp(op)) &&
                                  succeeded(checkSlots(op, symbols))));
      });
      if (result.wasInterrupted())
        return signalPassFailure();
    }
  }
};
} // namespace

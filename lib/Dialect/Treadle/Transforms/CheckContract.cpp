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
  if (isa<StageCoreOpInterface, LoopOp, YieldOp, GetWeightOp, GetStateOp, func::ReturnOp>(op) ||
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

/// The slot stays below the symbol's slot dimension in every iteration.
template <typename SymbolOp, typename RefOp>
static LogicalResult checkSlots(RefOp ref, SymbolTable &symbols) {
  auto symbol = symbols.lookup<SymbolOp>(ref.getSymbol());
  for (auto [slot, size] : llvm::zip(ref.getSlot(), symbol.getSlots())) {
    int64_t bound = 0;
    APInt constant;
    auto argument = dyn_cast<BlockArgument>(slot);
    auto loop = argument ? dyn_cast<LoopOp>(argument.getOwner()->getParentOp()) : LoopOp();
    if (loop && loop.getIndex() == slot)
      bound = loop.getMax();
    else if (matchPattern(slot, m_ConstantInt(&constant)) && !constant.isNegative())
      bound = constant.getSExtValue() + 1;
    else
      return ref.emitOpError("expects the index of a loop or a constant as slot");
    if (bound > size)
      return ref.emitOpError("expects slots below ")
             << size << " of @" << ref.getSymbol() << ", got up to " << bound - 1;
  }
  return success();
}

namespace {
struct CheckContract : public treadle::impl::CheckContractPassBase<CheckContract> {
  void runOnOperation() override {
    SymbolTable symbols(getOperation());
    for (auto function : getOperation().getOps<func::FuncOp>()) {
      if (!function->hasAttr("treadle.entry"))
        continue;
      WalkResult result = function.getBody().walk([&](Operation *op) {
        LogicalResult checked = success(succeeded(checkTypes(op)) && succeeded(checkOp(op)));
        if (auto weight = dyn_cast<GetWeightOp>(op); weight && succeeded(checked))
          checked = checkSlots<WeightOp>(weight, symbols);
        if (auto state = dyn_cast<GetStateOp>(op); state && succeeded(checked))
          checked = checkSlots<StateOp>(state, symbols);
        return WalkResult(checked);
      });
      if (result.wasInterrupted())
        return signalPassFailure();
    }
  }
};
} // namespace

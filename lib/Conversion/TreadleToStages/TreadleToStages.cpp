//===- TreadleToStages.cpp - Wrap each op into a stage --------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "treadle/Conversion/TreadleToStages/TreadleToStages.h"

#include "treadle/Dialect/Treadle/IR/Treadle.h"

#include "mlir/IR/IRMapping.h"

namespace treadle {
#define GEN_PASS_DEF_CONVERTTREADLETOSTAGESPASS
#include "treadle/Conversion/TreadleToStages/Passes.h.inc"
} // namespace treadle

using namespace mlir;
using namespace treadle;

/// The dimensions and accesses of a stage, before it is built.
struct StageShape {
  SmallVector<Attribute> iterations, accesses, resultAccesses;
};

static StageShape shapeOfCore(StageCoreOpInterface core) {
  StageShape shape;
  llvm::append_range(shape.iterations, core.getIterationDims());
  for (unsigned i = 0, e = core->getNumOperands(); i < e; ++i)
    shape.accesses.push_back(core.getOperandAccess(i));
  for (unsigned i = 0, e = core->getNumResults(); i < e; ++i)
    shape.resultAccesses.push_back(core.getResultAccess());
  return shape;
}

static bool hasRowsAndColumns(Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  return tensor && tensor.getRank() == 2;
}

/// Rows x outputs; tensors cell by cell, vectors by column, everything else whole.
static StageShape shapeOfElementwise(Operation *op) {
  MLIRContext *context = op->getContext();
  auto type = cast<RankedTensorType>(op->getResult(0).getType());
  auto cell = AccessAttr::get(context, {0, 1});
  StageShape shape;
  shape.iterations = {IterationAttr::get(context, IterationKind::rows, type.getDimSize(0)),
                      IterationAttr::get(context, IterationKind::outputs, type.getDimSize(1))};
  for (Value operand : op->getOperands()) {
    auto weight = dyn_cast<WeightType>(operand.getType());
    bool isVector = weight && weight.getShape().size() == 1;
    SmallVector<int64_t> dims(weight ? weight.getShape().size() : 0,
                              isVector ? int64_t(1) : AccessAttr::all);
    shape.accesses.push_back(
        isa<RankedTensorType>(operand.getType()) ? cell : AccessAttr::get(context, dims));
  }
  shape.resultAccesses.push_back(cell);
  return shape;
}

/// Moves `op` into a stage of its own. Constant operands are cloned into the body.
static void wrapIntoStage(Operation *op) {
  auto core = dyn_cast<StageCoreOpInterface>(op);
  StageShape shape = core ? shapeOfCore(core) : shapeOfElementwise(op);

  SmallVector<Value> inputs;
  SmallVector<Attribute> accesses;
  SmallVector<Operation *> constants;
  for (auto [operand, access] : llvm::zip(op->getOperands(), shape.accesses)) {
    Operation *producer = operand.getDefiningOp();
    if (isa<RankedTensorType>(operand.getType()) && producer &&
        producer->hasTrait<OpTrait::ConstantLike>()) {
      constants.push_back(producer);
      continue;
    }
    inputs.push_back(operand);
    accesses.push_back(access);
  }

  OpBuilder builder(op);
  auto stage =
      StageOp::create(builder, op->getLoc(), op->getResultTypes(), inputs,
                      builder.getArrayAttr(shape.iterations), builder.getArrayAttr(accesses),
                      builder.getArrayAttr(shape.resultAccesses), TileAttr(), DenseI64ArrayAttr());
  Block *body = builder.createBlock(&stage.getBodyRegion());
  IRMapping mapping;
  for (Value input : inputs)
    mapping.map(input, body->addArgument(input.getType(), input.getLoc()));
  for (Operation *constant : constants)
    builder.clone(*constant, mapping);
  Operation *inner = builder.clone(*op, mapping);
  YieldOp::create(builder, op->getLoc(), inner->getResults());
  op->replaceAllUsesWith(stage.getResults());
  op->erase();
}

namespace {
struct ConvertTreadleToStages
    : public treadle::impl::ConvertTreadleToStagesPassBase<ConvertTreadleToStages> {
  void runOnOperation() override {
    SmallVector<Operation *> work;
    getOperation()->walk<WalkOrder::PreOrder>([&](Operation *op) {
      if (isa<StageOp>(op))
        return WalkResult::skip();
      bool yieldsTensor = llvm::any_of(op->getResultTypes(), llvm::IsaPred<RankedTensorType>);
      if (isa<StageCoreOpInterface>(op) || (yieldsTensor && op->hasTrait<OpTrait::Elementwise>()))
        work.push_back(op);
      return WalkResult::advance();
    });
    for (Operation *op : work) {
      if (!isa<StageCoreOpInterface>(op) && !hasRowsAndColumns(op->getResult(0).getType())) {
        op->emitOpError("has a result of ")
            << op->getResult(0).getType() << ", expected [rows][columns]";
        return signalPassFailure();
      }
      wrapIntoStage(op);
    }
  }
};
} // namespace

//===- StageKernel.cpp - One stage as a function over tiles ---------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "StageKernel.h"

#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace treadle;

Type treadle::getKernelType(Type type) {
  Builder builder(type.getContext());
  auto memory = [&](Type element) -> Type {
    return element.isBF16() ? builder.getI16Type() : element;
  };
  return llvm::TypeSwitch<Type, Type>(type)
      .Case([&](RankedTensorType tensor) {
        return MemRefType::get(tensor.getShape(), tensor.getElementType());
      })
      .Case([&](StateType state) {
        return MemRefType::get(state.getShape(), memory(state.getElementType()));
      })
      .Case([&](WeightType weight) {
        if (weight.getPacking() == Packing::plain)
          return MemRefType::get(weight.getShape(), memory(weight.getElementType()));
        // k elements side by side make one 32-bit word.
        SmallVector<int64_t> shape = getStorageShape(weight);
        shape.pop_back();
        Type word = weight.getElementType().isF32() ? Type(builder.getF32Type())
                                                    : Type(builder.getI32Type());
        return MemRefType::get(shape, word);
      })
      .Default(type);
}

StageKernel::StageKernel(StageOp stage, func::FuncOp function,
                         const ConvertStagesToVectorPassOptions &options)
    : stage(stage), function(function), options(options),
      b(stage.getLoc(), OpBuilder::atBlockBegin(&function.getBody().front())) {
  Block &block = function.getBody().front();
  unsigned numInputs = stage.getInputs().size();
  operands.map(stage.getBody()->getArguments(), block.getArguments().take_front(numInputs));
  llvm::append_range(results, block.getArguments().slice(numInputs, stage.getNumResults()));
  func::ReturnOp::create(b);
  b.setInsertionPointToStart(&block);
  for (Value argument : block.getArguments())
    if (auto memory = dyn_cast<MemRefType>(argument.getType());
        !openRows && memory && memory.getRank() > 0 && memory.isDynamicDim(0))
      openRows = memref::DimOp::create(b, argument, b.index(0));
  openTileLoop(block.getArgument(block.getNumArguments() - 2),
               block.getArgument(block.getNumArguments() - 1));
}

void StageKernel::openTileLoop(Value first, Value end) {
  auto loop = scf::ForOp::create(b, first, end, b.index(1));
  b.setInsertionPointToStart(loop.getBody());
  // Dimension 0 runs fastest: the rows of a matrix pass by while a block of weights is in cache.
  Value rest = loop.getInductionVar();
  for (unsigned dim = 0, e = stage.getIterations().size(); dim < e; ++dim) {
    bool isOpen = ShapedType::isDynamic(stage.getExtent(dim));
    Value size = b.index(tileSize(dim)), limit = this->limit(dim);
    Value position = rest;
    if (!isOpen && stage.getNumTiles(dim) == 1) {
      position = b.index(0);
    } else if (dim + 1 != e) {
      Value tiles = arith::CeilDivUIOp::create(b, limit, size);
      position = arith::RemUIOp::create(b, rest, tiles);
      rest = arith::DivUIOp::create(b, rest, tiles);
    }
    Value begin = b.mul(position, size);
    begins.push_back(begin);
    Value whole = b.add(begin, size);
    bool isEven = (isOpen ? rowGranule : extent(dim)) % tileSize(dim) == 0;
    ends.push_back(isEven ? whole : b.minimum(whole, limit));
  }
}

bool StageKernel::hasWholeGranules() {
  int64_t rows = stage.getExtent(0);
  return openRows || rows % rowGranule == 0;
}

Value StageKernel::limit(unsigned dim) {
  return ShapedType::isDynamic(stage.getExtent(dim)) ? openRows : b.index(extent(dim));
}

void StageKernel::forColumns(unsigned dim, function_ref<void(Value, Value)> body) {
  bool isEven = extent(dim) % numLanes == 0;
  b.loop(begin(dim), end(dim), numLanes, [&](Value column) {
    body(column, isEven ? Value() : b.maskBelow(b.sub(end(dim), column)));
  });
}

Value StageKernel::allocate(ArrayRef<int64_t> shape, Type element) {
  // At the top of the function: an alloca inside the tile loop would grow the stack by each tile.
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(&function.getBody().front());
  return memref::AllocaOp::create(b, MemRefType::get(shape, element),
                                  b.getI64IntegerAttr(slotAlignment));
}

Value StageKernel::constantTable(DenseElementsAttr values) {
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(&function.getBody().front());
  return getConstantTable(b, function->getParentOfType<ModuleOp>(), values);
}

Value StageKernel::evaluate(Value bodyValue, Value row, Value column, Value mask,
                            DenseMap<Value, Value> &known) {
  if (Value lanes = known.lookup(bodyValue))
    return lanes;
  Value lanes;
  if (isa<BlockArgument>(bodyValue)) {
    lanes = operand(bodyValue);
    auto weight = dyn_cast<WeightType>(bodyValue.getType());
    if (isa<RankedTensorType>(bodyValue.getType()))
      lanes = b.load(lanes, {row, column}, mask);
    else if (weight && weight.getShape().size() == 1)
      lanes = b.load(lanes, {column}, mask);
  } else {
    Operation *op = bodyValue.getDefiningOp();
    SmallVector<Value> arguments;
    for (Value argument : op->getOperands())
      arguments.push_back(evaluate(argument, row, column, mask, known));
    lanes = emitLanes(b, op, arguments, row, column);
  }
  known[bodyValue] = lanes;
  return lanes;
}

void StageKernel::storeResult(Value lanes, Value row, Value column, Value mask, unsigned index) {
  DenseMap<Value, Value> known;
  if (StageCoreOpInterface core = stage.getCore())
    known[core->getResult(index)] = lanes;
  Value yielded = stage.getBody()->getTerminator()->getOperand(index);
  b.store(evaluate(yielded, row, column, mask, known), results[index], {row, column}, mask);
}

LogicalResult treadle::emitTile(StageKernel &kernel) {
  StageCoreOpInterface core = kernel.getStage().getCore();
  if (!core)
    return emitElementwise(kernel), success();
  return llvm::TypeSwitch<Operation *, LogicalResult>(core)
      .Case([&](AddScaledOp op) { return emitAddScaled(kernel, op), success(); })
      .Case([&](AppendOp op) { return emitAppend(kernel, op), success(); })
      .Case([&](AttentionOp op) { return emitAttention(kernel, op), success(); })
      .Case([&](CarryIdsOp op) { return emitCarryIds(kernel, op), success(); })
      .Case([&](CausalConvOp op) { return emitCausalConv(kernel, op), success(); })
      .Case([&](ConcatOp op) { return emitConcat(kernel, op), success(); })
      .Case([&](CopeBiasOp op) { return emitCopeBias(kernel, op), success(); })
      .Case([&](DifferentialOp op) { return emitDifferential(kernel, op), success(); })
      .Case([&](EmbeddingOp op) { return emitEmbedding(kernel, op), success(); })
      .Case([&](FanOp op) { return emitFan(kernel, op), success(); })
      .Case([&](GatedDeltaRuleOp op) { return emitGatedDeltaRule(kernel, op), success(); })
      .Case([&](JointLinearOp op) { return emitJointLinear(kernel, op), success(); })
      .Case([&](L2NormOp op) { return emitL2Norm(kernel, op), success(); })
      .Case([&](LayerNormOp op) { return emitLayerNorm(kernel, op), success(); })
      .Case([&](LinearOp op) { return emitLinear(kernel, op), success(); })
      .Case([&](NgramEmbeddingOp op) { return emitNgramEmbedding(kernel, op), success(); })
      .Case([&](PolyNormOp op) { return emitPolyNorm(kernel, op), success(); })
      .Case([&](RMSNormOp op) { return emitRMSNorm(kernel, op), success(); })
      .Case([&](ReadRowsOp op) { return emitReadRows(kernel, op), success(); })
      .Case([&](ReadStateOp op) { return emitReadState(kernel, op), success(); })
      .Case([&](RopeOp op) { return emitRope(kernel, op), success(); })
      .Case([&](RotaryTableOp op) { return emitRotaryTable(kernel, op), success(); })
      .Case([&](RunningSumOp op) { return emitRunningSum(kernel, op), success(); })
      .Case([&](SliceOp op) { return emitSlice(kernel, op), success(); })
      .Case([&](WriteStateOp op) { return emitWriteState(kernel, op), success(); })
      .Default([](Operation *op) { return op->emitOpError("has no vector kernel"); });
}

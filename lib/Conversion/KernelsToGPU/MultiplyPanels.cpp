//===- MultiplyPanels.cpp - Rows times panels on tensor cores -------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "MultiplyPanels.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "treadle/Dialect/Treadle/IR/Layout.h"

using namespace mlir;
using namespace treadle;

PanelMultiplier::PanelMultiplier(MultiplyPanelsOp op, int64_t threads,
                                 ImplicitLocOpBuilder &builder, const IRMapping &mapping,
                                 int64_t reach)
    : b(builder), core(builder), threads(threads), warps(threads / TensorCore::warpThreads),
      inner(op.getInner()), words(llvm::divideCeilSigned(inner, 2)),
      slicing(MultiplyPanelsOp::getSlicing(inner)), mostRows(op.getMostRows()),
      mostPanels(op.getMostPanels()), weight(mapping.lookup(op.getWeight())),
      firstPanel(mapping.lookup(op.getPanel())), panels(mapping.lookup(op.getPanels())),
      firstRow(mapping.lookup(op.getRow())), rows(mapping.lookup(op.getRows())),
      column(mapping.lookup(op.getColumn())),
      isWhole(inner == reach * slicing.steps * MultiplyPanelsOp::stepNumbers) {
  for (Value input : op.getInputs())
    inputs.push_back(mapping.lookup(input));
  if (op.getGroup())
    group = mapping.lookup(op.getGroup());
  sums = memref::CollapseShapeOp::create(b, mapping.lookup(op.getSums()),
                                         ArrayRef<ReassociationIndices>{{0, 1}});
}

BlockMultiplier::BlockMultiplier(MultiplyPanelsOp op, int64_t threads,
                                 ImplicitLocOpBuilder &builder, const IRMapping &mapping,
                                 int64_t rowWords)
    : PanelMultiplier(op, threads, builder, mapping,
                      MultiplyPanelsOp::getSlicing(op.getInner()).slices),
      weightWords(mostPanels * MultiplyPanelsOp::blockWords * panelWidth),
      placeWords(weightWords + mostRows * rowWords),
      blocksOfSlice(slicing.steps / MultiplyPanelsOp::blockSteps),
      blocks(slicing.slices * blocksOfSlice) {}

ValueRange BlockMultiplier::addSlices(ValueRange zeros,
                                      function_ref<SmallVector<Value>(Value)> multiplySlice) {
  auto loop = scf::ForOp::create(b, index(0), index(slicing.slices), index(1), zeros);
  keepRolled(loop);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  SmallVector<Value> totals;
  for (auto [total, sum] : llvm::zip(loop.getRegionIterArgs(),
                                     multiplySlice(mul(loop.getInductionVar(), blocksOfSlice))))
    totals.push_back(arith::AddFOp::create(b, total, sum));
  scf::YieldOp::create(b, totals);
  return loop.getResults();
}

Value PanelMultiplier::isInside(Value word) {
  return isWhole ? Value() : isBelow(word, index(words));
}

Value PanelMultiplier::orZero(Value word, Value loaded) {
  Value isThere = isInside(word);
  return isThere ? arith::SelectOp::create(b, isThere, loaded, zero(loaded.getType())) : loaded;
}

SmallVector<Value> PanelMultiplier::placeOf(Value panel, Value word, Value lane) {
  SmallVector<Value> place = {panel, lastWord(word), lane};
  if (group)
    place.insert(place.begin(), group);
  return place;
}

bool PanelMultiplier::isAligned(Value input, int64_t count) {
  return inner % count == 0 && cast<MemRefType>(input.getType()).getDimSize(1) % count == 0;
}

Value PanelMultiplier::loadVector(Value memory, ValueRange place, int64_t lanes) {
  Type element = cast<MemRefType>(memory.getType()).getElementType();
  return vector::LoadOp::create(b, VectorType::get({lanes}, element), memory, place,
                                /*nontemporal=*/false,
                                llvm::MaybeAlign(lanes * element.getIntOrFloatBitWidth() / 8));
}

Value PanelMultiplier::loadRow(Value input, Value row, Value word) {
  if (isAligned(input, 2)) {
    Value place = add(column, mul(lastWord(word), 2));
    return core.round(orZero(word, loadVector(input, {row, place}, 2)));
  }
  Value end = add(column, inner);
  SmallVector<Value> numbers;
  for (int64_t i = 0; i < 2; ++i) {
    Value place = add(column, add(mul(word, 2), i));
    Value number = memref::LoadOp::create(b, input, ValueRange{row, atMost(place, sub(end, 1))});
    numbers.push_back(
        arith::SelectOp::create(b, isBelow(place, end), number, zero(b.getF32Type())));
  }
  auto type = VectorType::get({2}, b.getF32Type());
  return core.round(vector::FromElementsOp::create(b, type, numbers));
}

Value PanelMultiplier::loadChunk(Value row, Value word) {
  SmallVector<Value> words;
  for (int64_t i = 0; i < 4; ++i) {
    if (!isAligned(inputs[0], 4)) {
      words.push_back(loadRow(inputs[0], row, add(word, i)));
      continue;
    }
    if (i % 2 == 1)
      continue;
    // Two words are four numbers, and as K is a multiple of four both are there or none.
    Value pair = add(word, i);
    Value at = add(column, mul(b.createOrFold<arith::AndIOp>(lastWord(pair), index(~1)), 2));
    Value numbers = orZero(pair, loadVector(inputs[0], {row, at}, 4));
    for (int64_t half = 0; half < 4; half += 2)
      words.push_back(core.round(
          vector::ShuffleOp::create(b, numbers, numbers, ArrayRef<int64_t>{half, half + 1})));
  }
  return vector::FromElementsOp::create(b, VectorType::get({4}, b.getI32Type()), words);
}

void PanelMultiplier::storeWords(Value words, Value place) {
  int64_t bytes = cast<VectorType>(words.getType()).getNumElements() * 4;
  vector::StoreOp::create(b, words, sums, place, /*nontemporal=*/false, llvm::MaybeAlign(bytes));
}

void PanelMultiplier::barrier() { gpu::BarrierOp::create(b); }

void treadle::keepRolled(scf::ForOp loop) {
  MLIRContext *context = loop.getContext();
  auto unroll = LLVM::LoopUnrollAttr::get(context, /*disable=*/BoolAttr::get(context, true), {}, {},
                                          {}, {}, {}, {});
  auto annotation = LLVM::LoopAnnotationAttr::get(context, {}, {}, {}, unroll, {}, {}, {}, {}, {},
                                                  {}, {}, {}, {}, {}, {});
  // Lowering hands attributes of the LLVM dialect on to the branch that closes the loop.
  loop->setAttr("llvm.loop_annotation", annotation);
}

SmallVector<Value> treadle::flatten(ArrayRef<TensorCore::Sums> sums) {
  SmallVector<Value> values;
  for (const TensorCore::Sums &some : sums)
    for (const auto &ofProduct : some)
      llvm::append_range(values, ofProduct);
  return values;
}

SmallVector<TensorCore::Sums> treadle::unflatten(ValueRange values) {
  SmallVector<TensorCore::Sums> sums;
  while (!values.empty())
    for (auto &ofProduct : sums.emplace_back()) {
      ofProduct.assign(values.begin(), values.begin() + 4);
      values = values.drop_front(4);
    }
  return sums;
}

//===- MultiplyPanels.cpp - Rows times panels on tensor cores -------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

//
// Few rows wait for weights, so that every warp reads other ones: of a panel, two
// slices of K. The rows of a product (TensorCore.h) are then four rows of the input
// at either slice, and of its sums those count where weights and row are of one
// slice. The sums of slices meet in memory.
//
// Many rows wait for the tensor cores: warps share blocks of K, which pass through
// workgroup memory one slice after the other.
//
// In both, what lies behind a border is read from within and counts as 0, or makes
// sums that nobody uses.
//
//===----------------------------------------------------------------------===//

#include "MultiplyPanels.h"

#include "TensorCore.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "treadle/Dialect/Treadle/IR/Layout.h"

using namespace mlir;
using namespace treadle;

/// Steps of which a warp asks for the weights at once, where rows are few.
static constexpr int64_t stepsUnderWay = 6;

namespace {
class PanelMultiplier {
public:
  PanelMultiplier(MultiplyPanelsOp op, int64_t threads, ImplicitLocOpBuilder &builder,
                  const IRMapping &mapping)
      : op(op), b(builder), core(builder), warps(threads / TensorCore::warpThreads),
        threads(threads), inner(op.getInner()), words(llvm::divideCeilSigned(inner, 2)),
        slicing(MultiplyPanelsOp::getSlicing(inner)),
        isWhole(slicing.slices % 2 == 0 &&
                inner == slicing.slices * slicing.steps * MultiplyPanelsOp::stepNumbers),
        mostRows(op.getMostRows()), mostPanels(op.getMostPanels()),
        weight(mapping.lookup(op.getWeight())), firstPanel(mapping.lookup(op.getPanel())),
        panels(mapping.lookup(op.getPanels())), firstRow(mapping.lookup(op.getRow())),
        rows(mapping.lookup(op.getRows())), column(mapping.lookup(op.getColumn())) {
    for (Value input : op.getInputs())
      inputs.push_back(mapping.lookup(input));
    if (op.getGroup())
      group = mapping.lookup(op.getGroup());
    sums = memref::CollapseShapeOp::create(b, mapping.lookup(op.getSums()),
                                           ArrayRef<ReassociationIndices>{{0, 1}});
  }

  void multiplyFew();

private:
  // Few rows.
  void sumSlices(Value item);
  void addSlices();

  // Memory.
  Value loadWeights(Value panel, Value word, Value lane);
  Value loadRow(Value input, Value row, Value word);
  Value lastWord(Value word) { return isWhole ? word : atMost(word, index(words - 1)); }
  Value orZero(Value word, Value loaded);

  // Arithmetic of indices.
  Value index(int64_t value) { return arith::ConstantIndexOp::create(b, value); }
  Value add(Value x, Value y) { return b.createOrFold<arith::AddIOp>(x, y); }
  Value sub(Value x, Value y) { return b.createOrFold<arith::SubIOp>(x, y); }
  Value mul(Value x, int64_t y) { return b.createOrFold<arith::MulIOp>(x, index(y)); }
  Value add(Value x, int64_t y) { return add(x, index(y)); }
  Value atMost(Value x, Value most) { return b.createOrFold<arith::MinUIOp>(x, most); }
  Value compare(arith::CmpIPredicate predicate, Value x, Value y) {
    return arith::CmpIOp::create(b, predicate, x, y);
  }
  Value zero(Type type) { return arith::ConstantOp::create(b, b.getZeroAttr(type)); }

  void forEach(Value begin, Value end, int64_t step, function_ref<void(Value)> body) {
    auto loop = scf::ForOp::create(b, begin, end, index(step));
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    body(loop.getInductionVar());
  }
  void runIf(Value condition, function_ref<void()> body) {
    auto ifOp = scf::IfOp::create(b, condition, /*withElseRegion=*/false);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(ifOp.thenBlock());
    body();
  }

  MultiplyPanelsOp op;
  ImplicitLocOpBuilder &b;
  TensorCore core;
  int64_t warps, threads, inner, words;
  MultiplyPanelsOp::Slicing slicing;
  bool isWhole; // no word is behind the last one
  int64_t mostRows, mostPanels;
  SmallVector<Value> inputs;
  Value weight, group; // or null
  Value firstPanel, panels, firstRow, rows, column;
  Value sums; // as words, one behind the other
};
} // namespace

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

/// What was loaded of a word, if there is one.
Value PanelMultiplier::orZero(Value word, Value loaded) {
  if (isWhole)
    return loaded;
  Value isInside = compare(arith::CmpIPredicate::ult, word, index(words));
  return arith::SelectOp::create(b, isInside, loaded, zero(loaded.getType()));
}

/// 4 lanes of a word of a panel.
Value PanelMultiplier::loadWeights(Value panel, Value word, Value lane) {
  auto type = VectorType::get({TensorCore::quarterLanes}, b.getI32Type());
  SmallVector<Value> place = {panel, lastWord(word), lane};
  if (group)
    place.insert(place.begin(), group);
  Value loaded =
      vector::LoadOp::create(b, type, weight, place, /*nontemporal=*/false, llvm::MaybeAlign(16));
  return orZero(word, loaded);
}

/// A word of K of a row, rounded. Both numbers are loaded at once where they always lie so.
Value PanelMultiplier::loadRow(Value input, Value row, Value word) {
  auto type = VectorType::get({2}, b.getF32Type());
  bool isPaired = inner % 2 == 0 && cast<MemRefType>(input.getType()).getDimSize(1) % 2 == 0;
  if (isPaired) {
    Value place = add(column, mul(lastWord(word), 2));
    Value pair = vector::LoadOp::create(b, type, input, ValueRange{row, place},
                                        /*nontemporal=*/false, llvm::MaybeAlign(8));
    return core.round(orZero(word, pair));
  }
  SmallVector<Value> numbers;
  for (int64_t i = 0; i < 2; ++i) {
    Value place = add(column, add(mul(word, 2), i)), end = add(column, inner);
    Value last = sub(end, index(1));
    Value number = memref::LoadOp::create(b, input, ValueRange{row, atMost(place, last)});
    numbers.push_back(arith::SelectOp::create(b, compare(arith::CmpIPredicate::ult, place, end),
                                              number, zero(b.getF32Type())));
  }
  return core.round(vector::FromElementsOp::create(b, type, numbers));
}

//===----------------------------------------------------------------------===//
// Few rows
//===----------------------------------------------------------------------===//

void PanelMultiplier::multiplyFew() {
  // Panels times pairs of slices, dealt out to warps.
  Value items = mul(panels, llvm::divideCeilSigned(slicing.slices, 2));
  forEach(core.getWarp(), items, warps, [&](Value item) { sumSlices(item); });
  gpu::BarrierOp::create(b);
  addSlices();
  gpu::BarrierOp::create(b);
}

/// The sums of two slices of a panel, of all rows and inputs.
void PanelMultiplier::sumSlices(Value item) {
  constexpr int64_t rowsAtOnce = TensorCore::rows / 2;
  int64_t blocks = llvm::divideCeilSigned(mostRows, rowsAtOnce);
  Value pairs = index(llvm::divideCeilSigned(slicing.slices, 2));
  Value panel = arith::DivUIOp::create(b, item, pairs);
  Value slice = add(mul(arith::RemUIOp::create(b, item, pairs), 2), core.getPanel());
  Value firstWord = add(mul(slice, slicing.steps * MultiplyPanelsOp::stepWords), core.getWord());
  Value lane = mul(core.getQuarter(), TensorCore::quarterLanes);
  Value lastRow = sub(rows, index(1));
  SmallVector<Value> rowOf; // of each block
  for (int64_t block = 0; block < blocks; ++block) {
    Value row = atMost(add(core.getQuarter(), block * rowsAtOnce), lastRow);
    rowOf.push_back(add(firstRow, row));
  }

  // By input and block.
  size_t count = inputs.size() * blocks;
  auto flatten = [](ArrayRef<TensorCore::Sums> sums) {
    SmallVector<Value> values;
    for (const TensorCore::Sums &some : sums)
      for (const auto &ofProduct : some)
        llvm::append_range(values, ofProduct);
    return values;
  };
  auto unflatten = [&](ValueRange values) {
    SmallVector<TensorCore::Sums> sums(count);
    for (TensorCore::Sums &some : sums)
      for (auto &ofProduct : some) {
        ofProduct.assign(values.begin(), values.begin() + 4);
        values = values.drop_front(4);
      }
    return sums;
  };
  int64_t atOnce = stepsUnderWay;
  while (slicing.steps % atOnce != 0)
    --atOnce;
  SmallVector<TensorCore::Sums> zeros(count, core.zeros());
  auto loop = scf::ForOp::create(b, index(0), index(slicing.steps), index(atOnce), flatten(zeros));
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    Value begin = add(firstWord, mul(loop.getInductionVar(), MultiplyPanelsOp::stepWords));
    auto wordOf = [&](int64_t step, int64_t half) {
      return add(begin, step * MultiplyPanelsOp::stepWords + half * 4);
    };
    SmallVector<std::array<Value, 2>> weights(atOnce);
    for (int64_t step = 0; step < atOnce; ++step)
      for (int64_t half = 0; half < 2; ++half)
        weights[step][half] = loadWeights(add(firstPanel, panel), wordOf(step, half), lane);
    SmallVector<TensorCore::Sums> next = unflatten(loop.getRegionIterArgs());
    for (int64_t step = 0; step < atOnce; ++step)
      for (size_t i = 0; i < count; ++i) {
        Value input = inputs[i / blocks], row = rowOf[i % blocks];
        std::array<Value, 2> numbers;
        for (int64_t half = 0; half < 2; ++half)
          numbers[half] = loadRow(input, row, wordOf(step, half));
        next[i] = core.multiply(weights[step], numbers, next[i]);
      }
    scf::YieldOp::create(b, flatten(next));
  }

  // Rows 2 t and 2 t + 1 of a product are of slice t / 2.
  Value ofHalf = arith::RemUIOp::create(b, core.getWord(), index(2));
  Value isOwn = compare(arith::CmpIPredicate::eq, core.getPanel(),
                        arith::DivUIOp::create(b, core.getWord(), index(2)));
  Value isSlice = compare(arith::CmpIPredicate::ult, slice, index(slicing.slices));
  int64_t allSums = inputs.size() * mostPanels * mostRows;
  for (auto [i, some] : llvm::enumerate(unflatten(loop.getResults())))
    for (int64_t which = 0; which < 2; ++which) {
      Value row = add(mul(ofHalf, 2), int64_t(i % blocks) * rowsAtOnce + which);
      Value isRow = compare(arith::CmpIPredicate::ult, row, rows);
      Value isWanted =
          arith::AndIOp::create(b, Value(arith::AndIOp::create(b, isOwn, isSlice)), isRow);
      runIf(isWanted, [&] {
        // [1 + slice][input][panel][row]
        Value place = add(mul(slice, mostPanels * inputs.size()), panel);
        place = add(place, int64_t(i / blocks) * mostPanels);
        place = add(add(mul(place, mostRows), row), allSums);
        vector::StoreOp::create(b, core.getRowOf(some, which), sums,
                                ValueRange{add(mul(place, panelWidth), lane)},
                                /*nontemporal=*/false, llvm::MaybeAlign(16));
      });
    }
}

/// The sums of slices, in order. Sixteen threads add up 16 lanes.
void PanelMultiplier::addSlices() {
  int64_t allSums = inputs.size() * mostPanels * mostRows;
  Value lane = arith::RemUIOp::create(b, core.getThread(), index(panelWidth));
  Value first = arith::DivUIOp::create(b, core.getThread(), index(panelWidth));
  Value perInput = arith::MulIOp::create(b, panels, rows);
  Value all = mul(perInput, inputs.size());
  forEach(first, all, threads / panelWidth, [&](Value number) {
    Value input = arith::DivUIOp::create(b, number, perInput);
    Value rest = arith::RemUIOp::create(b, number, perInput);
    Value panel = arith::DivUIOp::create(b, rest, rows);
    Value row = arith::RemUIOp::create(b, rest, rows);
    Value place = add(mul(add(mul(input, mostPanels), panel), mostRows), row);
    place = add(mul(place, panelWidth), lane);
    Value total = zero(b.getF32Type());
    for (int64_t slice = 0; slice < slicing.slices; ++slice) {
      Value from = add(place, (slice + 1) * allSums * panelWidth);
      Value word = memref::LoadOp::create(b, sums, from);
      Value sum = arith::BitcastOp::create(b, b.getF32Type(), word);
      total = arith::AddFOp::create(b, total, sum);
    }
    Value word = arith::BitcastOp::create(b, b.getI32Type(), total);
    memref::StoreOp::create(b, word, sums, place);
  });
}

void treadle::multiplyPanels(MultiplyPanelsOp op, int64_t threads, ImplicitLocOpBuilder &builder,
                             const IRMapping &mapping) {
  PanelMultiplier(op, threads, builder, mapping).multiplyFew();
}

//===- MultiplyFewRows.cpp - Few rows times panels ------------------------===//
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

#include "MultiplyPanels.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "treadle/Dialect/Treadle/IR/Layout.h"

using namespace mlir;
using namespace treadle;

/// Steps of which a warp asks for the weights at once: of one block of rows, and of more, whose
/// sums need the registers.
static constexpr int64_t stepsUnderWay = 6, stepsUnderWayOfMore = 2;

/// Rows of the input in a product, and slices of K.
static constexpr int64_t rowsAtOnce = 4, slicesAtOnce = TensorCore::rows / rowsAtOnce;

namespace {
class FewRows : PanelMultiplier {
public:
  FewRows(MultiplyPanelsOp op, int64_t threads, ImplicitLocOpBuilder &builder,
          const IRMapping &mapping)
      : PanelMultiplier(op, threads, builder, mapping, slicesAtOnce * pairsOf(op)),
        pairs(pairsOf(op)), blocks(llvm::divideCeilSigned(mostRows, rowsAtOnce)),
        allSums(inputs.size() * mostPanels * mostRows) {}

  void multiply();

private:
  static int64_t pairsOf(MultiplyPanelsOp op) {
    return llvm::divideCeilSigned(MultiplyPanelsOp::getSlicing(op.getInner()).slices, slicesAtOnce);
  }
  SmallVector<TensorCore::Sums> sumSteps(Value panel, Value slice);
  void storeSums(ArrayRef<TensorCore::Sums> all, Value panel, Value slice);
  void addSlices();

  int64_t pairs, blocks; // of slices and of rows
  int64_t allSums;       // of a slice
};
} // namespace

static void forEach(ImplicitLocOpBuilder &b, Value begin, Value end, Value step,
                    function_ref<void(Value)> body) {
  auto loop = scf::ForOp::create(b, begin, end, step);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  body(loop.getInductionVar());
}

void FewRows::multiply() {
  // What the memory held before, nobody reads any more.
  barrier();
  // Panels times pairs of slices, dealt out to warps.
  forEach(b, core.getWarp(), mul(panels, pairs), index(warps), [&](Value item) {
    Value panel = div(item, pairs);
    Value slice = add(mul(rem(item, pairs), slicesAtOnce), core.getPanel());
    storeSums(sumSteps(add(firstPanel, panel), slice), panel, slice);
  });
  barrier();
  addSlices();
  barrier();
}

/// The sums of a slice of a panel, by input and block of rows.
SmallVector<TensorCore::Sums> FewRows::sumSteps(Value panel, Value slice) {
  constexpr int64_t stepWords = MultiplyPanelsOp::stepWords;
  Value firstWord = add(mul(slice, slicing.steps * stepWords), core.getWord());
  Value lane = mul(core.getQuarter(), TensorCore::quarterLanes);
  SmallVector<Value> rowOf; // of each block
  for (int64_t block = 0; block < blocks; ++block) {
    Value row = atMost(add(core.getQuarter(), block * rowsAtOnce), sub(rows, 1));
    rowOf.push_back(add(firstRow, row));
  }
  size_t count = inputs.size() * blocks;
  int64_t atOnce = count == 1 ? stepsUnderWay : stepsUnderWayOfMore;
  while (slicing.steps % atOnce != 0)
    --atOnce;
  SmallVector<TensorCore::Sums> zeros(count, core.zeros());
  auto loop = scf::ForOp::create(b, index(0), index(slicing.steps), index(atOnce), flatten(zeros));
  keepRolled(loop);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  Value begin = add(firstWord, mul(loop.getInductionVar(), stepWords));
  auto wordOf = [&](int64_t step, int64_t half) {
    return add(begin, step * stepWords + half * stepWords / 2);
  };
  SmallVector<std::array<Value, 2>> weights(atOnce);
  for (int64_t step = 0; step < atOnce; ++step)
    for (int64_t half = 0; half < 2; ++half) {
      Value word = wordOf(step, half);
      Value loaded = loadVector(weight, placeOf(panel, word, lane), TensorCore::quarterLanes);
      weights[step][half] = orZero(word, loaded);
    }
  SmallVector<TensorCore::Sums> next = unflatten(loop.getRegionIterArgs());
  for (int64_t step = 0; step < atOnce; ++step)
    for (size_t i = 0; i < count; ++i) {
      std::array<Value, 2> numbers;
      for (int64_t half = 0; half < 2; ++half)
        numbers[half] = loadRow(inputs[i / blocks], rowOf[i % blocks], wordOf(step, half));
      next[i] = core.multiply(weights[step], numbers, next[i]);
    }
  scf::YieldOp::create(b, flatten(next));
  return unflatten(loop.getResults());
}

/// Those of a slice's own weights and rows, to [1 + slice][input][panel][row].
void FewRows::storeSums(ArrayRef<TensorCore::Sums> all, Value panel, Value slice) {
  // Rows 2 t and 2 t + 1 of a product are of slice t / 2.
  Value ofSlice = div(core.getWord(), 2), ofRows = mul(rem(core.getWord(), 2), 2);
  Value isOwn = arith::CmpIOp::create(b, arith::CmpIPredicate::eq, core.getPanel(), ofSlice);
  isOwn = arith::AndIOp::create(b, isOwn, isBelow(slice, index(slicing.slices)));
  Value lane = mul(core.getQuarter(), TensorCore::quarterLanes);
  for (size_t i = 0; i < all.size(); ++i)
    for (int64_t which = 0; which < 2; ++which) {
      Value row = add(ofRows, static_cast<int64_t>(i % blocks) * rowsAtOnce + which);
      Value isWanted = arith::AndIOp::create(b, isOwn, isBelow(row, rows));
      auto ifOp = scf::IfOp::create(b, isWanted, /*withElseRegion=*/false);
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(ifOp.thenBlock());
      Value place = add(panel, static_cast<int64_t>(i / blocks) * mostPanels);
      place = add(add(mul(place, mostRows), row), mul(add(slice, 1), allSums));
      storeWords(core.getRowOf(all[i], which), add(mul(place, panelWidth), lane));
    }
}

/// The sums of slices, in order. Sixteen threads add up 16 lanes.
void FewRows::addSlices() {
  Value lane = rem(core.getThread(), panelWidth);
  Value perInput = b.createOrFold<arith::MulIOp>(panels, rows);
  Value all = mul(perInput, inputs.size());
  Value step = index(threads / panelWidth);
  forEach(b, div(core.getThread(), panelWidth), all, step, [&](Value number) {
    Value rest = rem(number, perInput);
    Value place = add(mul(div(number, perInput), mostPanels), div(rest, rows));
    place = add(mul(add(mul(place, mostRows), rem(rest, rows)), panelWidth), lane);
    Value total = zero(b.getF32Type());
    for (int64_t slice = 1; slice <= slicing.slices; ++slice) {
      Value from = add(place, slice * allSums * panelWidth);
      Value word = memref::LoadOp::create(b, sums, from);
      total =
          arith::AddFOp::create(b, total, Value(arith::BitcastOp::create(b, b.getF32Type(), word)));
    }
    Value word = arith::BitcastOp::create(b, b.getI32Type(), total);
    memref::StoreOp::create(b, word, sums, place);
  });
}

void treadle::multiplyFewRows(MultiplyPanelsOp op, int64_t threads, ImplicitLocOpBuilder &builder,
                              const IRMapping &mapping) {
  FewRows(op, threads, builder, mapping).multiply();
}

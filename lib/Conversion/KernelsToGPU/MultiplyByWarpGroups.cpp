//===- MultiplyByWarpGroups.cpp - Many rows times panels, on sm_90a -------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

//
// As MultiplyManyRows.cpp has it, with the same blocks of K and the same order of sums, but four
// warps multiply at once, and rows come from workgroup memory by themselves. So do weights on the
// way there: of a panel, a block of K is one piece of memory, which one thread asks for.
//
// A block of K in memory:
//
//   weights  [panels][16 words][16 lanes]
//   rows     [4 chunks of 4 words][rows][4 words]
//
// Groups share out panels first, since each reads all of its rows for every 64 outputs, and then
// rows.
//

#include "BulkCopies.h"
#include "MultiplyPanels.h"
#include "WarpGroup.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "treadle/Dialect/Treadle/IR/Layout.h"

using namespace mlir;
using namespace treadle;

using KernelOp = MultiplyPanelsOp;

static constexpr int64_t wordBytes = 4;
static constexpr int64_t chunkWords = WarpGroup::pieceWords;
static constexpr int64_t chunksOfRow = KernelOp::blockWords / chunkWords;

/// Rows that a warp group multiplies.
static int64_t getRowsOfGroup(MultiplyPanelsOp op, int64_t threads) {
  int64_t groups = threads / WarpGroup::threads;
  return static_cast<int64_t>(op.getMostRows() * op.getMostPanels()) / (WarpGroup::panels * groups);
}

namespace {
class WarpGroups : BlockMultiplier {
public:
  WarpGroups(MultiplyPanelsOp op, int64_t threads, ImplicitLocOpBuilder &builder,
             const IRMapping &mapping)
      : BlockMultiplier(op, threads, builder, mapping, KernelOp::blockWords),
        rowsOfGroup(getRowsOfGroup(op, threads)), warpGroup(builder, rowsOfGroup),
        copies(builder, addressOf(index(KernelOp::stagedBlocks * placeWords)),
               KernelOp::stagedBlocks, mostPanels) {
    assert(blocks >= ahead && "blocks to begin with are there");
    assert(mostPanels * mostRows * panelWidth <= KernelOp::stagedBlocks * placeWords &&
           "sums lie in front of the mbarriers");
    int64_t groupsOfPanels = mostPanels / WarpGroup::panels;
    Value nth = warpGroup.getGroup();
    panel = add(mul(rem(nth, groupsOfPanels), WarpGroup::panels), warpGroup.getPanel());
    firstRowOfGroup = mul(div(nth, groupsOfPanels), rowsOfGroup);
    auto isEqual = [&](Value x, Value y) -> Value {
      return arith::CmpIOp::create(b, arith::CmpIPredicate::eq, x, y);
    };
    isFirst = isEqual(core.getThread(), index(0));
    asks = isEqual(rem(core.getThread(), TensorCore::warpThreads), index(0));
    assert(mostPanels <= warps && "each panel has a warp to ask for it");
    if (mostPanels < warps)
      asks = arith::AndIOp::create(b, asks, isBelow(core.getWarp(), index(mostPanels)));
  }

  void multiply();

private:
  SmallVector<Value> multiplySlice(Value firstBlock);
  WarpGroup::Sums startBlock(Value block, Value place, const WarpGroup::Sums &sums);
  void startWeights(Value block);
  SmallVector<Value> loadRows(Value block);
  void storeRows(ArrayRef<Value> chunks, Value block);
  void storeSums(const WarpGroup::Sums &sums);
  void runIf(Value condition, function_ref<void()> body);

  Value addressOf(Value place) { return getAddress(b, sums, place); }
  /// The first word of a block, or the last one that there is: nothing is copied of what lies
  /// behind, and so no block is empty.
  Value firstWord(Value block) { return lastWord(mul(block, KernelOp::blockWords)); }
  /// Row and first word, within a block, of the thread's `nth` chunk: a quarter of a warp
  /// has 8 rows of the same words, which it stores to 128 bytes that follow each other.
  std::pair<Value, Value> chunkOf(int64_t nth) {
    constexpr int64_t pieces = WarpGroup::pieceRows * chunksOfRow;
    Value chunk = add(core.getThread(), nth * threads);
    Value row =
        add(mul(div(chunk, pieces), WarpGroup::pieceRows), rem(chunk, WarpGroup::pieceRows));
    return {row, rem(div(chunk, WarpGroup::pieceRows), chunksOfRow)};
  }

  int64_t rowsOfGroup;
  WarpGroup warpGroup;
  BulkCopies copies;
  Value panel, firstRowOfGroup; // of the tile
  Value isFirst, asks;          // thread of the block, and of a warp that asks for a panel
};
} // namespace

void WarpGroups::runIf(Value condition, function_ref<void()> body) {
  auto ifOp = scf::IfOp::create(b, condition, /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(ifOp.thenBlock());
  body();
}

void WarpGroups::multiply() {
  // What the memory held before, nobody reads any more.
  barrier();
  runIf(isFirst, [&] { copies.begin(); });
  copies.fence();
  barrier();
  for (int64_t i = 0; i < ahead; ++i) {
    startWeights(index(i));
    storeRows(loadRows(index(i)), index(i));
  }
  copies.fence();
  ValueRange totals =
      addSlices(warpGroup.zeros(), [&](Value firstBlock) { return multiplySlice(firstBlock); });
  // Sums go where blocks of K were, in front of the mbarriers.
  barrier();
  runIf(isFirst, [&] { copies.end(); });
  storeSums(WarpGroup::Sums(totals));
  barrier();
}

/// The chain of a slice.
SmallVector<Value> WarpGroups::multiplySlice(Value firstBlock) {
  auto loop = scf::ForOp::create(b, index(0), index(blocksOfSlice), index(1), warpGroup.zeros());
  keepRolled(loop);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  Value block = add(firstBlock, loop.getInductionVar()), next = add(block, ahead);
  copies.wait(stageOf(block), div(block, KernelOp::stagedBlocks));
  // Rows are there, too, and all threads have done with the block before, in whose place the next
  // goes.
  barrier();
  Value hasNext = isBelow(next, index(blocks));
  runIf(hasNext, [&] { startWeights(next); });
  SmallVector<Value> chunks = loadRows(atMost(next, index(blocks - 1)));
  WarpGroup::Sums sums =
      startBlock(block, placeOfBlock(block), WarpGroup::Sums(loop.getRegionIterArgs()));
  storeRows(chunks, next);
  copies.fence();
  scf::YieldOp::create(b, warpGroup.wait(sums));
  return loop.getResults();
}

/// Starts to multiply a block of K.
WarpGroup::Sums WarpGroups::startBlock(Value block, Value place, const WarpGroup::Sums &sums) {
  Value ofPanel = add(mul(panel, KernelOp::blockWords * panelWidth), warpGroup.getLane());
  SmallVector<std::array<Value, 2>> weights(KernelOp::blockSteps);
  for (int64_t step = 0; step < KernelOp::blockSteps; ++step)
    for (int64_t half = 0; half < 2; ++half) {
      int64_t distance = step * KernelOp::stepWords + half * KernelOp::stepWords / 2;
      Value inBlock = add(warpGroup.getWord(), distance);
      Value word = add(mul(block, KernelOp::blockWords), inBlock);
      if (!isWhole)
        inBlock = b.createOrFold<arith::SubIOp>(lastWord(word), firstWord(block));
      Value from = add(add(place, ofPanel), mul(inBlock, panelWidth));
      weights[step][half] = orZero(word, loadVector(this->sums, from, 2));
    }
  WarpGroup::Sums next(sums);
  warpGroup.fence(next, weights);
  for (auto [step, ofStep] : llvm::enumerate(weights)) {
    int64_t chunk = static_cast<int64_t>(step) * KernelOp::stepWords / chunkWords;
    Value from = add(mul(firstRowOfGroup, chunkWords), weightWords + chunk * mostRows * chunkWords);
    Value rows = warpGroup.describe(addressOf(add(place, from)), mostRows * chunkWords * wordBytes);
    next = warpGroup.multiply(ofStep, rows, next);
  }
  warpGroup.commit();
  return next;
}

/// Asks for the weights of a block of K, a warp for each panel, since a copy takes a thread some 15
/// instructions. Panels that are missing are copies of the last one.
void WarpGroups::startWeights(Value block) {
  Value stage = stageOf(block), place = placeOfBlock(block), word = firstWord(block);
  Value count = index(KernelOp::blockWords);
  if (!isWhole)
    count = atMost(count, b.createOrFold<arith::SubIOp>(index(words), word));
  Value bytes = mul(count, panelWidth * wordBytes);
  runIf(asks, [&] {
    copies.expect(stage, bytes);
    Value matrix = add(firstPanel, atMost(core.getWarp(), sub(panels, 1)));
    if (group)
      matrix = add(mul(group, cast<MemRefType>(weight.getType()).getDimSize(1)), matrix);
    Value from = mul(add(mul(matrix, words), word), panelWidth);
    Value to = add(place, mul(core.getWarp(), KernelOp::blockWords * panelWidth));
    copies.copy(addressOf(to), getAddress(b, weight, from), bytes, stage);
  });
}

/// The thread's chunks of the rows of a block of K.
SmallVector<Value> WarpGroups::loadRows(Value block) {
  SmallVector<Value> chunks;
  for (int64_t i = 0, e = mostRows * chunksOfRow / threads; i < e; ++i) {
    auto [row, chunk] = chunkOf(i);
    Value word = add(mul(block, KernelOp::blockWords), mul(chunk, chunkWords));
    chunks.push_back(loadChunk(add(firstRow, atMost(row, sub(rows, 1))), word));
  }
  return chunks;
}

void WarpGroups::storeRows(ArrayRef<Value> chunks, Value block) {
  for (auto [i, words] : llvm::enumerate(chunks)) {
    auto [row, chunk] = chunkOf(static_cast<int64_t>(i));
    Value at = add(mul(add(mul(chunk, mostRows), row), chunkWords), weightWords);
    storeWords(words, add(placeOfBlock(block), at));
  }
}

void WarpGroups::storeSums(const WarpGroup::Sums &sums) {
  Value row = add(firstRowOfGroup, mul(warpGroup.getWord(), 2));
  Value place = add(mul(add(mul(panel, mostRows), row), panelWidth), warpGroup.getLane());
  for (int64_t nth = 0; nth < rowsOfGroup / WarpGroup::pieceRows; ++nth)
    for (int64_t which = 0; which < 2; ++which)
      storeWords(warpGroup.getRowOf(sums, nth, which),
                 add(place, (nth * WarpGroup::pieceRows + which) * panelWidth));
}

/// Without a loop over blocks, what lies behind the end of K would be constants, for which ptxas
/// has products wait for each other.
bool treadle::canMultiplyByWarpGroups(MultiplyPanelsOp op, int64_t threads) {
  int64_t groups = threads / WarpGroup::threads;
  bool hasBlocks = static_cast<int64_t>(op.getInner()) > 2 * KernelOp::blockWords;
  return hasBlocks && groups && threads % WarpGroup::threads == 0 &&
         groups % (static_cast<int64_t>(op.getMostPanels()) / WarpGroup::panels) == 0 &&
         WarpGroup::hasProducts(getRowsOfGroup(op, threads));
}

void treadle::multiplyByWarpGroups(MultiplyPanelsOp op, int64_t threads,
                                   ImplicitLocOpBuilder &builder, const IRMapping &mapping) {
  WarpGroups(op, threads, builder, mapping).multiply();
}

//===- MultiplyManyRows.cpp - Many rows times panels ----------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

//
// Many rows wait for tensor cores. The warps of a block share what they read: a block
// of K, of all rows and panels, is in workgroup memory, while the next ones are on
// their way. Weights go there in the background, 16 bytes a copy; rows by way of
// registers, since they are rounded to bf16 there. Slices run one after the other,
// and a slice's chain is added to the sum of those before it.
//
// A block of K in memory:
//
//   weights  [panels][16 words][4 quarters][4 lanes]
//   rows     [rows][16 words and 4 more]
//
// A warp reads four words of two quarters at a time. So that they are in different
// banks, quarters of words 2 and 3 of each four change places, 0 with 2 and 1 with 3.
// The rows' four words more do the same for rows.
//

#include "MultiplyPanels.h"

#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/NVGPU/IR/NVGPUDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "treadle/Dialect/Treadle/IR/Layout.h"

using namespace mlir;
using namespace treadle;

using KernelOp = MultiplyPanelsOp;

/// Words that a thread copies or stores at once.
static constexpr int64_t chunkWords = 4, chunksOfRow = KernelOp::blockWords / chunkWords;

namespace {
class ManyRows : BlockMultiplier {
public:
  ManyRows(MultiplyPanelsOp op, int64_t threads, ImplicitLocOpBuilder &builder,
           const IRMapping &mapping)
      : BlockMultiplier(op, threads, builder, mapping, KernelOp::stagedRowWords),
        warpsOfPanels(mostPanels / 2), rowsOfWarp(mostRows * warpsOfPanels / warps) {
    assert(rowsOfWarp % TensorCore::rows == 0 && "warps have whole products");
    firstPanelOfWarp = mul(rem(core.getWarp(), warpsOfPanels), 2);
    firstRowOfWarp = mul(div(core.getWarp(), warpsOfPanels), rowsOfWarp);
  }

  void multiply();

private:
  SmallVector<Value> multiplySlice(Value firstBlock);
  SmallVector<TensorCore::Sums> multiplyBlock(Value place, ArrayRef<TensorCore::Sums> sums);
  void startWeights(Value block, Value place);
  SmallVector<Value> loadRows(Value block);
  void storeRows(ArrayRef<Value> chunks, Value place);

  /// The last block that there is in place of those behind it.
  Value lastBlock(Value block) { return atMost(block, index(blocks - 1)); }
  /// A chunk of a word in its place.
  Value swap(Value quarter, Value word) {
    Value bit = b.createOrFold<arith::AndIOp>(word, index(2));
    return b.createOrFold<arith::XOrIOp>(quarter, bit);
  }
  /// The thread's `nth` chunk of some that are dealt out.
  Value chunkOf(int64_t nth) { return add(core.getThread(), nth * threads); }
  int64_t products() { return rowsOfWarp / TensorCore::rows; } // of a warp

  int64_t warpsOfPanels, rowsOfWarp;
  Value firstPanelOfWarp, firstRowOfWarp;
};
} // namespace

void ManyRows::multiply() {
  // What the memory held before, nobody reads any more.
  barrier();
  for (int64_t i = 0; i < ahead; ++i) {
    Value block = lastBlock(index(i)), place = index(i * placeWords);
    startWeights(block, place);
    storeRows(loadRows(block), place);
  }
  SmallVector<TensorCore::Sums> zeros(products(), core.zeros());
  ValueRange totals =
      addSlices(flatten(zeros), [&](Value firstBlock) { return multiplySlice(firstBlock); });
  // Sums go where blocks of K were.
  NVVM::CpAsyncWaitGroupOp::create(b, 0);
  barrier();
  Value panel = add(firstPanelOfWarp, core.getPanel());
  Value row = add(firstRowOfWarp, mul(core.getWord(), 2));
  Value place = add(mul(add(mul(panel, mostRows), row), panelWidth),
                    mul(core.getQuarter(), TensorCore::quarterLanes));
  for (auto [i, some] : llvm::enumerate(unflatten(totals)))
    for (int64_t which = 0; which < 2; ++which)
      storeWords(core.getRowOf(some, which),
                 add(place, (static_cast<int64_t>(i) * TensorCore::rows + which) * panelWidth));
  barrier();
}

/// The chain of a slice, of each product of the warp.
SmallVector<Value> ManyRows::multiplySlice(Value firstBlock) {
  SmallVector<TensorCore::Sums> zeros(products(), core.zeros());
  auto loop = scf::ForOp::create(b, index(0), index(blocksOfSlice), index(1), flatten(zeros));
  keepRolled(loop);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  Value block = add(firstBlock, loop.getInductionVar());
  Value next = lastBlock(add(block, ahead)), nextPlace = placeOfBlock(add(block, ahead));
  // The block is there, and all threads have done with the one before, in whose place the next
  // goes.
  NVVM::CpAsyncWaitGroupOp::create(b, ahead - 1);
  barrier();
  startWeights(next, nextPlace);
  SmallVector<Value> chunks = loadRows(next);
  SmallVector<TensorCore::Sums> sums =
      multiplyBlock(placeOfBlock(block), unflatten(loop.getRegionIterArgs()));
  storeRows(chunks, nextPlace);
  scf::YieldOp::create(b, flatten(sums));
  return loop.getResults();
}

SmallVector<TensorCore::Sums> ManyRows::multiplyBlock(Value place,
                                                      ArrayRef<TensorCore::Sums> sums) {
  SmallVector<TensorCore::Sums> next(sums);
  Value panel = add(firstPanelOfWarp, core.getPanel());
  Value row = add(firstRowOfWarp, core.getRow());
  Value quarter = swap(core.getQuarter(), core.getWord());
  Value word = core.getWord();
  Value weights = add(add(mul(panel, KernelOp::blockWords * panelWidth), mul(word, panelWidth)),
                      mul(quarter, chunkWords));
  Value numbers = add(add(mul(row, KernelOp::stagedRowWords), word), weightWords);
  for (int64_t step = 0; step < KernelOp::blockSteps; ++step) {
    std::array<Value, 2> ofPanels;
    auto wordOf = [&](int64_t half) {
      return step * KernelOp::stepWords + half * KernelOp::stepWords / 2;
    };
    for (int64_t half = 0; half < 2; ++half) {
      Value from = add(add(place, weights), wordOf(half) * panelWidth);
      ofPanels[half] = loadVector(this->sums, from, chunkWords);
    }
    for (int64_t i = 0; i < products(); ++i) {
      std::array<Value, 2> ofRow;
      for (int64_t half = 0; half < 2; ++half) {
        int64_t distance = i * TensorCore::rows * KernelOp::stagedRowWords + wordOf(half);
        Value from = add(add(place, numbers), distance);
        ofRow[half] = memref::LoadOp::create(b, this->sums, from);
      }
      next[i] = core.multiply(ofPanels, ofRow, next[i]);
    }
  }
  return next;
}

/// Starts to copy the weights of a block of K, as one group of copies. Words behind the last one
/// become 0.
void ManyRows::startWeights(Value block, Value place) {
  Type token = nvgpu::DeviceAsyncTokenType::get(b.getContext());
  Value firstWord = mul(block, KernelOp::blockWords);
  for (int64_t i = 0, e = weightWords / chunkWords / threads; i < e; ++i) {
    Value chunk = chunkOf(i);
    Value quarter = rem(chunk, panelWidth / chunkWords), line = div(chunk, panelWidth / chunkWords);
    Value ofBlock = rem(line, KernelOp::blockWords), panel = div(line, KernelOp::blockWords);
    Value word = add(firstWord, ofBlock);
    Value to = add(add(place, mul(line, panelWidth)), mul(swap(quarter, ofBlock), chunkWords));
    SmallVector<Value> from =
        placeOf(add(firstPanel, atMost(panel, sub(panels, 1))), word, mul(quarter, chunkWords));
    Value count; // all of the chunk
    if (Value isThere = isInside(word))
      count = arith::SelectOp::create(b, isThere, index(chunkWords), index(0));
    nvgpu::DeviceAsyncCopyOp::create(b, token, sums, ValueRange{to}, weight, from,
                                     b.getIndexAttr(chunkWords), count, b.getUnitAttr());
  }
  NVVM::CpAsyncCommitGroupOp::create(b);
}

/// The thread's chunks of the rows of a block of K.
SmallVector<Value> ManyRows::loadRows(Value block) {
  SmallVector<Value> chunks;
  for (int64_t i = 0, e = mostRows * chunksOfRow / threads; i < e; ++i) {
    Value chunk = chunkOf(i);
    Value row = atMost(div(chunk, chunksOfRow), sub(rows, 1));
    Value word = add(mul(block, KernelOp::blockWords), mul(rem(chunk, chunksOfRow), chunkWords));
    chunks.push_back(loadChunk(add(firstRow, row), word));
  }
  return chunks;
}

void ManyRows::storeRows(ArrayRef<Value> chunks, Value place) {
  for (auto [i, words] : llvm::enumerate(chunks)) {
    Value chunk = chunkOf(i);
    Value at = add(mul(div(chunk, chunksOfRow), KernelOp::stagedRowWords),
                   mul(rem(chunk, chunksOfRow), chunkWords));
    storeWords(words, add(add(place, at), weightWords));
  }
}

void treadle::multiplyManyRows(MultiplyPanelsOp op, int64_t threads, ImplicitLocOpBuilder &builder,
                               const IRMapping &mapping) {
  ManyRows(op, threads, builder, mapping).multiply();
}

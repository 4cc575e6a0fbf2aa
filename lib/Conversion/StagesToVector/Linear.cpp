//===- Linear.cpp - linear: the matrix micro-kernel -----------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

//
// A tile is TR rows x TN outputs. It runs in blocks of K, so that a block of
// weights stays in the second-level cache while the rows of the tile pass by,
// and in register blocks of rows x panels. Every output is one chain of fused
// multiply-adds in the order of k: blocks of K continue the chain from the
// partial sums of the block before.
//
//===----------------------------------------------------------------------===//

#include "StageKernel.h"

#include "mlir/Dialect/X86Vector/X86VectorDialect.h"

using namespace mlir;
using namespace treadle;

/// Words (of 1 f32 or 2 bf16) of K in one block: a register block's activations (6 x 1 KB) and a
/// panel's block of weights (16 KB) share the first-level cache. A single row has no reuse to
/// protect.
static constexpr int64_t wordsPerBlock = 256;
static constexpr int64_t wordsPerBlockOfSingleRow = 8192;

namespace {
/// Rows [begin, begin + count) and panels [panel, panel + panels) of one register block.
struct RegisterBlock {
  Value row;
  int64_t rows;
  Value panel;
  int64_t panels;
};

class LinearEmitter {
public:
  LinearEmitter(StageKernel &kernel, LinearOp op)
      : kernel(kernel), b(kernel.builder()), input(kernel.operand(op.getInput())),
        weight(kernel.operand(op.getWeight())),
        isBF16(op.getWeight().getType().getElementType().isBF16()),
        outputs(op.getWeight().getType().getShape()[0]),
        inner(op.getWeight().getType().getShape()[1]), tileRows(kernel.tileSize(0)) {
    words = llvm::divideCeilSigned(inner, isBF16 ? 2 : 1);
    blockWords = std::min(words, tileRows == 1 ? wordsPerBlockOfSingleRow : wordsPerBlock);
    if (words > blockWords)
      partials = kernel.allocate({tileRows, kernel.tileSize(1)}, b.getF32Type());
    if (isBF16) {
      int64_t rows = std::min(tileRows, kernel.getOptions().registerRows);
      // Whole vectors are rounded, so a row ends on a border of lanes.
      rounded = kernel.allocate({rows, int64_t(llvm::alignTo(2 * blockWords, numLanes))},
                                kernel.getOptions().bf16Dot ? Type(b.getI16Type())
                                                            : Type(b.getF32Type()));
    }
  }

  void emit();

private:
  void emitRowBlock(Value row, int64_t rows, Value firstWord, int64_t numWords, bool isFirst,
                    bool isLast);
  void roundRows(Value row, int64_t rows, Value firstWord, int64_t numWords);
  void emitPanels(RegisterBlock block, Value firstWord, int64_t numWords, bool isFirst,
                  bool isLast);
  SmallVector<Value> multiply(RegisterBlock block, Value firstWord, Value word,
                              ValueRange accumulators);
  Value multiplyBF16(Value weights, int64_t row, Value word, Value accumulator);
  void forRowBlocks(function_ref<void(Value, int64_t)> body);

  Value columnOf(Value panel) { return b.mul(panel, b.index(panelWidth)); }
  Value at(Value base, int64_t offset) { return b.add(base, b.index(offset)); }

  StageKernel &kernel;
  LaneBuilder &b;
  Value input, weight;
  bool isBF16;
  int64_t outputs, inner, tileRows, words, blockWords;
  Value partials; // [tile rows][tile outputs] sums of the blocks of K so far
  Value rounded;  // [register rows][block of K] activations rounded to bf16
};
} // namespace

/// The rows of the tile in register blocks whose sizes differ by at most one.
void LinearEmitter::forRowBlocks(function_ref<void(Value, int64_t)> body) {
  int64_t blocks = llvm::divideCeilSigned(tileRows, kernel.getOptions().registerRows);
  int64_t small = tileRows / blocks, numLarge = tileRows % blocks;
  auto run = [&](int64_t begin, int64_t count, int64_t size) {
    if (count > 0)
      b.loop(b.index(begin), b.index(begin + count * size), size,
             [&](Value row) { body(row, size); });
  };
  run(0, numLarge, small + 1);
  run(numLarge * (small + 1), blocks - numLarge, small);
}

void LinearEmitter::emit() {
  int64_t whole = words / blockWords, rest = words % blockWords;
  if (whole == 1 && rest == 0) {
    forRowBlocks([&](Value row, int64_t rows) {
      emitRowBlock(row, rows, b.index(0), words, /*isFirst=*/true, /*isLast=*/true);
    });
    return;
  }
  auto runBlock = [&](Value firstWord, int64_t numWords, bool isFirst, bool isLast) {
    forRowBlocks([&](Value row, int64_t rows) {
      emitRowBlock(row, rows, firstWord, numWords, isFirst, isLast);
    });
  };
  // The first block starts the chains, the last one ends in the epilogue.
  int64_t lastWords = rest == 0 ? blockWords : rest;
  int64_t lastBegin = words - lastWords;
  runBlock(b.index(0), blockWords, true, false);
  if (lastBegin > blockWords)
    b.loop(b.index(blockWords), b.index(lastBegin), blockWords,
           [&](Value firstWord) { runBlock(firstWord, blockWords, false, false); });
  runBlock(b.index(lastBegin), lastWords, false, true);
}

/// All panels of the tile for a block of rows.
void LinearEmitter::emitRowBlock(Value row, int64_t rows, Value firstWord, int64_t numWords,
                                 bool isFirst, bool isLast) {
  if (isBF16)
    roundRows(row, rows, firstWord, numWords);
  // The tile's interval of outputs, in panels; only the last panel of the matrix may be partial.
  Value begin = arith::DivUIOp::create(b, kernel.begin(1), b.index(panelWidth));
  Value end = arith::CeilDivUIOp::create(b, kernel.end(1), b.index(panelWidth));
  int64_t group =
      rows == 1 ? kernel.getOptions().singleRowPanels : kernel.getOptions().registerPanels;
  Value groups = arith::DivUIOp::create(b, b.sub(end, begin), b.index(group));
  Value middle = b.add(begin, b.mul(groups, b.index(group)));
  b.loop(begin, middle, group, [&](Value panel) {
    emitPanels({row, rows, panel, group}, firstWord, numWords, isFirst, isLast);
  });
  if (group > 1)
    b.loop(middle, end, 1, [&](Value panel) {
      emitPanels({row, rows, panel, 1}, firstWord, numWords, isFirst, isLast);
    });
}

/// Rounds a block of K of some rows to bf16. What lies behind the last column is 0, like the
/// padding of the panels.
void LinearEmitter::roundRows(Value row, int64_t rows, Value firstWord, int64_t numWords) {
  Value firstColumn = b.mul(firstWord, b.index(2));
  for (int64_t r = 0; r < rows; ++r) {
    Value source = b.add(kernel.begin(0), at(row, r));
    b.loop(b.index(0), b.index(2 * numWords), numLanes, [&](Value column) {
      Value from = b.add(firstColumn, column);
      Value mask = inner % numLanes == 0 ? Value() : b.maskBelow(b.sub(b.index(inner), from));
      Value x = b.load(input, {source, from}, mask);
      if (!kernel.getOptions().bf16Dot)
        x = b.roundToBF16(x);
      b.store(x, rounded, {b.index(r), column});
    });
  }
}

void LinearEmitter::emitPanels(RegisterBlock block, Value firstWord, int64_t numWords, bool isFirst,
                               bool isLast) {
  auto forEach = [&](function_ref<void(int64_t, int64_t)> body) {
    for (int64_t r = 0; r < block.rows; ++r)
      for (int64_t p = 0; p < block.panels; ++p)
        body(r, p);
  };
  auto partialAt = [&](int64_t r, int64_t p) -> SmallVector<Value> {
    Value column = b.sub(columnOf(at(block.panel, p)), kernel.begin(1));
    return {at(block.row, r), column};
  };

  SmallVector<Value> accumulators;
  forEach([&](int64_t r, int64_t p) {
    accumulators.push_back(isFirst ? b.splat(0.0f) : b.load(partials, partialAt(r, p)));
  });
  accumulators = llvm::to_vector(
      b.loop(b.index(0), b.index(numWords), 1, accumulators,
             [&](Value word, ValueRange sums) { return multiply(block, firstWord, word, sums); }));
  forEach([&](int64_t r, int64_t p) {
    Value sum = accumulators[r * block.panels + p];
    if (!isLast)
      return b.store(sum, partials, partialAt(r, p));
    Value column = columnOf(at(block.panel, p));
    Value mask = outputs % panelWidth == 0 ? Value() : b.maskBelow(b.sub(b.index(outputs), column));
    kernel.storeResult(sum, b.add(kernel.begin(0), at(block.row, r)), column, mask);
  });
}

/// One word of K: a rank-1 update of the register block. Panel by panel, so that few weights are
/// in registers at a time.
SmallVector<Value> LinearEmitter::multiply(RegisterBlock block, Value firstWord, Value word,
                                           ValueRange accumulators) {
  Value from = b.add(firstWord, word);
  VectorType type = b.lanes(cast<MemRefType>(weight.getType()).getElementType());
  SmallVector<Value> sums(accumulators);
  for (int64_t p = 0; p < block.panels; ++p) {
    Value weights =
        vector::LoadOp::create(b, type, weight, ValueRange{at(block.panel, p), from, b.index(0)});
    for (int64_t r = 0; r < block.rows; ++r) {
      Value &sum = sums[r * block.panels + p];
      if (isBF16) {
        sum = multiplyBF16(weights, r, word, sum);
        continue;
      }
      Value row = b.add(kernel.begin(0), at(block.row, r));
      Value x = memref::LoadOp::create(b, input, ValueRange{row, from});
      sum = b.fma(b.broadcast(x), weights, sum);
    }
  }
  return sums;
}

/// Two products, the odd one first: the order of vdpbf16ps.
Value LinearEmitter::multiplyBF16(Value weights, int64_t row, Value word, Value accumulator) {
  Value column = b.mul(word, b.index(2));
  if (kernel.getOptions().bf16Dot) {
    auto pair = VectorType::get({2}, b.getI16Type());
    auto pairs = VectorType::get({2 * numLanes}, b.getBF16Type());
    Value x = vector::LoadOp::create(b, pair, rounded, ValueRange{b.index(row), column});
    Value xWord = vector::BitCastOp::create(b, VectorType::get({1}, b.getI32Type()), x);
    Value xWords = b.broadcast(vector::ExtractOp::create(b, xWord, ArrayRef<int64_t>{0}));
    auto asPairs = [&](Value lanes) -> Value { return vector::BitCastOp::create(b, pairs, lanes); };
    return x86vector::DotBF16Op::create(b, accumulator, asPairs(xWords), asPairs(weights));
  }
  auto broadcastAt = [&](Value place) -> Value {
    return b.broadcast(memref::LoadOp::create(b, rounded, ValueRange{b.index(row), place}));
  };
  Value sum = b.fma(broadcastAt(at(column, 1)), b.highBF16(weights), accumulator);
  return b.fma(broadcastAt(column), b.lowBF16(weights), sum);
}

void treadle::emitLinear(StageKernel &kernel, LinearOp op) { LinearEmitter(kernel, op).emit(); }

//===- Linear.cpp - linear, joint_linear: the matrix micro-kernel ---------===//
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
// Where several inputs share a matrix, each row of a block stands for that row of
// every input: a weight is read once for all of them. Where columns come in groups,
// a tile is TR rows x some groups, which run one after the other.
//
//===----------------------------------------------------------------------===//

#include "StageKernel.h"

#include "mlir/Dialect/X86Vector/X86VectorDialect.h"

using namespace mlir;
using namespace treadle;

/// Outputs of a group that run together: their partial sums stay in the first-level cache.
static constexpr int64_t outputsOfGroup = 256;

namespace {
/// The operands of a product in memory.
struct Product {
  SmallVector<Value> inputs; // of one type
  Value weight;
  WeightType weightType;
  Value bias; // or null
  int64_t groups;
};

/// Rows [row, row + rows) of every input and panels [panel, panel + panels) of one register block.
struct RegisterBlock {
  Value row;
  int64_t rows;
  Value panel;
  int64_t panels;
};

/// Weights that a register block asks for while it runs: of a panel, the line of element `first`
/// and of every `step` elements more for each word of K.
struct Prefetch {
  Value lines; // [panels][words x lanes], for each group if there are any
  SmallVector<Value> panel;
  Value first;
  int64_t step;
};

class LinearEmitter {
public:
  LinearEmitter(StageKernel &kernel, Product operands)
      : kernel(kernel), b(kernel.builder()), product(std::move(operands)),
        isBF16(product.weightType.getElementType().isBF16()),
        isStack(product.weightType.getShape().size() == 3),
        outputs(product.weightType.getShape().take_back(2)[0]),
        inner(product.weightType.getShape().back()), tileRows(kernel.tileSize(0)),
        tileOutputs(product.groups > 1 ? std::min(outputs, outputsOfGroup) : kernel.tileSize(1)) {
    int64_t numInputs = product.inputs.size();
    words = llvm::divideCeilSigned(inner, isBF16 ? 2 : 1);
    const ConvertStagesToVectorPassOptions &options = kernel.getOptions();
    blockWords = std::min(words, tileRows == 1 ? options.singleRowWords : options.blockWords);
    registerRows = std::max<int64_t>(1, options.registerRows / numInputs);
    if (words > blockWords)
      partials = kernel.allocate(
          {numInputs, tileRows, int64_t(llvm::alignTo(tileOutputs, panelWidth))}, b.getF32Type());
    if (isBF16) {
      // Whole vectors are rounded, so a row ends on a border of lanes.
      rounded = kernel.allocate({numInputs, std::min(tileRows, registerRows),
                                 int64_t(llvm::alignTo(2 * blockWords, numLanes))},
                                options.bf16Dot ? Type(b.getI16Type()) : Type(b.getF32Type()));
    }
  }

  void emit();

private:
  void emitOutputs();
  void emitRowBlock(Value row, int64_t rows, Value firstWord, int64_t numWords, bool isFirst,
                    bool isLast);
  void roundRows(Value row, int64_t rows, Value firstWord, int64_t numWords);
  void emitPanels(RegisterBlock block, Value firstWord, int64_t numWords, bool isFirst,
                  bool isLast);
  std::optional<Prefetch> findNext(RegisterBlock block, Value firstWord, int64_t numWords,
                                   bool isLast);
  void prefetch(const Prefetch &next, Value word);
  void storeSum(Value sum, unsigned input, Value row, Value panel);
  SmallVector<Value> multiply(RegisterBlock block, Value firstWord, Value word,
                              ValueRange accumulators);
  Value multiplyBF16(Value weights, unsigned input, int64_t row, Value word, Value accumulator);
  void forRowBlocks(function_ref<void(Value, int64_t)> body);

  Value columnOf(Value panel) { return b.mul(panel, b.index(panelWidth)); }
  Value at(Value base, int64_t offset) { return b.add(base, b.index(offset)); }

  StageKernel &kernel;
  LaneBuilder &b;
  Product product;
  bool isBF16, isStack;
  int64_t outputs, inner, tileRows, tileOutputs, words, blockWords, registerRows;
  Value partials; // [inputs][tile rows][tile outputs] sums of the blocks of K so far
  Value rounded;  // [inputs][register rows][block of K] activations rounded to bf16
  // The outputs that run at present.
  Value group, firstOutput, endOutput;
};
} // namespace

/// The rows of the tile, granule by granule, in register blocks whose sizes differ by at most one.
void LinearEmitter::forRowBlocks(function_ref<void(Value, int64_t)> body) {
  int64_t granule = kernel.hasWholeGranules() ? rowGranule : tileRows;
  b.loop(b.index(0), b.sub(kernel.end(0), kernel.begin(0)), granule,
         [&](Value first) { b.forBlocks(first, granule, registerRows, body); });
}

void LinearEmitter::emit() {
  if (product.groups == 1) {
    group = b.index(0);
    firstOutput = kernel.begin(1);
    endOutput = kernel.end(1);
    return emitOutputs();
  }
  b.loop(kernel.begin(1), kernel.end(1), 1, [&](Value index) {
    group = index;
    b.loop(b.index(0), b.index(outputs), tileOutputs, [&](Value first) {
      firstOutput = first;
      endOutput = b.minimum(at(first, tileOutputs), b.index(outputs));
      emitOutputs();
    });
  });
}

/// Outputs [firstOutput, endOutput) of one group, for all rows of the tile.
void LinearEmitter::emitOutputs() {
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
  // The interval of outputs, in panels; only the last panel of a matrix may be partial.
  Value begin = arith::DivUIOp::create(b, firstOutput, b.index(panelWidth));
  Value end = arith::CeilDivUIOp::create(b, endOutput, b.index(panelWidth));
  // A single row needs panels for independent chains; rows of several inputs are such chains too.
  const ConvertStagesToVectorPassOptions &options = kernel.getOptions();
  int64_t atOnce = options.registerPanels;
  if (rows == 1)
    atOnce = std::max<int64_t>(atOnce, options.singleRowPanels / product.inputs.size());
  Value wholeGroups = arith::DivUIOp::create(b, b.sub(end, begin), b.index(atOnce));
  Value middle = b.add(begin, b.mul(wholeGroups, b.index(atOnce)));
  b.loop(begin, middle, atOnce, [&](Value panel) {
    emitPanels({row, rows, panel, atOnce}, firstWord, numWords, isFirst, isLast);
  });
  if (atOnce > 1)
    b.loop(middle, end, 1, [&](Value panel) {
      emitPanels({row, rows, panel, 1}, firstWord, numWords, isFirst, isLast);
    });
}

/// Rounds a block of K of some rows to bf16. What lies behind the last column of the group is 0,
/// like the padding of the panels.
void LinearEmitter::roundRows(Value row, int64_t rows, Value firstWord, int64_t numWords) {
  Value firstColumn = b.mul(firstWord, b.index(2));
  Value origin = b.mul(group, b.index(inner));
  for (unsigned i = 0; i < product.inputs.size(); ++i)
    for (int64_t r = 0; r < rows; ++r) {
      Value source = b.add(kernel.begin(0), at(row, r));
      b.loop(b.index(0), b.index(2 * numWords), numLanes, [&](Value column) {
        Value from = b.add(firstColumn, column);
        Value mask = inner % numLanes == 0 ? Value() : b.maskBelow(b.sub(b.index(inner), from));
        Value x = b.load(product.inputs[i], {source, b.add(origin, from)}, mask);
        if (!kernel.getOptions().bf16Dot)
          x = b.roundToBF16(x);
        b.store(x, rounded, {b.index(i), b.index(r), column});
      });
    }
}

void LinearEmitter::emitPanels(RegisterBlock block, Value firstWord, int64_t numWords, bool isFirst,
                               bool isLast) {
  auto forEach = [&](function_ref<void(unsigned, int64_t, int64_t)> body) {
    for (int64_t r = 0; r < block.rows; ++r)
      for (unsigned i = 0; i < product.inputs.size(); ++i)
        for (int64_t p = 0; p < block.panels; ++p)
          body(i, r, p);
  };
  auto partialAt = [&](unsigned i, int64_t r, int64_t p) -> SmallVector<Value> {
    Value column = b.sub(columnOf(at(block.panel, p)), firstOutput);
    return {b.index(i), at(block.row, r), column};
  };

  SmallVector<Value> accumulators;
  forEach([&](unsigned i, int64_t r, int64_t p) {
    accumulators.push_back(isFirst ? b.splat(0.0f) : b.load(partials, partialAt(i, r, p)));
  });
  std::optional<Prefetch> next = findNext(block, firstWord, numWords, isLast);
  accumulators = llvm::to_vector(
      b.loop(b.index(0), b.index(numWords), 1, accumulators, [&](Value word, ValueRange sums) {
        if (next)
          prefetch(*next, word);
        return multiply(block, firstWord, word, sums);
      }));
  const Value *nextSum = accumulators.begin();
  forEach([&](unsigned i, int64_t r, int64_t p) {
    Value sum = *nextSum++;
    if (isLast)
      storeSum(sum, i, b.add(kernel.begin(0), at(block.row, r)), at(block.panel, p));
    else
      b.store(sum, partials, partialAt(i, r, p));
  });
}

/// The weights of these panels that are needed next: in the next block of K, or of outputs.
/// Without, the first rows of a block would wait for memory. Each row of a whole tile asks for its
/// part.
std::optional<Prefetch> LinearEmitter::findNext(RegisterBlock block, Value firstWord,
                                                int64_t numWords, bool isLast) {
  int64_t wordsPerRow = llvm::divideCeilSigned(block.panels * blockWords, tileRows);
  Prefetch next;
  next.step = llvm::divideCeilSigned(block.rows * wordsPerRow * numLanes, numWords);
  int64_t reach = llvm::divideCeilSigned(next.step * numWords, numLanes);
  if (!kernel.hasWholeGranules() || words < reach)
    return std::nullopt;
  Value word = b.mul(block.row, b.index(wordsPerRow)), size = b.index(blockWords);
  Value panel = b.add(block.panel, Value(arith::DivUIOp::create(b, word, size)));
  word = arith::RemUIOp::create(b, word, size);
  if (isLast)
    panel = at(panel, tileOutputs / panelWidth);
  else
    word = b.add(word, at(firstWord, numWords));
  // Behind the end of the matrix there is nothing to ask for.
  panel = b.minimum(panel, b.index(llvm::divideCeilSigned(outputs, panelWidth) - 1));
  word = b.minimum(word, b.index(words - reach));

  SmallVector<ReassociationIndices> dims = {{0}, {1, 2}};
  if (isStack) {
    dims = {{0}, {1}, {2, 3}};
    next.panel.push_back(group);
  }
  next.panel.push_back(panel);
  next.lines = memref::CollapseShapeOp::create(b, product.weight, dims);
  next.first = b.mul(word, b.index(numLanes));
  return next;
}

void LinearEmitter::prefetch(const Prefetch &next, Value word) {
  SmallVector<Value> place(next.panel);
  place.push_back(b.add(next.first, b.mul(word, b.index(next.step))));
  memref::PrefetchOp::create(b, next.lines, place, /*isWrite=*/false, /*localityHint=*/2,
                             /*isDataCache=*/true);
}

/// Adds the bias to 16 finished sums and hands them on.
void LinearEmitter::storeSum(Value sum, unsigned input, Value row, Value panel) {
  Value column = columnOf(panel);
  Value mask = outputs % panelWidth == 0 ? Value() : b.maskBelow(b.sub(b.index(outputs), column));
  if (product.bias) {
    SmallVector<Value> place = {column};
    if (isStack)
      place.insert(place.begin(), group);
    sum = arith::AddFOp::create(b, sum, b.load(product.bias, place, mask));
  }
  Value origin = b.mul(group, b.index(outputs));
  kernel.storeResult(sum, row, b.add(origin, column), mask, input);
}

/// One word of K: a rank-1 update of the register block. Panel by panel, so that few weights are
/// in registers at a time.
SmallVector<Value> LinearEmitter::multiply(RegisterBlock block, Value firstWord, Value word,
                                           ValueRange accumulators) {
  Value from = b.add(firstWord, word);
  Value column = b.add(b.mul(group, b.index(inner)), from);
  VectorType type = b.lanes(cast<MemRefType>(product.weight.getType()).getElementType());
  SmallVector<Value> sums(accumulators);
  for (int64_t p = 0; p < block.panels; ++p) {
    SmallVector<Value> place = {at(block.panel, p), from, b.index(0)};
    if (isStack)
      place.insert(place.begin(), group);
    Value weights = vector::LoadOp::create(b, type, product.weight, place);
    for (int64_t r = 0; r < block.rows; ++r) {
      for (auto [i, input] : llvm::enumerate(product.inputs)) {
        Value &sum = sums[(r * product.inputs.size() + i) * block.panels + p];
        if (isBF16) {
          sum = multiplyBF16(weights, i, r, word, sum);
          continue;
        }
        Value row = b.add(kernel.begin(0), at(block.row, r));
        Value x = memref::LoadOp::create(b, input, ValueRange{row, column});
        sum = b.fma(b.broadcast(x), weights, sum);
      }
    }
  }
  return sums;
}

/// Two products, the odd one first: the order of vdpbf16ps.
Value LinearEmitter::multiplyBF16(Value weights, unsigned input, int64_t row, Value word,
                                  Value accumulator) {
  Value column = b.mul(word, b.index(2));
  if (kernel.getOptions().bf16Dot) {
    auto pair = VectorType::get({2}, b.getI16Type());
    auto pairs = VectorType::get({2 * numLanes}, b.getBF16Type());
    Value x =
        vector::LoadOp::create(b, pair, rounded, ValueRange{b.index(input), b.index(row), column});
    Value xWord = vector::BitCastOp::create(b, VectorType::get({1}, b.getI32Type()), x);
    Value xWords = b.broadcast(vector::ExtractOp::create(b, xWord, ArrayRef<int64_t>{0}));
    auto asPairs = [&](Value lanes) -> Value { return vector::BitCastOp::create(b, pairs, lanes); };
    return x86vector::DotBF16Op::create(b, accumulator, asPairs(xWords), asPairs(weights));
  }
  auto broadcastAt = [&](Value place) -> Value {
    return b.broadcast(
        memref::LoadOp::create(b, rounded, ValueRange{b.index(input), b.index(row), place}));
  };
  Value sum = b.fma(broadcastAt(at(column, 1)), b.highBF16(weights), accumulator);
  return b.fma(broadcastAt(column), b.lowBF16(weights), sum);
}

void treadle::emitLinear(StageKernel &kernel, LinearOp op) {
  Value bias = op.getBias() ? kernel.operand(op.getBias()) : Value();
  LinearEmitter(kernel, {{kernel.operand(op.getInput())},
                         kernel.operand(op.getWeight()),
                         op.getWeight().getType(),
                         bias,
                         int64_t(op.getGroups())})
      .emit();
}

void treadle::emitJointLinear(StageKernel &kernel, JointLinearOp op) {
  SmallVector<Value> inputs;
  for (Value input : op.getInputs())
    inputs.push_back(kernel.operand(input));
  Value bias = op.getBias() ? kernel.operand(op.getBias()) : Value();
  LinearEmitter(kernel, {std::move(inputs), kernel.operand(op.getWeight()),
                         op.getWeight().getType(), bias, /*groups=*/1})
      .emit();
}

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
// every input: a weight is read once for all of them. Where several matrices run
// together, a unit is a panel of the smallest and as many of each as it has times
// the outputs, and a register block holds panels of all of them. Where columns come
// in groups, a tile is TR rows x some groups, which run one after the other.
//
// On a GPU, K is no chain but some slices, all of which run together (Slices.h); bf16 runs on
// tensor cores (TensorProducts.cpp).
//

#include "Multiplier.h"
#include "Products.h"
#include "Slices.h"

using namespace mlir;
using namespace treadle;

/// Outputs of a group that run together: their partial sums stay in the first-level cache.
static constexpr int64_t outputsOfGroup = 256;

namespace {
/// Rows [first, first + count) of the tile, of every input.
struct Rows {
  Value first;
  int64_t count;
};

/// A block of K: words [first, first + count).
struct Words {
  Value first;
  int64_t count;
  bool isFirst, isLast;
};

/// A panel of each of some matrices with as many outputs.
struct Panels {
  Value index;
  ArrayRef<unsigned> matrices;
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
  LinearEmitter(StageKernel &kernel, Products operands)
      : kernel(kernel), b(kernel.builder()), work(std::move(operands)),
        multiplier(kernel, work.type.getElementType()), isStack(work.type.getShape().size() == 3),
        inner(work.type.getShape().back()), tileRows(kernel.tileSize(0)),
        tileOutputs(work.groups > 1 ? std::min(work.matrices[0].outputs, outputsOfGroup)
                                    : kernel.tileSize(1)),
        perMatrix(work.perMatrix()), alike(work.findAlike()),
        isSliced(kernel.getOptions().slices > 1) {
    words = llvm::divideCeilSigned(inner, multiplier.depth());
    const ConvertStagesToVectorPassOptions &options = kernel.getOptions();
    blockWords = tileRows == 1 ? options.singleRowWords : options.blockWords;
    blockWords = isSliced ? words : std::min(words, blockWords);
    registerRows = options.registerRows;
    // Few panels leave registers for more rows, and need their chains.
    int64_t panels = panelsOfUnit() * llvm::divideCeilSigned(tileOutputs, panelWidth);
    if (!isSliced && panels < options.registerPanels)
      registerRows = std::min(rowGranule, registerRows * options.registerPanels / panels);
    registerRows = std::max<int64_t>(1, registerRows / perMatrix);
    for (const Product &product : work.products) {
      int64_t width = llvm::alignTo(tileOutputs, panelWidth) * work.matrices[product.matrix].panels;
      if (words > blockWords)
        partials.push_back(kernel.allocate({tileRows, width}, b.getF32Type()));
    }
    bool isRounding = multiplier.isRounding() &&
                      !llvm::all_of(work.inputs, [&](Value input) { return isTakenAsIs(input); });
    if (isRounding)
      rounded = multiplier.allocate({int64_t(work.inputs.size()), std::min(tileRows, registerRows),
                                     int64_t(llvm::alignTo(2 * blockWords, numLanes))});
    if (isSliced)
      planSlices();
  }

  void emit();

private:
  void planSlices();
  void emitOutputs();
  void emitRowBlock(Rows rows, Words block);
  void roundRows(Rows rows, Words block);
  int64_t panelsOfUnit();
  int64_t panelsFor(int64_t rows);
  void emitUnits(Rows rows, Value first, int64_t count, int64_t panelsAtOnce, Words block);
  void emitPart(Rows rows, Value unit, Words block);
  void emitPanels(Rows rows, ArrayRef<Panels> panels, Words block);
  void emitSideBySide(Rows rows, ArrayRef<Panels> panels);
  std::optional<Prefetch> findNext(Rows rows, ArrayRef<Panels> panels, Words block);
  void prefetch(const Prefetch &next, Value word);
  SmallVector<Value> multiply(Rows rows, ArrayRef<Panels> panels, Value firstWord, Value word,
                              ValueRange accumulators);
  Value addProduct(unsigned input, Rows rows, int64_t row, Value firstWord, Value word,
                   ArrayRef<Value> weights, Value sum);
  void forRowBlocks(function_ref<void(Rows)> body);
  void forUnitBlocks(int64_t atOnce, function_ref<void(Value, int64_t)> body);

  /// Whether products take the numbers of an input where they lie.
  bool isTakenAsIs(Value input) const {
    Type element = cast<MemRefType>(input.getType()).getElementType();
    return element.isF32() ? !multiplier.isRounding() : multiplier.takesBF16();
  }

  Value columnOf(Value panel) { return b.mul(panel, b.index(panelWidth)); }
  Value at(Value base, int64_t offset) { return b.add(base, b.index(offset)); }

  StageKernel &kernel;
  LaneBuilder &b;
  Products work;
  Multiplier multiplier;
  bool isStack;
  int64_t inner, tileRows, tileOutputs, perMatrix;
  SmallVector<SmallVector<unsigned>> alike; // matrices with as many outputs
  bool isSliced;
  int64_t words, blockWords, registerRows;
  SmallVector<Value> partials; // of each product, [tile rows][tile outputs]: of K so far
  Value rounded;               // [inputs][register rows][block of K] activations rounded to bf16
  Value slices, totals;        // what slices meet in, where they run side by side (Slices.h)
  // The outputs that run at present; of several matrices, in units.
  Value group, firstOutput, endOutput;
};
} // namespace

/// The rows of the tile, granule by granule, in register blocks.
void LinearEmitter::forRowBlocks(function_ref<void(Rows)> body) {
  int64_t granule = kernel.hasWholeGranules() ? rowGranule : tileRows;
  b.loop(b.index(0), b.sub(kernel.end(0), kernel.begin(0)), granule, [&](Value first) {
    b.forBlocks(first, granule, registerRows,
                [&](Value row, int64_t count) { body({row, count}); });
  });
}

void LinearEmitter::emit() {
  if (work.groups == 1) {
    group = b.index(0);
    firstOutput = kernel.begin(1);
    endOutput = kernel.end(1);
    return emitOutputs();
  }
  int64_t outputs = work.matrices[0].outputs;
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
  auto runBlock = [&](Words block) { forRowBlocks([&](Rows rows) { emitRowBlock(rows, block); }); };
  int64_t whole = words / blockWords, rest = words % blockWords;
  if (whole == 1 && rest == 0)
    return runBlock({b.index(0), words, /*isFirst=*/true, /*isLast=*/true});
  // The first block starts the chains, the last one ends in the epilogue.
  int64_t lastWords = rest == 0 ? blockWords : rest;
  int64_t lastBegin = words - lastWords;
  runBlock({b.index(0), blockWords, true, false});
  if (lastBegin > blockWords)
    b.loop(b.index(blockWords), b.index(lastBegin), blockWords,
           [&](Value firstWord) { runBlock({firstWord, blockWords, false, false}); });
  runBlock({b.index(lastBegin), lastWords, false, true});
}

int64_t LinearEmitter::panelsOfUnit() {
  int64_t panels = 0;
  for (const Matrix &matrix : work.matrices)
    panels += matrix.panels;
  return panels;
}

/// Panels of a register block. A single row needs them for independent chains; rows of several
/// inputs are such chains too.
int64_t LinearEmitter::panelsFor(int64_t rows) {
  const ConvertStagesToVectorPassOptions &options = kernel.getOptions();
  return rows == 1 ? std::max<int64_t>(options.registerPanels, options.singleRowPanels / perMatrix)
                   : options.registerPanels;
}

/// All panels of the tile for a block of rows.
void LinearEmitter::emitRowBlock(Rows rows, Words block) {
  if (rounded)
    roundRows(rows, block);
  if (kernel.part())
    return forUnitBlocks(1, [&](Value unit, int64_t) { emitPart(rows, unit, block); });
  int64_t panelsAtOnce = panelsFor(rows.count);
  forUnitBlocks(
      std::max<int64_t>(panelsAtOnce / panelsOfUnit(), 1),
      [&](Value first, int64_t count) { emitUnits(rows, first, count, panelsAtOnce, block); });
}

/// The units of the tile in blocks of at most `atOnce`. A panel alone would wait for its own
/// chain, so the blocks are even. A tile is whole, or the last of its matrices.
void LinearEmitter::forUnitBlocks(int64_t atOnce, function_ref<void(Value, int64_t)> body) {
  int64_t outputs = work.groups > 1 ? work.matrices[0].outputs : kernel.extent(1);
  Value begin = arith::DivUIOp::create(b, firstOutput, b.index(panelWidth));
  int64_t whole = llvm::divideCeilSigned(std::min(tileOutputs, outputs), panelWidth);
  int64_t last = llvm::divideCeilSigned(outputs % tileOutputs, panelWidth);
  if (last == 0 || last == whole)
    return b.forBlocks(begin, whole, atOnce, body);
  Value isLast = arith::CmpIOp::create(b, arith::CmpIPredicate::eq, endOutput, b.index(outputs));
  auto choice = scf::IfOp::create(b, isLast, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(choice.thenBlock());
  b.forBlocks(begin, last, atOnce, body);
  b.setInsertionPointToStart(choice.elseBlock());
  b.forBlocks(begin, whole, atOnce, body);
}

/// Rounds a block of K of some rows to bf16. What lies behind the last column of the group is 0,
/// like the padding of the panels.
void LinearEmitter::roundRows(Rows rows, Words block) {
  Value firstColumn = b.mul(block.first, b.index(2));
  Value origin = b.mul(group, b.index(inner));
  for (unsigned i = 0; i < work.inputs.size(); ++i)
    for (int64_t r = 0; r < rows.count && !isTakenAsIs(work.inputs[i]); ++r) {
      Value source = b.add(kernel.begin(0), at(rows.first, r));
      b.loop(b.index(0), b.index(2 * block.count), numLanes, [&](Value column) {
        Value from = b.add(firstColumn, column);
        Value mask = inner % numLanes == 0 ? Value() : b.maskBelow(b.sub(b.index(inner), from));
        Value x = b.load(work.inputs[i], {source, b.add(origin, from)}, mask);
        multiplier.store(x, rounded, {b.index(i), b.index(r), column});
      });
    }
}

/// Some units, in alike register blocks of up to `panelsAtOnce` panels. Panels with the same
/// columns stay together, so that what follows elementwise can combine them.
void LinearEmitter::emitUnits(Rows rows, Value first, int64_t count, int64_t panelsAtOnce,
                              Words block) {
  int64_t total = count * panelsOfUnit();
  int64_t most = llvm::divideCeilSigned(total, llvm::divideCeilSigned(total, panelsAtOnce));
  SmallVector<Panels> panels;
  int64_t size = 0;
  auto flush = [&] {
    if (!panels.empty())
      emitPanels(rows, panels, block);
    panels.clear();
    size = 0;
  };
  for (int64_t unit = 0; unit < count; ++unit)
    for (ArrayRef<unsigned> matrices : alike) {
      int64_t numPanels = work.matrices[matrices[0]].panels;
      for (int64_t p = 0; p < numPanels; ++p) {
        if (size + int64_t(matrices.size()) > most)
          flush();
        panels.push_back({at(b.mul(at(first, unit), b.index(numPanels)), p), matrices});
        size += matrices.size();
      }
    }
  flush();
}

/// The tile's part of a unit: a panel of each of some matrices that are alike.
void LinearEmitter::emitPart(Rows rows, Value unit, Words block) {
  int64_t before = 0;
  for (ArrayRef<unsigned> matrices : alike) {
    Value numPanels = b.index(work.matrices[matrices[0]].panels);
    Value place = b.sub(kernel.part(), b.index(before));
    Value isHere = arith::CmpIOp::create(b, arith::CmpIPredicate::ult, place, numPanels);
    auto choice = scf::IfOp::create(b, isHere, /*withElseRegion=*/false);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(choice.thenBlock());
    emitPanels(rows, {{b.add(b.mul(unit, numPanels), place), matrices}}, block);
    before += work.matrices[matrices[0]].panels;
  }
}

/// One register block. Sums are ordered by panels, their matrices, rows, and products of a matrix.
void LinearEmitter::emitPanels(Rows rows, ArrayRef<Panels> panels, Words block) {
  if (isSliced)
    return emitSideBySide(rows, panels);
  auto partialAt = [&](const Panels &of, unsigned matrix, int64_t row) -> SmallVector<Value> {
    Value origin = b.mul(firstOutput, b.index(work.matrices[matrix].panels));
    return {at(rows.first, row), b.sub(columnOf(of.index), origin)};
  };
  SmallVector<Value> sums;
  for (const Panels &of : panels)
    for (unsigned matrix : of.matrices)
      for (int64_t r = 0; r < rows.count; ++r)
        for (int64_t i = 0; i < perMatrix; ++i)
          sums.push_back(block.isFirst
                             ? b.splat(0.0f)
                             : b.load(partials[matrix * perMatrix + i], partialAt(of, matrix, r)));
  std::optional<Prefetch> next = findNext(rows, panels, block);
  auto addWord = [&](Value word, ValueRange sums) {
    if (next)
      prefetch(*next, word);
    return multiply(rows, panels, block.first, word, sums);
  };
  sums = llvm::to_vector(b.loop(b.index(0), b.index(block.count), 1, sums, addWord));
  ArrayRef<Value> rest = sums;
  for (const Panels &of : panels) {
    ArrayRef<Value> here = rest.take_front(of.matrices.size() * rows.count * perMatrix);
    rest = rest.drop_front(here.size());
    for (int64_t r = 0; r < rows.count; ++r) {
      SmallVector<Value> ofRow; // by matrix and product
      for (size_t m = 0; m < of.matrices.size(); ++m)
        llvm::append_range(ofRow, here.slice((m * rows.count + r) * perMatrix, perMatrix));
      if (block.isLast) {
        storeSums(kernel, work, group, of.matrices, ofRow,
                  b.add(kernel.begin(0), at(rows.first, r)), columnOf(of.index));
        continue;
      }
      for (auto [i, sum] : llvm::enumerate(ofRow)) {
        unsigned matrix = of.matrices[i / perMatrix];
        b.store(sum, partials[matrix * perMatrix + i % perMatrix], partialAt(of, matrix, r));
      }
    }
  }
}

/// Few sums at once, since each needs memory for all its slices.
void LinearEmitter::planSlices() {
  int64_t mostAlike = 0;
  for (ArrayRef<unsigned> matrices : alike)
    mostAlike = std::max<int64_t>(mostAlike, matrices.size());
  registerRows = std::max<int64_t>(1, registerRows / mostAlike);
  int64_t panels =
      kernel.part() ? mostAlike : panelsOfUnit() * llvm::divideCeilSigned(tileOutputs, panelWidth);
  auto sumsOf = [&](int64_t rows) {
    return rows * perMatrix * std::min(panels, std::max(mostAlike, panelsFor(rows)));
  };
  int64_t most = std::max(sumsOf(1), sumsOf(std::min(tileRows, registerRows)));
  Slices shape(b, words, kernel.getOptions().slices);
  slices = kernel.allocateForStep(shape.getShape(most), b.getF32Type());
  totals = kernel.allocateForStep({most, numLanes}, b.getF32Type());
}

/// The same in slices; then row by row.
void LinearEmitter::emitSideBySide(Rows rows, ArrayRef<Panels> panels) {
  int64_t matrices = 0, ofMatrix = rows.count * perMatrix;
  for (const Panels &of : panels)
    matrices += of.matrices.size();
  auto addWord = [&](Value word, ValueRange sums) {
    return multiply(rows, panels, b.index(0), word, sums);
  };
  Slices(b, words, kernel.getOptions().slices).sum(matrices * ofMatrix, addWord, slices, totals);
  b.loop(b.index(0), b.index(rows.count), 1, [&](Value r) {
    Value row = b.add(kernel.begin(0), b.add(rows.first, r));
    Value place = b.mul(r, b.index(perMatrix)); // of the row's next sum of the first matrix
    for (const Panels &of : panels) {
      SmallVector<Value> sums; // by matrix and product
      for (size_t m = 0; m < of.matrices.size(); ++m) {
        for (int64_t i = 0; i < perMatrix; ++i)
          sums.push_back(b.load(totals, {at(place, i), b.index(0)}));
        place = at(place, ofMatrix);
      }
      storeSums(kernel, work, group, of.matrices, sums, row, columnOf(of.index));
    }
  });
}

/// The weights of these panels that are needed next: in the next block of K, or of outputs.
/// Without, the first rows of a block would wait for memory. Each row of a whole tile asks for its
/// part. Several matrices run together where rows are few.
std::optional<Prefetch> LinearEmitter::findNext(Rows rows, ArrayRef<Panels> panels, Words block) {
  int64_t wordsPerRow = llvm::divideCeilSigned(int64_t(panels.size()) * blockWords, tileRows);
  Prefetch next;
  next.step = llvm::divideCeilSigned(rows.count * wordsPerRow * numLanes, block.count);
  int64_t reach = llvm::divideCeilSigned(next.step * block.count, numLanes);
  if (isSliced || !kernel.hasWholeGranules() || words < reach || work.matrices.size() > 1)
    return std::nullopt;
  Value word = b.mul(rows.first, b.index(wordsPerRow)), size = b.index(blockWords);
  Value panel = b.add(panels[0].index, Value(arith::DivUIOp::create(b, word, size)));
  word = arith::RemUIOp::create(b, word, size);
  if (block.isLast)
    panel = at(panel, tileOutputs / panelWidth);
  else
    word = b.add(word, at(block.first, block.count));
  // Behind the end of the matrix there is nothing to ask for.
  const Matrix &matrix = work.matrices[0];
  panel = b.minimum(panel, b.index(llvm::divideCeilSigned(matrix.outputs, panelWidth) - 1));
  word = b.minimum(word, b.index(words - reach));

  SmallVector<ReassociationIndices> dims = {{0}, {1, 2}};
  if (isStack) {
    dims = {{0}, {1}, {2, 3}};
    next.panel.push_back(group);
  }
  next.panel.push_back(panel);
  next.lines = memref::CollapseShapeOp::create(b, matrix.weight, dims);
  next.first = b.mul(word, b.index(numLanes));
  return next;
}

void LinearEmitter::prefetch(const Prefetch &next, Value word) {
  SmallVector<Value> place(next.panel);
  place.push_back(b.add(next.first, b.mul(word, b.index(next.step))));
  memref::PrefetchOp::create(b, next.lines, place, /*isWrite=*/false, /*localityHint=*/2,
                             /*isDataCache=*/true);
}

/// One word of K: a rank-1 update of the register block. Panel by panel, so that few weights are
/// in registers at a time.
SmallVector<Value> LinearEmitter::multiply(Rows rows, ArrayRef<Panels> panels, Value firstWord,
                                           Value word, ValueRange accumulators) {
  Value from = b.add(firstWord, word);
  SmallVector<Value> sums(accumulators);
  Value *sum = sums.begin();
  for (const Panels &of : panels)
    for (unsigned matrix : of.matrices) {
      Value memory = work.matrices[matrix].weight;
      SmallVector<Value> place = {of.index, from, b.index(0)};
      if (isStack)
        place.insert(place.begin(), group);
      SmallVector<Value> weights = multiplier.fromWords(b.loadAsIs(memory, place));
      for (int64_t r = 0; r < rows.count; ++r)
        for (const Product &product : work.productsOf(matrix)) {
          *sum = addProduct(product.input, rows, r, firstWord, word, weights, *sum);
          ++sum;
        }
    }
  return sums;
}

/// sum + the products of a step of K.
Value LinearEmitter::addProduct(unsigned input, Rows rows, int64_t row, Value firstWord, Value word,
                                ArrayRef<Value> weights, Value sum) {
  if (!isTakenAsIs(work.inputs[input]))
    return multiplier.multiply(rounded, {b.index(input), b.index(row), b.mul(word, b.index(2))},
                               weights, sum);
  Value from = b.mul(b.add(firstWord, word), b.index(multiplier.depth()));
  Value column = b.add(b.mul(group, b.index(inner)), from);
  return multiplier.multiply(work.inputs[input],
                             {b.add(kernel.begin(0), at(rows.first, row)), column}, weights, sum);
}

/// Where K has slices, bf16 has tensor cores.
static void emitProducts(StageKernel &kernel, Products work) {
  if (kernel.getOptions().slices > 1 && work.type.getElementType().isBF16())
    emitTensorProducts(kernel, work);
  else
    LinearEmitter(kernel, std::move(work)).emit();
}

/// The `linear` ops of a step: each a matrix of its own, some with the same input.
void treadle::emitLinears(StageKernel &kernel) {
  Operation *front = kernel.cores().front();
  auto first = cast<LinearOp>(front);
  Products work{{}, {}, {}, first.getWeight().getType(), int64_t(first.getGroups())};
  for (StageCoreOpInterface core : kernel.cores()) {
    auto op = cast<LinearOp>(core.getOperation());
    Value input = kernel.operand(op.getInput());
    unsigned place = llvm::find(work.inputs, input) - work.inputs.begin();
    if (place == work.inputs.size())
      work.inputs.push_back(input);
    int64_t outputs = op.getWeight().getType().getShape().take_back(2)[0];
    Value bias = op.getBias() ? kernel.operand(op.getBias()) : Value();
    work.products.push_back({place, unsigned(work.matrices.size()), op.getResult()});
    work.matrices.push_back({kernel.operand(op.getWeight()), bias, outputs,
                             work.groups > 1 ? 1 : outputs / kernel.extent(1)});
  }
  emitProducts(kernel, std::move(work));
}

void treadle::emitJointLinear(StageKernel &kernel, JointLinearOp op) {
  Value bias = op.getBias() ? kernel.operand(op.getBias()) : Value();
  WeightType type = op.getWeight().getType();
  Matrix matrix{kernel.operand(op.getWeight()), bias, type.getShape()[0], /*panels=*/1};
  Products work{{}, {matrix}, {}, type, /*groups=*/1};
  for (auto [i, input] : llvm::enumerate(op.getInputs())) {
    work.inputs.push_back(kernel.operand(input));
    work.products.push_back({unsigned(i), 0, op.getOutputs()[i]});
  }
  emitProducts(kernel, std::move(work));
}

//===- Attention.cpp - attention: online softmax over key spans -----------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

//
// A tile is some rows and the query heads of some key/value heads. Keys are taken
// in spans of 512 at absolute positions. In each span, for every row and head:
//
//   scores[j] = scale * q . k_j + bias_j one chain in the order of the columns, a panel of
//                                        16 keys on lanes
//   m = max scores, e_j = exp(scores[j] - m), l = sum e_j (16 partials by j mod 16)
//   o = sum_j e_j v_j                    one chain in the order of j; narrow heads have up to 4,
//                                        which take turns and are added in order
//
// and spans are merged left to right, those of a second lane behind those of the
// first. A score that is masked or behind the row is excluded by select, its value is
// skipped. Nothing depends on the rows of the tile, so neither do the bits.
//
// Chains run side by side in register blocks, which share what they load: some rows and
// heads x some vectors, of 16 keys for scores and of 16 columns for values.
//
// bf16 meets bf16 (Multiplier.h): queries meet keys, and exponentials values, in pairs of
// columns and of keys. Exponentials are rounded first and summed then, so the weights of
// the values still add up to 1.
//
//===----------------------------------------------------------------------===//

#include "AttentionEmitter.h"

#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace treadle;

/// Chains that keep a processor's multipliers busy: two of them, four steps deep.
static constexpr int64_t fewestChains = 8;

/// Values are packed for so many register blocks: to pack them takes as long as to run some.
static constexpr int64_t fewestBlocks = 4;

AttentionEmitter::AttentionEmitter(StageKernel &kernel, AttentionOp op)
    : kernel(kernel), b(kernel.builder()), op(op), query(kernel.operand(op.getQuery())),
      mask(kernel.operand(op.getMask())), position(kernel.operand(op.getPosition())),
      valid(kernel.operand(op.getValid())), group(op.getHeads() / op.getKvHeads()),
      keyWidth(op.getKeys().getType().getShape()[1] / op.getKvHeads()),
      valueWidth(op.getValues().getType().getShape()[1] / op.getKvHeads()),
      capacity(op.getKeys().getType().getShape()[0]), tileRows(kernel.tileSize(0)),
      scoreProducts(kernel, op.getKeys().getType().getElementType()),
      valueProducts(kernel, op.getValues().getType().getElementType()) {
  int64_t valueColumns = llvm::alignTo(valueWidth, numLanes);
  // By the op alone, since it changes bits.
  int64_t ofOneRow = valueColumns / numLanes * group;
  numChains = llvm::bit_floor<uint64_t>(std::clamp<int64_t>(fewestChains / ofOneRow, 1, 4));
  scoreShape = chooseShape(spanKeys / numLanes, /*chains=*/1);
  valueShape = chooseShape(valueColumns / numLanes, numChains);
  Type f32 = b.getF32Type();
  if (scoreProducts.isRounding())
    queries = scoreProducts.allocate({tileRows, group, int64_t(llvm::alignTo(keyWidth, numLanes))});
  scores = kernel.allocate({tileRows, group, spanKeys}, f32);
  exponentials =
      valueProducts.isRounding() ? valueProducts.allocate({tileRows, group, spanKeys}) : scores;
  highest = kernel.allocate({tileRows, group, numLanes}, f32);
  maxima = kernel.allocate({tileRows, group}, f32);
  sums = kernel.allocate({tileRows, group}, f32);
  oldScales = kernel.allocate({tileRows, group}, f32);
  newScales = kernel.allocate({tileRows, group}, f32);
  weighted = kernel.allocate({tileRows, group, valueWidth}, f32);
  const ConvertStagesToVectorPassOptions &options = kernel.getOptions();
  int64_t registerBlocks = tileRows * group / (valueShape.rows * valueShape.heads);
  if (options.packValues && tileRows > 1 && registerBlocks >= fewestBlocks)
    packed = kernel.allocate({spanKeys / valueProducts.depth(), valueShape.vectors * numLanes},
                             valueProducts.wordType());
}

/// As many rows and heads as fit beside the vectors that they share, for so many chains of each
/// sum; a single row has only vectors for independent chains. Rows are a power of two, so that
/// granules are a multiple.
BlockShape AttentionEmitter::chooseShape(int64_t mostVectors, int64_t chains) {
  const ConvertStagesToVectorPassOptions &options = kernel.getOptions();
  int64_t heads =
      llvm::divideCeilSigned(group, llvm::divideCeilSigned(group, options.registerRows));
  int64_t vectors = options.registerPanels;
  if (tileRows == 1)
    vectors = std::max<int64_t>(vectors, options.singleRowPanels / heads);
  vectors = std::clamp<int64_t>(mostVectors, 1, vectors);
  int64_t chainsAtOnce = options.registerRows * options.registerPanels;
  uint64_t rows = std::max<int64_t>(chainsAtOnce / (heads * vectors * chains), 1);
  return {std::min<int64_t>(llvm::bit_floor(rows), tileRows), heads, vectors};
}

/// Runs over the rows of the tile from `firstRow` on, a multiple of the shape's rows, and over the
/// heads of the group.
void AttentionEmitter::forRegisterBlocks(BlockShape shape, Value firstRow,
                                         function_ref<void(RegisterBlock)> body) {
  auto run = [&](Value begin, Value end, int64_t rows) {
    b.loop(begin, end, rows, [&](Value row) {
      b.forBlocks(b.index(0), group, shape.heads,
                  [&](Value head, int64_t heads) { body({row, rows, head, heads}); });
    });
  };
  if (kernel.hasWholeGranules() && tileRows % shape.rows == 0 && rowGranule % shape.rows == 0)
    return run(firstRow, numRows(), shape.rows);
  Value rest = arith::RemUIOp::create(b, numRows(), b.index(shape.rows));
  Value middle = b.sub(numRows(), rest);
  run(firstRow, middle, shape.rows);
  run(arith::MaxSIOp::create(b, firstRow, middle), numRows(), 1);
}

void AttentionEmitter::emit() {
  b.loop(kernel.begin(1), kernel.end(1), 1, [&](Value kvHead) { emitHead(kvHead); });
}

void AttentionEmitter::emitHead(Value kvHead) {
  if (scoreProducts.isRounding())
    roundQueries(kvHead);
  forRowsAndHeads([&](Value row, Value head) {
    storeScalar(b.f32(excludedScore), maxima, {row, head});
    storeScalar(b.f32(0.0f), sums, {row, head});
    b.forLanes(valueWidth, [&](Value column, Value lanes) {
      b.store(b.splat(0.0f), weighted, {row, head, column}, lanes);
    });
  });
  emitSpans({kernel.operand(op.getKeys()), kernel.operand(op.getValues()),
             op.getBias() ? kernel.operand(op.getBias()) : Value(), packed},
            kvHead);
  if (op.getLaneKeys()) {
    Lane lane = {kernel.operand(op.getLaneKeys()), kernel.operand(op.getLaneValues()), Value(),
                 op.getOwn() ? Value() : packed};
    if (op.getOwn())
      forRegisterBlocks(scoreShape, b.index(0),
                        [&](RegisterBlock block) { emitOwnKeys(lane, block, kvHead); });
    else
      emitSpans(lane, kvHead);
  }
  forRowsAndHeads([&](Value row, Value head) { emitResult(row, head, kvHead); });
}

/// Merges all keys of a lane into the running results, up to each row's position.
void AttentionEmitter::emitSpans(Lane lane, Value kvHead) {
  Value end = at(positionOf(b.sub(numRows(), b.index(1))), 1);
  b.loop(b.index(0), end, spanKeys, [&](Value spanBegin) {
    Span span = {spanBegin, b.minimum(at(spanBegin, spanKeys), end)};
    forRowsAndHeads([&](Value row, Value head) {
      b.store(b.splat(excludedScore), highest, {row, head, b.index(0)});
    });
    int64_t keysAtOnce = scoreShape.vectors * numLanes;
    Value rest = arith::RemUIOp::create(b, b.sub(span.end, span.begin), b.index(keysAtOnce));
    Value middle = b.sub(span.end, rest);
    b.loop(span.begin, middle, keysAtOnce,
           [&](Value key) { emitScores(lane, kvHead, key, scoreShape.vectors, span); });
    b.loop(middle, span.end, numLanes,
           [&](Value key) { emitScores(lane, kvHead, key, /*panels=*/1, span); });
    if (tileRows == 1)
      prefetchFirstValues(lane, span, kvHead);
    forRegisterBlocks(scoreShape, b.index(0),
                      [&](RegisterBlock block) { emitSoftmax(block, span); });
    forValueColumns([&](ArrayRef<int64_t> columns) {
      if (lane.packed)
        packValues(lane, columns, span, kvHead);
      forRegisterBlocks(valueShape, b.index(0), [&](RegisterBlock block) {
        mergeValues(lane, block, columns, span, kvHead);
      });
    });
  });
}

/// Merges the keys at the rows' own positions: a span of one key for each.
void AttentionEmitter::emitOwnKeys(Lane lane, RegisterBlock block, Value kvHead) {
  SmallVector<Value> places, panels, lanes;
  for (int64_t r = 0; r < block.rows; ++r) {
    places.push_back(positionOf(at(block.row, r)));
    panels.push_back(arith::DivUIOp::create(b, places[r], b.index(numLanes)));
    lanes.push_back(arith::RemUIOp::create(b, places[r], b.index(numLanes)));
  }
  Value origin = b.mul(kvHead, b.index(keyWidth));
  StatePanels state(b, lane.keys, keyWidth);
  SmallVector<Value> zeros(block.rows * block.heads, b.f32(0.0f));
  ValueRange dots = b.loop(b.index(0), b.index(keyWidth), 1, zeros, [&](Value c, ValueRange sums) {
    SmallVector<Value> next, keys;
    for (int64_t r = 0; r < block.rows; ++r)
      keys.push_back(state.loadNumber(panels[r], b.add(origin, c), lanes[r]));
    forPairs(block, [&](int64_t r, int64_t h, int64_t pair) {
      auto [memory, place] = queryAt(at(block.row, r), kvHead, at(block.head, h), c);
      Value q = b.toFloat(loadScalar(memory, place));
      next.push_back(math::FmaOp::create(b, q, keys[r], sums[pair]));
    });
    return next;
  });
  forPairs(block, [&](int64_t r, int64_t h, int64_t pair) {
    Value row = at(block.row, r), head = at(block.head, h);
    Value scaled = arith::MulFOp::create(b, dots[pair], b.f32(op.getScale().convertToFloat()));
    Value only =
        arith::AndIOp::create(b, Value(b.maskFirst(1)), Value(b.broadcast(isAttended(places[r]))));
    Value score =
        arith::SelectOp::create(b, only, Value(b.broadcast(scaled)), b.splat(excludedScore));
    b.store(score, scores, {row, head, b.index(0)});
    b.store(score, highest, {row, head, b.index(0)});
  });
  for (int64_t r = 0; r < block.rows; ++r) {
    Span span = {places[r], at(places[r], 1)};
    b.loop(block.head, at(block.head, block.heads), 1, [&](Value head) {
      RegisterBlock one = {at(block.row, r), 1, head, 1};
      emitSoftmax(one, span);
      forValueColumns(
          [&](ArrayRef<int64_t> columns) { mergeValues(lane, one, columns, span, kvHead); });
    });
  }
}

/// exp of one number, by the same code as on lanes.
static Value emitExp(LaneBuilder &b, Value scalar) {
  Value lanes = math::ExpOp::create(b, Value(b.broadcast(scalar)));
  return vector::ExtractOp::create(b, lanes, ArrayRef<int64_t>{0});
}

/// Turns the scores of a span into exponentials and merges their maximum and sum into the running
/// ones, in the blocks in which scores are made. A row that stands before the span is left as it
/// is, whatever other rows do.
void AttentionEmitter::emitSoftmax(RegisterBlock block, Span span) {
  SmallVector<QueryPlace> queries;
  SmallVector<Value> maxima, zeros;
  forPairs(block, [&](int64_t r, int64_t h, int64_t) {
    queries.push_back({at(block.row, r), Value(), at(block.head, h)});
    maxima.push_back(
        b.reduceMax(b.load(highest, {queries.back().row, queries.back().head, b.index(0)})));
    zeros.push_back(b.splat(0.0f));
  });
  // For all at once, up to the last row's keys: a chain of one alone waits at every step. Where
  // another row does not reach them, its scores are excluded, as they were made for the block.
  Value count = countKeys(at(block.row, block.rows - 1), span);
  ValueRange sums = b.loop(b.index(0), count, numLanes, zeros, [&](Value j, ValueRange sums) {
    SmallVector<Value> next;
    for (auto [query, maximum, sum] : llvm::zip(queries, maxima, sums))
      next.push_back(addExponentials(query, j, maximum, sum));
    return next;
  });
  for (auto [query, maximum, sum] : llvm::zip(queries, maxima, sums))
    ifPositive(countKeys(query.row, span), [&, &query = query, &maximum = maximum, &sum = sum] {
      mergeSum(query, maximum, b.reduceSum(sum));
    });
}

/// sum + exp(scores - maximum) of 16 keys.
Value AttentionEmitter::addExponentials(QueryPlace query, Value j, Value maximum, Value sum) {
  SmallVector<Value> place = {query.row, query.head, j};
  Value s = b.load(scores, place);
  Value e = math::ExpOp::create(b, Value(arith::SubFOp::create(b, s, Value(b.broadcast(maximum)))));
  Value isExcluded = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, s, b.splat(excludedScore));
  e = arith::SelectOp::create(b, isExcluded, b.splat(0.0f), e);
  e = valueProducts.store(e, exponentials, place);
  return arith::AddFOp::create(b, sum, e);
}

/// Merges the maximum of a span and its sum of exponentials into the running ones.
void AttentionEmitter::mergeSum(QueryPlace query, Value spanMaximum, Value spanSum) {
  SmallVector<Value> place = {query.row, query.head};
  Value oldMaximum = loadScalar(maxima, place);
  Value maximum = arith::MaxNumFOp::create(b, oldMaximum, spanMaximum);
  Value oldScale = emitExp(b, arith::SubFOp::create(b, oldMaximum, maximum));
  Value newScale = emitExp(b, arith::SubFOp::create(b, spanMaximum, maximum));
  Value oldSum = arith::MulFOp::create(b, loadScalar(sums, place), oldScale);
  Value newSum = arith::MulFOp::create(b, spanSum, newScale);
  storeScalar(maximum, maxima, place);
  storeScalar(arith::AddFOp::create(b, oldSum, newSum), sums, place);
  storeScalar(oldScale, oldScales, place);
  storeScalar(newScale, newScales, place);
}

/// y = weighted / sum; 0 where no key was left.
void AttentionEmitter::emitResult(Value row, Value head, Value kvHead) {
  Value sum = b.broadcast(loadScalar(sums, {row, head}));
  Value isEmpty = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, sum, b.splat(0.0f));
  Value target = b.add(kernel.begin(0), row);
  Value origin = columnOf(kvHead, head, valueWidth);
  b.forLanes(valueWidth, [&](Value column, Value lanes) {
    Value y = arith::DivFOp::create(b, b.load(weighted, {row, head, column}, lanes), sum);
    y = arith::SelectOp::create(b, isEmpty, b.splat(0.0f), y);
    kernel.storeResult(y, target, b.add(origin, column), lanes);
  });
}

void treadle::emitAttention(StageKernel &kernel, AttentionOp op) {
  if (kernel.isSliced())
    return emitTeamAttention(kernel, op);
  AttentionEmitter(kernel, op).emit();
}

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
//   o = sum_j e_j v_j                    one chain in the order of j
//
// and spans are merged left to right, those of a second lane behind those of the
// first. A score that is masked or behind the row is excluded by select, its value is
// skipped. Nothing depends on the rows of the tile, so neither do the bits.
//
// Chains run side by side in register blocks, which share what they load: some rows and
// heads x some vectors, of 16 keys for scores and of 16 columns for values.
//
//===----------------------------------------------------------------------===//

#include "StageKernel.h"

#include "mlir/Dialect/Math/IR/Math.h"

#include <limits>

using namespace mlir;
using namespace treadle;

/// Keys of one span; partial results of spans are merged.
static constexpr int64_t spanKeys = 512;

/// Values lie a row of all heads apart, which no processor foresees and which fills few sets of a
/// cache: a single row asks for so many keys ahead, not for a whole span.
static constexpr int64_t keysAhead = 32;

/// The score of an excluded key, below every other. Finite, so that differences are numbers.
static constexpr float excludedScore = std::numeric_limits<float>::lowest();

namespace {
/// Keys in panels, values row by row, and what is added to their scores, if anything.
struct Lane {
  Value keys, values, bias;
};

/// Rows [row, row + rows) of the tile x heads [head, head + heads) of the group: their chains run
/// side by side.
struct RegisterBlock {
  Value row;
  int64_t rows;
  Value head;
  int64_t heads;
};

/// The largest register block of a kind of chains: so many vectors for each row and head.
struct BlockShape {
  int64_t rows, heads, vectors;
};

/// Keys [begin, end) of a lane, at most 512.
struct Span {
  Value begin, end;
};

class AttentionEmitter {
public:
  AttentionEmitter(StageKernel &kernel, AttentionOp op)
      : kernel(kernel), b(kernel.builder()), op(op), query(kernel.operand(op.getQuery())),
        mask(kernel.operand(op.getMask())), position(kernel.operand(op.getPosition())),
        valid(kernel.operand(op.getValid())), group(op.getHeads() / op.getKvHeads()),
        keyWidth(op.getKeys().getType().getShape()[1] / op.getKvHeads()),
        valueWidth(op.getValues().getType().getShape()[1] / op.getKvHeads()),
        capacity(op.getKeys().getType().getShape()[0]), tileRows(kernel.tileSize(0)) {
    int64_t valueColumns = llvm::alignTo(valueWidth, numLanes);
    scoreShape = chooseShape(spanKeys / numLanes);
    valueShape = chooseShape(valueColumns / numLanes);
    Type f32 = b.getF32Type();
    scores = kernel.allocate({tileRows, group, spanKeys}, f32);
    highest = kernel.allocate({tileRows, group, numLanes}, f32);
    maxima = kernel.allocate({tileRows, group}, f32);
    sums = kernel.allocate({tileRows, group}, f32);
    oldScales = kernel.allocate({tileRows, group}, f32);
    newScales = kernel.allocate({tileRows, group}, f32);
    chains = kernel.allocate({valueShape.rows, valueShape.heads, valueColumns}, f32);
    weighted = kernel.allocate({tileRows, group, valueWidth}, f32);
  }

  void emit();

private:
  BlockShape chooseShape(int64_t mostVectors);
  void emitHead(Value kvHead);
  void emitSpans(Lane lane, Value kvHead);
  void emitOwnKeys(Lane lane, RegisterBlock block, Value kvHead);
  void emitScores(Lane lane, Value kvHead, Value firstKey, int64_t panels, Span span);
  /// What a single row takes comes from far away: it asks early, maybe for what lies behind the
  /// last.
  void prefetch(Value memory, ValueRange place) {
    memref::PrefetchOp::create(b, memory, place, /*isWrite=*/false, /*localityHint=*/3,
                               /*isDataCache=*/true);
  }
  void prefetchValue(Lane lane, Value key, Value kvHead, Value column, int64_t columns);
  void emitSoftmax(Value row, Value head, Span span);
  void mergeValues(Lane lane, RegisterBlock block, Span span, Value kvHead);
  SmallVector<Value> addValues(Lane lane, RegisterBlock block, ArrayRef<int64_t> columns, Span span,
                               Value from, Value to, Value kvHead, ValueRange sums);
  void emitResult(Value row, Value head, Value kvHead);

  Value numRows() { return b.sub(kernel.end(0), kernel.begin(0)); }

  /// Runs over rows of the tile and query heads of the group; rows relative to the tile.
  void forRowsAndHeads(function_ref<void(Value, Value)> body) {
    b.loop(b.index(0), numRows(), 1, [&](Value row) {
      b.loop(b.index(0), b.index(group), 1, [&](Value head) { body(row, head); });
    });
  }
  void forRegisterBlocks(BlockShape shape, Value firstRow, function_ref<void(RegisterBlock)> body);

  /// The rows and heads of a block: body(row, head), both relative to the block, and their number.
  static void forPairs(RegisterBlock block, function_ref<void(int64_t, int64_t, int64_t)> body) {
    for (int64_t pair = 0; pair < block.rows * block.heads; ++pair)
      body(pair / block.heads, pair % block.heads, pair);
  }

  /// The position of a row of the tile; padding stands on the last token.
  Value positionOf(Value row) {
    Value last = b.sub(valid, b.index(1));
    return b.add(position, b.minimum(b.add(kernel.begin(0), row), last));
  }

  /// How many keys of a span a row reaches; none or less where it stands before the span.
  Value countKeys(Value row, Span span) {
    return b.sub(b.minimum(b.add(positionOf(row), b.index(1)), span.end), span.begin);
  }

  /// Runs `body` where a number is positive.
  void ifPositive(Value number, function_ref<void()> body) {
    Value isPositive = arith::CmpIOp::create(b, arith::CmpIPredicate::sgt, number, b.index(0));
    auto ifOp = scf::IfOp::create(b, isPositive, /*withElseRegion=*/false);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(ifOp.thenBlock());
    body();
  }

  /// The first column of a query head.
  Value columnOf(Value kvHead, Value head, int64_t width) {
    return b.mul(b.add(b.mul(kvHead, b.index(group)), head), b.index(width));
  }

  Value at(Value base, int64_t offset) { return b.add(base, b.index(offset)); }

  /// Whether the token at a position may be attended to.
  Value isAttended(Value place) {
    Value zero = arith::ConstantOp::create(b, b.getI8IntegerAttr(0));
    return arith::CmpIOp::create(b, arith::CmpIPredicate::ne, loadScalar(mask, {place}), zero);
  }

  Value loadScalar(Value memory, ValueRange indices) {
    return memref::LoadOp::create(b, memory, indices);
  }
  void storeScalar(Value value, Value memory, ValueRange indices) {
    memref::StoreOp::create(b, value, memory, indices);
  }
  /// exp of one number, by the same code as on lanes.
  Value exp(Value scalar) {
    Value lanes = math::ExpOp::create(b, Value(b.broadcast(scalar)));
    return vector::ExtractOp::create(b, lanes, ArrayRef<int64_t>{0});
  }

  StageKernel &kernel;
  LaneBuilder &b;
  AttentionOp op;
  Value query, mask, position, valid;
  int64_t group, keyWidth, valueWidth, capacity, tileRows;
  BlockShape scoreShape, valueShape;
  Value scores;    // [rows][group][512] of the open span, then their exponentials
  Value highest;   // [rows][group][16] maximum score of the open span by j mod 16
  Value maxima;    // [rows][group] running maximum
  Value sums;      // [rows][group] running sum of exponentials
  Value oldScales; // [rows][group] factor of what the spans before the open one gave
  Value newScales; // [rows][group] factor of what the open span gives
  Value chains;    // [block rows][block heads][columns] weighted sum of values of the open span
  Value weighted;  // [rows][group][columns] running weighted sum of values
};
} // namespace

/// As many rows and heads as fit beside the vectors that they share; a single row has only vectors
/// for independent chains. Rows are a power of two, so that granules are a multiple.
BlockShape AttentionEmitter::chooseShape(int64_t mostVectors) {
  const ConvertStagesToVectorPassOptions &options = kernel.getOptions();
  int64_t heads =
      llvm::divideCeilSigned(group, llvm::divideCeilSigned(group, options.registerRows));
  int64_t vectors = options.registerPanels;
  if (tileRows == 1)
    vectors = std::max<int64_t>(vectors, options.singleRowPanels / heads);
  vectors = std::clamp<int64_t>(mostVectors, 1, vectors);
  int64_t chainsAtOnce = options.registerRows * options.registerPanels;
  uint64_t rows = std::max<int64_t>(chainsAtOnce / (heads * vectors), 1);
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
  forRowsAndHeads([&](Value row, Value head) {
    storeScalar(b.f32(excludedScore), maxima, {row, head});
    storeScalar(b.f32(0.0f), sums, {row, head});
    b.forLanes(valueWidth, [&](Value column, Value lanes) {
      b.store(b.splat(0.0f), weighted, {row, head, column}, lanes);
    });
  });
  emitSpans({kernel.operand(op.getKeys()), kernel.operand(op.getValues()),
             op.getBias() ? kernel.operand(op.getBias()) : Value()},
            kvHead);
  if (op.getLaneKeys()) {
    Lane lane = {kernel.operand(op.getLaneKeys()), kernel.operand(op.getLaneValues()), Value()};
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
      for (int64_t key = 0; key < keysAhead; ++key)
        prefetchValue(lane, at(span.begin, key), kvHead, b.index(0), valueWidth);
    forRowsAndHeads([&](Value row, Value head) { emitSoftmax(row, head, span); });
    forRegisterBlocks(valueShape, b.index(0),
                      [&](RegisterBlock block) { mergeValues(lane, block, span, kvHead); });
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
  SmallVector<Value> zeros(block.rows * block.heads, b.f32(0.0f));
  ValueRange dots = b.loop(b.index(0), b.index(keyWidth), 1, zeros, [&](Value c, ValueRange sums) {
    SmallVector<Value> next, keys;
    for (int64_t r = 0; r < block.rows; ++r)
      keys.push_back(b.toFloat(loadScalar(lane.keys, {panels[r], b.add(origin, c), lanes[r]})));
    forPairs(block, [&](int64_t r, int64_t h, int64_t pair) {
      Value column = b.add(columnOf(kvHead, at(block.head, h), keyWidth), c);
      Value q = loadScalar(query, {b.add(kernel.begin(0), at(block.row, r)), column});
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
      emitSoftmax(at(block.row, r), head, span);
      mergeValues(lane, {at(block.row, r), 1, head, 1}, span, kvHead);
    });
  }
}

/// Asks for some columns of a key's value.
void AttentionEmitter::prefetchValue(Lane lane, Value key, Value kvHead, Value column,
                                     int64_t columns) {
  Type element = cast<MemRefType>(lane.values.getType()).getElementType();
  int64_t lineColumns = 8 * 64 / element.getIntOrFloatBitWidth();
  Value origin = b.add(b.mul(kvHead, b.index(valueWidth)), column);
  for (int64_t c = 0; c < columns; c += lineColumns)
    prefetch(lane.values, {key, at(origin, c)});
}

/// Scores of some panels of 16 keys, one key per lane, for the rows that reach them and all heads.
/// A single panel may end behind the span.
void AttentionEmitter::emitScores(Lane lane, Value kvHead, Value firstKey, int64_t panels,
                                  Span span) {
  Value present; // null where all keys are there
  if (panels == 1)
    present = b.maskBelow(b.sub(span.end, firstKey));
  VectorType bytes = b.lanes(b.getI8Type());
  Value zero = arith::ConstantOp::create(b, b.getZeroAttr(bytes));
  SmallVector<Value> attended;
  for (int64_t n = 0; n < panels; ++n) {
    Value key = at(firstKey, n * numLanes);
    Value flags = b.load(mask, {key}, present);
    attended.push_back(arith::CmpIOp::create(b, arith::CmpIPredicate::ne, flags, zero));
  }
  Value firstPanel = arith::DivUIOp::create(b, firstKey, b.index(numLanes));
  Value keyOrigin = b.mul(kvHead, b.index(keyWidth));

  // Rows that stand before the first of the keys need none of them.
  Value before = b.sub(firstKey, positionOf(b.index(0)));
  before = arith::MaxSIOp::create(b, before, b.index(0));
  Value firstRow = b.sub(before, arith::RemUIOp::create(b, before, b.index(scoreShape.rows)));
  forRegisterBlocks(scoreShape, firstRow, [&](RegisterBlock block) {
    SmallVector<Value> queryRows, origins;
    forPairs(block, [&](int64_t row, int64_t head, int64_t) {
      queryRows.push_back(b.add(kernel.begin(0), at(block.row, row)));
      origins.push_back(columnOf(kvHead, at(block.head, head), keyWidth));
    });
    SmallVector<Value> zeros(block.rows * block.heads * panels, b.splat(0.0f));
    ValueRange dots =
        b.loop(b.index(0), b.index(keyWidth), 1, zeros, [&](Value c, ValueRange sums) {
          SmallVector<Value> next(sums), keys;
          for (int64_t n = 0; n < panels; ++n)
            keys.push_back(b.load(lane.keys, {at(firstPanel, n), b.add(keyOrigin, c), b.index(0)}));
          if (tileRows == 1)
            for (int64_t n = 0; n < panels; ++n)
              prefetch(lane.keys, {at(firstPanel, panels + n), b.add(keyOrigin, c), b.index(0)});
          forPairs(block, [&](int64_t, int64_t, int64_t pair) {
            Value q = b.broadcast(loadScalar(query, {queryRows[pair], b.add(origins[pair], c)}));
            for (int64_t n = 0; n < panels; ++n)
              next[pair * panels + n] = b.fma(q, keys[n], next[pair * panels + n]);
          });
          return next;
        });
    forPairs(block, [&](int64_t r, int64_t h, int64_t pair) {
      Value row = at(block.row, r), head = at(block.head, h);
      Value behind = at(positionOf(row), 1);
      Value maximum = b.load(highest, {row, head, b.index(0)});
      for (int64_t n = 0; n < panels; ++n) {
        Value key = at(firstKey, n * numLanes);
        Value scaled = arith::MulFOp::create(b, dots[pair * panels + n],
                                             b.splat(op.getScale().convertToFloat()));
        if (lane.bias) {
          Value biasColumn = b.add(columnOf(kvHead, head, capacity), key);
          Value bias = b.load(lane.bias, {queryRows[pair], biasColumn}, present);
          scaled = arith::AddFOp::create(b, scaled, bias);
        }
        Value causal = b.maskBelow(b.sub(behind, key));
        Value included = arith::AndIOp::create(b, causal, attended[n]);
        Value score = arith::SelectOp::create(b, included, scaled, b.splat(excludedScore));
        b.store(score, scores, {row, head, b.sub(key, span.begin)});
        Value isHigher = arith::CmpFOp::create(b, arith::CmpFPredicate::OGT, score, maximum);
        maximum = arith::SelectOp::create(b, isHigher, score, maximum);
      }
      b.store(maximum, highest, {row, head, b.index(0)});
    });
  });
}

/// Turns the scores of a span into exponentials and merges their maximum and sum into the running
/// ones. A row that stands before the span is left as it is, whatever other rows do.
void AttentionEmitter::emitSoftmax(Value row, Value head, Span span) {
  Value count = countKeys(row, span);
  ifPositive(count, [&] {
    Value excluded = b.splat(excludedScore);
    Value spanMaximum = b.reduceMax(b.load(highest, {row, head, b.index(0)}));
    ValueRange partials =
        b.loop(b.index(0), count, numLanes, {b.splat(0.0f)},
               [&](Value j, ValueRange sum) -> SmallVector<Value> {
                 Value s = b.load(scores, {row, head, j});
                 Value e = math::ExpOp::create(
                     b, Value(arith::SubFOp::create(b, s, Value(b.broadcast(spanMaximum)))));
                 Value isExcluded =
                     arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, s, excluded);
                 e = arith::SelectOp::create(b, isExcluded, b.splat(0.0f), e);
                 b.store(e, scores, {row, head, j});
                 return {arith::AddFOp::create(b, sum[0], e)};
               });
    Value spanSum = b.reduceSum(partials[0]);

    Value oldMaximum = loadScalar(maxima, {row, head});
    Value maximum = arith::MaxNumFOp::create(b, oldMaximum, spanMaximum);
    Value oldScale = exp(arith::SubFOp::create(b, oldMaximum, maximum));
    Value newScale = exp(arith::SubFOp::create(b, spanMaximum, maximum));
    Value oldSum = arith::MulFOp::create(b, loadScalar(sums, {row, head}), oldScale);
    Value newSum = arith::MulFOp::create(b, spanSum, newScale);
    storeScalar(maximum, maxima, {row, head});
    storeScalar(arith::AddFOp::create(b, oldSum, newSum), sums, {row, head});
    storeScalar(oldScale, oldScales, {row, head});
    storeScalar(newScale, newScales, {row, head});
  });
}

/// chains + sum_j e_j v_j over keys [from, to) of a span, for some vectors of columns. The value of
/// an excluded key may be anything, NaN too: it is not read.
SmallVector<Value> AttentionEmitter::addValues(Lane lane, RegisterBlock block,
                                               ArrayRef<int64_t> columns, Span span, Value from,
                                               Value to, Value kvHead, ValueRange sums) {
  Value origin = b.mul(kvHead, b.index(valueWidth));
  return llvm::to_vector(b.loop(from, to, 1, sums, [&](Value j, ValueRange before) {
    Value key = b.add(span.begin, j);
    if (tileRows == 1)
      prefetchValue(lane, at(key, keysAhead), kvHead, b.index(columns.front()),
                    int64_t(columns.size()) * numLanes);
    auto ifOp = scf::IfOp::create(b, before.getTypes(), isAttended(key), /*withElseRegion=*/true);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(ifOp.thenBlock());
    SmallVector<Value> next(before), values;
    for (int64_t c : columns)
      values.push_back(
          b.load(lane.values, {key, b.add(origin, b.index(c))}, b.maskFirst(valueWidth - c)));
    forPairs(block, [&](int64_t row, int64_t head, int64_t pair) {
      Value e = b.broadcast(loadScalar(scores, {at(block.row, row), at(block.head, head), j}));
      for (auto [n, value] : llvm::enumerate(values)) {
        Value &sum = next[pair * values.size() + n];
        sum = b.fma(e, value, sum);
      }
    });
    scf::YieldOp::create(b, next);
    b.setInsertionPointToStart(ifOp.elseBlock());
    scf::YieldOp::create(b, before);
    return SmallVector<Value>(ifOp.getResults());
  }));
}

/// weighted = weighted * oldScale + (sum_j e_j v_j) * newScale
void AttentionEmitter::mergeValues(Lane lane, RegisterBlock block, Span span, Value kvHead) {
  // Keys that all rows reach run in the register block, the few behind them row by row.
  Value common = arith::MaxSIOp::create(b, countKeys(block.row, span), b.index(0));
  SmallVector<SmallVector<int64_t>> groups;
  for (int64_t c = 0; c < valueWidth; c += numLanes) {
    if (groups.empty() || int64_t(groups.back().size()) == valueShape.vectors)
      groups.emplace_back();
    groups.back().push_back(c);
  }
  for (ArrayRef<int64_t> columns : groups) {
    SmallVector<Value> zeros(block.rows * block.heads * columns.size(), b.splat(0.0f));
    SmallVector<Value> sums =
        addValues(lane, block, columns, span, b.index(0), common, kvHead, zeros);
    forPairs(block, [&](int64_t row, int64_t head, int64_t pair) {
      for (auto [n, c] : llvm::enumerate(columns))
        b.store(sums[pair * columns.size() + n], chains, {b.index(row), b.index(head), b.index(c)});
    });
  }
  auto finish = [&](Value r, Value h) {
    Value row = b.add(block.row, r), head = b.add(block.head, h);
    Value count = countKeys(row, span);
    ifPositive(count, [&] {
      Value oldScale = b.broadcast(loadScalar(oldScales, {row, head}));
      Value newScale = b.broadcast(loadScalar(newScales, {row, head}));
      for (ArrayRef<int64_t> columns : groups) {
        SmallVector<Value> sums;
        for (int64_t c : columns)
          sums.push_back(b.load(chains, {r, h, b.index(c)}));
        sums = addValues(lane, {row, 1, head, 1}, columns, span, common, count, kvHead, sums);
        for (auto [c, sum] : llvm::zip(columns, sums)) {
          Value lanes = b.maskFirst(valueWidth - c);
          SmallVector<Value> place = {row, head, b.index(c)};
          Value old = arith::MulFOp::create(b, b.load(weighted, place, lanes), oldScale);
          Value added = arith::MulFOp::create(b, sum, newScale);
          b.store(arith::AddFOp::create(b, old, added), weighted, place, lanes);
        }
      }
    });
  };
  b.loop(b.index(0), b.index(block.rows), 1, [&](Value row) {
    b.loop(b.index(0), b.index(block.heads), 1, [&](Value head) { finish(row, head); });
  });
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
  AttentionEmitter(kernel, op).emit();
}

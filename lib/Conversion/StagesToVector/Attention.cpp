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
//   scores[j] = scale * q . k_j + bias_j one chain in the order of the columns
//   m = max scores, e_j = exp(scores[j] - m), l = sum e_j (16 partials by j mod 16)
//   o = sum_j e_j v_j                    one chain in the order of j
//
// and spans are merged left to right, those of a second lane behind those of the
// first. A key that is masked or behind the row is excluded by select. Nothing depends
// on the rows of the tile, so neither do the bits.
//
//===----------------------------------------------------------------------===//

#include "StageKernel.h"

#include "mlir/Dialect/Math/IR/Math.h"

#include <limits>

using namespace mlir;
using namespace treadle;

/// Keys of one span; partial results of spans are merged.
static constexpr int64_t spanKeys = 512;

/// The score of an excluded key, below every other. Finite, so that differences are numbers.
static constexpr float excludedScore = std::numeric_limits<float>::lowest();

namespace {
/// Keys and values, one row of each per token, and what is added to their scores, if anything.
struct Lane {
  Value keys, values, bias;
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
    Type f32 = b.getF32Type();
    scores = kernel.allocate({tileRows, group, spanKeys}, f32);
    keyBlock = kernel.allocate({int64_t(llvm::alignTo(keyWidth, numLanes)), numLanes}, f32);
    maxima = kernel.allocate({tileRows, group}, f32);
    sums = kernel.allocate({tileRows, group}, f32);
    weighted = kernel.allocate({tileRows, group, valueWidth}, f32);
  }

  void emit();

private:
  void emitHead(Value kvHead);
  void emitSpans(Lane lane, Value kvHead);
  void emitOwnKey(Lane lane, Value row, Value head, Value kvHead);
  void emitScores(Lane lane, Value kvHead, Value block, Value spanBegin, Value lastPosition);
  void transposeKeys(Lane lane, Value kvHead, Value block, Value lastPosition);
  void emitSoftmax(Lane lane, Value row, Value head, Value spanBegin, Value kvHead);
  void mergeValues(Lane lane, Value row, Value head, Value spanBegin, Value end, Value kvHead,
                   Value oldScale, Value newScale);
  void emitResult(Value row, Value head, Value kvHead);

  /// Runs over rows of the tile and query heads of the group; rows relative to the tile.
  void forRowsAndHeads(function_ref<void(Value, Value)> body) {
    b.loop(b.index(0), b.sub(kernel.end(0), kernel.begin(0)), 1, [&](Value row) {
      b.loop(b.index(0), b.index(group), 1, [&](Value head) { body(row, head); });
    });
  }

  /// The position of a row of the tile; padding stands on the last token.
  Value positionOf(Value row) {
    Value last = b.sub(valid, b.index(1));
    return b.add(position, b.minimum(b.add(kernel.begin(0), row), last));
  }

  /// The first column of a query head.
  Value columnOf(Value kvHead, Value head, int64_t width) {
    return b.mul(b.add(b.mul(kvHead, b.index(group)), head), b.index(width));
  }

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
  Value scores;   // [rows][group][512] of the open span, then their exponentials
  Value keyBlock; // [columns][16] of 16 keys, transposed
  Value maxima;   // [rows][group] running maximum
  Value sums;     // [rows][group] running sum of exponentials
  Value weighted; // [rows][group][columns] running weighted sum of values
};
} // namespace

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
      forRowsAndHeads([&](Value row, Value head) { emitOwnKey(lane, row, head, kvHead); });
    else
      emitSpans(lane, kvHead);
  }
  forRowsAndHeads([&](Value row, Value head) { emitResult(row, head, kvHead); });
}

/// Merges all keys of a lane into the running results, up to each row's position.
void AttentionEmitter::emitSpans(Lane lane, Value kvHead) {
  Value lastRow = b.sub(b.sub(kernel.end(0), kernel.begin(0)), b.index(1));
  Value lastPosition = positionOf(lastRow);
  Value end = b.add(lastPosition, b.index(1));
  b.loop(b.index(0), end, spanKeys, [&](Value spanBegin) {
    Value spanEnd = b.minimum(b.add(spanBegin, b.index(spanKeys)), end);
    b.loop(spanBegin, spanEnd, numLanes,
           [&](Value block) { emitScores(lane, kvHead, block, spanBegin, lastPosition); });
    forRowsAndHeads(
        [&](Value row, Value head) { emitSoftmax(lane, row, head, spanBegin, kvHead); });
  });
}

/// Merges the key at the row's own position: a span of one key.
void AttentionEmitter::emitOwnKey(Lane lane, Value row, Value head, Value kvHead) {
  Value place = positionOf(row), queryRow = b.add(kernel.begin(0), row);
  Value queryColumn = columnOf(kvHead, head, keyWidth);
  Value keyColumn = b.mul(kvHead, b.index(keyWidth));
  SmallVector<Value> products =
      b.forLanes(keyWidth, {b.splat(0.0f)},
                 [&](Value column, Value lanes, ValueRange sum) -> SmallVector<Value> {
                   Value q = b.load(query, {queryRow, b.add(queryColumn, column)}, lanes);
                   Value k = b.load(lane.keys, {place, b.add(keyColumn, column)}, lanes);
                   return {b.fma(q, k, sum[0])};
                 });
  Value scaled =
      arith::MulFOp::create(b, b.reduceSum(products[0]), b.f32(op.getScale().convertToFloat()));
  Value only =
      arith::AndIOp::create(b, Value(b.maskFirst(1)), Value(b.broadcast(isAttended(place))));
  b.store(arith::SelectOp::create(b, only, Value(b.broadcast(scaled)), b.splat(excludedScore)),
          scores, {row, head, b.index(0)});
  emitSoftmax(lane, row, head, place, kvHead);
}

/// 16 keys as columns: keyBlock[c][j] = K[block + j, c]. Keys behind the last row are not read.
void AttentionEmitter::transposeKeys(Lane lane, Value kvHead, Value block, Value lastPosition) {
  Value origin = b.mul(kvHead, b.index(keyWidth));
  b.forLanes(keyWidth, [&](Value column, Value lanes) {
    SmallVector<Value> rows;
    for (int64_t j = 0; j < numLanes; ++j) {
      Value key = b.minimum(b.add(block, b.index(j)), lastPosition);
      rows.push_back(b.load(lane.keys, {key, b.add(origin, column)}, lanes));
    }
    b.transpose(rows);
    for (int64_t c = 0; c < numLanes; ++c)
      b.store(rows[c], keyBlock, {b.add(column, b.index(c)), b.index(0)});
  });
}

/// Scores of one block of 16 keys, one key per lane, for all rows and heads of the tile.
void AttentionEmitter::emitScores(Lane lane, Value kvHead, Value block, Value spanBegin,
                                  Value lastPosition) {
  transposeKeys(lane, kvHead, block, lastPosition);
  // Lanes at or before the last position that are not masked.
  Value present = b.maskBelow(b.sub(b.add(lastPosition, b.index(1)), block));
  VectorType bytes = b.lanes(b.getI8Type());
  Value zero = arith::ConstantOp::create(b, b.getZeroAttr(bytes));
  Value flags = vector::MaskedLoadOp::create(b, bytes, mask, ValueRange{block}, present, zero);
  Value attended = arith::CmpIOp::create(b, arith::CmpIPredicate::ne, flags, zero);
  Value offset = b.sub(block, spanBegin);

  forRowsAndHeads([&](Value row, Value head) {
    Value queryRow = b.add(kernel.begin(0), row);
    Value origin = columnOf(kvHead, head, keyWidth);
    ValueRange dot = b.loop(b.index(0), b.index(keyWidth), 1, {b.splat(0.0f)},
                            [&](Value c, ValueRange sum) -> SmallVector<Value> {
                              Value q = loadScalar(query, {queryRow, b.add(origin, c)});
                              Value k = b.load(keyBlock, {c, b.index(0)});
                              return {b.fma(b.broadcast(q), k, sum[0])};
                            });
    Value scaled = arith::MulFOp::create(b, dot[0], b.splat(op.getScale().convertToFloat()));
    if (lane.bias) {
      Value biasColumn = b.add(columnOf(kvHead, head, capacity), block);
      Value bias = b.load(lane.bias, {queryRow, biasColumn}, present);
      scaled = arith::AddFOp::create(b, scaled, bias);
    }
    Value causal = b.maskBelow(b.sub(b.add(positionOf(row), b.index(1)), block));
    Value included = arith::AndIOp::create(b, causal, attended);
    b.store(arith::SelectOp::create(b, included, scaled, b.splat(excludedScore)), scores,
            {row, head, offset});
  });
}

/// Turns the scores of a span into exponentials and merges the span into the running result.
/// A row that stands before the span is left as it is, whatever other rows do.
void AttentionEmitter::emitSoftmax(Lane lane, Value row, Value head, Value spanBegin,
                                   Value kvHead) {
  Value end = b.minimum(b.add(positionOf(row), b.index(1)), b.add(spanBegin, b.index(spanKeys)));
  Value reaches = arith::CmpIOp::create(b, arith::CmpIPredicate::sgt, end, spanBegin);
  auto ifOp = scf::IfOp::create(b, reaches, /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(ifOp.thenBlock());

  Value count = b.sub(end, spanBegin);
  Value excluded = b.splat(excludedScore);
  ValueRange highest = b.loop(b.index(0), count, numLanes, {excluded},
                              [&](Value j, ValueRange maximum) -> SmallVector<Value> {
                                Value s = b.load(scores, {row, head, j});
                                return {arith::MaxNumFOp::create(b, maximum[0], s)};
                              });
  Value spanMaximum = b.reduceMax(highest[0]);
  ValueRange partials =
      b.loop(b.index(0), count, numLanes, {b.splat(0.0f)},
             [&](Value j, ValueRange sum) -> SmallVector<Value> {
               Value s = b.load(scores, {row, head, j});
               Value e = math::ExpOp::create(
                   b, Value(arith::SubFOp::create(b, s, Value(b.broadcast(spanMaximum)))));
               Value isExcluded = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, s, excluded);
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
  mergeValues(lane, row, head, spanBegin, count, kvHead, oldScale, newScale);
}

/// weighted = weighted * oldScale + (sum_j e_j v_j) * newScale
void AttentionEmitter::mergeValues(Lane lane, Value row, Value head, Value spanBegin, Value count,
                                   Value kvHead, Value oldScale, Value newScale) {
  // Up to eight vectors of columns at once: enough independent chains, few enough registers.
  constexpr int64_t vectorsAtOnce = 8;
  Value origin = b.mul(kvHead, b.index(valueWidth));
  for (int64_t first = 0; first < valueWidth; first += vectorsAtOnce * numLanes) {
    SmallVector<int64_t> columns;
    for (int64_t c = first; c < std::min(valueWidth, first + vectorsAtOnce * numLanes);
         c += numLanes)
      columns.push_back(c);
    SmallVector<Value> zeros(columns.size(), b.splat(0.0f));
    ValueRange chains =
        b.loop(b.index(0), count, 1, zeros, [&](Value j, ValueRange sums) -> SmallVector<Value> {
          Value key = b.add(spanBegin, j);
          Value e = b.broadcast(loadScalar(scores, {row, head, j}));
          // An excluded key may hold anything, NaN too: its value is not used.
          Value isIncluded = isAttended(key);
          SmallVector<Value> next;
          for (auto [c, sum] : llvm::zip(columns, sums)) {
            Value v =
                b.load(lane.values, {key, b.add(origin, b.index(c))}, b.maskFirst(valueWidth - c));
            v = arith::SelectOp::create(b, isIncluded, v, b.splat(0.0f));
            next.push_back(b.fma(e, v, sum));
          }
          return next;
        });
    for (auto [c, chain] : llvm::zip(columns, chains)) {
      Value lanes = b.maskFirst(valueWidth - c);
      SmallVector<Value> place = {row, head, b.index(c)};
      Value old =
          arith::MulFOp::create(b, b.load(weighted, place, lanes), Value(b.broadcast(oldScale)));
      Value span = arith::MulFOp::create(b, chain, Value(b.broadcast(newScale)));
      b.store(arith::AddFOp::create(b, old, span), weighted, place, lanes);
    }
  }
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

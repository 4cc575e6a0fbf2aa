//===- AttentionScores.cpp - attention: queries meet keys ----------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "AttentionEmitter.h"

using namespace mlir;
using namespace treadle;

/// What lies behind the last column is 0.
void AttentionEmitter::roundQueries(Value kvHead) {
  forRowsAndHeads([&](Value row, Value head) {
    Value source = b.add(kernel.begin(0), row), origin = columnOf(kvHead, head, keyWidth);
    b.forLanes(keyWidth, [&](Value column, Value lanes) {
      scoreProducts.store(b.load(query, {source, b.add(origin, column)}, lanes), queries,
                          {row, head, column});
    });
  });
}

/// Scores of some panels of 16 keys, one key per lane, for the rows that reach them and all heads.
/// A single panel may end behind the span.
void AttentionEmitter::emitScores(Lane lane, Value kvHead, Value firstKey, int64_t panels,
                                  Span span) {
  Value present; // null where all keys are there
  if (panels == 1)
    present = b.maskBelow(b.sub(span.end, firstKey));
  SmallVector<Value> attended;
  for (int64_t n = 0; n < panels; ++n)
    attended.push_back(loadAttended(at(firstKey, n * numLanes), present));
  Value read = kernel.getOptions().maskedKeys ? present : Value();
  Value firstPanel = arith::DivUIOp::create(b, firstKey, b.index(numLanes));

  // Rows that stand before the first of the keys need none of them.
  Value before = b.sub(firstKey, positionOf(b.index(0)));
  before = arith::MaxSIOp::create(b, before, b.index(0));
  Value firstRow = b.sub(before, arith::RemUIOp::create(b, before, b.index(scoreShape.rows)));
  Value areAttended = holdForAll(attended);
  forRegisterBlocks(scoreShape, firstRow, [&](RegisterBlock block) {
    SmallVector<Value> dots = multiplyKeys(lane, block, kvHead, firstPanel, panels, read);
    auto store = [&](bool areReached) -> SmallVector<Value> {
      forPairs(block, [&](int64_t r, int64_t h, int64_t pair) {
        storeScores(lane, {at(block.row, r), kvHead, at(block.head, h)}, firstKey, span, present,
                    ArrayRef(dots).slice(pair * panels, panels),
                    areReached ? ArrayRef<Value>() : attended);
      });
      return {};
    };
    // Nearly all blocks of a long context.
    Value lastKey = at(firstKey, panels * numLanes - 1);
    Value areReached =
        arith::CmpIOp::create(b, arith::CmpIPredicate::sle, lastKey, positionOf(block.row));
    areReached = arith::AndIOp::create(b, areReached, areAttended);
    b.ifElse(areReached, [&] { return store(true); }, [&] { return store(false); });
  });
}

/// Which of 16 keys may be attended to; of those in `present` alone, if that is not null.
Value AttentionEmitter::loadAttended(Value firstKey, Value present) {
  Value zero = arith::ConstantOp::create(b, b.getZeroAttr(b.lanes(b.getI8Type())));
  return arith::CmpIOp::create(b, arith::CmpIPredicate::ne, b.load(mask, {firstKey}, present),
                               zero);
}

/// Whether masks hold on all lanes.
Value AttentionEmitter::holdForAll(ArrayRef<Value> masks) {
  Value all = masks.front();
  for (Value mask : masks.drop_front())
    all = arith::AndIOp::create(b, all, mask);
  Value exceptions = arith::SelectOp::create(b, all, b.splat(0.0f), b.splat(1.0f));
  return arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, b.reduceMax(exceptions), b.f32(0.0f));
}

/// The scores of a row and head, and what becomes of their maximum. `attended` is empty where the
/// row reaches all of the keys and may attend to them.
void AttentionEmitter::storeScores(Lane lane, QueryPlace query, Value firstKey, Span span,
                                   Value present, ArrayRef<Value> dots, ArrayRef<Value> attended) {
  Value row = query.row, head = query.head;
  Value behind = at(positionOf(row), 1);
  Value maximum = b.load(highest, {row, head, b.index(0)});
  for (auto [n, dot] : llvm::enumerate(dots)) {
    Value key = at(firstKey, n * numLanes);
    Value score = arith::MulFOp::create(b, dot, b.splat(op.getScale().convertToFloat()));
    if (lane.bias) {
      Value biasColumn = b.add(columnOf(query.kvHead, head, capacity), key);
      Value bias = b.load(lane.bias, {b.add(kernel.begin(0), row), biasColumn}, present);
      score = arith::AddFOp::create(b, score, bias);
    }
    if (!attended.empty()) {
      Value causal = b.maskBelow(b.sub(behind, key));
      Value included = arith::AndIOp::create(b, causal, attended[n]);
      score = arith::SelectOp::create(b, included, score, b.splat(excludedScore));
    }
    b.store(score, scores, {row, head, b.sub(key, span.begin)});
    Value isHigher = arith::CmpFOp::create(b, arith::CmpFPredicate::OGT, score, maximum);
    maximum = arith::SelectOp::create(b, isHigher, score, maximum);
  }
  b.store(maximum, highest, {row, head, b.index(0)});
}

/// q . k for the rows and heads of a block and 16 keys of each of some panels, of which only those
/// in `read` are read, if that is not null.
SmallVector<Value> AttentionEmitter::multiplyKeys(Lane lane, RegisterBlock block, Value kvHead,
                                                  Value firstPanel, int64_t panels, Value read) {
  Value origin = b.mul(kvHead, b.index(keyWidth));
  StatePanels state(b, lane.keys, keyWidth);
  auto addColumns = [&](Value column, int64_t count, ValueRange sums) {
    SmallVector<Value> next(sums);
    SmallVector<SmallVector<Value>> keys;
    Value place = b.add(origin, column);
    for (int64_t n = 0; n < panels; ++n)
      keys.push_back(scoreProducts.fromPanel(state, at(firstPanel, n), place, count, read));
    if (tileRows == 1)
      for (int64_t n = 0; n < panels; ++n)
        prefetch(lane.keys, state.placeOf(at(firstPanel, panels + n), place));
    forPairs(block, [&](int64_t r, int64_t h, int64_t pair) {
      auto [memory, place] = queryAt(at(block.row, r), kvHead, at(block.head, h), column);
      for (int64_t n = 0; n < panels; ++n) {
        Value &sum = next[pair * panels + n];
        sum = scoreProducts.multiply(memory, place, keys[n], sum);
      }
    });
    return next;
  };
  int64_t depth = scoreProducts.depth(), rest = keyWidth % depth;
  SmallVector<Value> sums(block.rows * block.heads * panels, b.splat(0.0f));
  sums = llvm::to_vector(
      b.loop(b.index(0), b.index(keyWidth - rest), depth, sums,
             [&](Value column, ValueRange sums) { return addColumns(column, depth, sums); }));
  return rest == 0 ? sums : addColumns(b.index(keyWidth - rest), rest, sums);
}

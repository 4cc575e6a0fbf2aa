//===- AttentionValues.cpp - attention: exponentials meet values ---------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "AttentionEmitter.h"

using namespace mlir;
using namespace treadle;

/// Values lie a row of all heads apart, which no processor foresees and which fills few sets of a
/// cache: a single row asks for so many keys ahead, not for a whole span.
static constexpr int64_t keysAhead = 32;

/// Asks for some columns of a key's value.
void AttentionEmitter::prefetchValue(Lane lane, Value key, Value kvHead, Value column,
                                     int64_t columns) {
  Type element = cast<MemRefType>(lane.values.getType()).getElementType();
  int64_t lineColumns = 8 * 64 / element.getIntOrFloatBitWidth();
  Value origin = b.add(b.mul(kvHead, b.index(valueWidth)), column);
  for (int64_t c = 0; c < columns; c += lineColumns)
    prefetch(lane.values, {key, at(origin, c)});
}

/// What the first steps of a span take.
void AttentionEmitter::prefetchFirstValues(Lane lane, Span span, Value kvHead) {
  for (int64_t key = 0; key < keysAhead; ++key)
    prefetchValue(lane, at(span.begin, key), kvHead, b.index(0), valueWidth);
}

/// Runs over the columns of the values, as many vectors as a register block has.
void AttentionEmitter::forValueColumns(function_ref<void(ArrayRef<int64_t>)> body) {
  for (int64_t first = 0; first < valueWidth; first += valueShape.vectors * numLanes) {
    SmallVector<int64_t> columns;
    for (int64_t n = 0; n < valueShape.vectors && first + n * numLanes < valueWidth; ++n)
      columns.push_back(first + n * numLanes);
    body(columns);
  }
}

/// What one vector of columns holds for the keys of a step, as it lies in memory.
SmallVector<Value> AttentionEmitter::loadValues(Lane lane, ArrayRef<Value> keys, int64_t column,
                                                Value kvHead) {
  Value place = at(b.mul(kvHead, b.index(valueWidth)), column);
  Value mask = b.maskFirst(valueWidth - column);
  return llvm::map_to_vector(
      keys, [&](Value key) { return b.loadAsIs(lane.values, {key, place}, mask); });
}

/// The keys of a step of a chain; behind the end of the span, if they may be, the last once more.
SmallVector<Value> AttentionEmitter::keysOf(Value j, Span span, bool isInside) {
  SmallVector<Value> keys;
  for (int64_t i = 0; i < valueProducts.depth(); ++i) {
    Value key = at(b.add(span.begin, j), i);
    keys.push_back(isInside ? key : b.minimum(key, at(span.end, -1)));
  }
  return keys;
}

/// Copies some vectors of columns, so that what is multiplied together lies together. The value of
/// a masked key may be anything, NaN too: it is left out.
void AttentionEmitter::packValues(Lane lane, ArrayRef<int64_t> columns, Span span, Value kvHead) {
  Value count = b.sub(span.end, span.begin);
  int64_t depth = valueProducts.depth();
  Value steps = arith::CeilDivUIOp::create(b, count, b.index(keysInStep()));
  b.loop(b.index(0), b.mul(steps, b.index(keysInStep())), depth, [&](Value j) {
    SmallVector<Value> keys = keysOf(j, span, /*isInside=*/false), included;
    for (auto [i, key] : llvm::enumerate(keys))
      included.push_back(arith::AndIOp::create(b, isAttended(key), isBelow(at(j, i), count)));
    Value word = arith::DivUIOp::create(b, j, b.index(depth));
    for (auto [n, column] : llvm::enumerate(columns)) {
      Value words = valueProducts.pack(loadValues(lane, keys, column, kvHead));
      vector::StoreOp::create(b, valueProducts.blank(words, included), lane.packed,
                              ValueRange{word, b.index(n * numLanes)});
    }
  });
}

/// sums + e_j v_j for the keys of one chain's step; only those that are included of each row, if
/// not all.
void AttentionEmitter::addKeys(RegisterBlock block, Value j, ArrayRef<SmallVector<Value>> values,
                               ArrayRef<SmallVector<Value>> included, MutableArrayRef<Value> sums) {
  forPairs(block, [&](int64_t r, int64_t h, int64_t pair) {
    SmallVector<Value> place = {at(block.row, r), at(block.head, h), j};
    for (auto [n, value] : llvm::enumerate(values)) {
      Value &sum = sums[pair * values.size() + n];
      sum = included.empty()
                ? valueProducts.multiply(exponentials, place, value, sum)
                : valueProducts.multiplySome(exponentials, place, value, included[r], sum);
    }
  });
}

/// The chains of each sum, added up in order.
SmallVector<Value> AttentionEmitter::addChains(ValueRange chains) {
  size_t size = chains.size() / numChains;
  SmallVector<Value> sums(chains.take_front(size));
  for (auto [i, chain] : llvm::enumerate(chains.drop_front(size)))
    sums[i % size] = arith::AddFOp::create(b, sums[i % size], chain);
  return sums;
}

/// sum_j e_j v_j over the keys of a span, for some vectors of columns that are packed.
SmallVector<Value> AttentionEmitter::addPacked(Lane lane, RegisterBlock block,
                                               ArrayRef<int64_t> columns, Span span) {
  int64_t depth = valueProducts.depth(), size = block.rows * block.heads * columns.size();
  auto run = [&](Value from, Value to, bool isCommon, ValueRange chains) {
    return b.loop(from, to, keysInStep(), chains, [&](Value step, ValueRange before) {
      SmallVector<Value> next(before);
      for (int64_t chain = 0; chain < numChains; ++chain) {
        Value j = at(step, chain * depth);
        Value word = arith::DivUIOp::create(b, j, b.index(depth));
        SmallVector<SmallVector<Value>> values, included;
        for (size_t n = 0; n < columns.size(); ++n)
          values.push_back(
              valueProducts.fromWords(b.loadAsIs(lane.packed, {word, b.index(n * numLanes)})));
        for (int64_t r = 0; !isCommon && r < block.rows; ++r)
          included.push_back(reachedKeys(at(block.row, r), j, span));
        addKeys(block, j, values, included, MutableArrayRef(next).slice(chain * size, size));
      }
      return next;
    });
  };
  // Keys that all rows reach, then the few behind them.
  Value none = b.index(0);
  Value first = arith::MaxSIOp::create(b, countKeys(block.row, span), none);
  Value last = arith::MaxSIOp::create(b, countKeys(at(block.row, block.rows - 1), span), none);
  Value common = b.sub(first, arith::RemUIOp::create(b, first, b.index(keysInStep())));
  SmallVector<Value> zeros(numChains * size, b.splat(0.0f));
  ValueRange chains = run(none, common, /*isCommon=*/true, zeros);
  return addChains(run(common, last, /*isCommon=*/false, chains));
}

/// The same from where they lie. The value of a masked key may be anything, NaN too: it enters no
/// sum.
SmallVector<Value> AttentionEmitter::addStored(Lane lane, RegisterBlock block,
                                               ArrayRef<int64_t> columns, Span span, Value kvHead) {
  int64_t depth = valueProducts.depth(), size = block.rows * block.heads * columns.size();
  Value first = countKeys(block.row, span);
  Value last = countKeys(at(block.row, block.rows - 1), span);

  auto addStep = [&](Value step, bool isWhole, ValueRange before) {
    SmallVector<Value> next(before);
    for (int64_t chain = 0; chain < numChains; ++chain) {
      Value j = at(step, chain * depth);
      SmallVector<Value> keys = keysOf(j, span, isWhole);
      if (tileRows == 1)
        for (Value key : keys)
          prefetchValue(lane, at(key, keysAhead), kvHead, b.index(columns.front()),
                        int64_t(columns.size()) * numLanes);
      SmallVector<SmallVector<Value>> values, included;
      for (int64_t column : columns)
        values.push_back(
            valueProducts.fromWords(valueProducts.pack(loadValues(lane, keys, column, kvHead))));
      for (int64_t r = 0; !isWhole && r < block.rows; ++r) {
        SmallVector<Value> reached = reachedKeys(at(block.row, r), j, span);
        for (auto [flag, key] : llvm::zip(reached, keys))
          flag = arith::AndIOp::create(b, flag, isAttended(key));
        included.push_back(reached);
      }
      addKeys(block, j, values, included, MutableArrayRef(next).slice(chain * size, size));
    }
    return next;
  };

  // 16 keys that all rows reach and may attend to, as nearly all of them, need no further look.
  SmallVector<Value> zeros(numChains * size, b.splat(0.0f));
  return addChains(b.loop(b.index(0), last, numLanes, zeros, [&](Value j, ValueRange before) {
    Value key = b.add(span.begin, j), present = b.maskBelow(b.sub(first, j));
    Value isWhole = holdForAll(loadAttended(key, present));
    auto addWhole = [&] {
      SmallVector<Value> sums(before);
      for (int64_t step = 0; step < numLanes; step += keysInStep())
        sums = addStep(at(j, step), /*isWhole=*/true, sums);
      return sums;
    };
    auto addSome = [&] {
      Value end = b.minimum(at(j, numLanes), last);
      return llvm::to_vector(b.loop(j, end, keysInStep(), before, [&](Value step, ValueRange sums) {
        return addStep(step, /*isWhole=*/false, sums);
      }));
    };
    return llvm::to_vector(b.ifElse(isWhole, addWhole, addSome));
  }));
}

/// weighted = weighted * oldScale + (sum_j e_j v_j) * newScale
void AttentionEmitter::mergeValues(Lane lane, RegisterBlock block, ArrayRef<int64_t> columns,
                                   Span span, Value kvHead) {
  SmallVector<Value> sums = lane.packed ? addPacked(lane, block, columns, span)
                                        : addStored(lane, block, columns, span, kvHead);
  forPairs(block, [&](int64_t r, int64_t h, int64_t pair) {
    Value row = at(block.row, r), head = at(block.head, h);
    ifPositive(countKeys(row, span), [&] {
      Value oldScale = b.broadcast(loadScalar(oldScales, {row, head}));
      Value newScale = b.broadcast(loadScalar(newScales, {row, head}));
      for (auto [n, c] : llvm::enumerate(columns)) {
        Value lanes = b.maskFirst(valueWidth - c);
        SmallVector<Value> place = {row, head, b.index(c)};
        Value old = arith::MulFOp::create(b, b.load(weighted, place, lanes), oldScale);
        Value added = arith::MulFOp::create(b, sums[pair * columns.size() + n], newScale);
        b.store(arith::AddFOp::create(b, old, added), weighted, place, lanes);
      }
    });
  });
}

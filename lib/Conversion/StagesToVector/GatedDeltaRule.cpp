//===- GatedDeltaRule.cpp - gated_delta_rule row by row -----------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

//
// A tile is some heads. The columns of a head's state never meet: 32 of them at a time
// take the rows one after another, each in one pass over the state's D rows, which also
// asks what the next row's key finds there:
//
//   e = beta (v - a z)                         a = exp(decay), z = sum_d k[d] S[d]
//   S[d] <- a S[d] + k[d] e,   y = sum_d q[d] S[d],   z' = sum_d k'[d] S[d]
//
// Sums run over 4 partials by d mod 4, which are added as (0 + 2) + (1 + 3).
//
// Where many threads share a tile, each vector of columns is an iteration of its own, and a
// state that is small enough lies in the tile's memory while many rows pass.
//
//===----------------------------------------------------------------------===//

#include "StageKernel.h"

#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace treadle;

/// Vectors of columns that run together, and partials of each of their sums.
static constexpr int64_t vectorsAtOnce = 2, numPartials = 4;

/// A state that the tile's memory holds while rows pass.
static constexpr int64_t localBytes = 16384;

namespace {
/// Some vectors of columns of one head; a mask is null for a whole vector.
struct Columns {
  SmallVector<Value> begins, masks;
};

class DeltaRuleEmitter {
public:
  DeltaRuleEmitter(StageKernel &kernel, GatedDeltaRuleOp op)
      : kernel(kernel), b(kernel.builder()), query(kernel.operand(op.getQuery())),
        key(kernel.operand(op.getKey())), value(kernel.operand(op.getValue())),
        beta(kernel.operand(op.getBeta())), decay(kernel.operand(op.getDecay())),
        state(kernel.operand(op.getState())), mask(kernel.operand(op.getMask())),
        position(kernel.operand(op.getPosition())), valid(kernel.operand(op.getValid())),
        share(op.getHeads() / op.getKeyHeads()), keyWidth(op.getState().getType().getShape()[1]),
        valueWidth(op.getState().getType().getShape()[2]),
        isSingle(cast<ShapedType>(op.getQuery().getType()).getDimSize(0) == 1) {
    if (kernel.isSliced() && !isSingle && keyWidth * valueWidth * 4 <= localBytes)
      local = kernel.allocate({keyWidth, valueWidth}, b.getF32Type());
  }

  void emit();

private:
  /// A row's key or query of the head: a vector over d.
  struct KeyVector {
    Value memory, row;
  };

  void emitShared();
  void emitColumns(const Columns &columns);
  SmallVector<Value> emitUpdate(const Columns &columns, Value row, ValueRange found, Value nextRow);
  SmallVector<Value> emitLook(const Columns &columns, ArrayRef<KeyVector> wanted);

  Value loadScalar(Value memory, ValueRange indices) {
    return b.broadcast(memref::LoadOp::create(b, memory, indices));
  }
  /// Its entry d, on all lanes.
  Value entry(KeyVector vector, Value d) {
    return loadScalar(vector.memory, {vector.row, b.add(keyOrigin, d)});
  }
  Value loadState(const Columns &columns, Value d, unsigned i) {
    return local ? b.load(local, {d, columns.begins[i]}, columns.masks[i])
                 : b.load(state, {head, d, columns.begins[i]}, columns.masks[i]);
  }
  void storeState(Value lanes, const Columns &columns, Value d, unsigned i) {
    if (local)
      b.store(lanes, local, {d, columns.begins[i]}, columns.masks[i]);
    else
      b.store(lanes, state, {head, d, columns.begins[i]}, columns.masks[i]);
  }

  /// Sums over d, as many as `count`, to each of which `body` adds what belongs to d.
  SmallVector<Value> sumRows(size_t count,
                             function_ref<void(Value d, MutableArrayRef<Value> sums)> body);

  StageKernel &kernel;
  LaneBuilder &b;
  Value query, key, value, beta, decay, state, mask, position, valid;
  int64_t share, keyWidth, valueWidth;
  bool isSingle; // has one row alone
  Value local;   // [key columns][value columns] the head's state, or null
  // The head that runs at present, and its first columns.
  Value head, keyOrigin, valueOrigin;
};
} // namespace

void DeltaRuleEmitter::emit() {
  b.loop(kernel.begin(0), kernel.end(0), 1, [&](Value index) {
    head = index;
    Value keyHead = arith::DivUIOp::create(b, head, b.index(share));
    keyOrigin = b.mul(keyHead, b.index(keyWidth));
    valueOrigin = b.mul(head, b.index(valueWidth));
    if (kernel.isSliced())
      return emitShared();
    constexpr int64_t width = vectorsAtOnce * numLanes;
    int64_t whole = valueWidth / width * width;
    b.loop(b.index(0), b.index(whole), width, [&](Value first) {
      Columns columns;
      for (int64_t i = 0; i < vectorsAtOnce; ++i) {
        columns.begins.push_back(b.add(first, b.index(i * numLanes)));
        columns.masks.push_back(Value());
      }
      emitColumns(columns);
    });
    Columns rest;
    for (int64_t first = whole; first < valueWidth; first += numLanes) {
      rest.begins.push_back(b.index(first));
      rest.masks.push_back(b.maskFirst(valueWidth - first));
    }
    if (!rest.begins.empty())
      emitColumns(rest);
  });
}

void DeltaRuleEmitter::emitShared() {
  b.loop(b.index(0), b.index(valueWidth), numLanes, [&](Value first) {
    Value mask =
        valueWidth % numLanes == 0 ? Value() : b.maskBelow(b.sub(b.index(valueWidth), first));
    auto copy = [&](bool isIn) {
      b.loop(b.index(0), b.index(keyWidth), 1, [&](Value d) {
        SmallVector<Value> far = {head, d, first}, near = {d, first};
        b.store(b.load(isIn ? state : local, isIn ? far : near, mask), isIn ? local : state,
                isIn ? near : far, mask);
      });
    };
    if (local)
      copy(/*isIn=*/true);
    emitColumns({{first}, {mask}});
    if (local)
      copy(/*isIn=*/false);
  });
}

void DeltaRuleEmitter::emitColumns(const Columns &columns) {
  Value zero = arith::ConstantOp::create(b, b.getI8IntegerAttr(0));
  size_t vectors = columns.begins.size();
  SmallVector<Value> first = emitLook(columns, KeyVector{key, b.index(0)});
  b.loop(b.index(0), valid, 1, first, [&](Value row, ValueRange found) {
    Value nextRow; // null where there is none
    if (!isSingle)
      nextRow = b.minimum(b.add(row, b.index(1)), b.sub(valid, b.index(1)));
    // A masked token looks, and leaves no trace.
    Value flag = memref::LoadOp::create(b, mask, ValueRange{b.add(position, row)});
    Value isToken = arith::CmpIOp::create(b, arith::CmpIPredicate::ne, flag, zero);
    auto look = [&] {
      SmallVector<KeyVector> wanted = {{query, row}};
      if (nextRow)
        wanted.push_back({key, nextRow});
      return emitLook(columns, wanted);
    };
    ValueRange results =
        b.ifElse(isToken, [&] { return emitUpdate(columns, row, found, nextRow); }, look);
    for (auto [begin, lanes, y] : llvm::zip(columns.begins, columns.masks, results))
      kernel.storeResult(y, row, b.add(valueOrigin, begin), lanes);
    return llvm::to_vector(nextRow ? results.drop_front(vectors) : found);
  });
}

SmallVector<Value>
DeltaRuleEmitter::sumRows(size_t count,
                          function_ref<void(Value d, MutableArrayRef<Value> sums)> body) {
  SmallVector<Value> sums(numPartials * count, b.splat(0.0f)); // [partial][sum]
  auto addRows = [&](Value first, int64_t rows) {
    for (int64_t p = 0; p < rows; ++p)
      body(b.add(first, b.index(p)), MutableArrayRef(sums).slice(p * count, count));
  };
  int64_t whole = keyWidth / numPartials * numPartials;
  sums = llvm::to_vector(
      b.loop(b.index(0), b.index(whole), numPartials, sums, [&](Value first, ValueRange carried) {
        sums = llvm::to_vector(carried);
        addRows(first, numPartials);
        return sums;
      }));
  addRows(b.index(whole), keyWidth - whole);
  for (int64_t half = numPartials / 2; half > 0; half /= 2)
    for (size_t i = 0; i < half * count; ++i)
      sums[i] = arith::AddFOp::create(b, sums[i], sums[i + half * count]);
  sums.resize(count);
  return sums;
}

/// The state after the row; returns y, and behind it what the next row's key finds, if there is
/// one.
SmallVector<Value> DeltaRuleEmitter::emitUpdate(const Columns &columns, Value row, ValueRange found,
                                                Value nextRow) {
  size_t vectors = columns.begins.size();
  Value kept = math::ExpOp::create(b, loadScalar(decay, {row, head}));
  Value negated = arith::NegFOp::create(b, kept);
  SmallVector<Value> errors;
  for (size_t i = 0; i < vectors; ++i) {
    Value v = b.load(value, {row, b.add(valueOrigin, columns.begins[i])}, columns.masks[i]);
    Value rest = b.fma(negated, found[i], v);
    errors.push_back(arith::MulFOp::create(b, loadScalar(beta, {row, head}), rest));
  }
  return sumRows(nextRow ? 2 * vectors : vectors, [&](Value d, MutableArrayRef<Value> sums) {
    Value k = entry({key, row}, d), q = entry({query, row}, d);
    Value nextK = nextRow ? entry({key, nextRow}, d) : Value();
    for (size_t i = 0; i < vectors; ++i) {
      Value decayed = arith::MulFOp::create(b, kept, loadState(columns, d, i));
      Value next = b.fma(k, errors[i], decayed);
      storeState(next, columns, d, i);
      sums[i] = b.fma(q, next, sums[i]);
      if (nextRow)
        sums[vectors + i] = b.fma(nextK, next, sums[vectors + i]);
    }
  });
}

/// What queries and keys find in the state as it is: of each, its vectors of columns.
SmallVector<Value> DeltaRuleEmitter::emitLook(const Columns &columns, ArrayRef<KeyVector> wanted) {
  size_t vectors = columns.begins.size();
  return sumRows(wanted.size() * vectors, [&](Value d, MutableArrayRef<Value> sums) {
    for (size_t i = 0; i < vectors; ++i) {
      Value old = loadState(columns, d, i);
      for (auto [n, vector] : llvm::enumerate(wanted))
        sums[n * vectors + i] = b.fma(entry(vector, d), old, sums[n * vectors + i]);
    }
  });
}

void treadle::emitGatedDeltaRule(StageKernel &kernel, GatedDeltaRuleOp op) {
  if (getChunkRows(op, kernel.getOptions()))
    return emitDeltaChunks(kernel, op);
  DeltaRuleEmitter(kernel, op).emit();
}

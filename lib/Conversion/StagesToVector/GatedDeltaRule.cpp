//===- GatedDeltaRule.cpp - gated_delta_rule row by row -----------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

//
// A tile is some heads. The columns of a head's state never meet: 32 of them at a time
// take the rows one after another, in two passes over the state's D rows:
//
//   e = beta (v - a sum_d k[d] S[d])           a = exp(decay)
//   S[d] <- a S[d] + k[d] e,   y = sum_d q[d] S[d]
//
// Sums run over 4 partials by d mod 4, which are added as (0 + 2) + (1 + 3).
//
//===----------------------------------------------------------------------===//

#include "StageKernel.h"

#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace treadle;

/// Vectors of columns that run together, and partials of each of their sums.
static constexpr int64_t vectorsAtOnce = 2, numPartials = 4;

/// Fewer rows are not worth a chunk.
static constexpr int64_t minChunkedRows = 16;

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
        valueWidth(op.getState().getType().getShape()[2]) {}

  void emit();

private:
  void emitColumns(const Columns &columns);
  SmallVector<Value> emitUpdate(const Columns &columns, Value row);
  SmallVector<Value> emitLook(const Columns &columns, Value row);

  Value loadScalar(Value memory, ValueRange indices) {
    return b.broadcast(memref::LoadOp::create(b, memory, indices));
  }
  /// Entry d of the head's key or query, on all lanes.
  Value entry(Value memory, Value row, Value d) {
    return loadScalar(memory, {row, b.add(keyOrigin, d)});
  }
  Value loadState(const Columns &columns, Value d, unsigned i) {
    return b.load(state, {head, d, columns.begins[i]}, columns.masks[i]);
  }

  /// The sum over d of what `body` adds to it for each vector of columns.
  SmallVector<Value> sumRows(size_t vectors,
                             function_ref<Value(Value d, unsigned i, Value sum)> body);

  StageKernel &kernel;
  LaneBuilder &b;
  Value query, key, value, beta, decay, state, mask, position, valid;
  int64_t share, keyWidth, valueWidth;
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

void DeltaRuleEmitter::emitColumns(const Columns &columns) {
  Value zero = arith::ConstantOp::create(b, b.getI8IntegerAttr(0));
  b.loop(b.index(0), valid, 1, [&](Value row) {
    // A masked token looks, and leaves no trace.
    Value flag = memref::LoadOp::create(b, mask, ValueRange{b.add(position, row)});
    Value isToken = arith::CmpIOp::create(b, arith::CmpIPredicate::ne, flag, zero);
    SmallVector<Type> types(columns.begins.size(), b.floats());
    auto ifOp = scf::IfOp::create(b, types, isToken, /*withElseRegion=*/true);
    {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(ifOp.thenBlock());
      scf::YieldOp::create(b, emitUpdate(columns, row));
      b.setInsertionPointToStart(ifOp.elseBlock());
      scf::YieldOp::create(b, emitLook(columns, row));
    }
    for (auto [begin, lanes, y] : llvm::zip(columns.begins, columns.masks, ifOp.getResults()))
      kernel.storeResult(y, row, b.add(valueOrigin, begin), lanes);
  });
}

SmallVector<Value>
DeltaRuleEmitter::sumRows(size_t vectors,
                          function_ref<Value(Value d, unsigned i, Value sum)> body) {
  SmallVector<Value> sums(numPartials * vectors, b.splat(0.0f)); // [partial][vector]
  auto addRows = [&](Value first, int64_t rows) {
    for (int64_t p = 0; p < rows; ++p)
      for (size_t i = 0; i < vectors; ++i) {
        Value &sum = sums[p * vectors + i];
        sum = body(b.add(first, b.index(p)), i, sum);
      }
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
    for (size_t i = 0; i < half * vectors; ++i)
      sums[i] = arith::AddFOp::create(b, sums[i], sums[i + half * vectors]);
  sums.resize(vectors);
  return sums;
}

/// The state after the row; returns y.
SmallVector<Value> DeltaRuleEmitter::emitUpdate(const Columns &columns, Value row) {
  size_t vectors = columns.begins.size();
  Value kept = math::ExpOp::create(b, loadScalar(decay, {row, head}));
  SmallVector<Value> known = sumRows(vectors, [&](Value d, unsigned i, Value sum) {
    return b.fma(entry(key, row, d), loadState(columns, d, i), sum);
  });
  Value negated = arith::NegFOp::create(b, kept);
  SmallVector<Value> errors;
  for (size_t i = 0; i < vectors; ++i) {
    Value v = b.load(value, {row, b.add(valueOrigin, columns.begins[i])}, columns.masks[i]);
    Value rest = b.fma(negated, known[i], v);
    errors.push_back(arith::MulFOp::create(b, loadScalar(beta, {row, head}), rest));
  }
  return sumRows(vectors, [&](Value d, unsigned i, Value sum) {
    Value decayed = arith::MulFOp::create(b, kept, loadState(columns, d, i));
    Value next = b.fma(entry(key, row, d), errors[i], decayed);
    b.store(next, state, {head, d, columns.begins[i]}, columns.masks[i]);
    return b.fma(entry(query, row, d), next, sum);
  });
}

/// y of the state as it is.
SmallVector<Value> DeltaRuleEmitter::emitLook(const Columns &columns, Value row) {
  return sumRows(columns.begins.size(), [&](Value d, unsigned i, Value sum) {
    return b.fma(entry(query, row, d), loadState(columns, d, i), sum);
  });
}

void treadle::emitGatedDeltaRule(StageKernel &kernel, GatedDeltaRuleOp op) {
  int64_t rows = cast<ShapedType>(op.getQuery().getType()).getDimSize(0);
  bool isMany = ShapedType::isDynamic(rows) || rows >= minChunkedRows;
  if (kernel.getOptions().chunked && isMany)
    return emitDeltaChunks(kernel, op);
  DeltaRuleEmitter(kernel, op).emit();
}

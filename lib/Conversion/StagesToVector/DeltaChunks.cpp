//===- DeltaChunks.cpp - gated_delta_rule in chunks of rows -------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

//
// A tile is some heads. Rows come in chunks that end at multiples of 64 positions, and
// where the entry point's rows end. With G the running sum of a chunk's decays,
// D[i, j] = exp(G[i] - G[j]) for j <= i and A[i, j] = beta[i] (k[i] . k[j]) D[i, j] for
// j < i (the WY form):
//
//   (I + A) N = beta (V - exp(G) K S)           solved forwards, row by row
//   Y = exp(G) Q S + ((Q K^T) D) N
//   S <- exp(G[-1]) S + sum_j exp(G[-1] - G[j]) k[j] N[j]^T
//
// Exponents are never positive. A masked row has beta and decay 0, and key 0 by select.
//
//===----------------------------------------------------------------------===//

#include "StageKernel.h"

#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace treadle;

static constexpr int64_t chunkRows = 64;

namespace {
class DeltaChunkEmitter {
public:
  DeltaChunkEmitter(StageKernel &kernel, GatedDeltaRuleOp op)
      : kernel(kernel), b(kernel.builder()), query(kernel.operand(op.getQuery())),
        key(kernel.operand(op.getKey())), value(kernel.operand(op.getValue())),
        beta(kernel.operand(op.getBeta())), decay(kernel.operand(op.getDecay())),
        state(kernel.operand(op.getState())), mask(kernel.operand(op.getMask())),
        position(kernel.operand(op.getPosition())), valid(kernel.operand(op.getValid())),
        share(op.getHeads() / op.getKeyHeads()), keyWidth(op.getState().getType().getShape()[1]),
        valueWidth(op.getState().getType().getShape()[2]) {
    Type f32 = b.getF32Type();
    int64_t keyRows = llvm::alignTo(keyWidth, numLanes);
    keys = kernel.allocate({keyRows, chunkRows}, f32);
    coupling = kernel.allocate({chunkRows, chunkRows}, f32);
    reading = kernel.allocate({chunkRows, chunkRows}, f32);
    news = kernel.allocate({chunkRows, valueWidth}, f32);
    totals = kernel.allocate({chunkRows}, f32);
    shares = kernel.allocate({chunkRows}, f32);
  }

  void emit();

private:
  void emitChunk();
  void emitTotals();
  void emitKeys();
  void emitCouplings(Value i);
  void emitRow(Value i);
  void emitState();

  Value isToken(Value row) {
    Value flag = memref::LoadOp::create(b, mask, ValueRange{b.add(position, row)});
    Value zero = arith::ConstantOp::create(b, b.getI8IntegerAttr(0));
    return arith::CmpIOp::create(b, arith::CmpIPredicate::ne, flag, zero);
  }
  Value loadScalar(Value memory, ValueRange indices) {
    return memref::LoadOp::create(b, memory, indices);
  }
  Value broadcast(Value memory, ValueRange indices) {
    return b.broadcast(loadScalar(memory, indices));
  }
  Value exp(Value lanes) { return math::ExpOp::create(b, lanes); }
  /// 0 where the row is masked.
  Value ifToken(Value row, Value number) {
    return arith::SelectOp::create(b, isToken(row), number, b.f32(0.0f));
  }

  StageKernel &kernel;
  LaneBuilder &b;
  Value query, key, value, beta, decay, state, mask, position, valid;
  int64_t share, keyWidth, valueWidth;
  Value keys;     // [d][j]: the chunk's keys, transposed
  Value coupling; // [i][j]: A
  Value reading;  // [i][j]: (Q K^T) D
  Value news;     // [j][e]: N
  Value totals;   // [j]: G; behind the chunk the last one
  Value shares;   // [j]: beta, 0 behind the chunk
  // The head that runs at present, its first columns, and the chunk's rows.
  Value head, keyOrigin, valueOrigin, first, count;
};
} // namespace

void DeltaChunkEmitter::emit() {
  b.loop(kernel.begin(0), kernel.end(0), 1, [&](Value index) {
    head = index;
    Value keyHead = arith::DivUIOp::create(b, head, b.index(share));
    keyOrigin = b.mul(keyHead, b.index(keyWidth));
    valueOrigin = b.mul(head, b.index(valueWidth));
    // Row 0 stands `before` rows behind a border.
    Value before = arith::RemUIOp::create(b, position, b.index(chunkRows));
    b.loop(b.index(0), b.add(before, valid), chunkRows, [&](Value border) {
      Value begin = b.sub(border, before);
      Value end = b.minimum(b.add(begin, b.index(chunkRows)), valid);
      first = arith::MaxSIOp::create(b, begin, b.index(0));
      count = b.sub(end, first);
      emitChunk();
    });
  });
}

void DeltaChunkEmitter::emitChunk() {
  emitTotals();
  emitKeys();
  b.loop(b.index(0), count, 1, [&](Value i) {
    emitCouplings(i);
    emitRow(i);
  });
  emitState();
}

void DeltaChunkEmitter::emitTotals() {
  ValueRange total =
      b.loop(b.index(0), count, 1, b.f32(0.0f), [&](Value j, ValueRange sum) -> SmallVector<Value> {
        Value row = b.add(first, j);
        Value next = arith::AddFOp::create(b, sum[0], ifToken(row, loadScalar(decay, {row, head})));
        memref::StoreOp::create(b, next, totals, ValueRange{j});
        memref::StoreOp::create(b, ifToken(row, loadScalar(beta, {row, head})), shares,
                                ValueRange{j});
        return {next};
      });
  b.loop(count, b.index(chunkRows), 1, [&](Value j) {
    memref::StoreOp::create(b, total[0], totals, ValueRange{j});
    memref::StoreOp::create(b, b.f32(0.0f), shares, ValueRange{j});
  });
}

/// keys[d][j] = k[j][d]. Lanes behind the chunk repeat its last row.
void DeltaChunkEmitter::emitKeys() {
  b.loop(b.index(0), count, numLanes, [&](Value block) {
    auto rowOf = [&](int64_t j) {
      Value last = b.sub(count, b.index(1));
      return b.add(first, b.minimum(b.add(block, b.index(j)), last));
    };
    b.forLanes(keyWidth, [&](Value column, Value lanes) {
      SmallVector<Value> rows;
      for (int64_t j = 0; j < numLanes; ++j) {
        Value k = b.load(key, {rowOf(j), b.add(keyOrigin, column)}, lanes);
        rows.push_back(arith::SelectOp::create(b, isToken(rowOf(j)), k, b.splat(0.0f)));
      }
      b.transpose(rows);
      for (int64_t c = 0; c < numLanes; ++c)
        b.store(rows[c], keys, {b.add(column, b.index(c)), block});
    });
  });
}

/// Row i of A and of (Q K^T) D, up to the block of 16 columns that holds the diagonal.
void DeltaChunkEmitter::emitCouplings(Value i) {
  Value row = b.add(first, i);
  b.loop(b.index(0), b.add(i, b.index(1)), numLanes, [&](Value block) {
    ValueRange products =
        b.loop(b.index(0), b.index(keyWidth), 1, {b.splat(0.0f), b.splat(0.0f)},
               [&](Value d, ValueRange sums) -> SmallVector<Value> {
                 Value k = b.load(keys, {d, block});
                 Value q = broadcast(query, {row, b.add(keyOrigin, d)});
                 return {b.fma(broadcast(keys, {d, i}), k, sums[0]), b.fma(q, k, sums[1])};
               });
    Value isBefore = b.maskBelow(b.sub(i, block));
    Value isThere = b.maskBelow(b.sub(b.add(i, b.index(1)), block));
    // Only where i >= j: the other side overflows.
    Value distance = arith::SubFOp::create(b, broadcast(totals, {i}), b.load(totals, {block}));
    Value left = exp(arith::SelectOp::create(b, isThere, distance, b.splat(0.0f)));
    Value a = arith::MulFOp::create(b, broadcast(shares, {i}), products[0]);
    a = arith::MulFOp::create(b, a, left);
    Value r = arith::MulFOp::create(b, products[1], left);
    b.store(arith::SelectOp::create(b, isBefore, a, b.splat(0.0f)), coupling, {i, block});
    b.store(arith::SelectOp::create(b, isThere, r, b.splat(0.0f)), reading, {i, block});
  });
}

/// Row i of N and of Y.
void DeltaChunkEmitter::emitRow(Value i) {
  Value row = b.add(first, i), left = exp(broadcast(totals, {i}));
  b.forLanes(valueWidth, [&](Value column, Value lanes) {
    ValueRange old =
        b.loop(b.index(0), b.index(keyWidth), 1, {b.splat(0.0f), b.splat(0.0f)},
               [&](Value d, ValueRange sums) -> SmallVector<Value> {
                 Value s = b.load(state, {head, d, column}, lanes);
                 Value q = broadcast(query, {row, b.add(keyOrigin, d)});
                 return {b.fma(broadcast(keys, {d, i}), s, sums[0]), b.fma(q, s, sums[1])};
               });
    Value v = b.load(value, {row, b.add(valueOrigin, column)}, lanes);
    Value known = arith::MulFOp::create(b, left, old[0]);
    Value error =
        arith::MulFOp::create(b, broadcast(shares, {i}), Value(arith::SubFOp::create(b, v, known)));
    ValueRange sums = b.loop(
        b.index(0), i, 1, {error, Value(arith::MulFOp::create(b, left, old[1]))},
        [&](Value j, ValueRange carried) -> SmallVector<Value> {
          Value n = b.load(news, {j, column}, lanes);
          Value minus = arith::NegFOp::create(b, broadcast(coupling, {i, j}));
          return {b.fma(minus, n, carried[0]), b.fma(broadcast(reading, {i, j}), n, carried[1])};
        });
    Value own = arith::SelectOp::create(b, isToken(row), sums[0], b.splat(0.0f));
    b.store(own, news, {i, column}, lanes);
    kernel.storeResult(b.fma(broadcast(reading, {i, i}), own, sums[1]), row,
                       b.add(valueOrigin, column), lanes);
  });
}

/// The state behind the chunk.
void DeltaChunkEmitter::emitState() {
  Value last = broadcast(totals, {b.sub(count, b.index(1))});
  // What is left of each key's news at the end.
  b.loop(b.index(0), count, numLanes, [&](Value block) {
    Value left = exp(arith::SubFOp::create(b, last, b.load(totals, {block})));
    b.loop(b.index(0), b.index(keyWidth), 1, [&](Value d) {
      b.store(arith::MulFOp::create(b, b.load(keys, {d, block}), left), keys, {d, block});
    });
  });
  Value kept = exp(last);
  b.loop(b.index(0), b.index(keyWidth), 1, [&](Value d) {
    b.forLanes(valueWidth, [&](Value column, Value lanes) {
      Value s = b.load(state, {head, d, column}, lanes);
      ValueRange sum = b.loop(b.index(0), count, 1, Value(arith::MulFOp::create(b, kept, s)),
                              [&](Value j, ValueRange carried) -> SmallVector<Value> {
                                Value n = b.load(news, {j, column}, lanes);
                                return {b.fma(broadcast(keys, {d, j}), n, carried[0])};
                              });
      b.store(sum[0], state, {head, d, column}, lanes);
    });
  });
}

void treadle::emitDeltaChunks(StageKernel &kernel, GatedDeltaRuleOp op) {
  DeltaChunkEmitter(kernel, op).emit();
}

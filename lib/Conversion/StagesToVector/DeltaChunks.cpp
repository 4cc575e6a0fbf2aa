//===- DeltaChunks.cpp - gated_delta_rule in chunks of rows -------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

//
// A tile is some heads. Rows come in chunks, of 64 for one thread, that end at multiples of as
// many positions, and where the entry point's rows end. With G the running sum of a chunk's
// decays, D[i, j] = exp(G[i] - G[j]) for j <= i and A[i, j] = beta[i] (k[i] . k[j]) D[i, j] for
// j < i (the WY form):
//
//   (I + A) N = beta (V - exp(G) K S)           solved forwards, row by row
//   Y = exp(G) Q S + ((Q K^T) D) N
//   S <- exp(G[-1]) S + sum_j exp(G[-1] - G[j]) k[j] N[j]^T
//
// Exponents of what is used are never positive. A masked row has beta and decay 0, and key 0 by
// select.
//
// All of it is loops whose iterations have nothing to do with each other, for many threads to
// share. Where they do, a chunk has 32 or 16 rows, so that what is known of it fits the memory of
// a block; the state stays where it is:
//
//   for 16 rows:                   G
//   for columns:                   keys, transposed
//   for rows:                      A and (Q K^T) D
//   for rows, vectors of columns:  beta (V - exp(G) K S) and exp(G) Q S
//   for blocks of 16 rows, one after another:
//     for vectors of columns:      N of the block, row by row
//     for rows behind it, vectors of columns:  what is left there of the right-hand side
//   for rows:                      Y
//   for 16 rows:                   keys, with what is left of them at the end
//   for rows of the state:         S
//
//===----------------------------------------------------------------------===//

#include "StageKernel.h"

#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace treadle;

/// Fewer rows are not worth a chunk.
static constexpr int64_t minRows = 16;

/// Rows of a chunk that one thread runs.
static constexpr int64_t threadRows = 64;

/// The same of many threads, the first that fits: the last one does for key columns plus three
/// times the value columns up to 671.
static constexpr int64_t teamRows[] = {32, 16};

/// Vectors of columns that one thread runs together where many rows share the rest.
static constexpr int64_t vectorsAtOnce = 4;

/// Of 48 KB that a block has, what other steps of a stage leave.
static constexpr int64_t teamBytes = 44 << 10;

namespace {
/// Some columns of the values.
struct Columns {
  Value vector; // its number
  Value begin;  // the first column
  Value mask;   // null for all
};

class DeltaChunkEmitter {
public:
  DeltaChunkEmitter(StageKernel &kernel, GatedDeltaRuleOp op)
      : kernel(kernel), b(kernel.builder()), query(kernel.operand(op.getQuery())),
        key(kernel.operand(op.getKey())), value(kernel.operand(op.getValue())),
        beta(kernel.operand(op.getBeta())), decay(kernel.operand(op.getDecay())),
        state(kernel.operand(op.getState())), mask(kernel.operand(op.getMask())),
        position(kernel.operand(op.getPosition())), valid(kernel.operand(op.getValid())),
        share(op.getHeads() / op.getKeyHeads()), keyWidth(op.getState().getType().getShape()[1]),
        valueWidth(op.getState().getType().getShape()[2]),
        vectors(llvm::divideCeilSigned(valueWidth, numLanes)),
        chunkRows(getChunkRows(op, kernel.getOptions())) {
    Type f32 = b.getF32Type();
    int64_t keyRows = llvm::alignTo(keyWidth, numLanes);
    keys = kernel.allocate({keyRows, chunkRows}, f32);
    coupling = kernel.allocate({chunkRows, chunkRows}, f32);
    reading = kernel.allocate({chunkRows, chunkRows}, f32);
    rest = kernel.allocate({chunkRows * vectors, numLanes}, f32);
    known = kernel.allocate({chunkRows * vectors, numLanes}, f32);
    news = kernel.allocate({chunkRows, vectors, numLanes}, f32);
    totals = kernel.allocate({chunkRows}, f32);
  }

  void emit();

private:
  void emitChunk();
  void emitTotals();
  void gatherKeys();
  void turnKeys();
  void emitCouplings();
  void emitLooks();
  void emitNews();
  void solve(Value begin, Value end);
  void subtract(Value begin, Value end);
  void emitResults();
  void scaleKeys();
  void emitState();

  /// Whether row i of the chunk is one.
  Value isToken(Value i) {
    Value flag = memref::LoadOp::create(b, mask, ValueRange{b.add(position, b.add(first, i))});
    Value zero = arith::ConstantOp::create(b, b.getI8IntegerAttr(0));
    return arith::CmpIOp::create(b, arith::CmpIPredicate::ne, flag, zero);
  }
  /// Of row i a number of the head; 0 where the row is masked.
  Value numberOf(Value memory, Value i) {
    Value number = memref::LoadOp::create(b, memory, ValueRange{b.add(first, i), head});
    return arith::SelectOp::create(b, isToken(i), number, b.f32(0.0f));
  }
  Value broadcast(Value memory, ValueRange indices) {
    return b.broadcast(memref::LoadOp::create(b, memory, indices));
  }
  Value exp(Value lanes) { return math::ExpOp::create(b, lanes); }
  Value multiply(Value x, Value y) { return arith::MulFOp::create(b, x, y); }

  /// Vectors of columns, and rows of the chunk with each of them.
  void forVectors(function_ref<void(const Columns &)> body);
  void forPlaces(Value begin, Value end,
                 function_ref<void(Value place, Value i, const Columns &)> body);
  /// Vectors of columns that run together.
  void forSomeVectors(function_ref<void(ArrayRef<Columns>)> body);
  /// Of some columns, the sums over the first rows j of factors[row][j] N[j].
  SmallVector<Value> addNews(ValueRange starts, Value end, Value factors, Value row,
                             ArrayRef<Columns> some);
  Columns columnsOf(Value vector);
  Value placeOf(Value i, Value vector) { return b.add(b.mul(i, b.index(vectors)), vector); }
  /// The columns of N[j].
  Value loadNews(Value j, const Columns &columns) {
    return b.load(news, {j, columns.vector, b.index(0)});
  }

  StageKernel &kernel;
  LaneBuilder &b;
  Value query, key, value, beta, decay, state, mask, position, valid;
  int64_t share, keyWidth, valueWidth, vectors, chunkRows;
  Value keys;     // [d][j]: the chunk's keys, transposed
  Value coupling; // [i][j]: A, for j < i
  Value reading;  // [i][j]: (Q K^T) D, for j <= i
  Value rest;     // [i, vector][16]: the right-hand side, less what is solved
  Value known;    // [i, vector][16]: exp(G) Q S
  Value news;     // [j][vector][16]: N
  Value totals;   // [j]: G; behind the chunk the last one
  // The head that runs at present, its first columns, and the chunk's rows.
  Value head, keyOrigin, valueOrigin, first, count;
};
} // namespace

int64_t treadle::getChunkRows(GatedDeltaRuleOp op,
                              const ConvertStagesToVectorPassOptions &options) {
  int64_t rows = cast<ShapedType>(op.getQuery().getType()).getDimSize(0);
  bool isMany = ShapedType::isDynamic(rows) || rows >= minRows;
  if (!options.chunked || !isMany)
    return 0;
  if (options.slices == 1)
    return threadRows;
  ArrayRef<int64_t> shape = op.getState().getType().getShape();
  int64_t columns = llvm::alignTo(shape[1], numLanes) + 3 * llvm::alignTo(shape[2], numLanes);
  for (int64_t rows : teamRows)
    if (rows * (columns + 2 * rows + 1) * int64_t(sizeof(float)) <= teamBytes)
      return rows;
  return 0;
}

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
  if (kernel.isSliced())
    gatherKeys();
  else
    turnKeys();
  emitCouplings();
  emitLooks();
  emitNews();
  emitResults();
  scaleKeys();
  emitState();
}

Columns DeltaChunkEmitter::columnsOf(Value vector) {
  Value begin = b.mul(vector, b.index(numLanes));
  bool isWhole = valueWidth % numLanes == 0;
  return {vector, begin, isWhole ? Value() : b.maskBelow(b.sub(b.index(valueWidth), begin))};
}

void DeltaChunkEmitter::forVectors(function_ref<void(const Columns &)> body) {
  b.loop(b.index(0), b.index(vectors), 1, [&](Value vector) { body(columnsOf(vector)); });
}

void DeltaChunkEmitter::forSomeVectors(function_ref<void(ArrayRef<Columns>)> body) {
  b.forBlocks(b.index(0), vectors, vectorsAtOnce, [&](Value begin, int64_t size) {
    SmallVector<Columns> some;
    for (int64_t n = 0; n < size; ++n)
      some.push_back(columnsOf(b.add(begin, b.index(n))));
    body(some);
  });
}

SmallVector<Value> DeltaChunkEmitter::addNews(ValueRange starts, Value end, Value factors,
                                              Value row, ArrayRef<Columns> some) {
  return llvm::to_vector(
      b.loop(b.index(0), end, 1, starts, [&](Value j, ValueRange carried) -> SmallVector<Value> {
        SmallVector<Value> sums;
        for (auto [columns, sum] : llvm::zip(some, carried))
          sums.push_back(b.fma(broadcast(factors, {row, j}), loadNews(j, columns), sum));
        return sums;
      }));
}

/// One loop, so that all places may be dealt out.
void DeltaChunkEmitter::forPlaces(Value begin, Value end,
                                  function_ref<void(Value, Value, const Columns &)> body) {
  Value perRow = b.index(vectors);
  b.loop(b.mul(begin, perRow), b.mul(end, perRow), 1, [&](Value place) {
    Value i = arith::DivUIOp::create(b, place, perRow);
    body(place, i, columnsOf(arith::RemUIOp::create(b, place, perRow)));
  });
}

/// Each of 16 lanes adds the decays up to its row's, in order.
void DeltaChunkEmitter::emitTotals() {
  b.loop(b.index(0), b.index(chunkRows), numLanes, [&](Value block) {
    Value end = b.minimum(b.add(block, b.index(numLanes)), count);
    ValueRange sum = b.loop(b.index(0), end, 1, b.splat(0.0f),
                            [&](Value j, ValueRange carried) -> SmallVector<Value> {
                              Value isBefore = b.maskBelow(b.sub(j, block));
                              Value own = b.broadcast(numberOf(decay, j));
                              own = arith::SelectOp::create(b, isBefore, b.splat(0.0f), own);
                              return {arith::AddFOp::create(b, carried[0], own)};
                            });
    b.store(sum[0], totals, {block});
  });
}

/// keys[d][j] = k[j][d], where each of many threads loads a number of its own.
void DeltaChunkEmitter::gatherKeys() {
  auto type = cast<MemRefType>(key.getType());
  SmallVector<int32_t> rows;
  for (int64_t j = 0; j < numLanes; ++j)
    rows.push_back(static_cast<int32_t>(j * type.getShape()[1]));
  VectorType lanes = b.lanes(type.getElementType());
  b.loop(b.index(0), b.index(keyWidth), 1, [&](Value d) {
    b.loop(b.index(0), count, numLanes, [&](Value block) {
      Value row = b.add(first, block), isThere = b.maskBelow(b.sub(count, block));
      Value flags = b.loadAsIs(mask, {b.add(position, row)}, isThere);
      Value zero = arith::ConstantOp::create(b, b.getZeroAttr(flags.getType()));
      Value isToken = arith::CmpIOp::create(b, arith::CmpIPredicate::ne, flags, zero);
      Value offsets = arith::ConstantOp::create(b, b.getI32VectorAttr(rows));
      Value nothing = arith::ConstantOp::create(b, b.getZeroAttr(lanes));
      Value k = vector::GatherOp::create(b, lanes, key, ValueRange{row, b.add(keyOrigin, d)},
                                         offsets, isThere, nothing);
      k = arith::SelectOp::create(b, isToken, b.toFloat(k), b.splat(0.0f));
      b.store(k, keys, {d, block});
    });
  });
}

/// The same by vectors of columns. Lanes behind the chunk repeat its last row.
void DeltaChunkEmitter::turnKeys() {
  b.loop(b.index(0), count, numLanes, [&](Value block) {
    auto rowOf = [&](int64_t j) {
      return b.minimum(b.add(block, b.index(j)), b.sub(count, b.index(1)));
    };
    b.forLanes(keyWidth, [&](Value column, Value lanes) {
      SmallVector<Value> rows;
      for (int64_t j = 0; j < numLanes; ++j) {
        Value i = rowOf(j);
        Value k = b.load(key, {b.add(first, i), b.add(keyOrigin, column)}, lanes);
        rows.push_back(arith::SelectOp::create(b, isToken(i), k, b.splat(0.0f)));
      }
      b.transpose(rows);
      for (int64_t c = 0; c < numLanes; ++c)
        b.store(rows[c], keys, {b.add(column, b.index(c)), block});
    });
  });
}

/// Rows of A and of (Q K^T) D, up to the block of 16 columns that holds the diagonal. Nobody reads
/// what is on its other side, where exponents are positive.
void DeltaChunkEmitter::emitCouplings() {
  b.loop(b.index(0), count, 1, [&](Value i) {
    Value row = b.add(first, i), weight = b.broadcast(numberOf(beta, i));
    b.loop(b.index(0), b.add(i, b.index(1)), numLanes, [&](Value block) {
      ValueRange products =
          b.loop(b.index(0), b.index(keyWidth), 1, {b.splat(0.0f), b.splat(0.0f)},
                 [&](Value d, ValueRange sums) -> SmallVector<Value> {
                   Value k = b.load(keys, {d, block});
                   Value q = broadcast(query, {row, b.add(keyOrigin, d)});
                   return {b.fma(broadcast(keys, {d, i}), k, sums[0]), b.fma(q, k, sums[1])};
                 });
      Value left = exp(
          arith::SubFOp::create(b, broadcast(totals, {i}), b.load(totals, {block})).getResult());
      b.store(multiply(multiply(weight, products[0]), left), coupling, {i, block});
      b.store(multiply(products[1], left), reading, {i, block});
    });
  });
}

/// What keys and queries find in the state before the chunk.
void DeltaChunkEmitter::emitLooks() {
  forPlaces(b.index(0), count, [&](Value place, Value i, const Columns &columns) {
    Value row = b.add(first, i), left = exp(broadcast(totals, {i}));
    ValueRange old =
        b.loop(b.index(0), b.index(keyWidth), 1, {b.splat(0.0f), b.splat(0.0f)},
               [&](Value d, ValueRange sums) -> SmallVector<Value> {
                 Value s = b.load(state, {head, d, columns.begin}, columns.mask);
                 Value q = broadcast(query, {row, b.add(keyOrigin, d)});
                 return {b.fma(broadcast(keys, {d, i}), s, sums[0]), b.fma(q, s, sums[1])};
               });
    Value v = b.load(value, {row, b.add(valueOrigin, columns.begin)}, columns.mask);
    Value error = arith::SubFOp::create(b, v, multiply(left, old[0]));
    b.store(multiply(b.broadcast(numberOf(beta, i)), error), rest, {place, b.index(0)});
    b.store(multiply(left, old[1]), known, {place, b.index(0)});
  });
}

void DeltaChunkEmitter::emitNews() {
  b.loop(b.index(0), count, numLanes, [&](Value block) {
    Value end = b.minimum(b.add(block, b.index(numLanes)), count);
    solve(block, end);
    if (chunkRows > numLanes)
      subtract(block, end);
  });
}

/// Rows of N, of which those before are subtracted already.
void DeltaChunkEmitter::solve(Value begin, Value end) {
  forVectors([&](const Columns &columns) {
    b.loop(begin, end, 1, [&](Value i) {
      Value start = b.load(rest, {placeOf(i, columns.vector), b.index(0)});
      ValueRange own =
          b.loop(begin, i, 1, start, [&](Value j, ValueRange carried) -> SmallVector<Value> {
            Value minus = arith::NegFOp::create(b, broadcast(coupling, {i, j}));
            return {b.fma(minus, loadNews(j, columns), carried[0])};
          });
      Value isThere = isToken(i);
      b.store(arith::SelectOp::create(b, isThere, own[0], b.splat(0.0f)), news,
              {i, columns.vector, b.index(0)});
    });
  });
}

/// Takes rows of N out of the right-hand side of those behind.
void DeltaChunkEmitter::subtract(Value begin, Value end) {
  forPlaces(end, count, [&](Value place, Value i, const Columns &columns) {
    Value start = b.load(rest, {place, b.index(0)});
    ValueRange left =
        b.loop(begin, end, 1, start, [&](Value j, ValueRange carried) -> SmallVector<Value> {
          Value minus = arith::NegFOp::create(b, broadcast(coupling, {i, j}));
          return {b.fma(minus, loadNews(j, columns), carried[0])};
        });
    b.store(left[0], rest, {place, b.index(0)});
  });
}

void DeltaChunkEmitter::emitResults() {
  b.loop(b.index(0), count, 1, [&](Value i) {
    forSomeVectors([&](ArrayRef<Columns> some) {
      SmallVector<Value> sums = llvm::map_to_vector(some, [&](const Columns &columns) {
        return b.load(known, {placeOf(i, columns.vector), b.index(0)});
      });
      sums = addNews(sums, b.add(i, b.index(1)), reading, i, some);
      for (auto [columns, y] : llvm::zip(some, sums))
        kernel.storeResult(y, b.add(first, i), b.add(valueOrigin, columns.begin), columns.mask);
    });
  });
}

/// Keys times what is left of their news at the end.
void DeltaChunkEmitter::scaleKeys() {
  b.loop(b.index(0), count, numLanes, [&](Value block) {
    Value last = broadcast(totals, {b.sub(count, b.index(1))});
    Value left = exp(arith::SubFOp::create(b, last, b.load(totals, {block})).getResult());
    b.loop(b.index(0), b.index(keyWidth), 1,
           [&](Value d) { b.store(multiply(b.load(keys, {d, block}), left), keys, {d, block}); });
  });
}

/// The state behind the chunk.
void DeltaChunkEmitter::emitState() {
  b.loop(b.index(0), b.index(keyWidth), 1, [&](Value d) {
    Value kept = exp(broadcast(totals, {b.sub(count, b.index(1))}));
    forSomeVectors([&](ArrayRef<Columns> some) {
      SmallVector<Value> sums = llvm::map_to_vector(some, [&](const Columns &columns) {
        return multiply(kept, b.load(state, {head, d, columns.begin}, columns.mask));
      });
      sums = addNews(sums, count, keys, d, some);
      for (auto [columns, s] : llvm::zip(some, sums))
        b.store(s, state, {head, d, columns.begin}, columns.mask);
    });
  });
}

void treadle::emitDeltaChunks(StageKernel &kernel, GatedDeltaRuleOp op) {
  DeltaChunkEmitter(kernel, op).emit();
}

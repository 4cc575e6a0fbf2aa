//===- AttentionEmitter.h - attention, span by span ------------*- C++ -*--===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_LIB_CONVERSION_STAGESTOVECTOR_ATTENTIONEMITTER_H
#define TREADLE_LIB_CONVERSION_STAGESTOVECTOR_ATTENTIONEMITTER_H

#include "Multiplier.h"

#include <limits>

namespace treadle {

/// The score of an excluded key, below every other. Finite, so that differences are numbers.
constexpr float excludedScore = std::numeric_limits<float>::lowest();

/// Keys in panels, values row by row, and what is added to their scores, if anything.
struct Lane {
  mlir::Value keys, values, bias;
  mlir::Value packed; // values of the open span once more, where many rows share them
};

/// Rows [row, row + rows) of the tile x heads [head, head + heads) of the group: their chains run
/// side by side.
struct RegisterBlock {
  mlir::Value row;
  int64_t rows;
  mlir::Value head;
  int64_t heads;
};

/// The largest register block of a kind of chains: so many vectors for each row and head.
struct BlockShape {
  int64_t rows, heads, vectors;
};

/// A row of the tile and a query head of a key/value head's group.
struct QueryPlace {
  mlir::Value row, kvHead, head;
};

/// Keys [begin, end) of a lane, at most 512.
struct Span {
  mlir::Value begin, end;
};

/// Emits an attention op (see Attention.cpp): its scores, then in spans the softmax and the values.
class AttentionEmitter {
public:
  AttentionEmitter(StageKernel &kernel, AttentionOp op);

  void emit();

private:
  BlockShape chooseShape(int64_t mostVectors, int64_t chains);
  void emitHead(mlir::Value kvHead);
  void roundQueries(mlir::Value kvHead);
  void emitSpans(Lane lane, mlir::Value kvHead);
  void emitOwnKeys(Lane lane, RegisterBlock block, mlir::Value kvHead);
  void emitScores(Lane lane, mlir::Value kvHead, mlir::Value firstKey, int64_t panels, Span span);
  void storeScores(Lane lane, QueryPlace query, mlir::Value firstKey, Span span,
                   mlir::Value present, llvm::ArrayRef<mlir::Value> dots,
                   llvm::ArrayRef<mlir::Value> attended);
  mlir::Value loadAttended(mlir::Value firstKey, mlir::Value present);
  mlir::Value holdForAll(llvm::ArrayRef<mlir::Value> masks);
  /// What a single row takes comes from far away: it asks early, maybe for what lies behind the
  /// last.
  void prefetch(mlir::Value memory, mlir::ValueRange place) {
    mlir::memref::PrefetchOp::create(b, memory, place, /*isWrite=*/false, /*localityHint=*/3,
                                     /*isDataCache=*/true);
  }
  void prefetchValue(Lane lane, mlir::Value key, mlir::Value kvHead, mlir::Value column,
                     int64_t columns);
  void prefetchFirstValues(Lane lane, Span span, mlir::Value kvHead);
  void emitSoftmax(RegisterBlock block, Span span);
  mlir::Value addExponentials(QueryPlace query, mlir::Value j, mlir::Value maximum,
                              mlir::Value sum);
  void mergeSum(QueryPlace query, mlir::Value spanMaximum, mlir::Value spanSum);
  llvm::SmallVector<mlir::Value> multiplyKeys(Lane lane, RegisterBlock block, mlir::Value kvHead,
                                              mlir::Value firstPanel, int64_t panels,
                                              mlir::Value read);
  void packValues(Lane lane, llvm::ArrayRef<int64_t> columns, Span span, mlir::Value kvHead);
  void mergeValues(Lane lane, RegisterBlock block, llvm::ArrayRef<int64_t> columns, Span span,
                   mlir::Value kvHead);
  llvm::SmallVector<mlir::Value> addPacked(Lane lane, RegisterBlock block,
                                           llvm::ArrayRef<int64_t> columns, Span span);
  llvm::SmallVector<mlir::Value> addStored(Lane lane, RegisterBlock block,
                                           llvm::ArrayRef<int64_t> columns, Span span,
                                           mlir::Value kvHead);
  llvm::SmallVector<mlir::Value> keysOf(mlir::Value j, Span span, bool isInside);
  void forValueColumns(llvm::function_ref<void(llvm::ArrayRef<int64_t>)> body);
  llvm::SmallVector<mlir::Value> loadValues(Lane lane, llvm::ArrayRef<mlir::Value> keys,
                                            int64_t column, mlir::Value kvHead);
  void addKeys(RegisterBlock block, mlir::Value j,
               llvm::ArrayRef<llvm::SmallVector<mlir::Value>> values,
               llvm::ArrayRef<llvm::SmallVector<mlir::Value>> included,
               llvm::MutableArrayRef<mlir::Value> sums);
  llvm::SmallVector<mlir::Value> addChains(mlir::ValueRange chains);
  void emitResult(mlir::Value row, mlir::Value head, mlir::Value kvHead);

  mlir::Value numRows() { return b.sub(kernel.end(0), kernel.begin(0)); }

  /// Runs over rows of the tile and query heads of the group; rows relative to the tile.
  void forRowsAndHeads(llvm::function_ref<void(mlir::Value, mlir::Value)> body) {
    b.loop(b.index(0), numRows(), 1, [&](mlir::Value row) {
      b.loop(b.index(0), b.index(group), 1, [&](mlir::Value head) { body(row, head); });
    });
  }
  void forRegisterBlocks(BlockShape shape, mlir::Value firstRow,
                         llvm::function_ref<void(RegisterBlock)> body);

  /// The rows and heads of a block: body(row, head), both relative to the block, and their number.
  static void forPairs(RegisterBlock block,
                       llvm::function_ref<void(int64_t, int64_t, int64_t)> body) {
    for (int64_t pair = 0; pair < block.rows * block.heads; ++pair)
      body(pair / block.heads, pair % block.heads, pair);
  }

  /// The position of a row of the tile; padding stands on the last token.
  mlir::Value positionOf(mlir::Value row) {
    mlir::Value last = b.sub(valid, b.index(1));
    return b.add(position, b.minimum(b.add(kernel.begin(0), row), last));
  }

  /// How many keys of a span a row reaches; none or less where it stands before the span.
  mlir::Value countKeys(mlir::Value row, Span span) {
    return b.sub(b.minimum(b.add(positionOf(row), b.index(1)), span.end), span.begin);
  }

  /// The keys that the chains of a sum of values take at a time.
  int64_t keysInStep() { return numChains * valueProducts.depth(); }

  mlir::Value isBelow(mlir::Value number, mlir::Value limit) {
    return mlir::arith::CmpIOp::create(b, mlir::arith::CmpIPredicate::slt, number, limit);
  }
  /// Which keys of a step a row reaches.
  llvm::SmallVector<mlir::Value> reachedKeys(mlir::Value row, mlir::Value j, Span span) {
    llvm::SmallVector<mlir::Value> reached;
    for (int64_t i = 0; i < valueProducts.depth(); ++i)
      reached.push_back(isBelow(at(j, i), countKeys(row, span)));
    return reached;
  }

  /// Runs `body` where a number is positive.
  void ifPositive(mlir::Value number, llvm::function_ref<void()> body) {
    mlir::Value isPositive =
        mlir::arith::CmpIOp::create(b, mlir::arith::CmpIPredicate::sgt, number, b.index(0));
    auto ifOp = mlir::scf::IfOp::create(b, isPositive, /*withElseRegion=*/false);
    mlir::OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(ifOp.thenBlock());
    body();
  }

  /// Where the query of a row and head stands: its memory, and the place of a column.
  std::pair<mlir::Value, llvm::SmallVector<mlir::Value>>
  queryAt(mlir::Value row, mlir::Value kvHead, mlir::Value head, mlir::Value column) {
    if (scoreProducts.isRounding())
      return {queries, {row, head, column}};
    return {query, {b.add(kernel.begin(0), row), b.add(columnOf(kvHead, head, keyWidth), column)}};
  }

  /// The first column of a query head.
  mlir::Value columnOf(mlir::Value kvHead, mlir::Value head, int64_t width) {
    return b.mul(b.add(b.mul(kvHead, b.index(group)), head), b.index(width));
  }

  mlir::Value at(mlir::Value base, int64_t offset) { return b.add(base, b.index(offset)); }

  /// Whether the token at a position may be attended to.
  mlir::Value isAttended(mlir::Value place) {
    mlir::Value zero = mlir::arith::ConstantOp::create(b, b.getI8IntegerAttr(0));
    return mlir::arith::CmpIOp::create(b, mlir::arith::CmpIPredicate::ne, loadScalar(mask, {place}),
                                       zero);
  }

  mlir::Value loadScalar(mlir::Value memory, mlir::ValueRange indices) {
    return mlir::memref::LoadOp::create(b, memory, indices);
  }
  void storeScalar(mlir::Value value, mlir::Value memory, mlir::ValueRange indices) {
    mlir::memref::StoreOp::create(b, value, memory, indices);
  }

  StageKernel &kernel;
  LaneBuilder &b;
  AttentionOp op;
  mlir::Value query, mask, position, valid;
  int64_t group, keyWidth, valueWidth, capacity, tileRows;
  Multiplier scoreProducts, valueProducts;
  int64_t numChains; // of each sum of values
  BlockShape scoreShape, valueShape;
  mlir::Value queries; // [rows][group][columns] where they are rounded
  mlir::Value scores;  // [rows][group][512] of the open span
  mlir::Value
      exponentials;      // [rows][group][512] of scores; in their place where they are not rounded
  mlir::Value highest;   // [rows][group][16] maximum score of the open span by j mod 16
  mlir::Value maxima;    // [rows][group] running maximum
  mlir::Value sums;      // [rows][group] running sum of exponentials
  mlir::Value oldScales; // [rows][group] factor of what the spans before the open one gave
  mlir::Value newScales; // [rows][group] factor of what the open span gives
  mlir::Value weighted;  // [rows][group][columns] running weighted sum of values
  mlir::Value packed;    // [512 / depth][vectors of a block] values of the open span, or null
};

} // namespace treadle

#endif // TREADLE_LIB_CONVERSION_STAGESTOVECTOR_ATTENTIONEMITTER_H

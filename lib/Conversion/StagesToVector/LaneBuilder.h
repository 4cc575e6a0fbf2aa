//===- LaneBuilder.h - 16 lanes of f32 at a time ---------------*- C++ -*--===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_LIB_CONVERSION_STAGESTOVECTOR_LANEBUILDER_H
#define TREADLE_LIB_CONVERSION_STAGESTOVECTOR_LANEBUILDER_H

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "treadle/Dialect/Treadle/IR/Layout.h"

namespace treadle {

/// Lanes of every vector; also the number of partials of a row reduction.
constexpr int64_t numLanes = panelWidth;

/// Builds code over vectors of 16 lanes. Memory holds f32, or bf16 as i16, or panels as 32-bit
/// words; lanes are always f32. There are no scalar tails: what lies beyond the end of a row is
/// masked off.
class LaneBuilder : public mlir::ImplicitLocOpBuilder {
public:
  /// Builds the body of a function from its first block on.
  LaneBuilder(mlir::Location location, mlir::Block &start)
      : ImplicitLocOpBuilder(location, OpBuilder::atBlockBegin(&start)), start(start) {}

  using Value = mlir::Value;
  using ValueRange = mlir::ValueRange;

  mlir::VectorType lanes(mlir::Type element) { return mlir::VectorType::get(numLanes, element); }
  mlir::VectorType floats() { return lanes(getF32Type()); }
  mlir::VectorType words() { return lanes(getI32Type()); }

  // Scalars.
  Value index(int64_t value);
  Value f32(float value);
  Value add(Value a, Value b); // of index
  Value sub(Value a, Value b);
  Value mul(Value a, Value b);
  Value minimum(Value a, Value b);
  /// f32, or bf16 as i16, as f32; lanes as well.
  Value toFloat(Value number);

  // Lanes.
  Value splat(float value);
  Value splatWord(int32_t value);
  Value broadcast(Value scalar);
  Value fma(Value a, Value b, Value c);

  /// An i1 per lane: lane < count (an index).
  Value maskBelow(Value count);
  /// A mask of the first `count` lanes, or null for all 16.
  Value maskFirst(int64_t count);

  /// 16 consecutive elements of the last dimension as f32; masked-off lanes are 0.
  Value load(Value memref, ValueRange indices, Value mask = {});
  /// The same in the type of the memory.
  Value loadAsIs(Value memref, ValueRange indices, Value mask = {});
  /// Lanes of f32 are rounded for memory of bf16.
  void store(Value lanes, Value memref, ValueRange indices, Value mask = {});

  /// f32 -> bf16 -> f32, of lanes or of one number, to nearest, ties to even; NaN stays NaN.
  Value roundToBF16(Value value);
  /// The even (low half) and odd (high half) bf16 of each 32-bit word, as f32.
  Value lowBF16(Value words);
  Value highBF16(Value words);

  /// Sum and maximum of 16 lanes by a fixed tree: 8 + 8, 4 + 4, 2 + 2, 1 + 1.
  Value reduceSum(Value lanes);
  Value reduceMax(Value lanes);

  /// 16 vectors of 16 lanes as a matrix, turned over its diagonal.
  void transpose(llvm::SmallVectorImpl<Value> &rows);

  // Structure.

  /// What `body` makes of the function's arguments alone, once and not in the loops.
  Value onceAtStart(mlir::function_ref<Value()> body);

  using Body = mlir::function_ref<void(Value)>;
  using CarryBody = mlir::function_ref<llvm::SmallVector<Value>(Value, ValueRange)>;

  /// for i in [begin, end) by step.
  void loop(Value begin, Value end, int64_t step, Body body);
  mlir::ValueRange loop(Value begin, Value end, int64_t step, ValueRange inits, CarryBody body);

  /// What one of two branches gives.
  using Branch = mlir::function_ref<llvm::SmallVector<Value>()>;
  mlir::ValueRange ifElse(Value condition, Branch then, Branch otherwise);

  /// `count` indices from `first` on in blocks of at most `most`, whose sizes differ by at most
  /// one: body(begin, size).
  void forBlocks(Value first, int64_t count, int64_t most,
                 mlir::function_ref<void(Value, int64_t)> body);

  /// Blocks of 16 columns of a row: body(column, mask), the last one masked if 16 does not divide.
  void forLanes(int64_t columns, mlir::function_ref<void(Value, Value)> body);
  /// The same with carried values.
  llvm::SmallVector<Value>
  forLanes(int64_t columns, ValueRange inits,
           mlir::function_ref<llvm::SmallVector<Value>(Value, Value, ValueRange)> body);

private:
  Value reduce(Value lanes, mlir::function_ref<Value(Value, Value)> combine);

  mlir::Block &start;
};

} // namespace treadle

#endif // TREADLE_LIB_CONVERSION_STAGESTOVECTOR_LANEBUILDER_H

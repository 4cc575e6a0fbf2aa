//===- StatePanels.h - Rows of a state side by side ------------*- C++ -*--===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_LIB_CONVERSION_STAGESTOVECTOR_STATEPANELS_H
#define TREADLE_LIB_CONVERSION_STAGESTOVECTOR_STATEPANELS_H

#include "LaneBuilder.h"

namespace treadle {

/// A state in panels: 16 rows on lanes, in words of 32 bits that hold one f32 or two bf16, which
/// are neighbouring columns.
class StatePanels {
public:
  using Value = mlir::Value;

  /// `columns` are taken from multiples of it on, as those of a head are.
  StatePanels(LaneBuilder &b, Value memory, int64_t columns);

  /// Columns that one load brings, and that divide those of a head.
  int64_t step() const { return isWhole ? depth : 1; }

  /// The words of `step` columns from `column` on. Where a step is less than a word they hold the
  /// column in their low halves. Lanes that are not in `mask` are not read, if there is one, and
  /// are 0.
  Value loadWords(Value panel, Value column, Value mask = {});
  /// The same as lanes of f32 for each column.
  llvm::SmallVector<Value> load(Value panel, Value column, Value mask = {});
  /// A single number, as f32.
  Value loadNumber(Value panel, Value column, Value lane);

  /// Stores lanes of f32 of the columns from `column` on, which is the first of a word.
  void store(llvm::ArrayRef<Value> columns, Value panel, Value column, Value mask);
  /// Columns of a word.
  int64_t wordColumns() const { return depth; }

  /// Where the words of a column begin in memory.
  llvm::SmallVector<Value> placeOf(Value panel, Value column);

private:
  /// By how many bits to shift the word of a column to the right, for it in the low half.
  Value shiftOf(Value column);

  LaneBuilder &b;
  Value memory;
  int64_t depth;
  bool isWhole; // heads begin with a word
};

} // namespace treadle

#endif // TREADLE_LIB_CONVERSION_STAGESTOVECTOR_STATEPANELS_H

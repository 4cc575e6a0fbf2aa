//===- Slices.h - Sums over K in slices ------------------------*- C++ -*--===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_LIB_CONVERSION_STAGESTOVECTOR_SLICES_H
#define TREADLE_LIB_CONVERSION_STAGESTOVECTOR_SLICES_H

#include "LaneBuilder.h"

namespace treadle {

/// Sums over K for a machine that runs parts of K at the same time: slice s of S takes words s,
/// s + S, s + 2 S, ... in one chain, and the sums of slices are added in order. So the bits depend
/// on K alone.
class Slices {
public:
  using Value = mlir::Value;
  /// Adds the products of a word of K to some sums.
  using AddWord = llvm::function_ref<llvm::SmallVector<Value>(Value word, mlir::ValueRange sums)>;

  /// At most `most` slices of `words` words.
  Slices(LaneBuilder &builder, int64_t words, int64_t most)
      : b(builder), words(words), slices(std::min(words, most)) {}

  /// The shape of memory for the sums of all slices, of at most `sums` sums.
  llvm::SmallVector<int64_t> getShape(int64_t sums) const { return {slices, sums, numLanes}; }

  /// `count` sums in `totals`, [count][16], by way of `partials`, memory of `getShape`. No
  /// iteration of a loop here writes what another one reads or writes.
  void sum(int64_t count, AddWord addWord, Value partials, Value totals);

private:
  llvm::SmallVector<Value> sumSlice(Value slice, int64_t count, AddWord addWord);

  LaneBuilder &b;
  int64_t words, slices;
};

} // namespace treadle

#endif // TREADLE_LIB_CONVERSION_STAGESTOVECTOR_SLICES_H

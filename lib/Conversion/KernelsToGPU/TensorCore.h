//===- TensorCore.h - What a warp multiplies at once -----------*- C++ -*--===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_LIB_CONVERSION_KERNELSTOGPU_TENSORCORE_H
#define TREADLE_LIB_CONVERSION_KERNELSTOGPU_TENSORCORE_H

#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace treadle {

/// Builds code of a thread of a warp that multiplies weights by rows: two `mma.sync.m16n8k16`, of
/// 16 outputs each, whose M are outputs and N are rows.
///
/// Thread 4 g + t, g < 8, t < 4, holds of the weights, at two words of K, t and t + 4 of a step, 4
/// outputs that follow each other: of two panels, those from 4 (g mod 4) on of panel g / 4. Their
/// order in M is nobody's business: the first two are rows g and g + 8 of the one product, the last
/// two of the other. So a thread loads 16 bytes at once, as they lie in a panel. Of row g it holds
/// the same two words; of the sums, those 4 outputs for rows 2 t and 2 t + 1.
class TensorCore {
public:
  using Value = mlir::Value;

  static constexpr int64_t warpThreads = 32, rows = 8, quarterLanes = 4;

  explicit TensorCore(mlir::ImplicitLocOpBuilder &builder);

  Value getWarp() const { return warp; }       // index, within the block
  Value getThread() const { return thread; }   // index, within the block
  Value getPanel() const { return panel; }     // index, 0 or 1: g / 4
  Value getQuarter() const { return quarter; } // index, 0 ... 3: g mod 4
  Value getRow() const { return row; }         // index, 0 ... 7: g
  Value getWord() const { return word; }       // index, 0 ... 3: t

  /// The sums of 4 outputs for rows 2 t and 2 t + 1.
  using Sums = std::array<llvm::SmallVector<Value, 4>, 2>; // of each product
  Sums zeros();
  /// sums + weights * rows: 4 words of weights (vector<4xi32>) and one of a row (i32), at words t
  /// and t + 4.
  Sums multiply(std::array<Value, 2> weights, std::array<Value, 2> words, const Sums &sums);
  /// The sums of the first or the second row, as vector<4xi32>.
  Value getRowOf(const Sums &sums, int64_t which);

  /// Two f32 (vector<2xf32>) as the bf16 of a word, to nearest, ties to even; two that are bf16
  /// already (vector<2xi16>) as they are.
  Value round(Value pair);

private:
  mlir::ImplicitLocOpBuilder &b;
  Value thread, warp, panel, quarter, row, word;
};

} // namespace treadle

#endif // TREADLE_LIB_CONVERSION_KERNELSTOGPU_TENSORCORE_H

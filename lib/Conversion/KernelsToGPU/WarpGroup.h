//===- WarpGroup.h - What four warps multiply at once ----------*- C++ -*--===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_LIB_CONVERSION_KERNELSTOGPU_WARPGROUP_H
#define TREADLE_LIB_CONVERSION_KERNELSTOGPU_WARPGROUP_H

#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace treadle {

/// Builds code of a thread of a warp group of an sm_90a that multiplies weights by rows:
/// `wgmma.mma_async.m64nNk16`, whose M are the outputs of four panels, one for each warp, and N are
/// rows.
///
/// Weights come from registers. Thread 4 g + t, g < 8, t < 4, of a warp holds of its panel, at
/// words t and t + 4 of a step, outputs 2 g and 2 g + 1, which are rows g and g + 8 of the warp's
/// 16: it loads 8 bytes at once, and a warp 256 that follow each other. Of the sums it has those
/// outputs for rows 2 t and 2 t + 1 of each 8.
///
/// Rows come from workgroup memory, from pieces of 8 rows and 8 numbers of K, 16 bytes a row; those
/// of the same K lie one behind the other.
class WarpGroup {
public:
  using Value = mlir::Value;
  using Sums = llvm::SmallVector<Value>;

  static constexpr int64_t threads = 128, panels = 4, pieceRows = 8, pieceWords = 4;

  /// For `count` rows.
  WarpGroup(mlir::ImplicitLocOpBuilder &builder, int64_t count);

  /// Whether there are products of so many rows.
  static bool hasProducts(int64_t count);

  Value getGroup() const { return group; } // index, within the block
  Value getPanel() const { return panel; } // index, 0 ... 3: the warp
  Value getLane() const { return lane; }   // index, 0, 2 ... 14: 2 g
  Value getWord() const { return word; }   // index, 0 ... 3: t

  Sums zeros();
  /// What has been done to registers is done before what follows multiplies: to its sums and to its
  /// weights, which come in pairs of words.
  void fence(Sums &sums, llvm::MutableArrayRef<std::array<Value, 2>> weights);
  /// Starts sums + weights * rows: 2 words of weights (vector<2xi32>) at words t and t + 4, and the
  /// descriptor of the rows. Nobody but another product may use the sums until they are waited for.
  Sums multiply(std::array<Value, 2> weights, Value rows, const Sums &sums);
  /// Products so far are what the next wait is for.
  void commit();
  Sums wait(const Sums &sums);

  /// Describes (i64) the rows' numbers of a step. They begin at an address of workgroup memory
  /// (index); pieces that follow each other in K lie `distance` bytes apart.
  Value describe(Value address, int64_t distance);

  /// The sums of row `which`, 0 or 1, of two of the `nth` 8, as vector<2xi32>.
  Value getRowOf(const Sums &sums, int64_t nth, int64_t which);

private:
  Sums call(llvm::StringRef text, mlir::ValueRange inOut, llvm::StringRef others = "",
            mlir::ValueRange operands = {});

  mlir::ImplicitLocOpBuilder &b;
  int64_t rows;
  Value group, panel, lane, word;
};

} // namespace treadle

#endif // TREADLE_LIB_CONVERSION_KERNELSTOGPU_WARPGROUP_H

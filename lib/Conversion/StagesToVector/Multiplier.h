//===- Multiplier.h - Chains of products -----------------------*- C++ -*--===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_LIB_CONVERSION_STAGESTOVECTOR_MULTIPLIER_H
#define TREADLE_LIB_CONVERSION_STAGESTOVECTOR_MULTIPLIER_H

#include "StageKernel.h"
#include "StatePanels.h"

namespace treadle {

/// Builds chains sum = x[0] w[0] + x[1] w[1] + ... of numbers x, equal on all lanes, and lanes w.
///
/// With w in f32 a step is one product, a fused multiply-add. With w in bf16 it is a pair, and x is
/// rounded to bf16 as well: x[1] w[1] is added first, then x[0] w[0], each by a fused multiply-add.
/// The processor's instruction for pairs does the same, and takes denormals for zeros.
class Multiplier {
public:
  using Value = mlir::Value;
  using ValueRange = mlir::ValueRange;

  /// `element` is that of w: f32, or bf16 or i16.
  Multiplier(StageKernel &kernel, mlir::Type element);

  /// Numbers of a step.
  int64_t depth() const { return isBF16 ? 2 : 1; }
  /// Whether x has to be stored by `store`; else it is f32 anywhere.
  bool isRounding() const { return isBF16; }
  /// Whether x may be taken from a memory of bf16 as well.
  bool takesBF16() const { return hasDot; }

  /// Scratch memory for x. Rows of a multiple of 16 columns hold whole vectors.
  Value allocate(llvm::ArrayRef<int64_t> shape);
  /// Stores lanes of x, and returns them as they are stored, in f32.
  Value store(Value lanes, Value memory, ValueRange place);

  /// Lanes of 32-bit words, which hold a step's w as panels of weights do, from a vector for each
  /// number, as it lies in memory. A missing one is 0.
  Value pack(llvm::ArrayRef<Value> rows);
  /// The type of such words.
  mlir::Type wordType() const;
  /// The w of a step from such words.
  llvm::SmallVector<Value> fromWords(Value words);
  /// The w of a step from `count` columns of a panel of a state; a missing one is 0. Lanes that are
  /// not in `mask` are not read, if there is one, and are 0.
  llvm::SmallVector<Value> fromPanel(StatePanels &panels, Value panel, Value column, int64_t count,
                                     Value mask = {});

  /// Words with -0 for the numbers whose i1 in `included` is not set: times 0 it changes no sum.
  Value blank(Value words, llvm::ArrayRef<Value> included);

  /// sum + the products of a step; its x begins at `place`.
  Value multiply(Value memory, ValueRange place, llvm::ArrayRef<Value> step, Value sum);
  /// The same with the numbers x of a step, rounded. Not for the processor's instruction for pairs.
  Value multiply(llvm::ArrayRef<Value> x, llvm::ArrayRef<Value> step, Value sum);
  /// The same, of the products alone whose i1 in `included` is set. The x and w of others may be
  /// anything.
  Value multiplySome(Value memory, ValueRange place, llvm::ArrayRef<Value> step,
                     llvm::ArrayRef<Value> included, Value sum);

private:
  Value joinHalves(Value even, Value odd);
  Value numberAt(Value memory, ValueRange place, int64_t offset);
  Value pairAt(Value memory, ValueRange place);
  Value dot(Value pair, Value words, Value sum);
  Value chooseHalves(llvm::ArrayRef<Value> included, uint32_t word, uint32_t otherwise);

  StageKernel &kernel;
  LaneBuilder &b;
  bool isBF16, hasDot;
};

/// Lanes of f32 as bf16 (i16), by the instruction that goes with the one for pairs: to nearest,
/// ties to even. Denormals become zeros, which is what the product takes them for.
mlir::Value roundForDot(LaneBuilder &b, mlir::Value lanes);

} // namespace treadle

#endif // TREADLE_LIB_CONVERSION_STAGESTOVECTOR_MULTIPLIER_H

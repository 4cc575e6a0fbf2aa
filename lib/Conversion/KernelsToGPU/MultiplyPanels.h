//===- MultiplyPanels.h - Rows times panels on tensor cores ----*- C++ -*--===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_LIB_CONVERSION_KERNELSTOGPU_MULTIPLYPANELS_H
#define TREADLE_LIB_CONVERSION_KERNELSTOGPU_MULTIPLYPANELS_H

#include "TensorCore.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/IRMapping.h"
#include "treadle/Dialect/Treadle/IR/Treadle.h"

namespace treadle {

/// Builds what each thread of a block does for an op; `mapping` gives what its operands have
/// become. All threads come, `threads` of them, whole warps, and what they write they all see
/// behind it.
///
/// What lies behind a border is read from within and counts as 0, or makes sums that nobody uses.
class PanelMultiplier {
protected:
  using Value = mlir::Value;
  using Slicing = MultiplyPanelsOp::Slicing;

  /// Of K, the first `reach` slices are looked at.
  PanelMultiplier(MultiplyPanelsOp op, int64_t threads, mlir::ImplicitLocOpBuilder &builder,
                  const mlir::IRMapping &mapping, int64_t reach);

  // Memory.

  /// Where a word of K is read: at the last one, if it is behind that.
  Value lastWord(Value word) { return isWhole ? word : atMost(word, index(words - 1)); }
  /// Whether there is a word of K; null if that is certain.
  Value isInside(Value word);
  /// What was loaded of a word of K, or 0.
  Value orZero(Value word, Value loaded);
  /// The place of a word of the matrix.
  llvm::SmallVector<Value> placeOf(Value panel, Value word, Value lane);
  /// A word of K of a row, rounded to bf16 (i32).
  Value loadRow(Value input, Value row, Value word);
  /// Whether `count` numbers of K that start at a multiple of it may be loaded at once.
  bool isAligned(Value input, int64_t count);
  Value loadVector(Value memory, mlir::ValueRange place, int64_t lanes);
  /// Four words of K of a row, rounded (vector<4xi32>).
  Value loadChunk(Value row, Value word);
  void storeWords(Value words, Value place); // to `sums`, on a border of their size
  void barrier();

  // Arithmetic of indices.
  Value index(int64_t value) { return mlir::arith::ConstantIndexOp::create(b, value); }
  Value add(Value x, Value y) { return b.createOrFold<mlir::arith::AddIOp>(x, y); }
  Value add(Value x, int64_t y) { return add(x, index(y)); }
  Value sub(Value x, int64_t y) { return b.createOrFold<mlir::arith::SubIOp>(x, index(y)); }
  Value mul(Value x, int64_t y) { return b.createOrFold<mlir::arith::MulIOp>(x, index(y)); }
  Value div(Value x, Value y) { return b.createOrFold<mlir::arith::DivUIOp>(x, y); }
  Value div(Value x, int64_t y) { return div(x, index(y)); }
  Value rem(Value x, Value y) { return b.createOrFold<mlir::arith::RemUIOp>(x, y); }
  Value rem(Value x, int64_t y) { return rem(x, index(y)); }
  Value atMost(Value x, Value most) { return b.createOrFold<mlir::arith::MinUIOp>(x, most); }
  Value isBelow(Value x, Value y) {
    return mlir::arith::CmpIOp::create(b, mlir::arith::CmpIPredicate::ult, x, y);
  }
  Value zero(mlir::Type type) { return mlir::arith::ConstantOp::create(b, b.getZeroAttr(type)); }

  mlir::ImplicitLocOpBuilder &b;
  TensorCore core;
  int64_t threads, warps, inner, words;
  Slicing slicing;
  int64_t mostRows, mostPanels;
  llvm::SmallVector<Value> inputs;
  Value weight, group; // or null
  Value firstPanel, panels, firstRow, rows, column;
  Value sums;   // words, one behind the other
  bool isWhole; // no word is behind the last one
};

/// Many rows: the warps of a block share blocks of K in workgroup memory, weights first and then
/// rows, of which some are under way. Slices run one after the other.
class BlockMultiplier : protected PanelMultiplier {
protected:
  /// A row of a block of K takes so many words.
  BlockMultiplier(MultiplyPanelsOp op, int64_t threads, mlir::ImplicitLocOpBuilder &builder,
                  const mlir::IRMapping &mapping, int64_t rowWords);

  static constexpr int64_t ahead = MultiplyPanelsOp::stagedBlocks - 1;

  /// Which of the places is a block's, and its first word.
  Value stageOf(Value block) { return rem(block, MultiplyPanelsOp::stagedBlocks); }
  Value placeOfBlock(Value block) { return mul(stageOf(block), placeWords); }

  /// The chains of all slices, from `zeros` on and each from its first block, added in order.
  mlir::ValueRange
  addSlices(mlir::ValueRange zeros,
            mlir::function_ref<llvm::SmallVector<Value>(Value firstBlock)> multiplySlice);

  int64_t weightWords, placeWords; // of a block of K in memory
  int64_t blocksOfSlice, blocks;   // of K
};

/// Keeps a loop as it is: what it has under way at once is chosen, and so are its registers.
void keepRolled(mlir::scf::ForOp loop);

/// Values of several sums, for a loop to carry.
llvm::SmallVector<mlir::Value> flatten(llvm::ArrayRef<TensorCore::Sums> sums);
llvm::SmallVector<TensorCore::Sums> unflatten(mlir::ValueRange values);

/// At most `MultiplyPanelsOp::fewRows` rows, and more.
void multiplyFewRows(MultiplyPanelsOp op, int64_t threads, mlir::ImplicitLocOpBuilder &builder,
                     const mlir::IRMapping &mapping);
void multiplyManyRows(MultiplyPanelsOp op, int64_t threads, mlir::ImplicitLocOpBuilder &builder,
                      const mlir::IRMapping &mapping);

/// More, by warp groups of an sm_90a, and whether these have such products.
void multiplyByWarpGroups(MultiplyPanelsOp op, int64_t threads, mlir::ImplicitLocOpBuilder &builder,
                          const mlir::IRMapping &mapping);
bool canMultiplyByWarpGroups(MultiplyPanelsOp op, int64_t threads);

} // namespace treadle

#endif // TREADLE_LIB_CONVERSION_KERNELSTOGPU_MULTIPLYPANELS_H

//===- Layout.h - Where weights and states lie ------------------*- C++ -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The one place that knows byte offsets. The packer writes by it, emitted code
// addresses by it, and the runtime's state table is made from it.
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_DIALECT_TREADLE_IR_LAYOUT_H
#define TREADLE_DIALECT_TREADLE_IR_LAYOUT_H

#include "mlir/IR/BuiltinOps.h"
#include "treadle/Dialect/Treadle/IR/Treadle.h"
#include "llvm/ADT/MapVector.h"

namespace treadle {

/// Output features, or rows of a state, on the lanes of a panel.
constexpr int64_t panelWidth = 16;

/// Every slot, and every buffer of the arena, starts on a border of this many bytes.
constexpr int64_t slotAlignment = 64;

/// Consecutive k that lie side by side in a panel, 32 bits together: 1 (f32), 2 (bf16).
int64_t getPanelDepth(mlir::Type element);

/// The shape in memory: the logical one of `plain`, ([G])[N/16][K/k][16][k] of `panels`.
llvm::SmallVector<int64_t> getStorageShape(WeightType type);
/// The same of a state, whose panels are [rows/16][columns/k][16][k].
llvm::SmallVector<int64_t> getStorageShape(StateType type);

/// Bytes of one slot, without the padding to the next.
int64_t getSlotBytes(WeightType type);
int64_t getSlotBytes(StateType type);

/// The place of one symbol's slots: slot i (row-major) begins at `offset + i * stride`.
struct SlotLayout {
  int64_t offset;
  int64_t stride;
};

/// The places of all symbols of one kind, in the order of the module.
struct Layout {
  llvm::MapVector<mlir::StringAttr, SlotLayout> symbols;
  int64_t bytes = 0;
};

Layout layoutWeights(mlir::ModuleOp module);
Layout layoutStates(mlir::ModuleOp module);

} // namespace treadle

#endif // TREADLE_DIALECT_TREADLE_IR_LAYOUT_H

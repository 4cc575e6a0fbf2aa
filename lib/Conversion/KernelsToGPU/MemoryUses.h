//===- MemoryUses.h - What a kernel does with memory -----------*- C++ -*--===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_LIB_CONVERSION_KERNELSTOGPU_MEMORYUSES_H
#define TREADLE_LIB_CONVERSION_KERNELSTOGPU_MEMORYUSES_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/DenseSet.h"
#include "llvm/ADT/MapVector.h"

namespace treadle {

/// A load or store of some elements behind each other; 0 if they are anywhere in memory.
struct MemoryUse {
  mlir::ValueRange indices;
  int64_t elements;
  bool isVector, isStore;
};

/// Whether an index is a multiple of 16, as its making shows.
bool isMultipleOfLanes(mlir::Value index);

/// All that is inside of `op`, by memory.
llvm::MapVector<mlir::Value, llvm::SmallVector<MemoryUse>> collectMemoryUses(mlir::Operation *op);

/// The memory by which the threads of a kernel may meet.
struct SharedMemory {
  /// What is both loaded and stored: a store of one thread may reach others.
  llvm::DenseSet<mlir::Value> ofAll;
  /// Of these, what a lane may write and another lane of the same tile read: not always by vectors
  /// that start at a multiple of 16, of which lane i touches nothing but elements i mod 16.
  llvm::DenseSet<mlir::Value> ofLanes;
};
SharedMemory findSharedMemory(mlir::func::FuncOp kernel);

} // namespace treadle

#endif // TREADLE_LIB_CONVERSION_KERNELSTOGPU_MEMORYUSES_H

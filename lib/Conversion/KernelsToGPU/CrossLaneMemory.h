//===- CrossLaneMemory.h - Memory between the lanes of a tile --*- C++ -*--===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_LIB_CONVERSION_KERNELSTOGPU_CROSSLANEMEMORY_H
#define TREADLE_LIB_CONVERSION_KERNELSTOGPU_CROSSLANEMEMORY_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/DenseSet.h"

namespace treadle {

/// The memory of `kernel` that one lane of a tile may write and another read: it is both loaded
/// and stored, and not always by vectors that start at a multiple of 16, of which lane i touches
/// nothing but elements i mod 16.
llvm::DenseSet<mlir::Value> findCrossLaneMemory(mlir::func::FuncOp kernel);

} // namespace treadle

#endif // TREADLE_LIB_CONVERSION_KERNELSTOGPU_CROSSLANEMEMORY_H

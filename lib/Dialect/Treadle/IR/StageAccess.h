//===- StageAccess.h - Regions of ops that work row by row -----*- C++ -*--===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_LIB_DIALECT_TREADLE_IR_STAGEACCESS_H
#define TREADLE_LIB_DIALECT_TREADLE_IR_STAGEACCESS_H

#include "treadle/Dialect/Treadle/IR/Treadle.h"

namespace treadle {

/// The rows of an op's result, or of its first activation where it has none.
IterationAttr getRowIteration(mlir::Operation *op);

/// A tile of rows: those rows of an activation, the whole of a weight or a state, nothing of a
/// scalar.
AccessAttr getRowAccess(mlir::Operation *op, mlir::Type type);

} // namespace treadle

#endif // TREADLE_LIB_DIALECT_TREADLE_IR_STAGEACCESS_H

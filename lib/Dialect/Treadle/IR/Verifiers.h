//===- Verifiers.h - What verifiers of ops over rows share ------*- C++ -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_LIB_DIALECT_TREADLE_IR_VERIFIERS_H
#define TREADLE_LIB_DIALECT_TREADLE_IR_VERIFIERS_H

#include "treadle/Dialect/Treadle/IR/Treadle.h"

namespace treadle {

/// A dimension of an activation; dynamic where rows are open.
int64_t sizeOf(mlir::Value value, unsigned dim);
inline int64_t columnsOf(mlir::Value value) { return sizeOf(value, 1); }

mlir::LogicalResult verifySameRows(mlir::Operation *op, mlir::Value a, mlir::Value b);
mlir::LogicalResult verifySameType(mlir::Operation *op, mlir::Value input, mlir::Value result);

/// A weight in panels of just that shape.
mlir::LogicalResult verifyPanels(mlir::Operation *op, WeightType weight, llvm::StringRef name,
                                 llvm::ArrayRef<int64_t> shape);
/// A plain weight of just that shape.
mlir::LogicalResult verifyPlain(mlir::Operation *op, WeightType weight, llvm::StringRef name,
                                llvm::ArrayRef<int64_t> shape);

/// An append state with rows of that shape.
mlir::LogicalResult verifyAppendState(mlir::Operation *op, StateType state, llvm::StringRef name,
                                      llvm::ArrayRef<int64_t> row,
                                      Packing packing = Packing::plain);
/// An append state with one element of that type per row.
mlir::LogicalResult verifyTokenState(mlir::Operation *op, StateType state, llvm::StringRef name,
                                     mlir::Type element);
/// A mask of the tokens of `ids` that begins `lead` rows before them.
mlir::LogicalResult verifyLeadingMask(mlir::Operation *op, StateType mask, StateType ids,
                                      int64_t lead);
/// A fixed state of that shape.
mlir::LogicalResult verifyFixedState(mlir::Operation *op, StateType state, llvm::StringRef name,
                                     llvm::ArrayRef<int64_t> shape, mlir::Type element);

mlir::LogicalResult verifyPositive(mlir::Operation *op, llvm::APFloat value, llvm::StringRef name);
/// `groups` is positive and divides the columns.
mlir::LogicalResult verifyGroups(mlir::Operation *op, int64_t groups, int64_t columns,
                                 llvm::StringRef name = "groups");

} // namespace treadle

#endif // TREADLE_LIB_DIALECT_TREADLE_IR_VERIFIERS_H

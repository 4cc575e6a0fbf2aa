//===- Treadle.h - The treadle dialect --------------------------*- C++ -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_DIALECT_TREADLE_IR_TREADLE_H
#define TREADLE_DIALECT_TREADLE_IR_TREADLE_H

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/ControlFlowInterfaces.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

namespace treadle {

/// The most elements that a weight or a state may have, all slots together: far above any machine's
/// memory, and low enough that no size in bytes overflows.
constexpr int64_t maxElements = int64_t(1) << 48;

/// The shape of an activation: dimension 0 counts rows and may be dynamic, the others are static,
/// none is 0.
inline bool isRowsShape(llvm::ArrayRef<int64_t> shape) {
  return !llvm::is_contained(shape, 0) &&
         llvm::none_of(shape.drop_front(), mlir::ShapedType::isDynamic);
}

} // namespace treadle

#include "treadle/Dialect/Treadle/IR/TreadleDialect.h.inc"
#include "treadle/Dialect/Treadle/IR/TreadleEnums.h.inc"

#define GET_ATTRDEF_CLASSES
#include "treadle/Dialect/Treadle/IR/TreadleAttrs.h.inc"

#define GET_TYPEDEF_CLASSES
#include "treadle/Dialect/Treadle/IR/TreadleTypes.h.inc"

#include "treadle/Dialect/Treadle/IR/TreadleInterfaces.h.inc"

#define GET_OP_CLASSES
#include "treadle/Dialect/Treadle/IR/TreadleOps.h.inc"

#endif // TREADLE_DIALECT_TREADLE_IR_TREADLE_H

//===- Handle.h - What only the runtime knows ----------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_LIB_TARGET_CPU_HANDLE_H
#define TREADLE_LIB_TARGET_CPU_HANDLE_H

#include "mlir/IR/BuiltinTypes.h"

namespace treadle {

/// The type of what entry points are given only to pass it on to the runtime.
inline mlir::MemRefType getHandleType(mlir::MLIRContext *context) {
  return mlir::MemRefType::get({1}, mlir::IntegerType::get(context, 8));
}

} // namespace treadle

#endif // TREADLE_LIB_TARGET_CPU_HANDLE_H

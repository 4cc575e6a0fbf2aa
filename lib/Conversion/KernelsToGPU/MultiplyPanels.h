//===- MultiplyPanels.h - Rows times panels on tensor cores ----*- C++ -*--===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_LIB_CONVERSION_KERNELSTOGPU_MULTIPLYPANELS_H
#define TREADLE_LIB_CONVERSION_KERNELSTOGPU_MULTIPLYPANELS_H

#include "mlir/IR/IRMapping.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "treadle/Dialect/Treadle/IR/Treadle.h"

namespace treadle {

/// Builds what each thread of a block does for `op`; `mapping` gives what its operands have become.
/// All threads come, `threads` of them, whole warps. What they write they all see behind it.
void multiplyPanels(MultiplyPanelsOp op, int64_t threads, mlir::ImplicitLocOpBuilder &builder,
                    const mlir::IRMapping &mapping);

} // namespace treadle

#endif // TREADLE_LIB_CONVERSION_KERNELSTOGPU_MULTIPLYPANELS_H

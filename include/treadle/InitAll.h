//===- InitAll.h - Register everything of Treadle ---------------*- C++ -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_INITALL_H
#define TREADLE_INITALL_H

#include "mlir/IR/DialectRegistry.h"

namespace treadle {

/// The treadle dialect and every dialect that its passes produce.
void registerAllDialects(mlir::DialectRegistry &registry);

/// Every pass of Treadle, for pipelines given as text.
void registerAllPasses();

} // namespace treadle

#endif // TREADLE_INITALL_H

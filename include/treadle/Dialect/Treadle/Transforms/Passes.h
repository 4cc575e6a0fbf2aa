//===- Passes.h - Passes from treadle to treadle ---------------*- C++ -*--===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_DIALECT_TREADLE_TRANSFORMS_PASSES_H
#define TREADLE_DIALECT_TREADLE_TRANSFORMS_PASSES_H

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace treadle {

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "treadle/Dialect/Treadle/Transforms/Passes.h.inc"

} // namespace treadle

#endif // TREADLE_DIALECT_TREADLE_TRANSFORMS_PASSES_H

//===- StagesToVector.h - From stages to vector code -----------*- C++ -*--===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_CONVERSION_STAGESTOVECTOR_STAGESTOVECTOR_H
#define TREADLE_CONVERSION_STAGESTOVECTOR_STAGESTOVECTOR_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace treadle {

/// Row counts that are a multiple of this share their kernels, which learn the count at run time.
/// A kernel that works in blocks of rows divides each granule alike.
constexpr int64_t rowGranule = 16;

/// Bytes of scratch memory that one tile of a kernel needs: a thread's stack, or a block's
/// workgroup memory.
int64_t getScratchBytes(mlir::func::FuncOp kernel);

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "treadle/Conversion/StagesToVector/Passes.h.inc"

} // namespace treadle

#endif // TREADLE_CONVERSION_STAGESTOVECTOR_STAGESTOVECTOR_H

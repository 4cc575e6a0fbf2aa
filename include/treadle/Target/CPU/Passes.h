//===- Passes.h - Passes of the CPU target ---------------------*- C++ -*--===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_TARGET_CPU_PASSES_H
#define TREADLE_TARGET_CPU_PASSES_H

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"
#include "treadle/Target/CPU/CPUTarget.h"
#include "treadle/Target/RuntimeFunctions.h"

namespace treadle {

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "treadle/Target/CPU/Passes.h.inc"

/// From the `kernels` phase to the LLVM dialect: math, vectors, control flow,
/// memrefs of known size as bare pointers. Symbols of the model stay as they are.
void buildKernelsToLLVMPipeline(mlir::OpPassManager &passes, const CPUTarget &target);

/// Makes that pipeline known as `treadle-kernels-to-llvm{cpu=... triple=...}`.
void registerKernelsToLLVMPipeline();

} // namespace treadle

#endif // TREADLE_TARGET_CPU_PASSES_H

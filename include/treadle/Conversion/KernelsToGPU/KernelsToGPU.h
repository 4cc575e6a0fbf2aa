//===- KernelsToGPU.h - From vector kernels to GPU kernels -----*- C++ -*--===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_CONVERSION_KERNELSTOGPU_KERNELSTOGPU_H
#define TREADLE_CONVERSION_KERNELSTOGPU_KERNELSTOGPU_H

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace treadle {

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "treadle/Conversion/KernelsToGPU/Passes.h.inc"

} // namespace treadle

#endif // TREADLE_CONVERSION_KERNELSTOGPU_KERNELSTOGPU_H

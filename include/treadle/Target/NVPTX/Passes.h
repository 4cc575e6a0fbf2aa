//===- Passes.h - Passes of the NVPTX target --------------------*- C++ -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_TARGET_NVPTX_PASSES_H
#define TREADLE_TARGET_NVPTX_PASSES_H

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"
#include "treadle/Target/RuntimeFunctions.h"

namespace treadle {

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "treadle/Target/NVPTX/Passes.h.inc"

/// From the `stages` phase to a module of GPU kernels and the schedule of their launches.
/// Recurrences run row by row, or in chunks of rows.
void buildStagesToGPUPipeline(mlir::OpPassManager &passes, bool chunked);

/// From there to the LLVM dialect, for the kernels alone; the schedule stays as it is. Products of
/// many rows are those of a chip with warp groups, or of any.
void buildKernelsToNVVMPipeline(mlir::OpPassManager &passes, bool warpGroups);

/// Makes these known as `treadle-stages-to-gpu{chunked=...}` and `treadle-kernels-to-nvvm`.
void registerNVPTXPipelines();

} // namespace treadle

#endif // TREADLE_TARGET_NVPTX_PASSES_H

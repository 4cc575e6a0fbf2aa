//===- GPUCode.h - Machine code for GPUs ------------------------*- C++ -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_LIB_PIPELINES_GPUCODE_H
#define TREADLE_LIB_PIPELINES_GPUCODE_H

#include "Binary.h"
#include "treadle/Target/ProgramImage.h"

namespace treadle {

/// Assembles the GPU kernels of `input` for every level asked for; nothing without a GPU. Dumps the
/// PTX of each, and a table of what its kernels take of the GPU; of emulated ones, the LLVM IR.
llvm::Expected<std::vector<GPUCode>> emitGPUCode(const BinaryInput &input);

/// The names of the GPU kernels, in the order in which schedules number them.
std::vector<std::string> getGPUKernels(const BinaryInput &input);

/// Of these, those that are the whole schedule of an entry point, by its name.
llvm::StringMap<GridKernel> getGridKernels(const BinaryInput &input);

/// The file of `dumpPhases` that shows the GPU kernels, and those that emitGPUCode writes.
constexpr llvm::StringLiteral gpuKernelsDump = "kernels.gpu.mlir";
std::vector<std::string> getGPUDumps(const CompileOptions &options);

/// The levels asked for, or the usual ones.
std::vector<std::string> getGPULevels(const CompileOptions &options);

/// Whether one of them is a GPU's.
bool needsAssembler(const CompileOptions &options);

} // namespace treadle

#endif // TREADLE_LIB_PIPELINES_GPUCODE_H

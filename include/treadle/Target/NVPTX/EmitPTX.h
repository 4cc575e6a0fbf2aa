//===- EmitPTX.h - From GPU kernels to PTX ----------------------*- C++ -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_TARGET_NVPTX_EMITPTX_H
#define TREADLE_TARGET_NVPTX_EMITPTX_H

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "llvm/Support/Error.h"
#include <string>
#include <vector>

namespace treadle {

/// Whether a level is no GPU's: the kernels' LLVM IR, which tests run on the CPU. `emulated` is
/// sm_80's, and `emulated_90a` sm_90a's.
bool isEmulated(llvm::StringRef gpu);

/// Whether a level has warp groups, which multiply more at once than a warp: sm_90a alone.
bool hasWarpGroups(llvm::StringRef gpu);

/// Checks the name of a GPU level: sm_80 or later, as LLVM knows it, or an emulated one. Fails
/// with one line that says what is expected.
llvm::Error checkGPU(llvm::StringRef gpu);

/// The levels of a library for which none is named.
std::vector<std::string> getUsualGPUs();

/// The kernels of a module in the LLVM dialect as PTX for `gpu`. Fails where they need a function
/// that they do not define: no driver would find it.
llvm::Expected<std::string> emitPTX(mlir::gpu::GPUModuleOp kernels, llvm::StringRef gpu);

/// LLVM IR, as text and as bitcode.
struct GPUIR {
  std::string text, bitcode;
};

/// What emitPTX makes PTX of, for an emulated level. Fails as it does.
llvm::Expected<GPUIR> emitIR(mlir::gpu::GPUModuleOp kernels, llvm::StringRef gpu);

} // namespace treadle

#endif // TREADLE_TARGET_NVPTX_EMITPTX_H

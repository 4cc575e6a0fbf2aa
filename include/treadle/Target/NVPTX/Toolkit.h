//===- Toolkit.h - The CUDA toolkit's assembler -----------------*- C++ -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_TARGET_NVPTX_TOOLKIT_H
#define TREADLE_TARGET_NVPTX_TOOLKIT_H

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include <string>
#include <vector>

namespace treadle {

/// What one kernel takes of a multiprocessor, as the assembler says.
struct KernelResources {
  std::string kernel;
  int64_t registers = 0;   ///< of a thread
  int64_t stackBytes = 0;  ///< of a thread
  int64_t spillBytes = 0;  ///< stores and loads of registers that were too few
  int64_t sharedBytes = 0; ///< of a block
};

/// Machine code of all kernels of a library for one GPU level.
struct GPUCode {
  std::string gpu;   ///< sm_80, ...
  std::string ptx;   ///< for the driver of a GPU that came later
  std::string cubin; ///< an ELF file
  std::vector<KernelResources> kernels;
  std::vector<std::string> remarks; ///< of the assembler, on what it made otherwise than it stands
};

/// The path of ptxas, which stands in PATH. Fails with one line that says what to install.
llvm::Expected<std::string> findAssembler();

/// Assembles `ptx` for `gpu`. Fails with the assembler's first error.
llvm::Expected<GPUCode> assemble(llvm::StringRef assembler, llvm::StringRef gpu, std::string ptx);

/// What `ptxas --verbose` has printed, kernel by kernel.
std::vector<KernelResources> parseResources(llvm::StringRef output);

/// Of that, messages with a number: of waits that it puts between products of warp groups, say.
std::vector<std::string> parseRemarks(llvm::StringRef output);

} // namespace treadle

#endif // TREADLE_TARGET_NVPTX_TOOLKIT_H

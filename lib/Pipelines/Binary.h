//===- Binary.h - The last phase: packed weights and library ----*- C++ -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_LIB_PIPELINES_BINARY_H
#define TREADLE_LIB_PIPELINES_BINARY_H

#include "mlir/IR/BuiltinOps.h"
#include "treadle/Model/TensorSource.h"
#include "treadle/Pipelines/Compile.h"
#include "treadle/Target/CPU/CPUTarget.h"

namespace treadle {

/// What the phase works on. `weights` may be null; then the library takes
/// weights packed later.
struct BinaryInput {
  mlir::ModuleOp module;
  /// GPU kernels and the schedules of their launches; null without a GPU.
  mlir::ModuleOp gpuModule;
  /// The path of the GPU's assembler, with `gpuModule`.
  llvm::StringRef assembler;
  const CompileOptions &options;
  const CPUTarget &target;
  const TensorSource *weights;
  const CompileListener &listener;
};

/// Phase `binary`: writes the library, and external weights beside it. The
/// module stands at the end of `kernels` and is left as it is.
llvm::Error emitLibrary(const BinaryInput &input);

/// `--pack`: writes only the weights, from a module of any phase.
llvm::Error emitWeights(const BinaryInput &input);

} // namespace treadle

#endif // TREADLE_LIB_PIPELINES_BINARY_H

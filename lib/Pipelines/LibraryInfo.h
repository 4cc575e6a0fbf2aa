//===- LibraryInfo.h - What a library says of itself ------------*- C++ -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_LIB_PIPELINES_LIBRARYINFO_H
#define TREADLE_LIB_PIPELINES_LIBRARYINFO_H

#include "treadle/Target/CPU/CPUTarget.h"
#include "treadle/Target/ProgramImage.h"

namespace treadle {

/// `f32` or `bf16`: how the module's weight matrices are stored.
llvm::StringRef getStorageName(mlir::ModuleOp module);

/// The `json` of treadle_model_info: the family's facts, then dtype, target, GPU levels,
/// entry points, what they need (WorkFacts.h) and the compiler's version.
std::string makeInfoJson(mlir::ModuleOp module, ModelAttr model, llvm::ArrayRef<EntryPoint> entries,
                         const CPUTarget &target, llvm::ArrayRef<std::string> gpus);

/// Digests the config in canonical form.
Sha256Digest computeConfigDigest(ModelAttr model);

} // namespace treadle

#endif // TREADLE_LIB_PIPELINES_LIBRARYINFO_H

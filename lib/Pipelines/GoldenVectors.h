//===- GoldenVectors.h - What the reference says ----------------*- C++ -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The file of `--golden`: a safetensors file with one or more cases. A case is
// the tensors of one prefix (which may be empty: `ids`; or `0.`: `0.ids`):
//
//   ids        I32 or I64 [n]
//   logits     F32 [n, vocabulary], of the reference in float64, rounded
//   mask       U8 or BOOL [n]; absent: all attended
//   loops      I32 or I64, one number; absent: 1
//   tolerance  F32, one number: allowed max |difference| / max |logits|;
//              absent: 2e-5 for weights of f32, 2e-3 otherwise
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_LIB_PIPELINES_GOLDENVECTORS_H
#define TREADLE_LIB_PIPELINES_GOLDENVECTORS_H

#include "treadle/Target/ProgramImage.h"

namespace treadle {

/// Reads all cases, in the order of the file.
llvm::Expected<std::vector<GoldenVector>> readGoldenVectors(llvm::StringRef path,
                                                            float defaultTolerance);

} // namespace treadle

#endif // TREADLE_LIB_PIPELINES_GOLDENVECTORS_H

//===- RequiredFeatures.h - What a machine must be able to do ---*- C++ -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_TARGET_CPU_REQUIREDFEATURES_H
#define TREADLE_TARGET_CPU_REQUIREDFEATURES_H

#include "treadle/Target/CPU/CPUTarget.h"
#include "treadle/Target/ProgramImage.h"

namespace treadle {

/// What code for `target` may execute beyond the first CPU of its architecture.
/// A library refuses to open where some of it is missing. Empty on AArch64.
std::vector<CPUFeature> getRequiredFeatures(const CPUTarget &target);

} // namespace treadle

#endif // TREADLE_TARGET_CPU_REQUIREDFEATURES_H

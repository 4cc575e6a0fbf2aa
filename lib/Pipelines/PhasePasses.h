//===- PhasePasses.h - The passes of each phase -----------------*- C++ -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_LIB_PIPELINES_PHASEPASSES_H
#define TREADLE_LIB_PIPELINES_PHASEPASSES_H

#include "mlir/Pass/PassManager.h"
#include "treadle/Pipelines/Hooks.h"
#include "treadle/Pipelines/Options.h"
#include "treadle/Target/CPU/CPUTarget.h"

namespace treadle {

/// Adds what makes `phase` (model to kernels) from the phase before it. The
/// model itself is built by lib/Model; its phase has plugins' passes alone.
void buildPhase(Phase phase, const CompileOptions &options, const CPUTarget &target,
                const HookRegistry &hooks, mlir::OpPassManager &passes);

} // namespace treadle

#endif // TREADLE_LIB_PIPELINES_PHASEPASSES_H

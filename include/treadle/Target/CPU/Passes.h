//===- Passes.h - Passes of the CPU target ---------------------*- C++ -*--===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_TARGET_CPU_PASSES_H
#define TREADLE_TARGET_CPU_PASSES_H

#include "mlir/Pass/Pass.h"

namespace treadle {

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "treadle/Target/CPU/Passes.h.inc"

} // namespace treadle

#endif // TREADLE_TARGET_CPU_PASSES_H

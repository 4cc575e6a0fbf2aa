//===- Passes.td - Passes of the CPU target ---------------*- tablegen -*--===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_TARGET_CPU_PASSES_TD
#define TREADLE_TARGET_CPU_PASSES_TD

include "mlir/Pass/PassBase.td"

def AssignTilesPass : Pass<"treadle-cpu-assign-tiles"> {
  let summary = "attaches tile sizes to stages";
  let description = [{
    Sets `tile` on every stage that has none. Matrices: up to 32 rows, and as many
    outputs as keep a block of weights in the second-level cache; other stages: a
    few rows, whole heads. Sizes change no bit.
  }];
}

#endif // TREADLE_TARGET_CPU_PASSES_TD

//===- Passes.td - Passes from treadle to treadle ---------*- tablegen -*--===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_DIALECT_TREADLE_TRANSFORMS_PASSES_TD
#define TREADLE_DIALECT_TREADLE_TRANSFORMS_PASSES_TD

include "mlir/Pass/PassBase.td"

def SpecializeRowsPass : Pass<"treadle-specialize-rows", "::mlir::ModuleOp"> {
  let summary = "makes one entry point per row count";
  let description = [{
    Replaces every function with an open row count by one clone per entry of
    `rows`, in which each dynamic row dimension has become that number:

        @forward (tensor<?x256xf32>, rows = 0)  =>  @forward_1, @forward_16, @forward_128
  }];
  let options = [
    ListOption<"rows", "rows", "int64_t", "row counts, each positive">,
  ];
}

def DecomposeLowRankPass : Pass<"treadle-decompose-low-rank"> {
  let summary = "splits low_rank_linear into its two products";
  let description = [{
        low_rank_linear x, A, B {scale = s}  =>  scale (linear (linear x, A), B) by s

    The multiplication is left out for s = 1.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect"];
}

def CheckContractPass : Pass<"treadle-check-contract", "::mlir::ModuleOp"> {
  let summary = "checks what target code may rely on";
  let description = [{
    The border between model code and target code. In every entry point:
    * all tensors are static;
    * every op is a stage core, elementwise over rank-2 f32, `loop`, `yield`, `pick`, a
      reference, scalar arithmetic, a constant or the return;
    * the slot of a reference, and an index of `pick`, is a loop's index or a constant,
      below the size of its dimension for every iteration.
  }];
}

#endif // TREADLE_DIALECT_TREADLE_TRANSFORMS_PASSES_TD

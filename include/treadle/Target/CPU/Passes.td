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
    Sets `tile` on every stage that has none. Matrices: up to 128 rows, and as many
    outputs as keep a block of weights in the second-level cache; other stages: a
    few rows, whole heads. Sizes change no bit.
  }];
}

def ApproximateMathPass : Pass<"treadle-approximate-math"> {
  let summary = "replaces transcendental functions by polynomials";
  let description = [{
        math.exp x  =>  2^n * p(x - n ln 2), in arith and math.fma

    and likewise every function that has a polynomial upstream. What remains must
    be one instruction or a few on every CPU; anything else would call a
    mathematical library and is an error.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::math::MathDialect",
                           "::mlir::vector::VectorDialect"];
}

def BarePointersPass : Pass<"treadle-bare-pointers", "::mlir::func::FuncOp"> {
  let summary = "passes memory of known size as a pointer";
  let description = [{
    Marks functions all of whose memrefs are static, for the conversion to LLVM to give
    them pointers, as the runtime calls entry points. Others get sizes and strides too.
  }];
}

def CheckSelfContainedPass : Pass<"treadle-check-self-contained", "::mlir::ModuleOp"> {
  let summary = "checks that lowered kernels call nothing that they do not define";
  let description = [{
    Runs on the LLVM dialect. Calls of functions without a body are errors:
    `memref.alloc`, a strided `memref.copy` and some arithmetic become such calls.
    So is arithmetic with a fast-math flag, which would let bits change with the
    neighbourhood of an operation.
  }];
}

#endif // TREADLE_TARGET_CPU_PASSES_TD

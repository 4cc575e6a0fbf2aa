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
    outputs as keep a block of weights in the second-level cache; attention: 64 rows
    times heads of one group; other stages: a few rows, whole heads. Sizes change no bit.
  }];
}

def PlaceBarriersPass : Pass<"treadle-cpu-place-barriers", "::mlir::func::FuncOp"> {
  let summary = "puts barriers where data crosses from one thread's tiles to another's";
  let description = [{
    Member m of n runs tiles [m T / n, (m + 1) T / n) of a stage of T tiles. A stage needs a
    barrier before it if it reads or overwrites what an earlier one wrote or read, with
    no barrier between, unless the access maps say that both touch it tile by tile alike.

        treadle.stage -> %a            treadle.stage -> %a
        treadle.stage %a -> %b   =>    treadle.barrier
                                       treadle.stage %a -> %b

    Runs on tiled stages with planned activations. Notes on the entry point what a call
    costs on one thread (`treadle.work`, in ns), and for each position that it sees
    (`treadle.key_work`, in ps), the part of `treadle.work` that cannot be shared
    (`treadle.serial`) and its barriers (`treadle.barriers`), for the choice of threads.
  }];
}

def CheckStackPass : Pass<"treadle-check-stack", "::mlir::ModuleOp"> {
  let summary = "checks that tiles fit on a thread's stack";
  let description = [{
    Scratch memory of a kernel is stack memory of each thread that runs it. An error for every
    kernel that keeps more of one tile there than 480 KB, of the 512 KB that model.h promises `forward` to need:

        func.func private @attention_0(...) {
          %scores = memref.alloca() : memref<1x512x512xf32>
                                          =>  error: 'attention_0' keeps 1048576 bytes ...
  }];
}

def ShareTilesPass : Pass<"treadle-share-tiles", "::mlir::ModuleOp"> {
  let summary = "lets the members of a team share the tiles of every stage";
  let description = [{
    Gives entry points three more arguments, member, members and team, and

        call @kernel(..., %first, %end)  =>  call @kernel(..., %first', %end')
        treadle.barrier                  =>  call @treadle_barrier(%team)

    where first' = first + (end - first) member / members, and end' that of the next member.
    `treadle_barrier` is the runtime's.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::func::FuncDialect",
                           "::mlir::memref::MemRefDialect"];
}

def MarkStagesPass : Pass<"treadle-mark-stages", "::mlir::ModuleOp"> {
  let summary = "says at run time which stage begins";
  let description = [{
    Gives entry points one more argument, profile, behind those of the team, and

        call @kernel(...)             =>  call @treadle_mark(%profile, %stage)
                                          call @kernel(...)

        call @treadle_barrier(%team)  =>  call @treadle_meet(%team, %profile, %stage)
        call @kernel(...)                 call @kernel(...)

    where `stage` counts the entry point's calls of kernels in their order, which is that of
    its stages. A barrier that is not in front of a stage stays as it is. Both functions are the
    runtime's, and mark nothing but where somebody profiles.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::func::FuncDialect",
                           "::mlir::memref::MemRefDialect"];
}

def ApproximateMathPass : Pass<"treadle-approximate-math"> {
  let summary = "replaces transcendental functions by polynomials";
  let description = [{
        math.exp x  =>  2^n * p(x - n ln 2), in arith and math.fma

    of f32 to within 0.9 units in the last place below 2.4e38 (ApproximateMath.cpp), and likewise
    every function that has a polynomial upstream. What remains must
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

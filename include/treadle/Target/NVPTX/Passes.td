//===- Passes.td - Passes of the NVPTX target --------------*- tablegen -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_TARGET_NVPTX_PASSES_TD
#define TREADLE_TARGET_NVPTX_PASSES_TD

include "mlir/Pass/PassBase.td"

def AssignGPUTilesPass : Pass<"treadle-gpu-assign-tiles"> {
  let summary = "attaches tile sizes to stages, for a tile to be run by few threads";
  let description = [{
    Sets `tile` on every stage that has none: one row, one head or 16 columns, so that there are
    as many tiles as there may be. Matrices take 16 rows at once where there are many, since each
    tile reads its weights again; single ones in bf16 take 64 rows and 64 outputs, which tensor cores
    multiply at once, or 128 outputs if these are 128 tiles. Sizes change no bit.

        treadle.stage [<rows = 128>, <outputs = 512>]  =>  ... tile <16, 16>, in bf16 <64, 64>
  }];
}

def GPUToNVVMPass : Pass<"treadle-gpu-to-nvvm", "::mlir::gpu::GPUModuleOp"> {
  let summary = "turns GPU kernels into the LLVM dialect";
  let description = [{
    As upstream's `convert-gpu-to-nvvm`, but functions of `math` become the intrinsics that a GPU
    has instructions for, not calls of the CUDA toolkit's library:

        math.sqrt %x                 =>  llvm.intr.sqrt(%x)
        gpu.func @k(%m: memref<8xf32>) =>  llvm.func @k(%m: !llvm.ptr)

    All memory of a kernel's arguments has a known size. What a loop says to LLVM by the attribute
    `llvm.loop_annotation` is handed on, and `nvgpu` copies become instructions.
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::NVVM::NVVMDialect"];
}

def LowerLaunchesPass : Pass<"treadle-lower-launches", "::mlir::ModuleOp"> {
  let summary = "turns launches of kernels into calls of the runtime";
  let description = [{
    Gives entry points one more argument, the launcher, which the runtime makes of a stream, and

        gpu.launch_func @kernels::@linear_0 blocks in (%n, 1, 1) threads in (128, 1, 1) args(%x, %f)
      =>
        memref.store %x' and %f', words of 64 bits, in %words
        call @treadle_launch(%launcher, %kernel, %n, %threads, %words, %count)

    where %kernel is the number of the kernel in its module, by its order, and each word holds an
    address, a number or the bits of a float. `treadle_launch` copies the words and is the
    runtime's. What is left of the module runs on the CPU; `treadle.entry` becomes
    `treadle.schedule`, and the module of the kernels goes.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::func::FuncDialect",
                           "::mlir::memref::MemRefDialect"];
}

#endif // TREADLE_TARGET_NVPTX_PASSES_TD

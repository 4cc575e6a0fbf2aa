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

def JoinLaunchesPass : Pass<"treadle-join-launches", "::mlir::ModuleOp"> {
  let summary = "makes one kernel of all that a token launches";
  let description = [{
    Adds to the module of the kernels, for the `forward` entry point of one row, a kernel of its
    name that all blocks of a grid walk through together: the schedule itself, with its loops
    over layers and passes, and in place of each launch a loop over the blocks of the launch. The
    kernel takes the arguments of the entry point and the counter of its barriers.

        func.func @forward_1(%arena, ...) {
          gpu.launch_func @kernels::@norm blocks in (%m, 1, 1) threads in (128, 1, 1) args(%x, %y)
          gpu.launch_func @kernels::@linear blocks in (%n, 1, 1) threads in (256, 1, 1) args(%y, %z)
        }
    =>
        gpu.func @forward_1(%arena, ..., %counter: memref<1xi32>) kernel {
          scf.for %b = block to %m step blocks { scf.if thread < 128 { call @norm_block(%b, %x, %y) } }
          %phase = treadle.grid_arrive %counter of blocks
          treadle.grid_wait %counter for %phase
          scf.for %b = block to %n step blocks { gpu.barrier; call @linear_block(%b, %y, %z, %shared) }
        }

    A barrier stands in front of a stage that reads or writes what one before it, with no barrier
    in between, writes, or writes what that reads. Places in memory are compared by their bytes,
    in all iterations of the loops around them. All stages share one piece of workgroup memory, and the
    kernel has the most threads that one of them has. The entry point stays as it is: it is what
    runs where a grid cannot wait for its blocks.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::func::FuncDialect",
                           "::mlir::gpu::GPUDialect", "::mlir::memref::MemRefDialect",
                           "::mlir::scf::SCFDialect"];
}

def VerifyGridKernelsPass : Pass<"treadle-verify-grid-kernels", "::mlir::ModuleOp"> {
  let summary = "refuses kernels whose blocks might wait for ever, or not for long enough";
  let description = [{
    Looks at every kernel that is the schedule of an entry point, as `treadle-join-launches` makes
    them, and leaves it as it is:

    * launch bounds are there, and blocks that obey them have room on a multiprocessor of any level;
    * every wait has its arrival, in the same block of code and of as many blocks as the grid
      has, and every arrival its wait; no other thread or block takes another way past them;
    * blocks of a stage are dealt out, run by its threads alone, and fenced where they use
      workgroup memory again;
    * stages, their operands and the loops around them are those of the entry point's launches;
    * no way leads from a stage to one that reads or writes what it writes, or writes what it
      reads, but through a barrier.

        call @norm_block(...); call @linear_block(...)
    =>
        error: stage @linear_block touches memory that stage @norm_block touches, one of them to
        write, and no barrier of the grid orders them
  }];
}

#endif // TREADLE_TARGET_NVPTX_PASSES_TD

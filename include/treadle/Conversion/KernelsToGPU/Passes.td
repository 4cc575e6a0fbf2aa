//===- Passes.td - From vector kernels to GPU kernels -----*- tablegen -*--===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_CONVERSION_KERNELSTOGPU_PASSES_TD
#define TREADLE_CONVERSION_KERNELSTOGPU_PASSES_TD

include "mlir/Pass/PassBase.td"

def ConvertKernelsToGPUPass : Pass<"convert-kernels-to-gpu", "::mlir::ModuleOp"> {
  let summary = "runs each tile of a kernel on 16 threads of a GPU";
  let description = [{
    Takes what `convert-stages-to-vector` leaves, before any other pass touches it. A tile is
    run by a group of 16 threads, half a warp; lane i of every vector lives in thread i, and
    scalars are equal in all threads, so that a group never diverges but to mask a lane off:

        vector.load %m[%r, %c]         =>  memref.load %m[%r, %c + lane]
        vector.maskedstore ...         =>  scf.if %mask { memref.store ... }
        vector.shuffle, a lane's value =>  nvvm.shfl.sync among the 16
        memref.store of a scalar       =>  by lane 0 alone
        memref.alloca                  =>  workgroup memory, one part per group
        memref.prefetch                =>  nothing

    Memory that one lane writes and another may read is fenced by `nvvm.bar.warp.sync` around
    its stores; memory whose vectors all start at multiples of 16 needs none. Sums keep
    their trees: a group adds in the order in which a vector of 16 lanes does.

        func.func private @linear_0(%x, %w, %y, %first: index, %end: index)
        call @linear_0(%x, %w, %y, %c0, %tiles)
    =>
        gpu.module @kernels { gpu.func @linear_0(%x, %w, %y, %tiles: index) kernel }
        gpu.launch_func @kernels::@linear_0 blocks in (tiles / groups) threads in (16 groups)

    A kernel with the attribute `treadle.sliced` has its tiles run by whole blocks, of `team-groups`
    groups. All of them take the same way, but one alone stores. A loop that carries nothing and
    whose iterations keep to places of their own is dealt out to the groups; of such loops in each
    other, that one is with which fewer iterations pass one after another:

        scf.for %i = %a to %b step %s  =>  scf.for %i = %a + group * s to %b step groups * s

    or, if each lane keeps to itself and all vectors are whole rows of 16, as those of panels, or
    start at multiples of 16 in rows of such a length, to quads: four threads with four lanes each,
    16 bytes of memory. `gpu.barrier` stands around every
    store to memory that is loaded as well, and around a loop with such stores that is dealt out.

    `treadle.multiply_panels` is run by all threads of the block, on tensor cores: of few rows, by two
    `nvvm.mma.sync` of 16 outputs each at a time, where each warp sums two slices of a panel at
    once, which meet in workgroup memory. Of many rows it stays, on the kernel's operands, for
    `treadle-expand-products`. A kernel that is not `treadle.sliced` but multiplies so on the way
    to something else has blocks for its tiles, too.

    An entry point thus becomes the schedule of its launches. A kernel takes memory as pointers;
    where that has `?` rows, their number comes before the number of tiles. A block has at most
    `groups` groups, and fewer where their scratch memory would not fit `shared-bytes`.
  }];
  let options = [
    Option<"groups", "groups", "int64_t", "8", "tiles that a block of threads runs at most">,
    Option<"teamGroups", "team-groups", "int64_t", "16", "groups of a block that runs one tile">,
    Option<"sharedBytes", "shared-bytes", "int64_t", "49152", "workgroup memory of a block">,
  ];
  let dependentDialects = [
    "::mlir::LLVM::LLVMDialect", "::mlir::NVVM::NVVMDialect", "::mlir::arith::ArithDialect",
    "::mlir::gpu::GPUDialect", "::mlir::math::MathDialect", "::mlir::memref::MemRefDialect",
    "::mlir::nvgpu::NVGPUDialect", "::mlir::scf::SCFDialect", "::mlir::vector::VectorDialect",
  ];
}

def ExpandProductsPass : Pass<"treadle-expand-products", "::mlir::gpu::GPUModuleOp"> {
  let summary = "makes the threads' code of products of many rows";
  let description = [{
    What `convert-kernels-to-gpu` leaves of `treadle.multiply_panels`, in the form that suits a chip.
    Warps share blocks of K in workgroup memory, of which two are on their way while one is
    multiplied; the sums are the same bits in either form.

    By warps, on any chip, weights come by `nvgpu.device_async_copy` and are multiplied by
    `nvvm.mma.sync`:

        treadle.multiply_panels %sums = (%x) [...] rows %r by %w[...] panels %p {...}
      =>
        scf.for %block = ... {
          nvvm.cp.async.wait.group 1
          gpu.barrier
          nvgpu.device_async_copy %w[...], %sums[...], 4 ...
          nvvm.mma.sync ...
        }

    By warp groups, which sm_90a has, weights come by bulk copies, which an mbarrier counts, and four
    warps multiply at once, by inline PTX (InlinePTX.h):

        scf.for %block = ... {
          llvm.inline_asm "... mbarrier.try_wait.parity ..."
          gpu.barrier
          scf.if %asks { nvvm.mbarrier.arrive.expect_tx ...; llvm.inline_asm "cp.async.bulk ..." }
          llvm.inline_asm "wgmma.fence ..."
          llvm.inline_asm "... wgmma.mma_async ..."
          nvvm.wgmma.commit.group.sync.aligned
          llvm.inline_asm "wgmma.wait_group ..."
        }

    Where these have no product of the rows at hand, or K is one block, warps do it.
  }];
  let options = [
    Option<"warpGroups", "warp-groups", "bool", "false", "whether the chip has warp groups">,
  ];
  let dependentDialects = [
    "::mlir::LLVM::LLVMDialect", "::mlir::NVVM::NVVMDialect", "::mlir::arith::ArithDialect",
    "::mlir::gpu::GPUDialect", "::mlir::memref::MemRefDialect", "::mlir::nvgpu::NVGPUDialect",
    "::mlir::scf::SCFDialect", "::mlir::vector::VectorDialect",
  ];
}

#endif // TREADLE_CONVERSION_KERNELSTOGPU_PASSES_TD

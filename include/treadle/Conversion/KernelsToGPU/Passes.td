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

    `treadle.multiply_panels` is run by all threads of the block, on tensor cores: two
    `nvvm.mma.sync` of 16 outputs each at a time. Of few rows each warp sums two slices of a panel at
    once, which meet in workgroup memory; of many the warps share blocks of K, whose weights
    `nvgpu.device_async_copy` brings there while others are multiplied. A kernel that
    is not `treadle.sliced` but multiplies so on the way to something else has blocks for its tiles, too.

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

#endif // TREADLE_CONVERSION_KERNELSTOGPU_PASSES_TD

// RUN: treadle-opt %s --treadle-kernels-to-nvvm | FileCheck %s

// Copies in the background are instructions, and a loop that is to stay as it is does.
gpu.module @kernels {
  // CHECK: llvm.func @copies
  // CHECK: nvvm.cp.async.shared.global %{{.*}}, %{{.*}}, 16, cache = cg : !llvm.ptr<3>, !llvm.ptr<1>
  // CHECK: llvm.br ^{{.*}} {loop_annotation = #
  // CHECK: nvvm.cp.async.wait.group 0
  gpu.func @copies(%x: memref<64xi32>, %n: index) workgroup(%s: memref<64xi32, #gpu.address_space<workgroup>>) kernel attributes {known_block_size = array<i32: 128, 1, 1>} {
    %c0 = arith.constant 0 : index
    %c4 = arith.constant 4 : index
    scf.for %i = %c0 to %n step %c4 {
      %token = nvgpu.device_async_copy %x[%i], %s[%i], 4 {bypassL1} : memref<64xi32> to memref<64xi32, #gpu.address_space<workgroup>>
    } {llvm.loop_annotation = #llvm.loop_annotation<unroll = <disable = true>>}
    nvvm.cp.async.wait.group 0
    gpu.return
  }
}

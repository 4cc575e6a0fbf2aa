// RUN: treadle-opt %s --pass-pipeline='builtin.module(gpu.module(treadle-gpu-to-nvvm))' | FileCheck %s

// Memory is passed as pointers, functions are intrinsics, and a block may have all registers.
gpu.module @kernels {
  // CHECK: llvm.mlir.global internal @__wg_root_0() {addr_space = 3 : i32
  // CHECK: llvm.func @root(%{{.*}}: !llvm.ptr, %{{.*}}: i64) attributes
  // CHECK-SAME: nvvm.kernel
  // CHECK-SAME: nvvm.maxntid = array<i32: 128, 1, 1>
  // CHECK-SAME: nvvm.minctasm = 1 : i32
  // CHECK-NOT: @__nv_
  // CHECK: llvm.intr.sqrt(%{{.*}}) : (f32) -> f32
  // CHECK: llvm.intr.fma
  // CHECK: llvm.intr.maxnum
  // CHECK: llvm.intr.floor
  gpu.func @root(%x: memref<64xf32>, %i: index) workgroup(%s: memref<8xf32, #gpu.address_space<workgroup>>) kernel attributes {known_block_size = array<i32: 128, 1, 1>} {
    %a = memref.load %x[%i] : memref<64xf32>
    %b = math.sqrt %a : f32
    %c = math.fma %a, %b, %b : f32
    %d = arith.maxnumf %c, %b : f32
    %e = math.floor %d : f32
    memref.store %e, %s[%i] : memref<8xf32, #gpu.address_space<workgroup>>
    gpu.return
  }
}

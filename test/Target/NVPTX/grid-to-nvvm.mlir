// RUN: treadle-opt %s --pass-pipeline='builtin.module(gpu.module(treadle-gpu-to-nvvm))' | FileCheck %s

// One thread of a block speaks for it, between two barriers of the block.
gpu.module @kernels {
  // CHECK-LABEL: llvm.func @forward
  // CHECK: nvvm.minctasm = 2 : i32
  // CHECK: nvvm.barrier0
  // CHECK: llvm.cond_br %{{.*}}, ^[[SPEAK:.*]], ^[[ARRIVED:.*]](%{{.*}} : i32)
  // CHECK: ^[[SPEAK]]:
  // CHECK: llvm.sub
  // CHECK: %[[REST:.*]] = llvm.sub %{{.*}}, %{{.*}} : i32
  // CHECK: %[[STEP:.*]] = llvm.select %{{.*}}, %[[REST]], %{{.*}} : i1, i32
  // CHECK: llvm.fence syncscope("device") release
  // CHECK: %[[OLD:.*]] = llvm.atomicrmw add %[[COUNTER:.*]], %[[STEP]] syncscope("device") monotonic
  // CHECK: llvm.br ^[[ARRIVED]](%[[OLD]] : i32)
  // CHECK: ^[[ARRIVED]](%[[PHASE:.*]]: i32):
  // CHECK: llvm.cond_br %{{.*}}, ^[[SPIN:.*]], ^[[OPEN:.*]]
  // CHECK: ^[[SPIN]]:
  // CHECK: %[[NOW:.*]] = llvm.load %{{.*}} atomic syncscope("device") acquire
  // CHECK: %[[CHANGES:.*]] = llvm.xor %[[NOW]], %[[PHASE]]
  // CHECK: %[[IS_OPEN:.*]] = llvm.icmp "slt" %[[CHANGES]]
  // CHECK: llvm.cond_br %[[IS_OPEN]], ^[[OPEN]], ^[[SPIN]]
  // CHECK: ^[[OPEN]]:
  // CHECK: nvvm.barrier0
  // CHECK: llvm.call @write_block
  gpu.func @forward(%x: memref<8xf32>, %counter: memref<1xi32>) kernel attributes {known_block_size = array<i32: 64, 1, 1>, nvvm.minctasm = 2 : i32} {
    %blocks = gpu.grid_dim x
    %block = gpu.block_id x
    %phase = treadle.grid_arrive %counter of %blocks : memref<1xi32>
    treadle.grid_wait %counter for %phase : memref<1xi32>
    %known = memref.memory_space_cast %x : memref<8xf32> to memref<8xf32, #gpu.address_space<global>>
    func.call @write_block(%block, %known) : (index, memref<8xf32, #gpu.address_space<global>>) -> ()
    gpu.return
  }

  // CHECK-LABEL: llvm.func internal @write_block
  // CHECK-SAME: !llvm.ptr<1>
  // CHECK-SAME: no_inline
  func.func private @write_block(%block: index, %x: memref<8xf32, #gpu.address_space<global>>) {
    %f = arith.constant 1.0 : f32
    memref.store %f, %x[%block] : memref<8xf32, #gpu.address_space<global>>
    return
  }
}

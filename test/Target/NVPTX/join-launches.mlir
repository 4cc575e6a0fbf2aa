// RUN: treadle-opt %s --split-input-file --treadle-join-launches --canonicalize --treadle-verify-grid-kernels | FileCheck %s

// All blocks walk through the schedule. A stage's blocks are dealt out to them; threads that it has none for
// stay away, and workgroup memory is the same for all stages.

// CHECK-LABEL: gpu.func @forward_1
// CHECK-SAME: (%[[ARENA:.*]]: memref<128xi8>, %[[N:.*]]: index, %[[COUNTER:.*]]: memref<1xi32>)
// CHECK-SAME: workgroup(%[[SHARED:.*]] : memref<96xi8, #gpu.address_space<workgroup>> {llvm.align = 64 : i64})
// CHECK-SAME: known_block_size = array<i32: 64, 1, 1>, nvvm.minctasm = 1 : i32
// CHECK-DAG: %[[BLOCK:.*]] = gpu.block_id x
// CHECK-DAG: %[[BLOCKS:.*]] = gpu.grid_dim x
// CHECK-DAG: %[[THREAD:.*]] = gpu.thread_id x
// CHECK: scf.for %[[B:.*]] = %[[BLOCK]] to %{{.*}} step %[[BLOCKS]] {
// CHECK-NOT: gpu.barrier
// CHECK: %[[HAS:.*]] = arith.cmpi ult, %[[THREAD]], %c32
// CHECK: scf.if %[[HAS]]
// CHECK: func.call @write_block(%[[B]], %{{.*}}) : (index, memref<16xf32, #gpu.address_space<global>>) -> ()
// CHECK: scf.for %{{.*}} = %c0{{.*}} to %[[N]] step %c1{{.*}} {

// What the second stage writes, the first one has read, in an iteration before or before the loop.
// CHECK: %[[PHASE:.*]] = treadle.grid_arrive %[[COUNTER]] of %[[BLOCKS]]
// CHECK-NEXT: treadle.grid_wait %[[COUNTER]] for %[[PHASE]]
// CHECK-NEXT: scf.for %[[B2:.*]] = %[[BLOCK]]
// CHECK-DAG: memref.view %[[SHARED]][%c0{{.*}}][] : {{.*}} to memref<4xf32
// CHECK-DAG: memref.view %[[SHARED]][%c64{{.*}}][] : {{.*}} to memref<8xf32
// CHECK: gpu.barrier
// CHECK-NEXT: func.call @move_block(%[[B2]],
// CHECK: }

// The third one has memory of its own.
// CHECK-NOT: treadle.grid
// CHECK: func.call @write_block
// CHECK: }
// CHECK: }
// CHECK: gpu.return

// A loop may not run at all.
module attributes {gpu.container_module} {
  func.func @forward_1(%arena: memref<128xi8>, %n: index) attributes {treadle.entry = #treadle.entry<forward, rows = 1>} {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c2 = arith.constant 2 : index
    %c32 = arith.constant 32 : index
    %c64 = arith.constant 64 : index
    %a = memref.view %arena[%c0][] : memref<128xi8> to memref<16xf32>
    %b = memref.view %arena[%c64][] : memref<128xi8> to memref<16xf32>
    gpu.launch_func @kernels::@write blocks in (%c2, %c1, %c1) threads in (%c32, %c1, %c1) args(%a : memref<16xf32>)
    scf.for %i = %c0 to %n step %c1 {
      gpu.launch_func @kernels::@move blocks in (%c1, %c1, %c1) threads in (%c64, %c1, %c1) args(%a : memref<16xf32>)
      gpu.launch_func @kernels::@write blocks in (%c2, %c1, %c1) threads in (%c32, %c1, %c1) args(%b : memref<16xf32>)
    }
    return
  }
  gpu.module @kernels {
    gpu.func @write(%x: memref<16xf32>) kernel attributes {known_block_size = array<i32: 32, 1, 1>} {
      %f = arith.constant 1.0 : f32
      %b = gpu.block_id x
      memref.store %f, %x[%b] : memref<16xf32>
      gpu.return
    }
    gpu.func @move(%x: memref<16xf32>) workgroup(%s: memref<4xf32, #gpu.address_space<workgroup>>, %t: memref<8xf32, #gpu.address_space<workgroup>> {llvm.align = 64 : i64}) kernel attributes {known_block_size = array<i32: 64, 1, 1>} {
      %b = gpu.block_id x
      %part = memref.subview %x[0] [8] [1] : memref<16xf32> to memref<8xf32>
      %f = memref.load %part[%b] : memref<8xf32>
      memref.store %f, %s[%b] : memref<4xf32, #gpu.address_space<workgroup>>
      memref.store %f, %t[%b] : memref<8xf32, #gpu.address_space<workgroup>>
      gpu.barrier
      memref.store %f, %part[%b] : memref<8xf32>
      gpu.return
    }
  }
}

// -----

// Layers of a state are places of their own, but all iterations together are not; a table of the host is one
// of the kernels as well.

// CHECK: gpu.module @kernels
// CHECK: memref.global "private" constant @table_{{.*}} : memref<2xf32> = dense<[1.000000e+00, 2.000000e+00]>
// CHECK: memref.global "private" constant @table : memref<1xf32> = dense<5.000000e+00>
// CHECK-LABEL: gpu.func @forward_1
// CHECK: memref.get_global @table_
// CHECK: scf.for
// CHECK: treadle.grid_arrive
// CHECK: func.call @add_block
module attributes {gpu.container_module} {
  memref.global "private" constant @table : memref<2xf32> = dense<[1.0, 2.0]>
  func.func @forward_1(%states: memref<128xi8>) attributes {treadle.entry = #treadle.entry<forward, rows = 1>} {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c2 = arith.constant 2 : index
    %c32 = arith.constant 32 : index
    %c64 = arith.constant 64 : index
    %zero = arith.constant 0.0 : f32
    %table = memref.get_global @table : memref<2xf32>
    scf.for %i = %c0 to %c2 step %c1 {
      %f = memref.load %table[%i] : memref<2xf32>
      %offset = arith.muli %i, %c64 : index
      %x = memref.view %states[%offset][] : memref<128xi8> to memref<16xf32>
      gpu.launch_func @kernels::@add blocks in (%c2, %c1, %c1) threads in (%c32, %c1, %c1) args(%x : memref<16xf32>, %f : f32)
    }
    %all = memref.view %states[%c0][] : memref<128xi8> to memref<16xf32>
    gpu.launch_func @kernels::@add blocks in (%c2, %c1, %c1) threads in (%c32, %c1, %c1) args(%all : memref<16xf32>, %zero : f32)
    return
  }
  gpu.module @kernels {
    memref.global "private" constant @table : memref<1xf32> = dense<5.0>
    gpu.func @add(%x: memref<16xf32>, %f: f32) kernel attributes {known_block_size = array<i32: 32, 1, 1>} {
      %b = gpu.block_id x
      memref.store %f, %x[%b] : memref<16xf32>
      gpu.return
    }
  }
}

// -----

// What the last stage of a loop writes, the first one reads in the next iteration, and only then.

// CHECK-LABEL: gpu.module @rounds
// CHECK: gpu.func @forward_1
// CHECK: scf.for
// CHECK: treadle.grid_arrive
// CHECK: treadle.grid_wait
// CHECK: func.call @copy_block
// CHECK: treadle.grid_arrive
// CHECK: treadle.grid_wait
// CHECK: func.call @copy_block
// CHECK-NOT: treadle.grid
// CHECK: gpu.return
module attributes {gpu.container_module} {
  func.func @forward_1(%x: memref<16xf32>, %y: memref<16xf32>, %n: index) attributes {treadle.entry = #treadle.entry<forward, rows = 1>} {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c16 = arith.constant 16 : index
    %c32 = arith.constant 32 : index
    scf.for %i = %c0 to %n step %c1 {
      gpu.launch_func @rounds::@copy blocks in (%c16, %c1, %c1) threads in (%c32, %c1, %c1) args(%x : memref<16xf32>, %y : memref<16xf32>)
      gpu.launch_func @rounds::@copy blocks in (%c16, %c1, %c1) threads in (%c32, %c1, %c1) args(%y : memref<16xf32>, %x : memref<16xf32>)
    }
    return
  }
  gpu.module @rounds {
    gpu.func @copy(%from: memref<16xf32>, %to: memref<16xf32>) kernel attributes {known_block_size = array<i32: 32, 1, 1>} {
      %b = gpu.block_id x
      %f = memref.load %from[%b] : memref<16xf32>
      memref.store %f, %to[%b] : memref<16xf32>
      gpu.return
    }
  }
}

// -----

// What an op touches that does not say, it may write.

// CHECK-LABEL: gpu.module @unknown
// CHECK: gpu.func @forward_1
// CHECK: func.call @read_block
// CHECK-NOT: treadle.grid
// CHECK: func.call @read_block
// CHECK: treadle.grid_arrive
// CHECK: func.call @touch_block
module attributes {gpu.container_module} {
  func.func @forward_1(%x: memref<1xi32>) attributes {treadle.entry = #treadle.entry<forward, rows = 1>} {
    %c1 = arith.constant 1 : index
    %c32 = arith.constant 32 : index
    gpu.launch_func @unknown::@read blocks in (%c1, %c1, %c1) threads in (%c32, %c1, %c1) args(%x : memref<1xi32>)
    gpu.launch_func @unknown::@read blocks in (%c1, %c1, %c1) threads in (%c32, %c1, %c1) args(%x : memref<1xi32>)
    gpu.launch_func @unknown::@touch blocks in (%c1, %c1, %c1) threads in (%c32, %c1, %c1) args(%x : memref<1xi32>)
    return
  }
  gpu.module @unknown {
    gpu.func @read(%x: memref<1xi32>) kernel attributes {known_block_size = array<i32: 32, 1, 1>} {
      %c0 = arith.constant 0 : index
      %n = memref.load %x[%c0] : memref<1xi32>
      gpu.printf "%d", %n : i32
      gpu.return
    }
    gpu.func @touch(%x: memref<1xi32>) kernel attributes {known_block_size = array<i32: 32, 1, 1>} {
      %c0 = arith.constant 0 : index
      %phase = treadle.grid_arrive %x of %c0 : memref<1xi32>
      gpu.return
    }
  }
}

// -----

// Entry points of more rows stay as they are, and so does one that is one launch.

// CHECK-LABEL: gpu.module @others
// CHECK-NOT: gpu.func @forward
// CHECK-NOT: func.func
module attributes {gpu.container_module} {
  func.func @forward_2(%x: memref<16xf32>) attributes {treadle.entry = #treadle.entry<forward, rows = 2>} {
    %c1 = arith.constant 1 : index
    %c32 = arith.constant 32 : index
    gpu.launch_func @others::@write blocks in (%c1, %c1, %c1) threads in (%c32, %c1, %c1) args(%x : memref<16xf32>)
    gpu.launch_func @others::@write blocks in (%c1, %c1, %c1) threads in (%c32, %c1, %c1) args(%x : memref<16xf32>)
    return
  }
  func.func @forward_1(%x: memref<16xf32>) attributes {treadle.entry = #treadle.entry<forward, rows = 1>} {
    %c1 = arith.constant 1 : index
    %c32 = arith.constant 32 : index
    gpu.launch_func @others::@write blocks in (%c1, %c1, %c1) threads in (%c32, %c1, %c1) args(%x : memref<16xf32>)
    return
  }
  gpu.module @others {
    gpu.func @write(%x: memref<16xf32>) kernel attributes {known_block_size = array<i32: 32, 1, 1>} {
      gpu.return
    }
  }
}

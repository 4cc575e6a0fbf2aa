// RUN: treadle-opt %s --split-input-file --convert-kernels-to-gpu --canonicalize | FileCheck %s

// A tile on 16 threads; the entry point becomes the schedule of its launches.

// CHECK-LABEL: func.func @entry
// CHECK-SAME: (%[[X:.*]]: memref<4x40xf32>)
// CHECK-DAG: %[[ONE:.*]] = arith.constant 1 : index
// CHECK-DAG: %[[TILES:.*]] = arith.constant 9 : index
// CHECK-DAG: %[[BLOCKS:.*]] = arith.constant 2 : index
// CHECK-DAG: %[[THREADS:.*]] = arith.constant 128 : index
// CHECK: gpu.launch_func @kernels::@twice_0 blocks in (%[[BLOCKS]], %[[ONE]], %[[ONE]]) threads in (%[[THREADS]], %[[ONE]], %[[ONE]])
// CHECK-SAME: args(%[[X]] : memref<4x40xf32>, %[[TILES]] : index)
// CHECK-NOT: func.func

// Lane i of each vector lives in thread i of the group; what a mask leaves out is not touched.
// CHECK: gpu.func @twice_0(%[[X:.*]]: memref<4x40xf32>, %[[TILES:.*]]: index) kernel attributes {known_block_size = array<i32: 128, 1, 1>}
// CHECK: %[[THREAD:.*]] = gpu.thread_id x
// CHECK-DAG: %[[LANE:.*]] = arith.remui %[[THREAD]], %c16
// CHECK-DAG: %[[GROUP:.*]] = arith.divui %[[THREAD]], %c16
// CHECK: %[[BLOCK:.*]] = gpu.block_id x
// CHECK: %[[BASE:.*]] = arith.muli %[[BLOCK]], %c8
// CHECK: %[[FIRST:.*]] = arith.addi %[[BASE]], %[[GROUP]]
// CHECK: %[[NEXT:.*]] = arith.addi %[[FIRST]], %c1
// CHECK: %[[END:.*]] = arith.minsi %[[NEXT]], %[[TILES]]
// CHECK: scf.for %[[ROW:.*]] = %[[FIRST]] to %[[END]]
// CHECK-NOT: memref.prefetch
// CHECK: %[[A:.*]] = memref.load %[[X]][%[[ROW]], %[[LANE]]]
// CHECK: %[[B:.*]] = arith.addf %[[A]], %[[A]] : f32
// CHECK: memref.store %[[B]], %[[X]][%[[ROW]], %[[LANE]]]
// CHECK: %[[IN:.*]] = arith.cmpi slt, %[[LANE]], %c8
// CHECK: %[[PLACE:.*]] = arith.addi %[[LANE]], %c32
// CHECK: %[[C:.*]] = scf.if %[[IN]] -> (f32)
// CHECK: memref.load %[[X]][%[[ROW]], %[[PLACE]]]
// CHECK: scf.if
// CHECK: memref.store
// No lane reads what another has written.
// CHECK-NOT: nvvm
// CHECK: gpu.return
func.func private @twice_0(%x: memref<4x40xf32>, %first: index, %end: index) attributes {treadle.kernel} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c32 = arith.constant 32 : index
  %zero = arith.constant dense<0.0> : vector<16xf32>
  scf.for %row = %first to %end step %c1 {
    memref.prefetch %x[%row, %c32], read, locality<3>, data : memref<4x40xf32>
    %a = vector.load %x[%row, %c0] : memref<4x40xf32>, vector<16xf32>
    %b = arith.addf %a, %a : vector<16xf32>
    vector.store %b, %x[%row, %c0] : memref<4x40xf32>, vector<16xf32>
    %mask = vector.constant_mask [8] : vector<16xi1>
    %c = vector.maskedload %x[%row, %c32], %mask, %zero : memref<4x40xf32>, vector<16xi1>, vector<16xf32> into vector<16xf32>
    %d = arith.mulf %c, %c : vector<16xf32>
    vector.maskedstore %x[%row, %c32], %mask, %d : memref<4x40xf32>, vector<16xi1>, vector<16xf32>
  }
  return
}
func.func @entry(%x: memref<4x40xf32>) attributes {treadle.entry = #treadle.entry<head, rows = 4>} {
  %c0 = arith.constant 0 : index
  %c9 = arith.constant 9 : index
  call @twice_0(%x, %c0, %c9) : (memref<4x40xf32>, index, index) -> ()
  return
}

// -----

// Lanes meet by shuffles among the 16 threads of the group, whatever half of a warp it is.

// CHECK: memref.global "private" constant @table_0 : memref<16xi32> = dense<[0, 5, 10,
// CHECK: gpu.func @lanes_0
// CHECK-DAG: %[[ALL:.*]] = arith.constant 65535 : i32
// CHECK-DAG: %[[SEGMENTS:.*]] = arith.constant 4127 : i32
// CHECK: %[[THREAD:.*]] = gpu.thread_id x
// CHECK: %[[WORD:.*]] = arith.index_castui %[[THREAD]]
// CHECK: %[[HALF:.*]] = arith.andi %[[WORD]], %c16_i32
// CHECK: %[[MEMBERS:.*]] = arith.shli %[[ALL]], %[[HALF]]
// A constant of 16 different numbers is a table.
// CHECK: %[[TABLE:.*]] = memref.get_global @table_0
// CHECK: %[[PLACES:.*]] = memref.load %[[TABLE]]
// CHECK: %[[X:.*]] = memref.load %{{.*}} : memref<64xf32>
// Half of the lanes on the other half.
// CHECK: %[[HIGH:.*]] = nvvm.shfl.sync idx %[[MEMBERS]], %[[X]], %{{.*}}, %[[SEGMENTS]] : f32 -> f32
// CHECK: %[[SUM:.*]] = arith.addf %[[X]], %[[HIGH]] : f32
// CHECK: %[[UNIFORM:.*]] = nvvm.shfl.sync idx %[[MEMBERS]], %[[SUM]], %c0_i32, %[[SEGMENTS]]
// Lanes of two vectors.
// CHECK: nvvm.shfl.sync idx %[[MEMBERS]], %[[X]]
// CHECK: nvvm.shfl.sync idx %[[MEMBERS]], %[[UNIFORM]]
// CHECK: arith.select
// A gather has places of its own.
// CHECK: %[[PLACE:.*]] = arith.index_cast %[[PLACES]] : i32 to index
// CHECK: scf.if
// CHECK-NEXT: memref.load %{{.*}}[%[[PLACE]]] : memref<64xf32>
// CHECK: gpu.return
func.func private @lanes_0(%x: memref<64xf32>, %y: memref<64xf32>, %first: index, %end: index) attributes {treadle.kernel} {
  %c0 = arith.constant 0 : index
  %c16 = arith.constant 16 : index
  %c32 = arith.constant 32 : index
  %zero = arith.constant dense<0.0> : vector<16xf32>
  %all = vector.constant_mask [16] : vector<16xi1>
  %places = arith.constant dense<[0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 1, 2, 3]> : vector<16xi32>
  %a = vector.load %x[%c0] : memref<64xf32>, vector<16xf32>
  %low = vector.extract_strided_slice %a {offsets = [0], sizes = [8], strides = [1]} : vector<16xf32> to vector<8xf32>
  %high = vector.extract_strided_slice %a {offsets = [8], sizes = [8], strides = [1]} : vector<16xf32> to vector<8xf32>
  %sum = arith.addf %low, %high : vector<8xf32>
  %s = vector.extract %sum[0] : f32 from vector<8xf32>
  %uniform = vector.broadcast %s : f32 to vector<16xf32>
  %both = vector.shuffle %a, %uniform [0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23] : vector<16xf32>, vector<16xf32>
  vector.store %both, %y[%c0] : memref<64xf32>, vector<16xf32>
  %g = vector.gather %x[%c0] [%places], %all, %zero : memref<64xf32>, vector<16xi32>, vector<16xi1>, vector<16xf32> into vector<16xf32>
  vector.store %g, %y[%c16] : memref<64xf32>, vector<16xf32>
  return
}

// -----

// Scratch memory has a part per group, and as many groups as find room. What a vector writes and a
// number is read of stands between fences; a number is stored by one lane.

// CHECK: gpu.func @scratch_0
// CHECK-SAME: workgroup(%[[ALL:.*]] : memref<3x4096xf32, #gpu.address_space<workgroup>>)
// CHECK-SAME: known_block_size = array<i32: 48, 1, 1>
// CHECK: %[[MINE:.*]] = memref.subview %[[ALL]][%{{.*}}, 0] [1, 4096] [1, 1]
// CHECK: nvvm.bar.warp.sync
// CHECK: memref.store %{{.*}}, %[[MINE]]
// CHECK: nvvm.bar.warp.sync
// CHECK: %[[NUMBER:.*]] = memref.load %[[MINE]]
// CHECK: %[[IS_FIRST:.*]] = arith.cmpi slt, %{{.*}}, %c1
// CHECK: scf.if %[[IS_FIRST]] {
// CHECK-NEXT: memref.store %[[NUMBER]]
func.func private @scratch_0(%x: memref<64xf32>, %first: index, %end: index) attributes {treadle.kernel} {
  %scratch = memref.alloca() : memref<4096xf32>
  %c0 = arith.constant 0 : index
  %c5 = arith.constant 5 : index
  %a = arith.constant dense<1.0> : vector<16xf32>
  vector.store %a, %scratch[%c0] : memref<4096xf32>, vector<16xf32>
  %s = memref.load %scratch[%c5] : memref<4096xf32>
  memref.store %s, %x[%c0] : memref<64xf32>
  return
}

// -----

// Vectors that start at multiples of 16 keep every lane to itself: no fence.

// CHECK: gpu.func @own_0
// CHECK-NOT: nvvm.bar.warp.sync
// CHECK: gpu.return
func.func private @own_0(%first: index, %end: index) attributes {treadle.kernel} {
  %scratch = memref.alloca() : memref<4096xf32>
  %c0 = arith.constant 0 : index
  %c3 = arith.constant 3 : index
  %c16 = arith.constant 16 : index
  %c4096 = arith.constant 4096 : index
  %a = arith.constant dense<1.0> : vector<16xf32>
  scf.for %i = %c0 to %c4096 step %c16 {
    %block = arith.muli %c3, %c16 : index
    %place = arith.addi %i, %block : index
    vector.store %a, %scratch[%place] : memref<4096xf32>, vector<16xf32>
    %b = vector.load %scratch[%i] : memref<4096xf32>, vector<16xf32>
  }
  return
}

// CHECK: gpu.func @others_0
// CHECK: nvvm.bar.warp.sync
// CHECK: gpu.return
func.func private @others_0(%first: index, %end: index) attributes {treadle.kernel} {
  %scratch = memref.alloca() : memref<4096xf32>
  %c0 = arith.constant 0 : index
  %c8 = arith.constant 8 : index
  %c4096 = arith.constant 4096 : index
  %a = arith.constant dense<1.0> : vector<16xf32>
  scf.for %i = %c0 to %c4096 step %c8 {
    vector.store %a, %scratch[%i] : memref<4096xf32>, vector<16xf32>
    %b = vector.load %scratch[%i] : memref<4096xf32>, vector<16xf32>
  }
  return
}

// -----

// Memory whose rows are counted at run time is passed as a pointer, with the rows behind.

// CHECK-LABEL: func.func @entry
// CHECK: %[[X:.*]] = memref.reinterpret_cast %{{.*}} : memref<32x16xf32> to memref<f32
// CHECK: gpu.launch_func @kernels::@open_0
// CHECK-SAME: args(%[[X]] : memref<f32{{.*}}>, %c32 : index, %c2 : index)
// CHECK: gpu.func @open_0(%[[X:.*]]: memref<f32>, %[[ROWS:.*]]: index, %{{.*}}: index)
// CHECK: memref.reinterpret_cast %[[X]] to offset: [0], sizes: [%[[ROWS]], 16], strides: [16, 1] : memref<f32> to memref<?x16xf32>
func.func private @open_0(%x: memref<?x16xf32>, %first: index, %end: index) attributes {treadle.kernel} {
  %c0 = arith.constant 0 : index
  %a = vector.load %x[%first, %c0] : memref<?x16xf32>, vector<16xf32>
  %b = arith.addf %a, %a : vector<16xf32>
  vector.store %b, %x[%first, %c0] : memref<?x16xf32>, vector<16xf32>
  return
}
func.func @entry(%x: memref<32x16xf32>) attributes {treadle.entry = #treadle.entry<head, rows = 32>} {
  %c0 = arith.constant 0 : index
  %c2 = arith.constant 2 : index
  %open = memref.cast %x : memref<32x16xf32> to memref<?x16xf32>
  call @open_0(%open, %c0, %c2) : (memref<?x16xf32>, index, index) -> ()
  return
}

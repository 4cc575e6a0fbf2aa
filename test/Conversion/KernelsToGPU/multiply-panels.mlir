// RUN: treadle-opt %s --split-input-file --convert-kernels-to-gpu --treadle-expand-products --canonicalize --cse | FileCheck %s

// 512 numbers of K are 16 slices of two steps: a pair for each of 8 warps. A thread holds two words of four outputs of
// the one slice or the other, and the same words of a row; of its sums those of its own slice.

// CHECK-LABEL: gpu.func @few_0
// CHECK-SAME: (%[[X:.*]]: memref<2x512xf32>, %[[W:.*]]: memref<9x256x16xi32>, %{{.*}}: memref<2x144xf32>, %{{.*}}: index)
// CHECK-SAME: known_block_size = array<i32: 256, 1, 1>
// CHECK-DAG: %[[SUMS:.*]] = memref.collapse_shape
// CHECK-DAG: %[[WARP:.*]] = arith.divui %{{.*}}, %c32
// CHECK-DAG: %[[LANE:.*]] = arith.remui %{{.*}}, %c32
// CHECK-DAG: %[[G:.*]] = arith.divui %[[LANE]], %c4
// CHECK-DAG: %[[T:.*]] = arith.remui %[[LANE]], %c4
// CHECK-DAG: %[[HALF:.*]] = arith.divui %[[G]], %c4
// CHECK-DAG: %[[QUARTER:.*]] = arith.remui %[[G]], %c4
// CHECK: scf.for %[[ITEM:.*]] = %[[WARP]] to %c8 step %c8 {
// CHECK: %[[PAIR:.*]] = arith.muli %{{.*}}, %c2
// CHECK: %[[SLICE:.*]] = arith.addi %[[PAIR]], %[[HALF]]
// CHECK: %[[BEGIN:.*]] = arith.muli %[[SLICE]], %c16
// CHECK: %[[WORD:.*]] = arith.addi %[[BEGIN]], %[[T]]
// CHECK: %[[OUTPUT:.*]] = arith.muli %[[QUARTER]], %c4
// CHECK: %[[ROW:.*]] = arith.minui %[[QUARTER]], %c1
// CHECK-COUNT-4: vector.load %[[W]][%{{.*}}, %{{.*}}, %[[OUTPUT]]] {alignment = 16 : i64} : memref<9x256x16xi32>, vector<4xi32>
// CHECK-NOT: arith.select
// CHECK: vector.load %[[X]][%[[ROW]], %{{.*}}] {alignment = 8 : i64} : memref<2x512xf32>, vector<2xf32>
// CHECK: arith.truncf %{{.*}} : vector<2xf32> to vector<2xbf16>
// CHECK-COUNT-4: nvvm.mma.sync {{.*}} {{.*}}layoutA = #nvvm.mma_layout<row>, layoutB = #nvvm.mma_layout<col>{{.*}}shape = #nvvm.shape<m = 16, n = 8, k = 16>
// CHECK: %[[IS_OWN:.*]] = arith.cmpi eq, %[[HALF]],
// CHECK: scf.if
// CHECK: vector.store %{{.*}}, %[[SUMS]]
// CHECK: gpu.barrier
// The slices are added in order, by 16 threads a row.
// CHECK: scf.for
// CHECK-COUNT-16: arith.addf
// CHECK: memref.store %{{.*}}, %[[SUMS]]
// CHECK: gpu.barrier
// CHECK: vector.load %{{.*}} {alignment = 16 : i64} : memref<34x16xi32, {{.*}}>, vector<4xi32>
// CHECK: vector.store
// CHECK-NOT: gpu.barrier
// CHECK: gpu.return
func.func private @few_0(%x: memref<2x512xf32>, %w: memref<9x256x16xi32>, %y: memref<2x144xf32>, %first: index, %end: index) attributes {treadle.kernel, treadle.sliced} {
  %sums = memref.alloca() {alignment = 64 : i64} : memref<34x16xi32>
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %c16 = arith.constant 16 : index
  scf.for %tile = %first to %end step %c1 {
    treadle.multiply_panels %sums = (%x) [%c0, %c0] rows %c2 by %w[%tile] panels %c1 {inner = 512 : i64, most_rows = 2 : i64, most_panels = 1 : i64}
      : memref<34x16xi32>, (memref<2x512xf32>), memref<9x256x16xi32>
    %column = arith.muli %tile, %c16 : index
    scf.for %row = %c0 to %c2 step %c1 {
      %words = vector.load %sums[%row, %c0] : memref<34x16xi32>, vector<16xi32>
      %sum = arith.bitcast %words : vector<16xi32> to vector<16xf32>
      vector.store %sum, %y[%row, %column] : memref<2x144xf32>, vector<16xf32>
    }
  }
  return
}

// -----

// What is behind the end of K counts as 0 and is not read: of 70 numbers, 35 words. An odd number is read alone.

// CHECK-LABEL: gpu.func @border_0
// CHECK: %[[NEAR:.*]] = arith.minui %[[WORD:.*]], %c34
// CHECK: %[[LOADED:.*]] = vector.load %{{.*}}[%{{.*}}, %[[NEAR]], %{{.*}}] {alignment = 16 : i64} : memref<9x35x16xi32>, vector<4xi32>
// CHECK: %[[IS_THERE:.*]] = arith.cmpi ult, %[[WORD]], %c35
// CHECK: arith.select %[[IS_THERE]], %[[LOADED]], %
// CHECK: %[[NEAR:.*]] = arith.minui %[[PLACE:.*]], %c68
// CHECK: memref.load %{{.*}}[%{{.*}}, %[[NEAR]]] : memref<2x69xf32>
// CHECK: arith.cmpi ult, %[[PLACE]], %c69
// CHECK: nvvm.mma.sync
func.func private @border_0(%x: memref<2x69xf32>, %w: memref<9x35x16xi32>, %first: index, %end: index) attributes {treadle.kernel, treadle.sliced} {
  %sums = memref.alloca() {alignment = 64 : i64} : memref<8x16xi32>
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  scf.for %tile = %first to %end step %c1 {
    treadle.multiply_panels %sums = (%x) [%c0, %c0] rows %c2 by %w[%tile] panels %c1 {inner = 69 : i64, most_rows = 2 : i64, most_panels = 1 : i64}
      : memref<8x16xi32>, (memref<2x69xf32>), memref<9x35x16xi32>
  }
  return
}

// -----

// A kernel that multiplies on the way to something else is run by a block for each tile.

// CHECK-LABEL: gpu.func @prologue_0
// CHECK-SAME: known_block_size = array<i32: 256, 1, 1>
func.func private @prologue_0(%x: memref<1x70xf32>, %w: memref<9x35x16xi32>, %y: memref<16xf32>, %first: index, %end: index) attributes {treadle.kernel} {
  %sums = memref.alloca() {alignment = 64 : i64} : memref<4x16xi32>
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  scf.for %tile = %first to %end step %c1 {
    treadle.multiply_panels %sums = (%x) [%c0, %c0] rows %c1 by %w[%tile] panels %c1 {inner = 70 : i64, most_rows = 1 : i64, most_panels = 1 : i64}
      : memref<4x16xi32>, (memref<1x70xf32>), memref<9x35x16xi32>
    %words = vector.load %sums[%c0, %c0] : memref<4x16xi32>, vector<16xi32>
    %sum = arith.bitcast %words : vector<16xi32> to vector<16xf32>
    vector.store %sum, %y[%c0] : memref<16xf32>, vector<16xf32>
  }
  return
}

// -----

// Many rows pass K in blocks of 16 words, which are copied in the background: of 4 panels, each of 256 threads copies 16
// bytes and rounds 8 numbers of a row. Two blocks are under way while one is multiplied.

// CHECK-LABEL: gpu.func @many_0
// CHECK-SAME: (%[[X:.*]]: memref<64x2048xf32>, %[[W:.*]]: memref<9x1024x16xi32>
// CHECK: %[[SUMS:.*]] = memref.collapse_shape
// CHECK: gpu.barrier
// CHECK-COUNT-2: nvgpu.device_async_copy %[[W]]
// CHECK: vector.store %{{.*}}, %[[SUMS]]
// CHECK: scf.for %[[SLICE:.*]] = %c0 to %c16 step %c1 iter_args
// CHECK: %[[FIRST:.*]] = arith.muli %[[SLICE]], %c4
// CHECK: scf.for %[[I:.*]] = %c0 to %c4 step %c1 iter_args
// CHECK: %[[BLOCK:.*]] = arith.addi %[[FIRST]], %[[I]]
// CHECK: %[[AHEAD:.*]] = arith.addi %[[BLOCK]], %c2
// CHECK: %[[NEXT:.*]] = arith.minui %[[AHEAD]], %c63
// CHECK: nvvm.cp.async.wait.group 1
// CHECK-NEXT: gpu.barrier
// CHECK-NOT: vector.load
// CHECK: nvgpu.device_async_copy %[[W]][%{{.*}}, %{{.*}}, %{{.*}}], %[[SUMS]][%{{.*}}], 4 {bypassL1}
// CHECK: nvvm.cp.async.commit.group
// CHECK-COUNT-2: vector.load %[[X]][%{{.*}}] {alignment = 16 : i64}
// CHECK: vector.load %[[SUMS]]
// CHECK-COUNT-8: nvvm.mma.sync
// CHECK-NOT: nvvm.mma.sync
// CHECK: vector.store %{{.*}}, %[[SUMS]]
// CHECK: scf.yield
// CHECK: {llvm.loop_annotation = #
// CHECK-COUNT-16: arith.addf
// CHECK: nvvm.cp.async.wait.group 0
// CHECK-NEXT: gpu.barrier
// CHECK-COUNT-4: vector.store %{{.*}}, %[[SUMS]]
// CHECK: gpu.barrier
func.func private @many_0(%x: memref<64x2048xf32>, %w: memref<9x1024x16xi32>, %y: memref<64x144xf32>, %first: index, %end: index) attributes {treadle.kernel, treadle.sliced} {
  %sums = memref.alloca() {alignment = 64 : i64} : memref<432x16xi32>
  %c0 = arith.constant 0 : index
  %c4 = arith.constant 4 : index
  %c64 = arith.constant 64 : index
  treadle.multiply_panels %sums = (%x) [%first, %c0] rows %c64 by %w[%c0] panels %c4 {inner = 2048 : i64, most_rows = 64 : i64, most_panels = 4 : i64}
    : memref<432x16xi32>, (memref<64x2048xf32>), memref<9x1024x16xi32>
  return
}

// -----

// Words behind the last one are copied as 0; an odd number is rounded alone.

// CHECK-LABEL: gpu.func @many_borders_0
// CHECK: %[[WORD:.*]] = arith.minui %[[AT:.*]], %c34
// CHECK: %[[IS_THERE:.*]] = arith.cmpi ult, %[[AT]], %c35
// CHECK: %[[COUNT:.*]] = arith.select %[[IS_THERE]], %c4, %c0
// CHECK: nvgpu.device_async_copy %{{.*}}[%{{.*}}, %[[WORD]], %{{.*}}], %{{.*}}[%{{.*}}], 4, %[[COUNT]] {bypassL1}
// CHECK-COUNT-8: memref.load %{{.*}} : memref<64x69xf32>
func.func private @many_borders_0(%x: memref<64x69xf32>, %w: memref<9x35x16xi32>, %y: memref<64x144xf32>, %first: index, %end: index) attributes {treadle.kernel, treadle.sliced} {
  %sums = memref.alloca() {alignment = 64 : i64} : memref<624x16xi32>
  %c0 = arith.constant 0 : index
  %c8 = arith.constant 8 : index
  %c64 = arith.constant 64 : index
  treadle.multiply_panels %sums = (%x) [%first, %c0] rows %c64 by %w[%c0] panels %c8 {inner = 69 : i64, most_rows = 64 : i64, most_panels = 8 : i64}
    : memref<624x16xi32>, (memref<64x69xf32>), memref<9x35x16xi32>
  return
}

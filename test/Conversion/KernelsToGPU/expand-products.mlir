// RUN: treadle-opt %s --split-input-file --treadle-expand-products=warp-groups=1 --canonicalize --cse | FileCheck %s
// RUN: treadle-opt %s --split-input-file --treadle-expand-products --canonicalize --cse | FileCheck %s --check-prefix=WARPS

// 2048 numbers of K are 16 slices of four blocks. Of each of 8 panels a warp's first thread asks for a block, 1 KB; all wait
// for its phase, block / 3. A group has 4 panels and all rows; a warp 16 outputs, of which a thread loads two of each word.

// CHECK-LABEL: gpu.func @many
// CHECK-SAME: (%[[X:.*]]: memref<64x2048xf32>, %[[W:.*]]: memref<9x1024x16xi32>
// CHECK-SAME: nvvm.minctasm = 2 : i32
// CHECK-DAG: %[[THREAD:.*]] = gpu.thread_id x
// CHECK-DAG: %[[GROUP:.*]] = arith.divui %[[THREAD]], %c128
// CHECK-DAG: %[[IS_FIRST:.*]] = arith.cmpi eq, %[[THREAD]], %c0
// CHECK-DAG: %[[OF_WARP:.*]] = arith.remui %[[THREAD]], %c32
// CHECK-DAG: %[[ASKS:.*]] = arith.cmpi eq, %[[OF_WARP]], %c0
// CHECK: gpu.barrier
// CHECK-NEXT: scf.if %[[IS_FIRST]] {
// CHECK-COUNT-3: nvvm.mbarrier.init %{{.*}}, %c8_i32
// CHECK: nvvm.fence.proxy {kind = #nvvm.proxy_kind<async.shared>, space = #nvvm.shared_space<cta>}
// CHECK-NEXT: gpu.barrier
// CHECK: scf.if %[[ASKS]] {
// CHECK: nvvm.mbarrier.arrive.expect_tx %{{.*}}, %c1024_i32
// CHECK: llvm.inline_asm has_side_effects {{.*}}"cp.async.bulk.
// CHECK: vector.store {{.*}} vector<4xi32>
// CHECK: nvvm.fence.proxy
// CHECK: scf.for %{{.*}} = %c0 to %c16 step %c1 iter_args
// CHECK: scf.for %[[I:.*]] = %c0 to %c4 step %c1 iter_args
// CHECK: %[[BLOCK:.*]] = arith.addi %{{.*}}, %[[I]]
// CHECK: %[[NEXT:.*]] = arith.addi %[[BLOCK]], %c2
// CHECK-DAG: %[[STAGE:.*]] = arith.remui %[[BLOCK]], %c3
// CHECK-DAG: %[[PHASE:.*]] = arith.divui %[[BLOCK]], %c3
// CHECK: llvm.inline_asm has_side_effects {{.*}}mbarrier.try_wait.parity
// CHECK-NEXT: gpu.barrier
// CHECK: %[[HAS_NEXT:.*]] = arith.cmpi ult, %[[NEXT]], %c64
// CHECK: scf.if %[[HAS_NEXT]] {
// CHECK: scf.if %[[ASKS]] {
// CHECK: nvvm.mbarrier.arrive.expect_tx %{{.*}}, %c1024_i32
// CHECK: llvm.inline_asm has_side_effects {{.*}}"cp.async.bulk.
// CHECK-COUNT-2: vector.load %[[X]][%{{.*}}] {alignment = 16 : i64}
// CHECK-COUNT-4: vector.load {{.*}} {alignment = 8 : i64} : {{.*}}, vector<2xi32>
// CHECK-NOT: arith.select
// CHECK: llvm.inline_asm has_side_effects {{.*}}"wgmma.fence.sync.aligned;"
// CHECK-COUNT-2: llvm.inline_asm has_side_effects {{.*}}wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16
// CHECK: nvvm.wgmma.commit.group.sync.aligned
// CHECK: vector.store
// CHECK: nvvm.fence.proxy
// CHECK: llvm.inline_asm has_side_effects {{.*}}"wgmma.wait_group.sync.aligned 0;"
// CHECK: scf.yield
// CHECK: {llvm.loop_annotation = #
// CHECK-COUNT-32: arith.addf
// CHECK: gpu.barrier
// CHECK-COUNT-3: nvvm.mbarrier.inval
// CHECK-COUNT-16: vector.store {{.*}} {alignment = 8 : i64}
// CHECK: gpu.barrier
// CHECK-NEXT: gpu.return

// On other chips warps multiply.

// WARPS-LABEL: gpu.func @many
// WARPS-NOT: inline_asm
// WARPS-NOT: minctasm
// WARPS: nvgpu.device_async_copy
// WARPS: nvvm.mma.sync
gpu.module @kernels {
  gpu.func @many(%x: memref<64x2048xf32>, %w: memref<9x1024x16xi32>, %first: index)
      workgroup(%sums : memref<624x16xi32, #gpu.address_space<workgroup>>) kernel attributes {known_block_size = array<i32: 256, 1, 1>} {
    %c0 = arith.constant 0 : index
    %c8 = arith.constant 8 : index
    %c64 = arith.constant 64 : index
    treadle.multiply_panels %sums = (%x) [%first, %c0] rows %c64 by %w[%c0] panels %c8 {inner = 2048 : i64, most_rows = 64 : i64, most_panels = 8 : i64}
      : memref<624x16xi32, #gpu.address_space<workgroup>>, (memref<64x2048xf32>), memref<9x1024x16xi32>
    gpu.return
  }
}

// -----

// Of 69 numbers there are 35 words: of the third block three, of the fourth the last one, and what is read there counts as 0. Of
// four panels both groups have all, and half of the rows.

// CHECK-LABEL: gpu.func @borders
// CHECK: nvvm.mbarrier.arrive.expect_tx %{{.*}}, %c1024_i32
// CHECK: %[[WORD:.*]] = arith.minui %{{.*}}, %c34
// CHECK: %[[LEFT:.*]] = arith.subi %c35, %[[WORD]]
// CHECK: arith.minui %[[LEFT]], %c16
// CHECK: vector.load {{.*}} {alignment = 8 : i64} : {{.*}}, vector<2xi32>
// CHECK: %[[IS_THERE:.*]] = arith.cmpi ult, %{{.*}}, %c35
// CHECK: arith.select %[[IS_THERE]], %{{.*}}, %{{.*}} : vector<2xi32>
// CHECK: wgmma.mma_async.sync.aligned.m64n32k16.f32.bf16.bf16
gpu.module @kernels {
  gpu.func @borders(%x: memref<64x69xf32>, %w: memref<9x35x16xi32>, %first: index)
      workgroup(%sums : memref<432x16xi32, #gpu.address_space<workgroup>>) kernel attributes {known_block_size = array<i32: 256, 1, 1>} {
    %c0 = arith.constant 0 : index
    %c4 = arith.constant 4 : index
    %c64 = arith.constant 64 : index
    treadle.multiply_panels %sums = (%x) [%first, %c0] rows %c64 by %w[%c0] panels %c4 {inner = 69 : i64, most_rows = 64 : i64, most_panels = 4 : i64}
      : memref<432x16xi32, #gpu.address_space<workgroup>>, (memref<64x69xf32>), memref<9x35x16xi32>
    gpu.return
  }
}

// -----

// Warp groups have no product of 128 rows: warps multiply.

// CHECK-LABEL: gpu.func @more_rows
// CHECK-NOT: wgmma
// CHECK: nvvm.mma.sync
gpu.module @kernels {
  gpu.func @more_rows(%x: memref<128x64xf32>, %w: memref<9x32x16xi32>, %first: index)
      workgroup(%sums : memref<1024x16xi32, #gpu.address_space<workgroup>>) kernel attributes {known_block_size = array<i32: 256, 1, 1>} {
    %c0 = arith.constant 0 : index
    %c8 = arith.constant 8 : index
    %c128 = arith.constant 128 : index
    treadle.multiply_panels %sums = (%x) [%first, %c0] rows %c128 by %w[%c0] panels %c8 {inner = 64 : i64, most_rows = 128 : i64, most_panels = 8 : i64}
      : memref<1024x16xi32, #gpu.address_space<workgroup>>, (memref<128x64xf32>), memref<9x32x16xi32>
    gpu.return
  }
}

// -----

// So they do where K is one block.

// CHECK-LABEL: gpu.func @short
// CHECK-NOT: wgmma
// CHECK: nvvm.mma.sync
gpu.module @kernels {
  gpu.func @short(%x: memref<64x32xf32>, %w: memref<9x16x16xi32>, %first: index)
      workgroup(%sums : memref<432x16xi32, #gpu.address_space<workgroup>>) kernel attributes {known_block_size = array<i32: 256, 1, 1>} {
    %c0 = arith.constant 0 : index
    %c4 = arith.constant 4 : index
    %c64 = arith.constant 64 : index
    treadle.multiply_panels %sums = (%x) [%first, %c0] rows %c64 by %w[%c0] panels %c4 {inner = 32 : i64, most_rows = 64 : i64, most_panels = 4 : i64}
      : memref<432x16xi32, #gpu.address_space<workgroup>>, (memref<64x32xf32>), memref<9x16x16xi32>
    gpu.return
  }
}

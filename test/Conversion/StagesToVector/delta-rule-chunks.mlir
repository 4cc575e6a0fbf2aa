// RUN: treadle-opt %s --pass-pipeline='builtin.module(convert-treadle-to-stages,func.func(treadle-plan-arena),treadle-gpu-assign-tiles,convert-stages-to-vector{slices=64 chunked=true})' -o %t
// RUN: FileCheck %s --input-file=%t
// RUN: treadle-opt %t --convert-kernels-to-gpu --canonicalize --cse | FileCheck %s --check-prefix=GPU
// RUN: treadle-opt %s --pass-pipeline='builtin.module(convert-treadle-to-stages,func.func(treadle-plan-arena),treadle-gpu-assign-tiles,convert-stages-to-vector{chunked=true})' | FileCheck %s --check-prefix=ALONE

treadle.weight @w : !treadle.weight<37x64xf32, panels> from ["w"]
treadle.weight @v : !treadle.weight<37x304xf32, panels> from ["v"]
treadle.weight @g : !treadle.weight<37x2xf32, panels> from ["g"]
treadle.weight @h : !treadle.weight<37x1xf32, panels> from ["h"]
treadle.state @mask : !treadle.state<append, 128xi8>
treadle.state @s : !treadle.state<fixed, 2x32x32xf32>
treadle.state @t : !treadle.state<fixed, 1x64x304xf32>

// Of many threads a chunk has 32 rows, and the state stays where it is; of one it has 64.
// CHECK-LABEL: func.func private @gated_delta_rule_0
// CHECK-SAME: treadle.sliced
// CHECK-DAG: memref.alloca() {{.*}} : memref<32x32xf32>
// CHECK-DAG: memref.alloca() {{.*}} : memref<64x16xf32>
// CHECK-DAG: memref.alloca() {{.*}} : memref<32x2x16xf32>
// CHECK: arith.remui %{{.*}}, %c32
// CHECK: return
// ALONE-LABEL: func.func private @gated_delta_rule_0
// ALONE-NOT: treadle.sliced
// ALONE-DAG: memref.alloca() {{.*}} : memref<64x64xf32>
// ALONE: arith.remui %{{.*}}, %c64
// ALONE: return

// Threads share all loops, between barriers: over 16 rows, columns of keys, rows, rows and vectors of columns, or vectors
// of columns alone.
// GPU: gpu.func @gated_delta_rule_0(
// GPU-SAME: %[[STATE:[^ ]*]]: memref<2x32x32xf32>
// GPU-SAME: known_block_size = array<i32: 256, 1, 1>
// GPU-DAG: %[[GROUP:.*]] = arith.divui %[[THREAD:.*]], %c16
// GPU-DAG: %[[QUAD:.*]] = arith.divui %[[THREAD]], %c4
// GPU: scf.for %{{.*}} = %c0 to %{{.*}} step %c32 {
// GPU: gpu.barrier
// GPU: %[[OWN:.*]] = arith.muli %[[GROUP]], %c16
// GPU: scf.for %{{.*}} = %[[OWN]] to %c32 step %c256 {
// GPU: memref.store %{{.*}}, %{{.*}} : memref<32xf32
// GPU: gpu.barrier
// GPU: scf.for %[[D:.*]] = %[[GROUP]] to %c32 step %c16 {
// GPU: memref.store %{{.*}}, %[[KEYS:.*]][%[[D]],
// GPU: gpu.barrier
// GPU: scf.for %[[ROW:.*]] = %[[QUAD]] to %[[COUNT:.*]] step %c64 {
// GPU: vector.store %{{.*}}, %[[COUPLING:.*]][%[[ROW]],
// GPU: vector.store %{{.*}}, %[[READING:.*]][%[[ROW]],
// GPU: gpu.barrier
// GPU: scf.for %[[PLACE:.*]] = %[[QUAD]] to %{{.*}} step %c64 {
// GPU: vector.load %[[STATE]]
// GPU: vector.store %{{.*}}, %[[REST:.*]][%[[PLACE]],
// GPU: vector.store %{{.*}}, %[[KNOWN:.*]][%[[PLACE]],
// GPU: gpu.barrier
// GPU: scf.for %[[BLOCK:.*]] = %c0 to %[[COUNT]] step %c16 {
// GPU: gpu.barrier
// GPU: scf.for %[[VECTOR:.*]] = %[[QUAD]] to %c2 step %c64 {
// GPU: scf.for %[[ROW:.*]] = %[[BLOCK]] to
// GPU: vector.store %{{.*}}, %[[NEWS:.*]][%[[ROW]], %[[VECTOR]],
// GPU: gpu.barrier
// GPU: scf.for %[[PLACE:.*]] = %{{.*}} to %{{.*}} step %c64 {
// GPU: vector.load %[[REST]][%[[PLACE]],
// GPU: memref.load %[[COUPLING]]
// GPU: vector.store %{{.*}}, %[[REST]][%[[PLACE]],
// GPU: gpu.barrier
// GPU: scf.for %[[ROW:.*]] = %[[QUAD]] to %[[COUNT]] step %c64 {
// GPU: vector.load %[[KNOWN]]
// GPU: memref.load %[[READING]][%[[ROW]],
// GPU: gpu.barrier
// GPU: scf.for %[[BLOCK:.*]] = %{{.*}} to %[[COUNT]] step %c1024 {
// GPU: vector.store %{{.*}}, %[[KEYS]][
// GPU: gpu.barrier
// GPU: scf.for %[[D:.*]] = %[[QUAD]] to %c32 step %c64 {
// GPU: memref.load %[[KEYS]][%[[D]],
// GPU: vector.store %{{.*}}, %[[STATE]][%{{.*}}, %[[D]],
// GPU: gpu.barrier
// GPU: gpu.return
func.func @rows(%ids: tensor<128xi32>, %flags: tensor<128xi8>, %position: index, %valid: index, %loops: index) -> tensor<128x64xf32> attributes {treadle.entry = #treadle.entry<forward, rows = 128>} {
  %w = treadle.get_weight @w : !treadle.weight<37x64xf32, panels>
  %g = treadle.get_weight @g : !treadle.weight<37x2xf32, panels>
  %x = treadle.embedding %ids, %w : (tensor<128xi32>, !treadle.weight<37x64xf32, panels>) -> tensor<128x64xf32>
  %beta = treadle.embedding %ids, %g : (tensor<128xi32>, !treadle.weight<37x2xf32, panels>) -> tensor<128x2xf32>
  %mask = treadle.get_state @mask : !treadle.state<append, 128xi8>
  %s = treadle.get_state @s : !treadle.state<fixed, 2x32x32xf32>
  %y = treadle.gated_delta_rule %x, %x, %x, %beta, %beta, %s, %mask at %position valid %valid {heads = 2 : i64, key_heads = 2 : i64}
    : (tensor<128x64xf32>, tensor<128x64xf32>, tensor<128x64xf32>, tensor<128x2xf32>, tensor<128x2xf32>, !treadle.state<fixed, 2x32x32xf32>, !treadle.state<append, 128xi8>, index, index) -> tensor<128x64xf32>
  return %y : tensor<128x64xf32>
}

// A single row is no chunk.
// CHECK-LABEL: func.func private @gated_delta_rule_1
// CHECK-SAME: memref<1x64xf32>
// CHECK-NOT: memref.alloca
// CHECK: return
// ALONE-LABEL: func.func private @gated_delta_rule_1
// ALONE-NOT: memref.alloca
// ALONE: return
func.func @row(%ids: tensor<1xi32>, %flags: tensor<1xi8>, %position: index, %valid: index, %loops: index) -> tensor<1x64xf32> attributes {treadle.entry = #treadle.entry<forward, rows = 1>} {
  %w = treadle.get_weight @w : !treadle.weight<37x64xf32, panels>
  %g = treadle.get_weight @g : !treadle.weight<37x2xf32, panels>
  %x = treadle.embedding %ids, %w : (tensor<1xi32>, !treadle.weight<37x64xf32, panels>) -> tensor<1x64xf32>
  %beta = treadle.embedding %ids, %g : (tensor<1xi32>, !treadle.weight<37x2xf32, panels>) -> tensor<1x2xf32>
  %mask = treadle.get_state @mask : !treadle.state<append, 128xi8>
  %s = treadle.get_state @s : !treadle.state<fixed, 2x32x32xf32>
  %y = treadle.gated_delta_rule %x, %x, %x, %beta, %beta, %s, %mask at %position valid %valid {heads = 2 : i64, key_heads = 2 : i64}
    : (tensor<1x64xf32>, tensor<1x64xf32>, tensor<1x64xf32>, tensor<1x2xf32>, tensor<1x2xf32>, !treadle.state<fixed, 2x32x32xf32>, !treadle.state<append, 128xi8>, index, index) -> tensor<1x64xf32>
  return %y : tensor<1x64xf32>
}

// Heads so wide that not even 16 rows fit a block's memory: row by row.
// CHECK-LABEL: func.func private @gated_delta_rule_2
// CHECK-SAME: memref<1x64x304xf32>
// CHECK-NOT: memref.alloca
// CHECK: scf.if
// CHECK: return
// ALONE-LABEL: func.func private @gated_delta_rule_2
// ALONE-DAG: memref.alloca() {{.*}} : memref<64x64xf32>
// ALONE: return
func.func @wide(%ids: tensor<128xi32>, %flags: tensor<128xi8>, %position: index, %valid: index, %loops: index) -> tensor<128x304xf32> attributes {treadle.entry = #treadle.entry<forward, rows = 128>} {
  %w = treadle.get_weight @w : !treadle.weight<37x64xf32, panels>
  %v = treadle.get_weight @v : !treadle.weight<37x304xf32, panels>
  %h = treadle.get_weight @h : !treadle.weight<37x1xf32, panels>
  %x = treadle.embedding %ids, %w : (tensor<128xi32>, !treadle.weight<37x64xf32, panels>) -> tensor<128x64xf32>
  %value = treadle.embedding %ids, %v : (tensor<128xi32>, !treadle.weight<37x304xf32, panels>) -> tensor<128x304xf32>
  %beta = treadle.embedding %ids, %h : (tensor<128xi32>, !treadle.weight<37x1xf32, panels>) -> tensor<128x1xf32>
  %mask = treadle.get_state @mask : !treadle.state<append, 128xi8>
  %s = treadle.get_state @t : !treadle.state<fixed, 1x64x304xf32>
  %y = treadle.gated_delta_rule %x, %x, %value, %beta, %beta, %s, %mask at %position valid %valid {heads = 1 : i64, key_heads = 1 : i64}
    : (tensor<128x64xf32>, tensor<128x64xf32>, tensor<128x304xf32>, tensor<128x1xf32>, tensor<128x1xf32>, !treadle.state<fixed, 1x64x304xf32>, !treadle.state<append, 128xi8>, index, index) -> tensor<128x304xf32>
  return %y : tensor<128x304xf32>
}

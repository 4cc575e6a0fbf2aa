// RUN: treadle-opt %s --pass-pipeline='builtin.module(convert-treadle-to-stages,treadle-fuse-shared-inputs,treadle-fuse-prologues,func.func(treadle-plan-arena),treadle-gpu-assign-tiles,convert-stages-to-vector{slices=8 register-rows=8 single-row-panels=8},canonicalize,cse)' | FileCheck %s

treadle.weight @a : !treadle.weight<48x100xf32, panels> from ["a"]
treadle.weight @c : !treadle.weight<48x4xf32, panels> from ["c"]
treadle.weight @long : !treadle.weight<2072xf32, plain> from ["long"]
treadle.weight @short : !treadle.weight<992xf32, plain> from ["short"]
treadle.weight @n : !treadle.weight<16x48xf32, panels> from ["n"]
treadle.weight @q : !treadle.weight<96x32xf32, panels> from ["q"]
treadle.weight @k : !treadle.weight<32x32xf32, panels> from ["k"]
treadle.weight @v : !treadle.weight<32x32xf32, panels> from ["v"]
treadle.weight @o : !treadle.weight<32x96xf32, panels> from ["o"]
treadle.state @s : !treadle.state<fixed, 1x48xf32>

// Slice s takes words s, s + 8, ...: twelve of the 100 for each, eight of which are asked for at once, and one more for
// the first four.
// CHECK-LABEL: func.func private @linear_0
// CHECK-SAME: treadle.sliced
// CHECK-DAG: %[[TOTALS:.*]] = memref.alloca() {{.*}} : memref<1x16xf32>
// CHECK-DAG: %[[PARTIALS:.*]] = memref.alloca() {{.*}} : memref<8x1x16xf32>
// CHECK: scf.for %[[SLICE:.*]] = %c0 to %c8 step %c1 {
// CHECK-COUNT-12: vector.load
// CHECK: %[[WORD:.*]] = arith.addi %[[SLICE]], %c96
// CHECK: %[[SUM:.*]] = scf.for %{{.*}} = %[[WORD]] to %c100 step %c8 iter_args
// CHECK: vector.store %[[SUM]], %[[PARTIALS]][%[[SLICE]], %c0, %c0]
// Slices are added in order, then the epilogue runs.
// CHECK: %[[TOTAL:.*]] = scf.for %[[SLICE:.*]] = %c0 to %c8 step %c1 iter_args
// CHECK: vector.load %[[PARTIALS]][%[[SLICE]], %c0, %c0]
// CHECK: arith.addf
// CHECK: vector.store %[[TOTAL]], %[[TOTALS]]
// CHECK-NOT: scf.for
// CHECK: return
func.func @one_row(%x: tensor<1x100xf32>) -> tensor<1x48xf32> attributes {treadle.entry = #treadle.entry<head, rows = 1>} {
  %w = treadle.get_weight @a : !treadle.weight<48x100xf32, panels>
  %y = treadle.linear %x, %w : (tensor<1x100xf32>, !treadle.weight<48x100xf32, panels>) -> tensor<1x48xf32>
  return %y : tensor<1x48xf32>
}

// Rows have their slices together, eight rows at once; the epilogue runs row by row.
// CHECK-LABEL: func.func private @linear_1
// CHECK-DAG: memref.alloca() {{.*}} : memref<8x16xf32>
// CHECK-DAG: memref.alloca() {{.*}} : memref<8x8x16xf32>
// CHECK: scf.for %{{.*}} step %c8 {
// CHECK: %[[SUMS:.*]]:8 = scf.for
// CHECK: vector.load
// CHECK: memref.load
// CHECK: vector.fma
// CHECK-COUNT-8: vector.store
// CHECK: scf.for %[[I:.*]] = %c0 to %c8 step %c1 {
// CHECK: scf.for {{.*}} iter_args
// CHECK: vector.store %{{.*}}[%[[I]], %c0]
// CHECK: scf.for %[[ROW:.*]] = %c0 to %c8 step %c1 {
// CHECK-NEXT: arith.addi
// CHECK: vector.store
func.func @rows(%x: tensor<16x100xf32>) -> tensor<16x48xf32> attributes {treadle.entry = #treadle.entry<head, rows = 16>} {
  %w = treadle.get_weight @a : !treadle.weight<48x100xf32, panels>
  %y = treadle.linear %x, %w : (tensor<16x100xf32>, !treadle.weight<48x100xf32, panels>) -> tensor<16x48xf32>
  return %y : tensor<16x48xf32>
}

// In the prologue of something else, too: four words are four slices of three panels each, which a block sums.
// CHECK-LABEL: func.func private @write_state_0
// CHECK-SAME: treadle.sliced
// CHECK: %[[PARTIALS:.*]] = memref.alloca() {{.*}} : memref<4x[[SUMS:.*]]x16xf32>
// CHECK: scf.for %[[SLICE:.*]] = %c0 to %c4 step %c1 {
// CHECK: vector.fma
// CHECK: vector.store {{.*}}, %[[PARTIALS]][%[[SLICE]],
func.func @prologue(%x: tensor<1x4xf32>) -> tensor<1x48xf32> attributes {treadle.entry = #treadle.entry<head, rows = 1>} {
  %w = treadle.get_weight @c : !treadle.weight<48x4xf32, panels>
  %s = treadle.get_state @s : !treadle.state<fixed, 1x48xf32>
  %y = treadle.linear %x, %w : (tensor<1x4xf32>, !treadle.weight<48x4xf32, panels>) -> tensor<1x48xf32>
  treadle.write_state %y, %s : tensor<1x48xf32>, !treadle.state<fixed, 1x48xf32>
  %z = treadle.read_state %s : (!treadle.state<fixed, 1x48xf32>) -> tensor<1x48xf32>
  return %z : tensor<1x48xf32>
}

// Matrices of several heights are four parts of each of the two tiles: a panel of %q, three times, and one of %k and %v.
// CHECK-LABEL: func.func private @linear_2
// CHECK-SAME: %[[X:[^ ]*]]: memref<1x32xf32>, %[[Q:[^ ]*]]: memref<6x32x16xf32>, %[[K:[^ ]*]]: memref<2x32x16xf32>, %[[V:[^ ]*]]: memref<2x32x16xf32>,
// CHECK-SAME: treadle.parts = 4 : index
// CHECK-DAG: memref.alloca() {{.*}} : memref<8x2x16xf32>
// CHECK: scf.for %[[I:.*]] = %{{.*}} to %{{.*}} step %c1 {
// CHECK: %[[PART:.*]] = arith.remui %[[I]], %c4
// CHECK: %[[TILE:.*]] = arith.divui %[[I]], %c4
// CHECK: %[[IS_Q:.*]] = arith.cmpi ult, %[[PART]], %c3
// CHECK: scf.if %[[IS_Q]] {
// CHECK-NOT: vector.load %[[K]]
// CHECK: vector.load %[[Q]]
// CHECK: %[[PLACE:.*]] = arith.subi %[[PART]], %c3
// CHECK: %[[IS_KV:.*]] = arith.cmpi ult, %[[PLACE]], %c1
// CHECK: scf.if %[[IS_KV]] {
// CHECK-NOT: vector.load %[[Q]]
// CHECK: vector.load %[[K]]
// CHECK: vector.load %[[V]]
// CHECK: return
func.func @heights(%x: tensor<1x32xf32>) -> tensor<1x32xf32> attributes {treadle.entry = #treadle.entry<head, rows = 1>} {
  %wq = treadle.get_weight @q : !treadle.weight<96x32xf32, panels>
  %wk = treadle.get_weight @k : !treadle.weight<32x32xf32, panels>
  %wv = treadle.get_weight @v : !treadle.weight<32x32xf32, panels>
  %q = treadle.linear %x, %wq : (tensor<1x32xf32>, !treadle.weight<96x32xf32, panels>) -> tensor<1x96xf32>
  %k = treadle.linear %x, %wk : (tensor<1x32xf32>, !treadle.weight<32x32xf32, panels>) -> tensor<1x32xf32>
  %v = treadle.linear %x, %wv : (tensor<1x32xf32>, !treadle.weight<32x32xf32, panels>) -> tensor<1x32xf32>
  %kv = arith.addf %k, %v : tensor<1x32xf32>
  %wo = treadle.get_weight @o : !treadle.weight<32x96xf32, panels>
  %o = treadle.linear %q, %wo : (tensor<1x96xf32>, !treadle.weight<32x96xf32, panels>) -> tensor<1x32xf32>
  %y = arith.addf %o, %kv : tensor<1x32xf32>
  return %y : tensor<1x32xf32>
}

// A product in the prologue of another has its slices side by side as well, in the same memory: of each dimension, the
// most that one of them needs.
// CHECK-LABEL: func.func private @linear_4
// CHECK-DAG: %[[TOTALS:.*]] = memref.alloca() {{.*}} : memref<3x16xf32>
// CHECK-DAG: %[[PARTIALS:.*]] = memref.alloca() {{.*}} : memref<8x3x16xf32>
// CHECK-DAG: %[[SMALL:.*]] = memref.alloca() {{.*}} : memref<1x48xf32>
// CHECK-NOT: memref.alloca
// CHECK: scf.for %[[SLICE:.*]] = %c0 to %c4 step %c1 {
// CHECK-COUNT-3: vector.store {{.*}}, %[[PARTIALS]][%[[SLICE]],
// CHECK: vector.store {{.*}}, %[[TOTALS]]
// CHECK-COUNT-3: vector.store {{.*}}, %[[SMALL]]
// CHECK: scf.for %[[SLICE:.*]] = %c0 to %c8 step %c1 {
// CHECK: memref.load %[[SMALL]]
// CHECK: vector.store {{.*}}, %[[PARTIALS]][%[[SLICE]], %c0, %c0]
// CHECK: vector.store {{.*}}, %[[TOTALS]]
// CHECK: return
func.func @small_before(%x: tensor<1x4xf32>) -> tensor<1x16xf32> attributes {treadle.entry = #treadle.entry<head, rows = 1>} {
  %c = treadle.get_weight @c : !treadle.weight<48x4xf32, panels>
  %n = treadle.get_weight @n : !treadle.weight<16x48xf32, panels>
  %small = treadle.linear %x, %c : (tensor<1x4xf32>, !treadle.weight<48x4xf32, panels>) -> tensor<1x48xf32>
  %y = treadle.linear %small, %n : (tensor<1x48xf32>, !treadle.weight<16x48xf32, panels>) -> tensor<1x16xf32>
  return %y : tensor<1x16xf32>
}

// A long row has slices, too: eight of its 129 vectors of columns for each of 16, one more for the first, and the last
// columns behind their sum. Here a block has the row; short rows are one chain.
// CHECK-LABEL: func.func private @rms_norm_0
// CHECK-SAME: treadle.sliced
// CHECK-DAG: %[[PARTIALS:.*]] = memref.alloca() {{.*}} : memref<16x1x16xf32>
// CHECK: scf.for %[[SLICE:.*]] = %c0 to %c16 step %c1 {
// CHECK: %[[SUM:.*]] = scf.for %{{.*}} = %c0 to %c8 step %c1 iter_args
// CHECK: vector.load
// CHECK: %[[BEHIND:.*]] = arith.addi %[[SLICE]], %c128
// CHECK: %[[SUM_OF_ALL:.*]] = scf.for %{{.*}} = %[[BEHIND]] to %c129 step %c16 iter_args(%{{.*}} = %[[SUM]])
// CHECK: vector.store %[[SUM_OF_ALL]], %[[PARTIALS]][%[[SLICE]], %c0, %c0]
// CHECK: %[[TOTAL:.*]] = scf.for %[[SLICE:.*]] = %c0 to %c16 step %c1 iter_args
// CHECK: vector.load %[[PARTIALS]][%[[SLICE]], %c0, %c0]
// CHECK: vector.maskedload %{{.*}}[%{{.*}}, %c2064]
// CHECK: vector.fma %{{.*}}, %{{.*}}, %[[TOTAL]]
// CHECK: return
// CHECK-LABEL: func.func private @rms_norm_1
// CHECK-NOT: treadle.sliced
// CHECK-NOT: memref.alloca
// CHECK: scf.for %{{.*}} = %c0 to %c992 step %c16 iter_args
// CHECK: return
func.func @long_and_short(%x: tensor<128x2072xf32>) -> tensor<128x992xf32> attributes {treadle.entry = #treadle.entry<head, rows = 128>} {
  %l = treadle.get_weight @long : !treadle.weight<2072xf32, plain>
  %s = treadle.get_weight @short : !treadle.weight<992xf32, plain>
  %y = treadle.rms_norm %x, %l {eps = 1.0e-5 : f32} : (tensor<128x2072xf32>, !treadle.weight<2072xf32, plain>) -> tensor<128x2072xf32>
  %z = treadle.slice %y {groups = 1 : i64, offset = 0 : i64, size = 992 : i64} : (tensor<128x2072xf32>) -> tensor<128x992xf32>
  %u = treadle.rms_norm %z, %s {eps = 1.0e-5 : f32} : (tensor<128x992xf32>, !treadle.weight<992xf32, plain>) -> tensor<128x992xf32>
  return %u : tensor<128x992xf32>
}

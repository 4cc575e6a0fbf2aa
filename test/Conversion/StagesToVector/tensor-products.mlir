// RUN: treadle-opt %s --pass-pipeline='builtin.module(convert-treadle-to-stages,treadle-fuse-shared-inputs,treadle-fuse-prologues,func.func(treadle-plan-arena),treadle-gpu-assign-tiles,convert-stages-to-vector{slices=8},canonicalize,cse)' | FileCheck %s
// RUN: treadle-opt %s --pass-pipeline='builtin.module(convert-treadle-to-stages,treadle-fuse-shared-inputs,treadle-fuse-prologues,func.func(treadle-plan-arena),treadle-gpu-assign-tiles,convert-stages-to-vector)' | FileCheck %s --check-prefix=CPU

// Where K has slices, weights in bf16 are multiplied by one op, whose sums stand in memory of the block. Elsewhere not.
// CPU-NOT: treadle.multiply_panels

treadle.weight @a : !treadle.weight<40x70xbf16, panels> from ["a"]
treadle.weight @b : !treadle.weight<40x70xbf16, panels> from ["b"]
treadle.weight @stack : !treadle.weight<2x40x8xbf16, panels> from ["stack"]
treadle.weight @bias : !treadle.weight<40xf32, plain> from ["bias"]
treadle.weight @q : !treadle.weight<96x32xbf16, panels> from ["q"]
treadle.weight @k : !treadle.weight<32x32xbf16, panels> from ["k"]
treadle.weight @v : !treadle.weight<32x32xbf16, panels> from ["v"]
treadle.weight @o : !treadle.weight<32x96xbf16, panels> from ["o"]
treadle.state @s : !treadle.state<fixed, 1x40xf32>

// 70 numbers are three slices of two steps: of 16 rows, 64 rows of memory with the sums of all slices and the result.
// CHECK-LABEL: func.func private @linear_0
// CHECK-SAME: %[[X:[^ ]*]]: memref<?x70xf32>, %[[W:[^ ]*]]: memref<3x35x16xi32>, %[[BIAS:[^ ]*]]: memref<40xf32>, %[[Y:[^ ]*]]: memref<?x40xf32>
// CHECK-SAME: treadle.sliced
// CHECK: %[[SUMS:.*]] = memref.alloca() {{.*}} : memref<64x16xi32>
// CHECK: treadle.multiply_panels %[[SUMS]] = (%[[X]]) [%{{.*}}, %c0] rows %c16 by %[[W]][%[[PANEL:.*]]] panels %c1 {inner = 70 : i64, most_panels = 1 : i64, most_rows = 16 : i64}
// CHECK: %[[COLUMN:.*]] = arith.muli %[[PANEL]], %c16
// CHECK: scf.for %[[ROW:.*]] = %c0 to %c16 step %c1 {
// CHECK: %[[WORDS:.*]] = vector.load %[[SUMS]][%[[ROW]], %c0]
// CHECK: %[[SUM:.*]] = arith.bitcast %[[WORDS]] : vector<16xi32> to vector<16xf32>
// CHECK: vector.maskedload %[[BIAS]][%[[COLUMN]]]
// CHECK: %[[RESULT:.*]] = arith.addf %[[SUM]],
// CHECK: vector.maskedstore %[[Y]][%{{.*}}, %[[COLUMN]]], %{{.*}}, %[[RESULT]]
func.func @rows(%x: tensor<16x70xf32>) -> tensor<16x40xf32> attributes {treadle.entry = #treadle.entry<head, rows = 16>} {
  %w = treadle.get_weight @a : !treadle.weight<40x70xbf16, panels>
  %n = treadle.get_weight @bias : !treadle.weight<40xf32, plain>
  %y = treadle.linear %x, %w bias %n : (tensor<16x70xf32>, !treadle.weight<40x70xbf16, panels>, !treadle.weight<40xf32, plain>) -> tensor<16x40xf32>
  return %y : tensor<16x40xf32>
}

// Matrices that are alike have their sums one beside the other, for what follows from both.
// CHECK-LABEL: func.func private @linear_1
// CHECK-DAG: %[[A:.*]] = memref.alloca() {{.*}} : memref<4x16xi32>
// CHECK-DAG: %[[B:.*]] = memref.alloca() {{.*}} : memref<4x16xi32>
// CHECK: treadle.multiply_panels
// CHECK: treadle.multiply_panels
// CHECK-DAG: vector.load %[[A]][%c0, %c0]
// CHECK-DAG: vector.load %[[B]][%c0, %c0]
// CHECK-COUNT-2: vector.maskedstore
// CHECK: return
func.func @alike(%x: tensor<1x70xf32>) -> tensor<1x40xf32> attributes {treadle.entry = #treadle.entry<head, rows = 1>} {
  %wa = treadle.get_weight @a : !treadle.weight<40x70xbf16, panels>
  %wb = treadle.get_weight @b : !treadle.weight<40x70xbf16, panels>
  %a = treadle.linear %x, %wa : (tensor<1x70xf32>, !treadle.weight<40x70xbf16, panels>) -> tensor<1x40xf32>
  %b = treadle.linear %x, %wb : (tensor<1x70xf32>, !treadle.weight<40x70xbf16, panels>) -> tensor<1x40xf32>
  %y = arith.addf %a, %b : tensor<1x40xf32>
  return %y : tensor<1x40xf32>
}

// A group has columns of its own and a matrix of a stack; three panels run at once, since they have but one slice.
// CHECK-LABEL: func.func private @linear_2
// CHECK: %[[COLUMN:.*]] = arith.muli %[[GROUP:.*]], %c8
// CHECK: treadle.multiply_panels %{{.*}} = (%{{.*}}) [%{{.*}}, %[[COLUMN]]] rows %c2 by %{{.*}} of %[[GROUP]][%{{.*}}] panels %c3 {inner = 8 : i64, most_panels = 3 : i64, most_rows = 2 : i64}
// CHECK: scf.for %[[ROW:.*]] = %c0 to %c2 step %c1 {
// CHECK: scf.for %[[COLUMN:.*]] = %c0 to %c48 step %c16 {
// CHECK: vector.load
func.func @groups(%x: tensor<2x16xf32>) -> tensor<2x80xf32> attributes {treadle.entry = #treadle.entry<head, rows = 2>} {
  %w = treadle.get_weight @stack : !treadle.weight<2x40x8xbf16, panels>
  %y = treadle.linear %x, %w {groups = 2 : i64} : (tensor<2x16xf32>, !treadle.weight<2x40x8xbf16, panels>) -> tensor<2x80xf32>
  return %y : tensor<2x80xf32>
}

// In a prologue, too: all of its panels.
// CHECK-LABEL: func.func private @write_state_0
// CHECK-SAME: treadle.sliced
// CHECK: treadle.multiply_panels {{.*}} panels %c3
func.func @prologue(%x: tensor<1x70xf32>) -> tensor<1x40xf32> attributes {treadle.entry = #treadle.entry<head, rows = 1>} {
  %w = treadle.get_weight @a : !treadle.weight<40x70xbf16, panels>
  %s = treadle.get_state @s : !treadle.state<fixed, 1x40xf32>
  %y = treadle.linear %x, %w : (tensor<1x70xf32>, !treadle.weight<40x70xbf16, panels>) -> tensor<1x40xf32>
  treadle.write_state %y, %s : tensor<1x40xf32>, !treadle.state<fixed, 1x40xf32>
  %z = treadle.read_state %s : (!treadle.state<fixed, 1x40xf32>) -> tensor<1x40xf32>
  return %z : tensor<1x40xf32>
}

// Matrices of several heights are parts of a tile.
// CHECK-LABEL: func.func private @linear_3
// CHECK-SAME: %[[X:[^ ]*]]: memref<1x32xf32>, %[[Q:[^ ]*]]: memref<6x16x16xi32>, %[[K:[^ ]*]]: memref<2x16x16xi32>, %[[V:[^ ]*]]: memref<2x16x16xi32>,
// CHECK-SAME: treadle.parts = 4 : index
// CHECK: scf.if
// CHECK: treadle.multiply_panels {{.*}} by %[[Q]]
// CHECK: scf.if
// CHECK: treadle.multiply_panels {{.*}} by %[[K]]
// CHECK: treadle.multiply_panels {{.*}} by %[[V]]
// CHECK: return
func.func @heights(%x: tensor<1x32xf32>) -> tensor<1x32xf32> attributes {treadle.entry = #treadle.entry<head, rows = 1>} {
  %wq = treadle.get_weight @q : !treadle.weight<96x32xbf16, panels>
  %wk = treadle.get_weight @k : !treadle.weight<32x32xbf16, panels>
  %wv = treadle.get_weight @v : !treadle.weight<32x32xbf16, panels>
  %q = treadle.linear %x, %wq : (tensor<1x32xf32>, !treadle.weight<96x32xbf16, panels>) -> tensor<1x96xf32>
  %k = treadle.linear %x, %wk : (tensor<1x32xf32>, !treadle.weight<32x32xbf16, panels>) -> tensor<1x32xf32>
  %v = treadle.linear %x, %wv : (tensor<1x32xf32>, !treadle.weight<32x32xbf16, panels>) -> tensor<1x32xf32>
  %kv = arith.addf %k, %v : tensor<1x32xf32>
  %wo = treadle.get_weight @o : !treadle.weight<32x96xbf16, panels>
  %o = treadle.linear %q, %wo : (tensor<1x96xf32>, !treadle.weight<32x96xbf16, panels>) -> tensor<1x32xf32>
  %y = arith.addf %o, %kv : tensor<1x32xf32>
  return %y : tensor<1x32xf32>
}

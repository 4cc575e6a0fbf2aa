// RUN: treadle-opt %s --pass-pipeline='builtin.module(convert-treadle-to-stages,treadle-fuse-shared-inputs,treadle-fuse-prologues,func.func(treadle-plan-arena),treadle-cpu-assign-tiles,convert-stages-to-vector{single-row-panels=8})' | FileCheck %s

treadle.weight @norm : !treadle.weight<32xf32, plain> from ["norm"]
treadle.weight @q : !treadle.weight<512x32xf32, panels> from ["q"]
treadle.weight @k : !treadle.weight<128x32xf32, panels> from ["k"]
treadle.weight @o : !treadle.weight<32x512xf32, panels> from ["o"]
treadle.state @s : !treadle.state<fixed, 1x128xf32>

// The norm is computed once, on the stack of a member that has tiles; another must not read what
// may not be there yet. Then a tile is one panel of %k and four of %q, in one loop over K.
// CHECK-LABEL: func.func private @linear_0
// CHECK-SAME: %[[X:.*]]: memref<1x32xf32>, %{{.*}}: memref<32xf32>, %[[Q:.*]]: memref<32x32x16xf32>, %[[K:.*]]: memref<8x32x16xf32>, {{.*}}, %[[FIRST:[^ ,]*]]: index, %[[END:[^ ,]*]]: index)
// CHECK: %[[NORM:.*]] = memref.alloca() {alignment = 64 : i64} : memref<1x32xf32>
// CHECK: arith.cmpi slt, %[[FIRST]], %[[END]]
// CHECK: scf.if
// CHECK: vector.load %[[X]]
// CHECK: vector.store %{{.*}}, %[[NORM]]
// CHECK: scf.for %{{.*}} = %[[FIRST]] to %[[END]]
// CHECK-NOT: vector.store
// CHECK: scf.for {{.*}} iter_args(%{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} =
// CHECK-COUNT-4: vector.load %[[Q]]
// CHECK: vector.load %[[K]]
// CHECK-NOT: scf.for
// CHECK: return
func.func @head(%x: tensor<1x32xf32>) -> tensor<1x32xf32> attributes {treadle.entry = #treadle.entry<head, rows = 1>} {
  %norm = treadle.get_weight @norm : !treadle.weight<32xf32, plain>
  %wq = treadle.get_weight @q : !treadle.weight<512x32xf32, panels>
  %wk = treadle.get_weight @k : !treadle.weight<128x32xf32, panels>
  %wo = treadle.get_weight @o : !treadle.weight<32x512xf32, panels>
  %s = treadle.get_state @s : !treadle.state<fixed, 1x128xf32>
  %h = treadle.rms_norm %x, %norm {eps = 1.0 : f32} : (tensor<1x32xf32>, !treadle.weight<32xf32, plain>) -> tensor<1x32xf32>
  %q = treadle.linear %h, %wq : (tensor<1x32xf32>, !treadle.weight<512x32xf32, panels>) -> tensor<1x512xf32>
  %k = treadle.linear %h, %wk : (tensor<1x32xf32>, !treadle.weight<128x32xf32, panels>) -> tensor<1x128xf32>
  treadle.write_state %k, %s : tensor<1x128xf32>, !treadle.state<fixed, 1x128xf32>
  %y = treadle.linear %q, %wo : (tensor<1x512xf32>, !treadle.weight<32x512xf32, panels>) -> tensor<1x32xf32>
  return %y : tensor<1x32xf32>
}

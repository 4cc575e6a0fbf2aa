// RUN: treadle-opt %s --pass-pipeline='builtin.module(convert-treadle-to-stages,func.func(treadle-plan-arena),treadle-gpu-assign-tiles,convert-stages-to-vector{slices=64 masked-keys=1 pack-values=0},canonicalize,cse)' | FileCheck %s

treadle.weight @w : !treadle.weight<37x128xf32, panels> from ["w"]
treadle.state @mask : !treadle.state<append, 1024xi8>
treadle.state @k : !treadle.state<append, 1024x64xbf16, panels>
treadle.state @v : !treadle.state<append, 1024x64xbf16>

// Where products have slices, attention has loops whose iterations have nothing to do with each other: two heads of a
// key head, 32 panels of a span, each in halves of the columns, 16 keys by two vectors of 16 columns.
// CHECK-LABEL: func.func private @attention_0
// CHECK-SAME: %[[Q:[^ ]*]]: memref<1x128xf32>, %[[K:[^ ]*]]: memref<64x64x16xi16>, %[[V:[^ ]*]]: memref<1024x64xi16>, %[[MASK:[^ ]*]]: memref<1024xi8>
// CHECK-SAME: treadle.sliced
// CHECK-DAG: %[[QUERIES:.*]] = memref.alloca() {{.*}} : memref<2x32xf32>
// CHECK-DAG: %[[PARTIALS:.*]] = memref.alloca() {{.*}} : memref<64x2x16xf32>
// CHECK-DAG: %[[SCORES:.*]] = memref.alloca() {{.*}} : memref<32x2x16xf32>
// CHECK-DAG: %[[WEIGHTED:.*]] = memref.alloca() {{.*}} : memref<1x4x16xf32>
// CHECK: scf.for %{{.*}} = %c0 to %{{.*}} step %c512 {
// Whole panels, eight columns at a time; then one of which some keys are there.
// CHECK: scf.for %[[HALF:.*]] = %c0 to %{{.*}} step %c1 {
// CHECK: scf.for %{{.*}} = %c0 to %c16 step %c8 iter_args
// CHECK-COUNT-8: vector.load %[[K]]
// CHECK-NOT: vector.load %[[K]]
// CHECK: memref.load %[[QUERIES]]
// CHECK-COUNT-2: vector.store %{{.*}}, %[[PARTIALS]][%[[HALF]],
// CHECK: scf.for %[[HALF:.*]] = %{{.*}} to %{{.*}} step %c1 {
// CHECK: vector.maskedload %[[K]]
// CHECK-COUNT-2: vector.store %{{.*}}, %[[PARTIALS]][%[[HALF]],
// CHECK: scf.for %[[PANEL:.*]] = %c0 to %{{.*}} step %c1 {
// CHECK: vector.maskedload %[[MASK]]
// CHECK-COUNT-2: vector.store %{{.*}}, %[[SCORES]][%[[PANEL]],
// CHECK: scf.for %{{.*}} = %c0 to %c2 step %c1 {
// CHECK: arith.cmpf ogt
// CHECK: scf.for %[[PANEL:.*]] = %c0 to %{{.*}} step %c1 {
// CHECK: math.exp
// CHECK: vector.store %{{.*}}, %[[SCORES]][%[[PANEL]],
// CHECK: scf.for %{{.*}} = %c0 to %c2 step %c1 {
// CHECK: math.exp
// Each key of 16 for itself; a weight of 0 enters no sum.
// CHECK: scf.for %[[PLACE:.*]] = %c0 to %c32 step %c1 {
// CHECK: %[[KEY:.*]] = arith.divui %[[PLACE]], %c2
// CHECK: scf.for %{{.*}} = %c0 to %{{.*}} step %c8 iter_args
// CHECK-COUNT-8: vector.load %[[V]]
// CHECK: memref.load %[[SCORES]][%{{.*}}, %c0, %[[KEY]]]
// CHECK: vector.fma
// CHECK: arith.select
// CHECK-COUNT-2: vector.store %{{.*}}, %[[PARTIALS]][%[[PLACE]],
// CHECK: scf.for %[[PLACE:.*]] = %c0 to %c4 step %c1 {
// CHECK: scf.for %{{.*}} = %c0 to %c16 step %c1 iter_args
// CHECK: vector.store %{{.*}}, %[[WEIGHTED]][%c0, %[[PLACE]], %c0]
// CHECK: return
func.func @decode(%ids: tensor<1xi32>, %flags: tensor<1xi8>, %position: index, %valid: index, %loops: index) -> tensor<1x128xf32> attributes {treadle.entry = #treadle.entry<forward, rows = 1>} {
  %w = treadle.get_weight @w[] : !treadle.weight<37x128xf32, panels>
  %q = treadle.embedding %ids, %w : (tensor<1xi32>, !treadle.weight<37x128xf32, panels>) -> tensor<1x128xf32>
  %k = treadle.get_state @k : !treadle.state<append, 1024x64xbf16, panels>
  %v = treadle.get_state @v : !treadle.state<append, 1024x64xbf16>
  %mask = treadle.get_state @mask : !treadle.state<append, 1024xi8>
  %y = treadle.attention %q, %k, %v, %mask at %position valid %valid {heads = 4 : i64, kv_heads = 2 : i64, scale = 0.25 : f32} : (tensor<1x128xf32>, !treadle.state<append, 1024x64xbf16, panels>, !treadle.state<append, 1024x64xbf16>, !treadle.state<append, 1024xi8>, index, index) -> tensor<1x128xf32>
  return %y : tensor<1x128xf32>
}

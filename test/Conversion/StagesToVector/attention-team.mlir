// RUN: treadle-opt %s --pass-pipeline='builtin.module(convert-treadle-to-stages,treadle-fuse-epilogues,treadle-fuse-appends,func.func(treadle-plan-arena),treadle-gpu-assign-tiles,convert-stages-to-vector{slices=64 masked-keys=1 pack-values=0},canonicalize,cse)' | FileCheck %s

treadle.weight @w : !treadle.weight<37x128xf32, panels> from ["w"]
treadle.weight @n : !treadle.weight<37x64xf32, panels> from ["n"]
treadle.state @mask : !treadle.state<append, 512xi8>
treadle.state @k : !treadle.state<append, 512x64xbf16, panels>
treadle.state @v : !treadle.state<append, 512x64xbf16>
treadle.state @long_mask : !treadle.state<append, 1200xi8>
treadle.state @long_k : !treadle.state<append, 1200x64xbf16, panels>
treadle.state @long_v : !treadle.state<append, 1200x64xbf16>

// Memory for spans lies behind what is planned.
// CHECK-LABEL: func.func @spans(
// CHECK-SAME: memref<3840xi8>
// CHECK-SAME: treadle.arena_bytes = 3840 : i64
// CHECK-DAG: %[[ALL:.*]] = memref.view %{{.*}} : memref<3840xi8> to memref<2x3x8x16xf32>
// CHECK: call @attention_1({{.*}}, %[[ALL]], %c0, %c6)
// CHECK-NEXT: call @attention_1_merge({{.*}}, %[[ALL]], %c0, %c2)

// Where products have slices, attention has loops whose iterations have nothing to do with each other: two heads of a
// key head, 32 panels of a span, each in halves of the columns, 16 keys by two vectors of 16 columns.
// CHECK-LABEL: func.func private @attention_0
// CHECK-SAME: %[[Q:[^ ]*]]: memref<1x128xf32>, %[[K:[^ ]*]]: memref<32x32x16xi32>, %[[V:[^ ]*]]: memref<512x64xi16>, %[[MASK:[^ ]*]]: memref<512xi8>
// CHECK-SAME: treadle.sliced
// CHECK-DAG: %[[QUERIES:.*]] = memref.alloca() {{.*}} : memref<2x32xf32>
// CHECK-DAG: %[[PARTIALS:.*]] = memref.alloca() {{.*}} : memref<64x2x16xf32>
// CHECK-DAG: %[[SCORES:.*]] = memref.alloca() {{.*}} : memref<32x2x16xf32>
// CHECK-DAG: %[[WEIGHTED:.*]] = memref.alloca() {{.*}} : memref<1x4x16xf32>
// CHECK: scf.for %{{.*}} = %c0 to %{{.*}} step %c512 {
// Whole panels, four words of two columns at a time; then one of which some keys are there.
// CHECK: scf.for %[[HALF:.*]] = %c0 to %{{.*}} step %c1 {
// CHECK: scf.for %{{.*}} = %c0 to %c8 step %c4 iter_args
// CHECK-COUNT-4: vector.load %[[K]]
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
// CHECK: scf.for %{{.*}} = %c0 to %{{.*}} step %c4 iter_args
// CHECK-COUNT-4: vector.load %[[V]]
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
  %k = treadle.get_state @k : !treadle.state<append, 512x64xbf16, panels>
  %v = treadle.get_state @v : !treadle.state<append, 512x64xbf16>
  %mask = treadle.get_state @mask : !treadle.state<append, 512xi8>
  %y = treadle.attention %q, %k, %v, %mask at %position valid %valid {heads = 4 : i64, kv_heads = 2 : i64, scale = 0.25 : f32} : (tensor<1x128xf32>, !treadle.state<append, 512x64xbf16, panels>, !treadle.state<append, 512x64xbf16>, !treadle.state<append, 512xi8>, index, index) -> tensor<1x128xf32>
  return %y : tensor<1x128xf32>
}

// Where there may be several spans, each of the three is a part of the tile of a row and a key head. The part with the
// row's own key appends it. What is known of a span is two maxima, two sums, and two vectors of each head.
// CHECK-LABEL: func.func private @attention_1(
// CHECK-SAME: %[[SPANS:[^ ]*]]: memref<2x3x8x16xf32>, %{{.*}}: index, %{{.*}}: index) attributes
// CHECK-SAME: treadle.parts = 3 : index, treadle.sliced
// CHECK: %[[PART:.*]] = arith.remui %{{.*}}, %c3
// CHECK: %[[LAST:.*]] = arith.divui %{{.*}}, %c512
// CHECK: %[[IS_LAST:.*]] = arith.cmpi eq, %[[PART]], %[[LAST]]
// CHECK: scf.if %[[IS_LAST]] {
// CHECK: arith.trunci
// CHECK: %[[IS_REACHED:.*]] = arith.cmpi ule, %[[PART]], %{{.*}}
// CHECK: scf.if %[[IS_REACHED]] {
// A part has more loads under way: all words of half a key.
// CHECK: scf.for %{{.*}} = %c0 to %{{.*}} step %c1 {
// CHECK-COUNT-8: vector.load {{.*}} : memref<75x32x16xi32>
// CHECK-NOT: vector.load {{.*}} : memref<75x32x16xi32>
// CHECK: memref.load
// CHECK-COUNT-2: vector.store %{{.*}}, %[[SPANS]]
// CHECK: vector.store %{{.*}}, %[[SPANS]]
// CHECK-NOT: arith.divf
// CHECK: return
// CHECK-LABEL: func.func private @attention_1_merge(
// CHECK-SAME: %[[Y:[^ ]*]]: memref<1x128xf32>, %[[SPANS:[^ ]*]]: memref<2x3x8x16xf32>, %{{.*}}: index, %{{.*}}: index) attributes
// CHECK-NOT: treadle.parts
// CHECK-NOT: arith.trunci
// CHECK: scf.for %{{.*}} = %c0 to %c64 step %c16 {
// CHECK: scf.for %{{.*}} = %c0 to %{{.*}} step %c1 iter_args
// CHECK-COUNT-3: vector.load %[[SPANS]]
// CHECK: arith.divf
// CHECK: vector.store %{{.*}}, %[[Y]]
// CHECK: return
func.func @spans(%ids: tensor<1xi32>, %flags: tensor<1xi8>, %position: index, %valid: index, %loops: index) -> tensor<1x128xf32> attributes {treadle.entry = #treadle.entry<forward, rows = 1>} {
  %w = treadle.get_weight @w[] : !treadle.weight<37x128xf32, panels>
  %n = treadle.get_weight @n[] : !treadle.weight<37x64xf32, panels>
  %q = treadle.embedding %ids, %w : (tensor<1xi32>, !treadle.weight<37x128xf32, panels>) -> tensor<1x128xf32>
  %x = treadle.embedding %ids, %n : (tensor<1xi32>, !treadle.weight<37x64xf32, panels>) -> tensor<1x64xf32>
  %k = treadle.get_state @long_k : !treadle.state<append, 1200x64xbf16, panels>
  %v = treadle.get_state @long_v : !treadle.state<append, 1200x64xbf16>
  %mask = treadle.get_state @long_mask : !treadle.state<append, 1200xi8>
  treadle.append %x, %v at %position valid %valid : tensor<1x64xf32>, !treadle.state<append, 1200x64xbf16>
  %y = treadle.attention %q, %k, %v, %mask at %position valid %valid {heads = 4 : i64, kv_heads = 2 : i64, scale = 0.25 : f32} : (tensor<1x128xf32>, !treadle.state<append, 1200x64xbf16, panels>, !treadle.state<append, 1200x64xbf16>, !treadle.state<append, 1200xi8>, index, index) -> tensor<1x128xf32>
  return %y : tensor<1x128xf32>
}

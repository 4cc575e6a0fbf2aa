// RUN: treadle-opt %s --pass-pipeline='builtin.module(convert-treadle-to-stages,func.func(treadle-plan-arena),treadle-gpu-assign-tiles,convert-stages-to-vector{slices=64},canonicalize,cse)' | FileCheck %s
// RUN: treadle-opt %s --pass-pipeline='builtin.module(convert-treadle-to-stages,func.func(treadle-plan-arena),treadle-gpu-assign-tiles,convert-stages-to-vector,canonicalize,cse)' | FileCheck %s --check-prefix=ALONE

treadle.weight @w : !treadle.weight<37x64xf32, panels> from ["w"]
treadle.weight @g : !treadle.weight<37x2xf32, panels> from ["g"]
treadle.state @mask : !treadle.state<append, 128xi8>
treadle.state @s : !treadle.state<fixed, 2x32x32xf32>

// Each vector of columns of a head's state is an iteration of its own. While rows pass, the state is in memory of the
// tile.
// CHECK-LABEL: func.func private @gated_delta_rule_0
// CHECK-SAME: memref<?x64xf32>
// CHECK-SAME: %[[STATE:[^ ]*]]: memref<2x32x32xf32>
// CHECK-SAME: treadle.sliced
// CHECK: %[[LOCAL:.*]] = memref.alloca() {{.*}} : memref<32x32xf32>
// CHECK: scf.for %[[FIRST:.*]] = %c0 to %c32 step %c16 {
// CHECK: scf.for %[[D:.*]] = %c0 to %c32 step %c1 {
// CHECK: %[[OLD:.*]] = vector.load %[[STATE]][%{{.*}}, %[[D]], %[[FIRST]]]
// CHECK: vector.store %[[OLD]], %[[LOCAL]][%[[D]], %[[FIRST]]]
// CHECK-NOT: %[[STATE]]
// CHECK: scf.if
// CHECK: vector.store %{{.*}}, %[[LOCAL]][%{{.*}}, %[[FIRST]]]
// CHECK: scf.for %[[D:.*]] = %c0 to %c32 step %c1 {
// CHECK: %[[NEW:.*]] = vector.load %[[LOCAL]][%[[D]], %[[FIRST]]]
// CHECK: vector.store %[[NEW]], %[[STATE]][%{{.*}}, %[[D]], %[[FIRST]]]
// CHECK: return
// Where threads are few, two vectors run together.
// ALONE-LABEL: func.func private @gated_delta_rule_0
// ALONE-NOT: treadle.sliced
// ALONE-NOT: memref.alloca
// ALONE: scf.if %{{.*}} -> (vector<16xf32>, vector<16xf32>)
// ALONE: return
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

// A single row reads it where it is.
// CHECK-LABEL: func.func private @gated_delta_rule_1
// CHECK-SAME: memref<1x64xf32>
// CHECK-SAME: treadle.sliced
// CHECK-NOT: memref.alloca
// CHECK: scf.for %{{.*}} = %c0 to %c32 step %c16 {
// CHECK: return
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

// RUN: treadle-opt %s --pass-pipeline='builtin.module(convert-treadle-to-stages,func.func(treadle-plan-arena),treadle-cpu-assign-tiles,convert-stages-to-vector)' | FileCheck %s

treadle.weight @even : !treadle.weight<128x3xf32, plain> from ["even"]
treadle.weight @odd : !treadle.weight<40x3xf32, plain> from ["odd"]
treadle.state @even_ring : !treadle.state<ring, 2x128xf32>
treadle.state @odd_ring : !treadle.state<ring, 2x40xf32>
treadle.state @m : !treadle.state<append, 64xi8>

// Four vectors of columns, with two inputs before each.
// CHECK-LABEL: func.func private @causal_conv_0
// CHECK: scf.for {{.*}} -> ({{(vector<16xf32>(, )?){8}[)]}} {
// CHECK-COUNT-4: vector.load {{.*}} : memref<?x128xf32>, vector<16xf32>
// CHECK-COUNT-12: vector.fma
// CHECK: scf.yield
func.func @head(%x: tensor<16x128xf32>) -> tensor<16x128xf32> attributes {treadle.entry = #treadle.entry<head, rows = 16>} {
  %zero = arith.constant 0 : index
  %valid = arith.constant 16 : index
  %taps = treadle.get_weight @even : !treadle.weight<128x3xf32, plain>
  %ring = treadle.get_state @even_ring : !treadle.state<ring, 2x128xf32>
  %m = treadle.get_state @m : !treadle.state<append, 64xi8>
  %y = treadle.causal_conv %x, %taps, %ring, %m at %zero valid %valid {activation = #treadle.activation<silu>}
    : (tensor<16x128xf32>, !treadle.weight<128x3xf32, plain>, !treadle.state<ring, 2x128xf32>, !treadle.state<append, 64xi8>, index, index) -> tensor<16x128xf32>
  return %y : tensor<16x128xf32>
}

// Other columns come one vector after the other, the last one masked.
// CHECK-LABEL: func.func private @causal_conv_1
// CHECK: scf.for {{.*}} -> (vector<16xf32>, vector<16xf32>) {
// CHECK: vector.maskedload
// CHECK-COUNT-3: vector.fma
// CHECK: scf.yield
func.func @other(%x: tensor<16x40xf32>) -> tensor<16x40xf32> attributes {treadle.entry = #treadle.entry<head, rows = 16>} {
  %zero = arith.constant 0 : index
  %valid = arith.constant 16 : index
  %taps = treadle.get_weight @odd : !treadle.weight<40x3xf32, plain>
  %ring = treadle.get_state @odd_ring : !treadle.state<ring, 2x40xf32>
  %m = treadle.get_state @m : !treadle.state<append, 64xi8>
  %y = treadle.causal_conv %x, %taps, %ring, %m at %zero valid %valid {activation = #treadle.activation<silu>}
    : (tensor<16x40xf32>, !treadle.weight<40x3xf32, plain>, !treadle.state<ring, 2x40xf32>, !treadle.state<append, 64xi8>, index, index) -> tensor<16x40xf32>
  return %y : tensor<16x40xf32>
}

// RUN: treadle-opt %s --pass-pipeline='builtin.module(convert-treadle-to-stages,func.func(treadle-plan-arena),treadle-cpu-assign-tiles,convert-stages-to-vector{single-row-panels=8 register-panels=4 register-rows=6})' | FileCheck %s

// A single row takes as many panels at once as its tile has: four of a whole one, three of the last.
func.func @one_row(%x: tensor<1x32xf32>) -> tensor<1x112xf32> attributes {treadle.entry = #treadle.entry<head, rows = 1>} {
  %w = treadle.get_weight @w : !treadle.weight<112x32xf32, panels>
  %y = treadle.linear %x, %w : (tensor<1x32xf32>, !treadle.weight<112x32xf32, panels>) -> tensor<1x112xf32>
  return %y : tensor<1x112xf32>
}

// Five panels of several rows are no block of four and one that waits for itself, but three and two.
func.func @rows(%x: tensor<4x32xf32>) -> tensor<4x80xf32> attributes {treadle.entry = #treadle.entry<head, rows = 4>} {
  %w = treadle.get_weight @five : !treadle.weight<80x32xf32, panels>
  %y = treadle.linear %x, %w : (tensor<4x32xf32>, !treadle.weight<80x32xf32, panels>) -> tensor<4x80xf32>
  return %y : tensor<4x80xf32>
}

// One panel runs as many rows at once as there are, up to 16: six would wait for their chains.
func.func @panel(%x: tensor<16x32xf32>) -> tensor<16x16xf32> attributes {treadle.entry = #treadle.entry<head, rows = 16>} {
  %w = treadle.get_weight @one : !treadle.weight<16x32xf32, panels>
  %y = treadle.linear %x, %w : (tensor<16x32xf32>, !treadle.weight<16x32xf32, panels>) -> tensor<16x16xf32>
  return %y : tensor<16x16xf32>
}

treadle.weight @w : !treadle.weight<112x32xf32, panels> from ["w"]
treadle.weight @one : !treadle.weight<16x32xf32, panels> from ["one"]
treadle.weight @five : !treadle.weight<80x32xf32, panels> from ["five"]

// CHECK-LABEL: func.func private @linear_0
// CHECK: %[[LAST:.*]] = arith.cmpi eq
// CHECK: scf.if %[[LAST]]
// CHECK: scf.for {{.*}} -> (vector<16xf32>, vector<16xf32>, vector<16xf32>) {
// CHECK: } else {
// CHECK: scf.for {{.*}} -> (vector<16xf32>, vector<16xf32>, vector<16xf32>, vector<16xf32>) {
// CHECK-NOT: -> (vector

// CHECK-LABEL: func.func private @linear_1
// CHECK: :12 = scf.for
// CHECK-COUNT-3: vector.load
// CHECK: :8 = scf.for
// CHECK-COUNT-2: vector.load
// CHECK-NOT: vector.load

// CHECK-LABEL: func.func private @linear_2
// CHECK: :16 = scf.for
// CHECK-NOT: = scf.for

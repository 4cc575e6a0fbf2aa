// RUN: treadle-opt %s --convert-treadle-to-stages --treadle-fuse-epilogues | FileCheck %s

// CHECK-LABEL: func.func @fires
func.func @fires(%x: tensor<4x32xf32>, %r: tensor<4x48xf32>, %w: !treadle.weight<48x32xf32, panels>) -> tensor<4x48xf32> {
  // CHECK: treadle.stage {{.*}} (%{{.*}} <0, all>, %{{.*}} <1, all>, %[[R:.*]] = %{{.*}} : tensor<4x48xf32> <0, 1>)
  // CHECK-NEXT: %[[P:.*]] = treadle.linear
  // CHECK-NEXT: %[[Y:.*]] = arith.addf %[[P]], %[[R]]
  // CHECK-NEXT: treadle.yield %[[Y]]
  // CHECK-NOT: treadle.stage
  // CHECK: return
  %p = treadle.linear %x, %w : (tensor<4x32xf32>, !treadle.weight<48x32xf32, panels>) -> tensor<4x48xf32>
  %y = arith.addf %p, %r : tensor<4x48xf32>
  return %y : tensor<4x48xf32>
}

// Of two producers the later one takes the epilogue; the other stays an input.
// CHECK-LABEL: func.func @later_producer
func.func @later_producer(%x: tensor<4x32xf32>, %w: !treadle.weight<48x32xf32, panels>, %v: !treadle.weight<48x32xf32, panels>) -> tensor<4x48xf32> {
  // CHECK: %[[GATE:.*]] = treadle.stage
  // CHECK-NEXT: treadle.linear
  // CHECK: treadle.stage {{.*}}, %[[G:.*]] = %[[GATE]] : tensor<4x48xf32> <0, 1>)
  // CHECK-NEXT: %[[UP:.*]] = treadle.linear
  // CHECK-NEXT: treadle.glu %[[G]], %[[UP]]
  %gate = treadle.linear %x, %w : (tensor<4x32xf32>, !treadle.weight<48x32xf32, panels>) -> tensor<4x48xf32>
  %up = treadle.linear %x, %v : (tensor<4x32xf32>, !treadle.weight<48x32xf32, panels>) -> tensor<4x48xf32>
  %y = treadle.glu %gate, %up {activation = #treadle.activation<silu>} : tensor<4x48xf32>
  return %y : tensor<4x48xf32>
}

// CHECK-LABEL: func.func @other_use
func.func @other_use(%x: tensor<4x32xf32>, %r: tensor<4x48xf32>, %w: !treadle.weight<48x32xf32, panels>) -> (tensor<4x48xf32>, tensor<4x48xf32>) {
  // CHECK-COUNT-2: treadle.stage
  %p = treadle.linear %x, %w : (tensor<4x32xf32>, !treadle.weight<48x32xf32, panels>) -> tensor<4x48xf32>
  %y = arith.addf %p, %r : tensor<4x48xf32>
  return %p, %y : tensor<4x48xf32>, tensor<4x48xf32>
}

// The tiles differ: rows x heads against rows x outputs.
// CHECK-LABEL: func.func @other_tiles
func.func @other_tiles(%x: tensor<4x32xf32>, %t: tensor<4x2x4xf32>) -> tensor<4x32xf32> {
  // CHECK-COUNT-2: treadle.stage
  %p = treadle.rope %x, %t {heads = 4 : i64, pairing = #treadle.rope_pairing<half>} : (tensor<4x32xf32>, tensor<4x2x4xf32>) -> tensor<4x32xf32>
  %y = arith.addf %p, %x : tensor<4x32xf32>
  return %y : tensor<4x32xf32>
}

// Of several products each may have its epilogue.
// CHECK-LABEL: func.func @several_results
func.func @several_results(%x: tensor<4x32xf32>, %r: tensor<4x48xf32>, %w: !treadle.weight<48x32xf32, panels>) -> (tensor<4x48xf32>, tensor<4x48xf32>) {
  // CHECK: %[[S:.*]]:2 = treadle.stage
  // CHECK-NEXT: %[[P:.*]]:2 = treadle.joint_linear
  // CHECK-NEXT: %[[Y:.*]] = arith.addf %[[P]]#0
  // CHECK-NEXT: treadle.yield %[[P]]#1, %[[Y]]
  // CHECK-NOT: treadle.stage
  // CHECK: return %[[S]]#0, %[[S]]#1
  %p:2 = treadle.joint_linear (%x, %x), %w
    : (tensor<4x32xf32>, tensor<4x32xf32>, !treadle.weight<48x32xf32, panels>) -> (tensor<4x48xf32>, tensor<4x48xf32>)
  %y = arith.addf %p#0, %r : tensor<4x48xf32>
  return %p#1, %y : tensor<4x48xf32>, tensor<4x48xf32>
}

// What is added comes after the products: their other user would wait for it.
// CHECK-LABEL: func.func @several_results_too_early
func.func @several_results_too_early(%x: tensor<4x32xf32>, %n: !treadle.weight<48xf32, plain>, %w: !treadle.weight<48x32xf32, panels>) -> tensor<4x48xf32> {
  // CHECK-COUNT-3: treadle.stage
  %p:2 = treadle.joint_linear (%x, %x), %w
    : (tensor<4x32xf32>, tensor<4x32xf32>, !treadle.weight<48x32xf32, panels>) -> (tensor<4x48xf32>, tensor<4x48xf32>)
  %h = treadle.rms_norm %p#0, %n {eps = 1.0 : f32} : (tensor<4x48xf32>, !treadle.weight<48xf32, plain>) -> tensor<4x48xf32>
  %y = arith.mulf %h, %p#1 : tensor<4x48xf32>
  return %y : tensor<4x48xf32>
}

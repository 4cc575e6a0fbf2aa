// RUN: treadle-opt %s --convert-treadle-to-stages | FileCheck %s

// CHECK-LABEL: func.func @core
func.func @core(%x: tensor<4x32xf32>, %w: !treadle.weight<48x32xf32, panels>) -> tensor<4x48xf32> {
  // CHECK: treadle.stage [<rows = 4>, <outputs = 48>] (%[[A:.*]] = %{{.*}} : tensor<4x32xf32> <0, all>, %[[B:.*]] = %{{.*}} <1, all>) -> (tensor<4x48xf32> <0, 1>)
  // CHECK-NEXT: %[[Y:.*]] = treadle.linear %[[A]], %[[B]]
  // CHECK-NEXT: treadle.yield %[[Y]]
  %y = treadle.linear %x, %w : (tensor<4x32xf32>, !treadle.weight<48x32xf32, panels>) -> tensor<4x48xf32>
  return %y : tensor<4x48xf32>
}

// CHECK-LABEL: func.func @elementwise
func.func @elementwise(%x: tensor<4x32xf32>) -> tensor<4x32xf32> {
  // A constant moves into the body.
  // CHECK: treadle.stage [<rows = 4>, <outputs = 32>] (%[[A:.*]] = %{{.*}} : tensor<4x32xf32> <0, 1>) -> (tensor<4x32xf32> <0, 1>)
  // CHECK-NEXT: %[[C:.*]] = arith.constant dense<2.000000e+00>
  // CHECK-NEXT: arith.mulf %[[A]], %[[C]]
  %c = arith.constant dense<2.0> : tensor<4x32xf32>
  %y = arith.mulf %x, %c : tensor<4x32xf32>
  return %y : tensor<4x32xf32>
}

// CHECK-LABEL: func.func @no_result
func.func @no_result(%x: tensor<4x8xf32>, %s: !treadle.state<append, 16x8xf32>, %p: index) {
  // CHECK: treadle.stage [<rows = 4>, <outputs = 8>] (%{{.*}} <0, 1>, %{{.*}} <position, 1>, %{{.*}} : index <>, %{{.*}} : index <>) -> ()
  treadle.append %x, %s at %p valid %p : tensor<4x8xf32>, !treadle.state<append, 16x8xf32>
  return
}

// Scalar arithmetic and the ops of a body stay as they are.
// CHECK-LABEL: func.func @outside
func.func @outside(%i: index) -> index {
  // CHECK-NOT: treadle.stage
  // CHECK: arith.addi
  %j = arith.addi %i, %i : index
  return %j : index
}

// Each result is cut like the others.
// CHECK-LABEL: func.func @several_results
func.func @several_results(%x: tensor<4x32xf32>, %z: tensor<4x32xf32>, %w: !treadle.weight<48x32xf32, panels>) -> (tensor<4x48xf32>, tensor<4x48xf32>) {
  // CHECK: %[[Y:.*]]:2 = treadle.stage [<rows = 4>, <outputs = 48>] (%{{.*}} <0, all>, %{{.*}} <0, all>, %{{.*}} <1, all>) -> (tensor<4x48xf32> <0, 1>, tensor<4x48xf32> <0, 1>)
  // CHECK: return %[[Y]]#0, %[[Y]]#1
  %y:2 = treadle.joint_linear (%x, %z), %w
    : (tensor<4x32xf32>, tensor<4x32xf32>, !treadle.weight<48x32xf32, panels>) -> (tensor<4x48xf32>, tensor<4x48xf32>)
  return %y#0, %y#1 : tensor<4x48xf32>, tensor<4x48xf32>
}

// Groups are cut instead of outputs; a matrix that they share is read whole.
// CHECK-LABEL: func.func @groups
func.func @groups(%x: tensor<4x32xf32>, %w: !treadle.weight<12x8xf32, panels>, %s: !treadle.weight<4x12x8xf32, panels>) {
  // CHECK: treadle.stage [<rows = 4>, <heads = 4>] (%{{.*}} <0, 1>, %{{.*}} <all, all>) -> (tensor<4x48xf32> <0, 1>)
  %y = treadle.linear %x, %w {groups = 4 : i64} : (tensor<4x32xf32>, !treadle.weight<12x8xf32, panels>) -> tensor<4x48xf32>
  // CHECK: treadle.stage [<rows = 4>, <heads = 4>] (%{{.*}} <0, 1>, %{{.*}} <1, all, all>) -> (tensor<4x48xf32> <0, 1>)
  %z = treadle.linear %x, %s {groups = 4 : i64} : (tensor<4x32xf32>, !treadle.weight<4x12x8xf32, panels>) -> tensor<4x48xf32>
  return
}

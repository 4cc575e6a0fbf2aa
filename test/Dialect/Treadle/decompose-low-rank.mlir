// RUN: treadle-opt %s --treadle-decompose-low-rank | FileCheck %s

// CHECK-LABEL: func.func @unscaled
func.func @unscaled(%x: tensor<4x32xf32>, %a: !treadle.weight<5x32xf32, panels>, %b: !treadle.weight<48x5xf32, panels>) -> tensor<4x48xf32> {
  // CHECK: %[[LATENT:.*]] = treadle.linear %{{.*}}, %{{.*}} -> tensor<4x5xf32>
  // CHECK-NEXT: %[[Y:.*]] = treadle.linear %[[LATENT]]
  // CHECK-NEXT: return %[[Y]]
  %y = treadle.low_rank_linear %x, %a, %b {scale = 1.0 : f32} : (tensor<4x32xf32>, !treadle.weight<5x32xf32, panels>, !treadle.weight<48x5xf32, panels>) -> tensor<4x48xf32>
  return %y : tensor<4x48xf32>
}

// CHECK-LABEL: func.func @scaled
func.func @scaled(%x: tensor<4x32xf32>, %a: !treadle.weight<5x32xf32, panels>, %b: !treadle.weight<48x5xf32, panels>) -> tensor<4x48xf32> {
  // CHECK: %[[SCALE:.*]] = arith.constant 5.000000e-01 : f32
  // CHECK: %[[Y:.*]] = treadle.linear
  // CHECK: %[[Y:.*]] = treadle.linear
  // CHECK: treadle.scale %[[Y]] by %[[SCALE]]
  %y = treadle.low_rank_linear %x, %a, %b {scale = 0.5 : f32} : (tensor<4x32xf32>, !treadle.weight<5x32xf32, panels>, !treadle.weight<48x5xf32, panels>) -> tensor<4x48xf32>
  return %y : tensor<4x48xf32>
}

// CHECK-LABEL: func.func @open_rows
func.func @open_rows(%x: tensor<?x32xf32>, %a: !treadle.weight<5x32xf32, panels>, %b: !treadle.weight<48x5xf32, panels>) -> tensor<?x48xf32> {
  // CHECK: treadle.scale %{{.*}} by %{{.*}} : tensor<?x48xf32>
  %y = treadle.low_rank_linear %x, %a, %b {scale = 0.5 : f32} : (tensor<?x32xf32>, !treadle.weight<5x32xf32, panels>, !treadle.weight<48x5xf32, panels>) -> tensor<?x48xf32>
  return %y : tensor<?x48xf32>
}

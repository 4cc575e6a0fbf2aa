// Where the pass fires, and where it does not: one function per reason.
// treadle-opt fuse-tails.mlir --load-pass-plugin=libFuseTails.so
//     --pass-pipeline='builtin.module(convert-treadle-to-stages,treadle-fuse-epilogues,fuse-tails)'

// CHECK-LABEL: func.func @norm
func.func @norm(%x: tensor<4x32xf32>, %r: tensor<4x32xf32>, %w: !treadle.weight<32xf32, plain>) -> tensor<4x32xf32> {
  // CHECK: treadle.stage [<rows = 4>] ({{.*}}, %[[R:.*]] = %{{.*}} : tensor<4x32xf32> <0, all>) -> (tensor<4x32xf32> <0, all>)
  // CHECK-NEXT: %[[N:.*]] = treadle.rms_norm
  // CHECK-NEXT: %[[Y:.*]] = arith.addf %[[N]], %[[R]]
  // CHECK-NEXT: treadle.yield %[[Y]]
  // CHECK-NOT: treadle.stage
  // CHECK: return
  %n = treadle.rms_norm %x, %w {eps = 1.0e-6 : f32} : (tensor<4x32xf32>, !treadle.weight<32xf32, plain>) -> tensor<4x32xf32>
  %y = arith.addf %n, %r : tensor<4x32xf32>
  return %y : tensor<4x32xf32>
}

// Rows and heads: the number is the same for all tiles, the other input is cut as heads are.
// CHECK-LABEL: func.func @heads
func.func @heads(%x: tensor<4x32xf32>, %t: tensor<4x2x4xf32>, %f: f32, %r: tensor<4x32xf32>) -> tensor<4x32xf32> {
  // CHECK: treadle.stage [<rows = 4>, <heads = 4>] ({{.*}}, %{{.*}} = %{{.*}} : f32 <>, %{{.*}} = %{{.*}} : tensor<4x32xf32> <0, 1>)
  // CHECK-NEXT: treadle.rope
  // CHECK-NEXT: treadle.scale
  // CHECK-NEXT: arith.mulf
  // CHECK-NOT: treadle.stage
  // CHECK: return
  %p = treadle.rope %x, %t {heads = 4 : i64, pairing = #treadle.rope_pairing<half>} : (tensor<4x32xf32>, tensor<4x2x4xf32>) -> tensor<4x32xf32>
  %s = treadle.scale %p by %f : tensor<4x32xf32>
  %y = arith.mulf %s, %r : tensor<4x32xf32>
  return %y : tensor<4x32xf32>
}

// CHECK-LABEL: func.func @exponential
func.func @exponential(%x: tensor<4x32xf32>, %w: !treadle.weight<32xf32, plain>) -> tensor<4x32xf32> {
  // CHECK-COUNT-2: treadle.stage
  %n = treadle.rms_norm %x, %w {eps = 1.0e-6 : f32} : (tensor<4x32xf32>, !treadle.weight<32xf32, plain>) -> tensor<4x32xf32>
  %y = treadle.activate %n {activation = #treadle.activation<silu>} : tensor<4x32xf32>
  return %y : tensor<4x32xf32>
}

// CHECK-LABEL: func.func @other_use
func.func @other_use(%x: tensor<4x32xf32>, %r: tensor<4x32xf32>, %w: !treadle.weight<32xf32, plain>) -> (tensor<4x32xf32>, tensor<4x32xf32>) {
  // CHECK-COUNT-2: treadle.stage
  %n = treadle.rms_norm %x, %w {eps = 1.0e-6 : f32} : (tensor<4x32xf32>, !treadle.weight<32xf32, plain>) -> tensor<4x32xf32>
  %y = arith.addf %n, %r : tensor<4x32xf32>
  return %n, %y : tensor<4x32xf32>, tensor<4x32xf32>
}

// A stage that reads a state stays where it is: the state may change before the sum.
// CHECK-LABEL: func.func @state
func.func @state(%s: !treadle.state<fixed, 4x32xf32>, %r: tensor<4x32xf32>) -> tensor<4x32xf32> {
  // CHECK-COUNT-2: treadle.stage
  %n = treadle.read_state %s : (!treadle.state<fixed, 4x32xf32>) -> tensor<4x32xf32>
  %y = arith.addf %n, %r : tensor<4x32xf32>
  return %y : tensor<4x32xf32>
}

// Outside of the loop a stage runs once, inside it would run each time.
// CHECK-LABEL: func.func @loop
func.func @loop(%x: tensor<4x32xf32>, %w: !treadle.weight<32xf32, plain>) -> tensor<4x32xf32> {
  // CHECK: treadle.stage
  // CHECK: treadle.loop
  // CHECK: treadle.stage
  // CHECK-NEXT: arith.addf
  %n = treadle.rms_norm %x, %w {eps = 1.0e-6 : f32} : (tensor<4x32xf32>, !treadle.weight<32xf32, plain>) -> tensor<4x32xf32>
  %y = treadle.loop %i max 3 carry (%h = %x) : tensor<4x32xf32> {
    %z = arith.addf %h, %n : tensor<4x32xf32>
    treadle.yield %z : tensor<4x32xf32>
  }
  return %y : tensor<4x32xf32>
}

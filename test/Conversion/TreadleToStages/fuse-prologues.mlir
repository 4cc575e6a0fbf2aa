// RUN: treadle-opt %s --convert-treadle-to-stages --treadle-fuse-epilogues --treadle-fuse-prologues=work=2048 | FileCheck %s
// RUN: treadle-opt %s --convert-treadle-to-stages --treadle-fuse-epilogues --treadle-fuse-prologues=work=0 \
// RUN:   | FileCheck %s --check-prefix=OFF

// CHECK-LABEL: func.func @fires
// OFF-LABEL: func.func @fires
func.func @fires(%x: tensor<1x32xf32>, %n: !treadle.weight<32xf32, plain>, %w: !treadle.weight<48x32xf32, panels>) -> tensor<1x48xf32> {
  // CHECK: %[[Y:.*]] = treadle.stage [<rows = 1>, <outputs = 48>] (%[[X:.*]] = %arg0 : tensor<1x32xf32> <all, all>, %[[N:.*]] = %arg1 : {{.*}} <all>, %[[W:.*]] = %arg2 : {{.*}} <1, all>) -> (tensor<1x48xf32> <0, 1>)
  // CHECK-NEXT: %[[NORM:.*]] = treadle.rms_norm %[[X]], %[[N]]
  // CHECK-NEXT: %[[P:.*]] = treadle.linear %[[NORM]], %[[W]]
  // CHECK-NEXT: treadle.yield %[[P]]
  // CHECK-NOT: treadle.stage
  // CHECK: return %[[Y]]
  // OFF-COUNT-2: treadle.stage
  %h = treadle.rms_norm %x, %n {eps = 1.0 : f32} : (tensor<1x32xf32>, !treadle.weight<32xf32, plain>) -> tensor<1x32xf32>
  %y = treadle.linear %h, %w : (tensor<1x32xf32>, !treadle.weight<48x32xf32, panels>) -> tensor<1x48xf32>
  return %y : tensor<1x48xf32>
}

// A whole chain, with an elementwise stage in it, and the inner product of a low-rank pair.
// CHECK-LABEL: func.func @chain
func.func @chain(%x: tensor<3x16xf32>, %n: !treadle.weight<16xf32, plain>, %f: f32, %a: !treadle.weight<5x16xf32, panels>, %b: !treadle.weight<48x5xf32, panels>) -> tensor<3x48xf32> {
  // CHECK: treadle.stage
  // CHECK-NEXT: treadle.rms_norm
  // CHECK-NEXT: treadle.scale
  // CHECK-NEXT: treadle.linear
  // CHECK-NEXT: treadle.linear
  // CHECK-NOT: treadle.stage
  // CHECK: return
  %h = treadle.rms_norm %x, %n {eps = 1.0 : f32} : (tensor<3x16xf32>, !treadle.weight<16xf32, plain>) -> tensor<3x16xf32>
  %s = treadle.scale %h by %f : tensor<3x16xf32>
  %i = treadle.linear %s, %a : (tensor<3x16xf32>, !treadle.weight<5x16xf32, panels>) -> tensor<3x5xf32>
  %y = treadle.linear %i, %b : (tensor<3x5xf32>, !treadle.weight<48x5xf32, panels>) -> tensor<3x48xf32>
  return %y : tensor<3x48xf32>
}

// Every user computes it for itself; what is used as it was before, too, is read twice.
// CHECK-LABEL: func.func @two_users
func.func @two_users(%x: tensor<1x32xf32>, %n: !treadle.weight<32xf32, plain>, %w: !treadle.weight<32x32xf32, panels>) -> (tensor<1x32xf32>, tensor<1x32xf32>) {
  // CHECK: treadle.stage {{.*}} = %arg0 : tensor<1x32xf32> <all, all>
  // CHECK-NEXT: treadle.rms_norm
  // CHECK: treadle.stage {{.*}} = %arg0 : tensor<1x32xf32> <all, all>{{.*}} = %arg0 : tensor<1x32xf32> <0, 1>
  // CHECK-NEXT: treadle.rms_norm
  // CHECK-NOT: treadle.stage
  // CHECK: return
  %h = treadle.rms_norm %x, %n {eps = 1.0 : f32} : (tensor<1x32xf32>, !treadle.weight<32xf32, plain>) -> tensor<1x32xf32>
  %y = treadle.linear %h, %w : (tensor<1x32xf32>, !treadle.weight<32x32xf32, panels>) -> tensor<1x32xf32>
  %z = treadle.linear %h, %w : (tensor<1x32xf32>, !treadle.weight<32x32xf32, panels>) -> tensor<1x32xf32>
  %r = arith.addf %z, %x : tensor<1x32xf32>
  return %y, %r : tensor<1x32xf32>, tensor<1x32xf32>
}

// A stage without rows among its dimensions: heads.
// CHECK-LABEL: func.func @before_rope
func.func @before_rope(%x: tensor<1x32xf32>, %n: !treadle.weight<8xf32, plain>, %t: tensor<1x2x4xf32>) -> tensor<1x32xf32> {
  // CHECK: treadle.stage [<rows = 1>, <heads = 4>]
  // CHECK-NEXT: treadle.rms_norm
  // CHECK-NEXT: treadle.rope
  // CHECK-NOT: treadle.stage
  // CHECK: return
  %h = treadle.rms_norm %x, %n {eps = 1.0 : f32, groups = 4 : i64} : (tensor<1x32xf32>, !treadle.weight<8xf32, plain>) -> tensor<1x32xf32>
  %y = treadle.rope %h, %t {heads = 4 : i64, pairing = #treadle.rope_pairing<half>} : (tensor<1x32xf32>, tensor<1x2x4xf32>) -> tensor<1x32xf32>
  return %y : tensor<1x32xf32>
}

// CHECK-LABEL: func.func @many_rows
func.func @many_rows(%x: tensor<5x32xf32>, %n: !treadle.weight<32xf32, plain>, %w: !treadle.weight<48x32xf32, panels>) -> tensor<5x48xf32> {
  // CHECK-COUNT-2: treadle.stage
  %h = treadle.rms_norm %x, %n {eps = 1.0 : f32} : (tensor<5x32xf32>, !treadle.weight<32xf32, plain>) -> tensor<5x32xf32>
  %y = treadle.linear %h, %w : (tensor<5x32xf32>, !treadle.weight<48x32xf32, panels>) -> tensor<5x48xf32>
  return %y : tensor<5x48xf32>
}

// More multiply-adds than a barrier is worth.
// CHECK-LABEL: func.func @much_work
func.func @much_work(%x: tensor<1x48xf32>, %w: !treadle.weight<48x48xf32, panels>) -> tensor<1x48xf32> {
  // CHECK-COUNT-2: treadle.stage
  %h = treadle.linear %x, %w : (tensor<1x48xf32>, !treadle.weight<48x48xf32, panels>) -> tensor<1x48xf32>
  %y = treadle.linear %h, %w : (tensor<1x48xf32>, !treadle.weight<48x48xf32, panels>) -> tensor<1x48xf32>
  return %y : tensor<1x48xf32>
}

// CHECK-LABEL: func.func @much_joint_work
func.func @much_joint_work(%x: tensor<1x48xf32>, %w: !treadle.weight<48x48xf32, panels>) -> (tensor<1x48xf32>, tensor<1x48xf32>) {
  // CHECK-COUNT-3: treadle.stage
  %h:2 = treadle.joint_linear (%x, %x), %w
    : (tensor<1x48xf32>, tensor<1x48xf32>, !treadle.weight<48x48xf32, panels>) -> (tensor<1x48xf32>, tensor<1x48xf32>)
  %y = treadle.linear %h#0, %w : (tensor<1x48xf32>, !treadle.weight<48x48xf32, panels>) -> tensor<1x48xf32>
  %z = treadle.linear %h#1, %w : (tensor<1x48xf32>, !treadle.weight<48x48xf32, panels>) -> tensor<1x48xf32>
  return %y, %z : tensor<1x48xf32>, tensor<1x48xf32>
}

// The result of a function, or what a loop carries, is needed in memory.
// CHECK-LABEL: func.func @other_use
func.func @other_use(%x: tensor<1x32xf32>, %n: !treadle.weight<32xf32, plain>, %w: !treadle.weight<48x32xf32, panels>) -> (tensor<1x32xf32>, tensor<1x48xf32>) {
  // CHECK-COUNT-2: treadle.stage
  %h = treadle.rms_norm %x, %n {eps = 1.0 : f32} : (tensor<1x32xf32>, !treadle.weight<32xf32, plain>) -> tensor<1x32xf32>
  %y = treadle.linear %h, %w : (tensor<1x32xf32>, !treadle.weight<48x32xf32, panels>) -> tensor<1x48xf32>
  return %h, %y : tensor<1x32xf32>, tensor<1x48xf32>
}

// Cut into tiles of rows and outputs: nothing to stand in front of.
// CHECK-LABEL: func.func @elementwise_user
func.func @elementwise_user(%x: tensor<1x32xf32>, %n: !treadle.weight<32xf32, plain>) -> tensor<1x32xf32> {
  // CHECK-COUNT-2: treadle.stage
  %h = treadle.rms_norm %x, %n {eps = 1.0 : f32} : (tensor<1x32xf32>, !treadle.weight<32xf32, plain>) -> tensor<1x32xf32>
  %y = arith.addf %h, %x : tensor<1x32xf32>
  return %y : tensor<1x32xf32>
}

// A state may change before its user runs.
// CHECK-LABEL: func.func @reads_state
func.func @reads_state(%s: !treadle.state<fixed, 1x32xf32>, %w: !treadle.weight<48x32xf32, panels>) -> tensor<1x48xf32> {
  // CHECK-COUNT-2: treadle.stage
  %h = treadle.read_state %s : (!treadle.state<fixed, 1x32xf32>) -> tensor<1x32xf32>
  %y = treadle.linear %h, %w : (tensor<1x32xf32>, !treadle.weight<48x32xf32, panels>) -> tensor<1x48xf32>
  return %y : tensor<1x48xf32>
}

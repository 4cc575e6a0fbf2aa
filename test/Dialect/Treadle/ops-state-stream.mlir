// RUN: treadle-opt %s | FileCheck %s
// RUN: treadle-opt %s --mlir-print-op-generic | treadle-opt | FileCheck %s
// Products of groups and of several inputs, and the ops of running states, survive printing and parsing.

!state = !treadle.state<append, 512x40xf32>
!keys = !treadle.state<append, 512x128xbf16, panels>
!values = !treadle.state<append, 512x128xbf16>
!mask = !treadle.state<append, 512xi8>

// CHECK-LABEL: func.func @matrices
func.func @matrices(%x: tensor<?x40xf32>, %z: tensor<?x40xf32>, %w: !treadle.weight<16x40xf32, panels>,
                    %g: !treadle.weight<5x10xf32, panels>, %s: !treadle.weight<4x5x10xf32, panels>,
                    %j: !treadle.weight<5x40xf32, panels>, %b: !treadle.weight<5xf32, plain>, %c: !treadle.weight<4x5xf32, plain>) {
  // CHECK: treadle.linear %{{.*}}, %{{.*}} bias %{{.*}} {groups = 4 : i64} : (tensor<?x40xf32>, !treadle.weight<5x10xf32, panels>, !treadle.weight<5xf32, plain>)
  %0 = treadle.linear %x, %g bias %b {groups = 4 : i64}
    : (tensor<?x40xf32>, !treadle.weight<5x10xf32, panels>, !treadle.weight<5xf32, plain>) -> tensor<?x20xf32>
  // CHECK: treadle.linear %{{.*}}, %{{.*}} bias %{{.*}} {groups = 4 : i64} : (tensor<?x40xf32>, !treadle.weight<4x5x10xf32, panels>, !treadle.weight<4x5xf32, plain>)
  %1 = treadle.linear %x, %s bias %c {groups = 4 : i64}
    : (tensor<?x40xf32>, !treadle.weight<4x5x10xf32, panels>, !treadle.weight<4x5xf32, plain>) -> tensor<?x20xf32>
  // CHECK: treadle.joint_linear(%{{.*}}, %{{.*}}), %{{.*}} : (tensor<?x40xf32>, tensor<?x40xf32>, !treadle.weight<16x40xf32, panels>) -> (tensor<?x16xf32>, tensor<?x16xf32>)
  %2:2 = treadle.joint_linear (%x, %z), %w
    : (tensor<?x40xf32>, tensor<?x40xf32>, !treadle.weight<16x40xf32, panels>) -> (tensor<?x16xf32>, tensor<?x16xf32>)
  // CHECK: treadle.joint_linear(%{{.*}}), %{{.*}} bias %{{.*}} : (tensor<?x40xf32>, !treadle.weight<5x40xf32, panels>, !treadle.weight<5xf32, plain>) -> tensor<?x5xf32>
  %3 = treadle.joint_linear (%x), %j bias %b
    : (tensor<?x40xf32>, !treadle.weight<5x40xf32, panels>, !treadle.weight<5xf32, plain>) -> tensor<?x5xf32>
  return
}

// CHECK-LABEL: func.func @rows
func.func @rows(%x: tensor<?x40xf32>, %t: tensor<?x2x20xf32>, %n: !treadle.weight<10xf32, plain>,
                %s: !treadle.weight<4xf32, plain>, %position: index) {
  // CHECK: treadle.layer_norm %{{.*}}, %{{.*}} {eps = 9.99999974E-6 : f32, groups = 4 : i64}
  %0 = treadle.layer_norm %x, %n {eps = 1.0e-5 : f32, groups = 4 : i64}
    : (tensor<?x40xf32>, !treadle.weight<10xf32, plain>) -> tensor<?x40xf32>
  // CHECK: treadle.layer_norm %{{.*}}, %{{.*}}, %{{.*}} {eps = 9.99999974E-6 : f32, groups = 4 : i64, offset = 1.000000e+00 : f32}
  %1 = treadle.layer_norm %x, %n, %n {eps = 1.0e-5 : f32, groups = 4 : i64, offset = 1.0 : f32}
    : (tensor<?x40xf32>, !treadle.weight<10xf32, plain>, !treadle.weight<10xf32, plain>) -> tensor<?x40xf32>
  // CHECK: treadle.add_scaled %{{.*}}, %{{.*}}, %{{.*}} : (tensor<?x40xf32>, tensor<?x40xf32>, !treadle.weight<4xf32, plain>)
  %2 = treadle.add_scaled %x, %0, %s : (tensor<?x40xf32>, tensor<?x40xf32>, !treadle.weight<4xf32, plain>) -> tensor<?x40xf32>
  // CHECK: treadle.blank_start %{{.*}} at %{{.*}} {rows = 1 : i64} : tensor<?x40xf32>
  %3 = treadle.blank_start %2 at %position {rows = 1 : i64} : tensor<?x40xf32>
  // CHECK: treadle.rope %{{.*}}, %{{.*}} {heads = 1 : i64, inverse, pairing = #treadle.rope_pairing<interleaved>}
  %4 = treadle.rope %3, %t {heads = 1 : i64, inverse, pairing = #treadle.rope_pairing<interleaved>}
    : (tensor<?x40xf32>, tensor<?x2x20xf32>) -> tensor<?x40xf32>
  return
}

// CHECK-LABEL: func.func @states
func.func @states(%x: tensor<?x40xf32>, %q: tensor<?x256xf32>, %s: !state, %k: !keys, %v: !values, %m: !mask, %position: index, %valid: index) {
  // CHECK: treadle.running_sum %{{.*}}, %{{.*}}, %{{.*}} at %{{.*}} valid %{{.*}} : tensor<?x40xf32>, <append, 512x40xf32>, <append, 512xi8>
  treadle.running_sum %x, %s, %m at %position valid %valid : tensor<?x40xf32>, !state, !mask
  // CHECK: treadle.running_sum %{{.*}}, %{{.*}}, %{{.*}} at %{{.*}} valid %{{.*}} {single}
  treadle.running_sum %x, %s, %m at %position valid %valid {single} : tensor<?x40xf32>, !state, !mask
  // CHECK: treadle.read_rows %{{.*}} at %{{.*}} valid %{{.*}} {lag = 1 : i64, mean} : (!treadle.state<append, 512x40xf32>, index, index)
  %0 = treadle.read_rows %s at %position valid %valid {lag = 1 : i64, mean} : (!state, index, index) -> tensor<?x40xf32>
  // CHECK: treadle.attention {{.*}} lane %{{.*}}, %{{.*}} {heads = 8 : i64, kv_heads = 4 : i64, own, scale = 2.500000e-01 : f32}
  %1 = treadle.attention %q, %k, %v, %m at %position valid %valid lane %k, %v {heads = 8 : i64, kv_heads = 4 : i64, scale = 0.25 : f32, own}
    : (tensor<?x256xf32>, !keys, !values, !mask, index, index, !keys, !values) -> tensor<?x256xf32>
  return
}

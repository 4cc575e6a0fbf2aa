// RUN: treadle-opt %s | FileCheck %s
// RUN: treadle-opt %s --mlir-print-op-generic | treadle-opt | FileCheck %s
// Ops of recurrent layers, and of waves and columns, survive printing and parsing.

!ring = !treadle.state<ring, 3x40xf32>
!memory = !treadle.state<fixed, 4x10x5xf32>
!mask = !treadle.state<append, 512xi8>

// CHECK-LABEL: func.func @rows
func.func @rows(%x: tensor<?x40xf32>, %w: !treadle.weight<3xf32, plain>, %s: !treadle.weight<f32, plain>,
                %b: !treadle.weight<30xf32, plain>, %n: !treadle.weight<10xf32, plain>, %f: f32) {
  // CHECK: treadle.rms_norm %{{.*}}, %{{.*}} {eps = 9.99999974E-6 : f32, groups = 4 : i64, offset = 1.000000e+00 : f32}
  %0 = treadle.rms_norm %x, %n {eps = 1.0e-5 : f32, groups = 4 : i64, offset = 1.0 : f32}
    : (tensor<?x40xf32>, !treadle.weight<10xf32, plain>) -> tensor<?x40xf32>
  // CHECK: treadle.l2_norm %{{.*}} {eps = 9.99999974E-6 : f32, groups = 4 : i64, scale = 2.500000e-01 : f32}
  %1 = treadle.l2_norm %0 {eps = 1.0e-5 : f32, groups = 4 : i64, scale = 0.25 : f32} : (tensor<?x40xf32>) -> tensor<?x40xf32>
  // CHECK: treadle.poly_norm %{{.*}}, %{{.*}}, %{{.*}} {eps = 9.99999974E-6 : f32}
  %2 = treadle.poly_norm %1, %w, %s {eps = 1.0e-5 : f32}
    : (tensor<?x40xf32>, !treadle.weight<3xf32, plain>, !treadle.weight<f32, plain>) -> tensor<?x40xf32>
  // CHECK: treadle.gpas %{{.*}}, %{{.*}} : (tensor<?x40xf32>, !treadle.weight<f32, plain>) -> tensor<?x40xf32>
  %3 = treadle.gpas %2, %s : (tensor<?x40xf32>, !treadle.weight<f32, plain>) -> tensor<?x40xf32>
  // CHECK: treadle.scale %{{.*}} by %{{.*}} : tensor<?x40xf32>
  %4 = treadle.scale %3 by %f : tensor<?x40xf32>
  // CHECK: treadle.fan %{{.*}} {periodic = 10 : i64} : (tensor<?x40xf32>) -> tensor<?x50xf32>
  %5 = treadle.fan %4 {periodic = 10 : i64} : (tensor<?x40xf32>) -> tensor<?x50xf32>
  // CHECK: treadle.fan %{{.*}}, %{{.*}} {periodic = 10 : i64} : (tensor<?x40xf32>, !treadle.weight<30xf32, plain>) -> tensor<?x50xf32>
  %6 = treadle.fan %4, %b {periodic = 10 : i64} : (tensor<?x40xf32>, !treadle.weight<30xf32, plain>) -> tensor<?x50xf32>
  // CHECK: treadle.slice %{{.*}} {groups = 5 : i64, offset = 2 : i64, size = 4 : i64} : (tensor<?x50xf32>) -> tensor<?x20xf32>
  %7 = treadle.slice %6 {groups = 5 : i64, offset = 2 : i64, size = 4 : i64} : (tensor<?x50xf32>) -> tensor<?x20xf32>
  // CHECK: treadle.concat %{{.*}}, %{{.*}} : (tensor<?x20xf32>, tensor<?x50xf32>) -> tensor<?x70xf32>
  %8 = treadle.concat %7, %5 : (tensor<?x20xf32>, tensor<?x50xf32>) -> tensor<?x70xf32>
  return
}

// CHECK-LABEL: func.func @states
func.func @states(%x: tensor<?x40xf32>, %taps: !treadle.weight<40x4xf32, plain>, %k: tensor<?x20xf32>, %v: tensor<?x20xf32>,
                  %a: tensor<?x4xf32>, %rates: !treadle.weight<4xf32, plain>,
                  %ring: !ring, %memory: !memory, %mask: !mask, %position: index, %valid: index) {
  // CHECK: treadle.causal_conv %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} at %{{.*}} valid %{{.*}} {activation = #treadle.activation<silu>}
  %0 = treadle.causal_conv %x, %taps, %ring, %mask at %position valid %valid {activation = #treadle.activation<silu>}
    : (tensor<?x40xf32>, !treadle.weight<40x4xf32, plain>, !ring, !mask, index, index) -> tensor<?x40xf32>
  // CHECK: treadle.log_decay %{{.*}}, %{{.*}}, %{{.*}} : (tensor<?x4xf32>
  %1 = treadle.log_decay %a, %rates, %rates
    : (tensor<?x4xf32>, !treadle.weight<4xf32, plain>, !treadle.weight<4xf32, plain>) -> tensor<?x4xf32>
  // CHECK: treadle.gated_delta_rule {{.*}} at %{{.*}} valid %{{.*}} {heads = 4 : i64, key_heads = 2 : i64}
  %2 = treadle.gated_delta_rule %k, %k, %v, %a, %1, %memory, %mask at %position valid %valid {heads = 4 : i64, key_heads = 2 : i64}
    : (tensor<?x20xf32>, tensor<?x20xf32>, tensor<?x20xf32>, tensor<?x4xf32>, tensor<?x4xf32>, !memory, !mask, index, index) -> tensor<?x20xf32>
  return
}

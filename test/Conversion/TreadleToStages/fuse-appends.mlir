// RUN: treadle-opt %s --convert-treadle-to-stages --treadle-fuse-appends | FileCheck %s

treadle.state @k : !treadle.state<append, 64x32xf32, panels>
treadle.state @v : !treadle.state<append, 64x32xf32>
treadle.state @mask : !treadle.state<append, 64xi8>

// Both appends; the dimensions are those of attention, whose tile is a head's columns.
// CHECK-LABEL: func.func @fires
func.func @fires(%q: tensor<1x64xf32>, %k: tensor<1x32xf32>, %p: index, %n: index) -> tensor<1x64xf32> {
  %keys = treadle.get_state @k : !treadle.state<append, 64x32xf32, panels>
  %values = treadle.get_state @v : !treadle.state<append, 64x32xf32>
  %mask = treadle.get_state @mask : !treadle.state<append, 64xi8>
  // CHECK: treadle.stage [<rows = 1>, <heads = 2>] ({{.*}} = %arg1 : tensor<1x32xf32> <0, 1>, {{.*}} : !treadle.state<append, 64x32xf32> <position, 1>
  // CHECK-SAME: !treadle.state<append, 64x32xf32> <all, 1>
  // CHECK-NEXT: treadle.append
  // CHECK-NEXT: treadle.append
  // CHECK-NEXT: treadle.attention
  // CHECK-NOT: treadle.stage
  // CHECK: return
  treadle.append %k, %keys at %p valid %n : tensor<1x32xf32>, !treadle.state<append, 64x32xf32, panels>
  treadle.append %k, %values at %p valid %n : tensor<1x32xf32>, !treadle.state<append, 64x32xf32>
  %y = treadle.attention %q, %keys, %values, %mask at %p valid %n {heads = 4 : i64, kv_heads = 2 : i64, scale = 1.0 : f32}
    : (tensor<1x64xf32>, !treadle.state<append, 64x32xf32, panels>, !treadle.state<append, 64x32xf32>, !treadle.state<append, 64xi8>, index, index) -> tensor<1x64xf32>
  return %y : tensor<1x64xf32>
}

// A tile of the first row might run before that of the second, whose key it must not see half.
// CHECK-LABEL: func.func @rows
func.func @rows(%q: tensor<2x64xf32>, %k: tensor<2x32xf32>, %p: index, %n: index) -> tensor<2x64xf32> {
  // CHECK-COUNT-2: treadle.stage
  %keys = treadle.get_state @k : !treadle.state<append, 64x32xf32, panels>
  %values = treadle.get_state @v : !treadle.state<append, 64x32xf32>
  %mask = treadle.get_state @mask : !treadle.state<append, 64xi8>
  treadle.append %k, %keys at %p valid %n : tensor<2x32xf32>, !treadle.state<append, 64x32xf32, panels>
  %y = treadle.attention %q, %keys, %values, %mask at %p valid %n {heads = 4 : i64, kv_heads = 2 : i64, scale = 1.0 : f32}
    : (tensor<2x64xf32>, !treadle.state<append, 64x32xf32, panels>, !treadle.state<append, 64x32xf32>, !treadle.state<append, 64xi8>, index, index) -> tensor<2x64xf32>
  return %y : tensor<2x64xf32>
}

// Read whole, row by row.
// CHECK-LABEL: func.func @read_by_rows
func.func @read_by_rows(%k: tensor<1x32xf32>, %p: index, %n: index) -> tensor<1x32xf32> {
  // CHECK-COUNT-2: treadle.stage
  %values = treadle.get_state @v : !treadle.state<append, 64x32xf32>
  treadle.append %k, %values at %p valid %n : tensor<1x32xf32>, !treadle.state<append, 64x32xf32>
  %y = treadle.read_rows %values at %p valid %n {lag = 1 : i64} : (!treadle.state<append, 64x32xf32>, index, index) -> tensor<1x32xf32>
  return %y : tensor<1x32xf32>
}

// Something else writes the state in between.
// CHECK-LABEL: func.func @written_between
func.func @written_between(%q: tensor<1x64xf32>, %k: tensor<1x32xf32>, %p: index, %n: index) -> tensor<1x64xf32> {
  // CHECK: treadle.stage
  // CHECK-NEXT: treadle.append %{{[^,]*}}, %{{[^ ]*}} at
  // CHECK: treadle.stage [<rows = 1>, <heads = 2>]
  // CHECK-NEXT: treadle.append
  // CHECK-NEXT: treadle.attention
  %keys = treadle.get_state @k : !treadle.state<append, 64x32xf32, panels>
  %values = treadle.get_state @v : !treadle.state<append, 64x32xf32>
  %mask = treadle.get_state @mask : !treadle.state<append, 64xi8>
  treadle.append %k, %keys at %p valid %n : tensor<1x32xf32>, !treadle.state<append, 64x32xf32, panels>
  treadle.append %k, %keys at %n valid %n : tensor<1x32xf32>, !treadle.state<append, 64x32xf32, panels>
  %y = treadle.attention %q, %keys, %values, %mask at %p valid %n {heads = 4 : i64, kv_heads = 2 : i64, scale = 1.0 : f32}
    : (tensor<1x64xf32>, !treadle.state<append, 64x32xf32, panels>, !treadle.state<append, 64x32xf32>, !treadle.state<append, 64xi8>, index, index) -> tensor<1x64xf32>
  return %y : tensor<1x64xf32>
}

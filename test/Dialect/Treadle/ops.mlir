// RUN: treadle-opt %s --verify-roundtrip | FileCheck %s

treadle.weight @embedding : !treadle.weight<2048x256xf32, panels> from ["token_embedding.weight"]
treadle.weight @shared.q.down : !treadle.weight<16x256xf32, panels> slots [2] from ["a", "b"]
// CHECK: from transposed ["c"]
treadle.weight @raw : !treadle.weight<16x256xf32, panels> from transposed ["c"]
treadle.weight @norm : !treadle.weight<256xf32, plain> from ["final_norm.weight"]
treadle.weight @gate : !treadle.weight<f32, plain> from ["think_gate"]
treadle.state @mask : !treadle.state<append, 512xi8>
treadle.state @shared.k : !treadle.state<append, 512x128xf32> slots [4, 2] loop_slot 0
treadle.state @delta : !treadle.state<fixed, 16x32x32xf32>
treadle.state @conv : !treadle.state<ring, 3x1024xf32>

// CHECK-LABEL: func.func @loop
func.func @loop(%x: tensor<16x256xf32>, %loops: index) -> tensor<16x256xf32> {
  // CHECK: treadle.loop %{{.*}} to %{{.*}} max 4 carry (%{{.*}} = %{{.*}}) : tensor<16x256xf32> {
  %y = treadle.loop %pass to %loops max 4 carry (%h = %x) : tensor<16x256xf32> {
    // CHECK: treadle.loop %{{.*}} max 2 carry
    %z = treadle.loop %layer max 2 carry (%g = %h) : tensor<16x256xf32> {
      %w = treadle.get_weight @shared.q.down[%layer] : !treadle.weight<16x256xf32, panels>
      %k = treadle.get_state @shared.k[%pass, %layer] : !treadle.state<append, 512x128xf32>
      treadle.yield %g : tensor<16x256xf32>
    }
    treadle.yield %z : tensor<16x256xf32>
  }
  return %y : tensor<16x256xf32>
}

// CHECK-LABEL: func.func @stage
func.func @stage(%x: tensor<16x256xf32>, %r: tensor<16x16xf32>) -> tensor<16x16xf32> {
  %c0 = arith.constant 0 : index
  %w = treadle.get_weight @shared.q.down[%c0] : !treadle.weight<16x256xf32, panels>
  // CHECK: treadle.stage [<rows = 16>, <outputs = 16>] (%{{.*}} = %{{.*}} : tensor<16x256xf32> <0, all>
  %y = treadle.stage [<rows = 16>, <outputs = 16>] (
        %a = %x : tensor<16x256xf32> <0, all>,
        %b = %w : !treadle.weight<16x256xf32, panels> <1, all>,
        %c = %r : tensor<16x16xf32> <0, 1>) -> (tensor<16x16xf32> <0, 1>)
        {tile = #treadle.tile<8, 16>, offsets = array<i64: 64>} {
    %0 = treadle.linear %a, %b : (tensor<16x256xf32>, !treadle.weight<16x256xf32, panels>) -> tensor<16x16xf32>
    %1 = arith.addf %0, %c : tensor<16x16xf32>
    treadle.yield %1 : tensor<16x16xf32>
  }
  return %y : tensor<16x16xf32>
}

// CHECK-LABEL: func.func @nouns
func.func @nouns(%ids: tensor<?xi32>, %mask: tensor<?xi8>, %position: index, %valid: index, %again: i1) -> tensor<?x256xf32> {
  %e = treadle.get_weight @embedding : !treadle.weight<2048x256xf32, panels>
  %n = treadle.get_weight @norm : !treadle.weight<256xf32, plain>
  %g = treadle.get_weight @gate : !treadle.weight<f32, plain>
  %m = treadle.get_state @mask : !treadle.state<append, 512xi8>
  %c0 = arith.constant 0 : index
  %k = treadle.get_state @shared.k[%c0, %c0] : !treadle.state<append, 512x128xf32>
  // CHECK: treadle.embedding
  %x = treadle.embedding %ids, %e : (tensor<?xi32>, !treadle.weight<2048x256xf32, panels>) -> tensor<?x256xf32>
  // CHECK: treadle.rotary_table %{{.*}} at %{{.*}} {turns
  %t = treadle.rotary_table %ids at %position {turns = array<i64: 1, 2>} : (tensor<?xi32>, index) -> tensor<?x2x2xf32>
  // CHECK: treadle.rms_norm
  %0 = treadle.rms_norm %x, %n {eps = 1.0e-6 : f32} : (tensor<?x256xf32>, !treadle.weight<256xf32, plain>) -> tensor<?x256xf32>
  // CHECK: treadle.rope
  %1 = treadle.rope %0, %t {heads = 8 : i64, pairing = #treadle.rope_pairing<half>} : (tensor<?x256xf32>, tensor<?x2x2xf32>) -> tensor<?x256xf32>
  // CHECK: treadle.append
  treadle.append %mask, %m at %position valid %valid : tensor<?xi8>, !treadle.state<append, 512xi8>
  // CHECK: treadle.attention
  %2 = treadle.attention %1, %k, %k, %m at %position valid %valid {heads = 8 : i64, kv_heads = 4 : i64, scale = 0.25 : f32}
    : (tensor<?x256xf32>, !treadle.state<append, 512x128xf32>, !treadle.state<append, 512x128xf32>, !treadle.state<append, 512xi8>, index, index) -> tensor<?x256xf32>
  // CHECK: treadle.glu
  %3 = treadle.glu %2, %1 {activation = #treadle.activation<silu>} : tensor<?x256xf32>
  // CHECK: treadle.gate_blend
  %4 = treadle.gate_blend %3, %x, %g when %again : (tensor<?x256xf32>, tensor<?x256xf32>, !treadle.weight<f32, plain>, i1) -> tensor<?x256xf32>
  return %4 : tensor<?x256xf32>
}

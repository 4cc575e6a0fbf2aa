// RUN: treadle-opt %s | FileCheck %s
// RUN: treadle-opt %s --mlir-print-op-generic | treadle-opt | FileCheck %s
// RUN: treadle-opt %s --emit-bytecode | treadle-opt | FileCheck %s
// Every op, type and attribute survives printing and parsing: one function per topic.

// CHECK: module attributes {treadle.model = #treadle.model<family = "miniaxion", vocabulary = 2048, hidden = 256, capacity = 512, config_capacity = 1024, max_loops = 4, config_loops = 2, eos = [2], info = "{\22rank\22: 16}", tokens = 2047>}
module attributes {treadle.model = #treadle.model<
  family = "miniaxion", vocabulary = 2048, hidden = 256, capacity = 512, config_capacity = 1024,
  max_loops = 4, config_loops = 2, eos = [2], info = "{\"rank\": 16}", tokens = 2047>} {

// CHECK: treadle.weight @embedding : !treadle.weight<2048x256xf32, panels> from ["token_embedding.weight"]
treadle.weight @embedding : !treadle.weight<2048x256xf32, panels> from ["token_embedding.weight"]
// CHECK: treadle.weight @down : !treadle.weight<16x256xbf16, panels> slots [2] from ["a", "b"]
treadle.weight @down : !treadle.weight<16x256xbf16, panels> slots [2] from ["a", "b"]
// CHECK: treadle.weight @raw : !treadle.weight<16x256xf32, panels> from ["c"] view <[256, 16], [1, 0]>
treadle.weight @raw : !treadle.weight<16x256xf32, panels> from ["c"]
  view #treadle.view<[256, 16], [1, 0]>
// CHECK: treadle.weight @joined : !treadle.weight<8xf32, plain> slots [2] from ["d", "e", "f", "g"]
treadle.weight @joined : !treadle.weight<8xf32, plain> slots [2] from ["d", "e", "f", "g"]
// CHECK: treadle.weight @gate : !treadle.weight<f32, plain> from ["think_gate"]
treadle.weight @gate : !treadle.weight<f32, plain> from ["think_gate"]
// CHECK: treadle.state @mask : !treadle.state<append, 512xi8>
treadle.state @mask : !treadle.state<append, 512xi8>
// CHECK: treadle.state @keys : !treadle.state<append, 512x128xf32> slots [4, 2] loop_slot 0
treadle.state @keys : !treadle.state<append, 512x128xf32> slots [4, 2] loop_slot 0
// CHECK: treadle.state @delta : !treadle.state<fixed, 16x32x32xf32>
treadle.state @delta : !treadle.state<fixed, 16x32x32xf32>
// CHECK: treadle.state @conv : !treadle.state<ring, 3x1024xbf16>
treadle.state @conv : !treadle.state<ring, 3x1024xbf16>

// CHECK-LABEL: func.func @references
func.func @references(%pass: index, %layer: index) {
  // CHECK: treadle.get_weight @gate : <f32, plain>
  %0 = treadle.get_weight @gate : !treadle.weight<f32, plain>
  // CHECK: treadle.get_weight @down[%{{.*}}] : <16x256xbf16, panels>
  %1 = treadle.get_weight @down[%layer] : !treadle.weight<16x256xbf16, panels>
  // CHECK: treadle.get_state @keys[%{{.*}}, %{{.*}}] : <append, 512x128xf32>
  %2 = treadle.get_state @keys[%pass, %layer] : !treadle.state<append, 512x128xf32>
  return
}

// CHECK-LABEL: func.func @loops
func.func @loops(%x: tensor<16x256xf32>, %loops: index) -> tensor<16x256xf32> {
  // CHECK: treadle.loop %{{.*}} to %{{.*}} max 4 carry (%{{.*}} = %{{.*}}) : tensor<16x256xf32> {
  %y = treadle.loop %pass to %loops max 4 carry (%h = %x) : tensor<16x256xf32> {
    // CHECK: treadle.loop %{{.*}} max 2 carry (%{{.*}} = %{{.*}}, %{{.*}} = %{{.*}}) : tensor<16x256xf32>, tensor<16x256xf32> {
    %z:2 = treadle.loop %layer max 2 carry (%g = %h, %f = %x) : tensor<16x256xf32>, tensor<16x256xf32> {
      // CHECK: treadle.pick[%{{.*}}, %{{.*}}] of dense<{{.*}}> : tensor<1x2xf32>
      %number = treadle.pick [%pass, %layer] of dense<[[1.0, 0.5]]> : tensor<1x2xf32>
      // CHECK: treadle.yield %{{.*}}, %{{.*}} : tensor<16x256xf32>, tensor<16x256xf32>
      treadle.yield %f, %g : tensor<16x256xf32>, tensor<16x256xf32>
    }
    treadle.yield %z#0 : tensor<16x256xf32>
  }
  // CHECK: treadle.loop %{{.*}} max 3 {
  // CHECK-NEXT: }
  treadle.loop %i max 3 {
  }
  return %y : tensor<16x256xf32>
}

// CHECK-LABEL: func.func @stages
func.func @stages(%x: tensor<16x256xf32>, %r: tensor<16x16xf32>, %w: !treadle.weight<16x256xf32, panels>) -> tensor<16x16xf32> {
  // CHECK: treadle.stage [<rows = 16>, <outputs = 16>] (%{{.*}} = %{{.*}} : tensor<16x256xf32> <0, all>, %{{.*}} = %{{.*}} : !treadle.weight<16x256xf32, panels> <1, all>) -> (tensor<16x16xf32> <0, 1>) {
  %y = treadle.stage [<rows = 16>, <outputs = 16>] (
        %a = %x : tensor<16x256xf32> <0, all>,
        %b = %w : !treadle.weight<16x256xf32, panels> <1, all>) -> (tensor<16x16xf32> <0, 1>) {
    %0 = treadle.linear %a, %b : (tensor<16x256xf32>, !treadle.weight<16x256xf32, panels>) -> tensor<16x16xf32>
    treadle.yield %0 : tensor<16x16xf32>
  }
  // CHECK: attributes {offsets = array<i64: 64>, tile = #treadle.tile<8, 16>} {
  %z = treadle.stage [<rows = 16>, <outputs = 16>] (
        %a = %y : tensor<16x16xf32> <0, 1>, %b = %r : tensor<16x16xf32> <0, 1>) -> (tensor<16x16xf32> <0, 1>)
        attributes {tile = #treadle.tile<8, 16>, offsets = array<i64: 64>} {
    %0 = arith.addf %a, %b : tensor<16x16xf32>
    treadle.yield %0 : tensor<16x16xf32>
  }
  return %z : tensor<16x16xf32>
}

// CHECK-LABEL: func.func @stage_of_a_state
func.func @stage_of_a_state(%x: tensor<16x128xf32>, %s: !treadle.state<append, 512x128xf32>, %p: index, %v: index) {
  // CHECK: treadle.stage [<rows = 16>, <outputs = 128>] ({{.*}} : !treadle.state<append, 512x128xf32> <position, 1>, %{{.*}} = %{{.*}} : index <>, %{{.*}} = %{{.*}} : index <>) -> () {
  treadle.stage [<rows = 16>, <outputs = 128>] (
        %a = %x : tensor<16x128xf32> <0, 1>, %b = %s : !treadle.state<append, 512x128xf32> <position, 1>,
        %c = %p : index <>, %d = %v : index <>) -> () {
    treadle.append %a, %b at %c valid %d : tensor<16x128xf32>, !treadle.state<append, 512x128xf32>
    treadle.yield
  }
  return
}

// CHECK-LABEL: func.func @tokens
func.func @tokens(%ids: tensor<?xi32>, %e: !treadle.weight<2048x256xf32, panels>, %position: index) {
  // CHECK: treadle.embedding %{{.*}}, %{{.*}} : (tensor<?xi32>, !treadle.weight<2048x256xf32, panels>) -> tensor<?x256xf32>
  %0 = treadle.embedding %ids, %e : (tensor<?xi32>, !treadle.weight<2048x256xf32, panels>) -> tensor<?x256xf32>
  // CHECK: treadle.rotary_table %{{.*}} at %{{.*}} {turns = array<i64: 1, 2>} : (tensor<?xi32>, index) -> tensor<?x2x2xf32>
  %1 = treadle.rotary_table %ids at %position {turns = array<i64: 1, 2>} : (tensor<?xi32>, index) -> tensor<?x2x2xf32>
  // CHECK: treadle.rotary_table at %{{.*}} {reversed, turns = array<i64: 1, 2>} : (index) -> tensor<4x2x2xf32>
  %turned = treadle.rotary_table at %position {reversed, turns = array<i64: 1, 2>} : (index) -> tensor<4x2x2xf32>
  return
}

// CHECK-LABEL: func.func @matrices
func.func @matrices(%x: tensor<?x256xf32>, %w: !treadle.weight<512x256xbf16, panels>,
                    %a: !treadle.weight<5x256xf32, panels>, %b: !treadle.weight<40x5xf32, panels>) {
  // CHECK: treadle.linear %{{.*}}, %{{.*}} : (tensor<?x256xf32>, !treadle.weight<512x256xbf16, panels>) -> tensor<?x512xf32>
  %0 = treadle.linear %x, %w : (tensor<?x256xf32>, !treadle.weight<512x256xbf16, panels>) -> tensor<?x512xf32>
  // CHECK: treadle.low_rank_linear %{{.*}}, %{{.*}}, %{{.*}} {scale = 5.000000e-01 : f32}
  %1 = treadle.low_rank_linear %x, %a, %b {scale = 0.5 : f32}
    : (tensor<?x256xf32>, !treadle.weight<5x256xf32, panels>, !treadle.weight<40x5xf32, panels>) -> tensor<?x40xf32>
  return
}

// CHECK-LABEL: func.func @norms_and_rotations
func.func @norms_and_rotations(%x: tensor<?x256xf32>, %n: !treadle.weight<256xf32, plain>, %t: tensor<?x2x2xf32>) {
  // CHECK: treadle.rms_norm %{{.*}}, %{{.*}} {eps = 9.99999997E-7 : f32}
  %0 = treadle.rms_norm %x, %n {eps = 1.0e-6 : f32} : (tensor<?x256xf32>, !treadle.weight<256xf32, plain>) -> tensor<?x256xf32>
  // CHECK: treadle.rope %{{.*}}, %{{.*}} {heads = 8 : i64, pairing = #treadle.rope_pairing<half>}
  %1 = treadle.rope %0, %t {heads = 8 : i64, pairing = #treadle.rope_pairing<half>} : (tensor<?x256xf32>, tensor<?x2x2xf32>) -> tensor<?x256xf32>
  // CHECK: treadle.rope %{{.*}}, %{{.*}} {heads = 4 : i64, pairing = #treadle.rope_pairing<interleaved>}
  %2 = treadle.rope %1, %t {heads = 4 : i64, pairing = #treadle.rope_pairing<interleaved>} : (tensor<?x256xf32>, tensor<?x2x2xf32>) -> tensor<?x256xf32>
  return
}

// CHECK-LABEL: func.func @forward
// CHECK-SAME: attributes {treadle.entry = #treadle.entry<forward, rows = 16>}
func.func @forward(%q: tensor<16x256xf32>, %k: tensor<16x128xf32>, %ones: tensor<16xi8>,
                   %keys: !treadle.state<append, 512x128xf32, panels>, %values: !treadle.state<append, 512x128xbf16>,
                   %mask: !treadle.state<append, 512xi8>, %position: index, %valid: index)
    attributes {treadle.entry = #treadle.entry<forward, rows = 16>} {
  // CHECK: treadle.append %{{.*}}, %{{.*}} at %{{.*}} valid %{{.*}} : tensor<16xi8>, <append, 512xi8>
  treadle.append %ones, %mask at %position valid %valid : tensor<16xi8>, !treadle.state<append, 512xi8>
  // CHECK: treadle.append %{{.*}}, %{{.*}} at %{{.*}} valid %{{.*}} : tensor<16x128xf32>, <append, 512x128xbf16>
  treadle.append %k, %values at %position valid %valid : tensor<16x128xf32>, !treadle.state<append, 512x128xbf16>
  // CHECK: treadle.append %{{.*}}, %{{.*}} at %{{.*}} valid %{{.*}} : tensor<16x128xf32>, <append, 512x128xf32, panels>
  treadle.append %k, %keys at %position valid %valid : tensor<16x128xf32>, !treadle.state<append, 512x128xf32, panels>
  // CHECK: treadle.attention %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} at %{{.*}} valid %{{.*}} {heads = 8 : i64, kv_heads = 4 : i64, scale = 2.500000e-01 : f32}
  %0 = treadle.attention %q, %keys, %values, %mask at %position valid %valid {heads = 8 : i64, kv_heads = 4 : i64, scale = 0.25 : f32}
    : (tensor<16x256xf32>, !treadle.state<append, 512x128xf32, panels>, !treadle.state<append, 512x128xbf16>, !treadle.state<append, 512xi8>, index, index) -> tensor<16x256xf32>
  return
}

// CHECK-LABEL: func.func @multi_pass
func.func @multi_pass(%q: tensor<4x8xf32>, %z: tensor<4x6xf32>, %k: !treadle.state<append, 64x8xf32>,
                      %panels: !treadle.state<append, 64x8xf32, panels>,
                      %mask: !treadle.state<append, 64xi8>, %ids: !treadle.state<append, 60xi32>,
                      %history: !treadle.state<fixed, 2xi32>, %s: !treadle.state<fixed, 4x8xf32>,
                      %l: !treadle.weight<2x3xf32, plain>, %table: !treadle.weight<40x8xf32, panels>,
                      %slope: !treadle.weight<f32, plain>, %init: f32, %p: index) {
  // CHECK: treadle.cope_bias %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} at %{{.*}} valid %{{.*}} {heads = 2 : i64}
  %b = treadle.cope_bias %q, %z, %panels, %mask at %p valid %p {heads = 2 : i64}
    : (tensor<4x8xf32>, tensor<4x6xf32>, !treadle.state<append, 64x8xf32, panels>, !treadle.state<append, 64xi8>, index, index) -> tensor<4x128xf32>
  // CHECK: treadle.attention %{{.*}} valid %{{.*}} bias %{{.*}} {heads = 2 : i64
  %a = treadle.attention %q, %panels, %k, %mask at %p valid %p bias %b {heads = 2 : i64, kv_heads = 2 : i64, scale = 0.25 : f32}
    : (tensor<4x8xf32>, !treadle.state<append, 64x8xf32, panels>, !treadle.state<append, 64x8xf32>, !treadle.state<append, 64xi8>, index, index, tensor<4x128xf32>) -> tensor<4x8xf32>
  // CHECK: treadle.differential %{{.*}}, %{{.*}} by %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} init %{{.*}} :
  %d = treadle.differential %a, %q by %l, %l, %l, %l init %init
    : (tensor<4x8xf32>, tensor<4x8xf32>, !treadle.weight<2x3xf32, plain>, !treadle.weight<2x3xf32, plain>, !treadle.weight<2x3xf32, plain>, !treadle.weight<2x3xf32, plain>, f32) -> tensor<4x8xf32>
  // CHECK: treadle.ngram_embedding %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} at %{{.*}} valid %{{.*}} {lead = 4 : i64, window = 3 : i64}
  %e = treadle.ngram_embedding %table, %ids, %mask, %history at %p valid %p {window = 3 : i64, lead = 4 : i64}
    : (!treadle.weight<40x8xf32, panels>, !treadle.state<append, 60xi32>, !treadle.state<append, 64xi8>, !treadle.state<fixed, 2xi32>, index, index) -> tensor<4x24xf32>
  // CHECK: treadle.read_state %{{.*}} : (!treadle.state<fixed, 4x8xf32>) -> tensor<4x8xf32>
  %r = treadle.read_state %s : (!treadle.state<fixed, 4x8xf32>) -> tensor<4x8xf32>
  // CHECK: treadle.write_state %{{.*}}, %{{.*}} : tensor<4x8xf32>, <fixed, 4x8xf32>
  treadle.write_state %d, %s : tensor<4x8xf32>, !treadle.state<fixed, 4x8xf32>
  // CHECK: treadle.carry_ids %{{.*}}, %{{.*}}, %{{.*}} at %{{.*}} {lead = 4 : i64} :
  treadle.carry_ids %ids, %mask, %history at %p {lead = 4 : i64}
    : !treadle.state<append, 60xi32>, !treadle.state<append, 64xi8>, !treadle.state<fixed, 2xi32>
  // CHECK: treadle.activate %{{.*}} {activation = #treadle.activation<gelu>} : tensor<4x8xf32>
  %f = treadle.activate %r {activation = #treadle.activation<gelu>} : tensor<4x8xf32>
  // CHECK: treadle.swish %{{.*}}, %{{.*}} : (tensor<4x8xf32>, !treadle.weight<f32, plain>) -> tensor<4x8xf32>
  %g = treadle.swish %f, %slope : (tensor<4x8xf32>, !treadle.weight<f32, plain>) -> tensor<4x8xf32>
  // CHECK: treadle.pad_logits %{{.*}} {vocabulary = 5 : i64} : tensor<4x8xf32>
  %h = treadle.pad_logits %g {vocabulary = 5 : i64} : tensor<4x8xf32>
  return
}

// CHECK-LABEL: func.func @gates
// CHECK-SAME: attributes {treadle.entry = #treadle.entry<head, rows = 0>}
func.func @gates(%x: tensor<?x256xf32>, %y: tensor<?x256xf32>, %g: !treadle.weight<f32, plain>, %again: i1)
    attributes {treadle.entry = #treadle.entry<head, rows = 0>} {
  // CHECK: treadle.glu %{{.*}}, %{{.*}} {activation = #treadle.activation<silu>} : tensor<?x256xf32>
  %0 = treadle.glu %x, %y {activation = #treadle.activation<silu>} : tensor<?x256xf32>
  // CHECK: treadle.gate_blend %{{.*}}, %{{.*}}, %{{.*}} when %{{.*}} : (tensor<?x256xf32>, tensor<?x256xf32>, !treadle.weight<f32, plain>, i1) -> tensor<?x256xf32>
  %1 = treadle.gate_blend %0, %x, %g when %again : (tensor<?x256xf32>, tensor<?x256xf32>, !treadle.weight<f32, plain>, i1) -> tensor<?x256xf32>
  return
}

// CHECK-LABEL: func.func @kernels
func.func @kernels(%sums: memref<12x16xi32>, %x: memref<?x64xf32>, %y: memref<?x64xf32>, %w: memref<8x16x16xi32>, %stack: memref<2x8x16x16xi32>, %i: index) {
  // CHECK: treadle.multiply_panels %{{.*}} = (%{{.*}}, %{{.*}}) [%{{.*}}, %{{.*}}] rows %{{.*}} by %{{.*}}[%{{.*}}] panels %{{.*}} {inner = 32 : i64, most_panels = 1 : i64, most_rows = 2 : i64} :
  treadle.multiply_panels %sums = (%x, %y) [%i, %i] rows %i by %w[%i] panels %i {inner = 32 : i64, most_rows = 2 : i64, most_panels = 1 : i64}
    : memref<12x16xi32>, (memref<?x64xf32>, memref<?x64xf32>), memref<8x16x16xi32>
  // CHECK: treadle.multiply_panels %{{.*}} = (%{{.*}}) [%{{.*}}, %{{.*}}] rows %{{.*}} by %{{.*}} of %{{.*}}[%{{.*}}] panels %{{.*}} {
  treadle.multiply_panels %sums = (%x) [%i, %i] rows %i by %stack of %i[%i] panels %i {inner = 32 : i64, most_rows = 2 : i64, most_panels = 1 : i64}
    : memref<12x16xi32>, (memref<?x64xf32>), memref<2x8x16x16xi32>
  return
}

}

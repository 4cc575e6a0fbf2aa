// RUN: treadle-opt %s --pass-pipeline='builtin.module(convert-treadle-to-stages,treadle-fuse-epilogues,func.func(treadle-count-work))' | FileCheck %s

treadle.weight @table : !treadle.weight<97x48xbf16, panels> from ["table"]
treadle.weight @norm : !treadle.weight<48xf32, plain> slots [3] from ["n0", "n1", "n2"]
treadle.weight @up : !treadle.weight<80x48xbf16, panels> slots [3] from ["u0", "u1", "u2"]
treadle.weight @down : !treadle.weight<48x80xbf16, panels> slots [3] from ["d0", "d1", "d2"]
treadle.weight @groups : !treadle.weight<4x12x12xf32, panels> from ["g"]
treadle.weight @taps : !treadle.weight<48x4xf32, plain> from ["t"]
treadle.state @keys : !treadle.state<append, 64x24xbf16, panels>
treadle.state @values : !treadle.state<append, 64x24xbf16>
treadle.state @lane_keys : !treadle.state<append, 64x24xbf16, panels>
treadle.state @lane_values : !treadle.state<append, 64x24xbf16>
treadle.state @mask : !treadle.state<append, 64xi8>
treadle.state @ring : !treadle.state<ring, 3x48xf32>

// Per row: the looked up row of 48 x 2 bytes and the result of 48 x 4, beside the id; a table is not read whole.
// In the loop over layers a stage runs three times, of one slot each. A product and the sum behind it are one stage.
// CHECK-LABEL: func.func @layers
// CHECK-SAME: treadle.stages = [
// CHECK-SAME: #treadle.work<name = "embedding table", calls = 1, tables = [@table], row_bytes = 196, lookup_bytes = 96>
// CHECK-SAME: #treadle.work<name = "rms_norm norm", calls = 3, weights = [@norm], weight_bytes = 192, row_bytes = 384>
// CHECK-SAME: #treadle.work<name = "linear up", calls = 3, weights = [@up], weight_bytes = 7680, row_bytes = 512, flops = 7680>
// CHECK-SAME: #treadle.work<name = "linear + addf down", calls = 3, weights = [@down], weight_bytes = 7680, row_bytes = 704, flops = 7680>
// CHECK-SAME: ]
func.func @layers(%ids: tensor<16xi32>) -> tensor<16x48xf32> attributes {treadle.entry = #treadle.entry<forward, rows = 16>} {
  %t = treadle.get_weight @table : !treadle.weight<97x48xbf16, panels>
  %x = treadle.embedding %ids, %t : (tensor<16xi32>, !treadle.weight<97x48xbf16, panels>) -> tensor<16x48xf32>
  %y = treadle.loop %layer max 3 carry (%h = %x) : tensor<16x48xf32> {
    %n = treadle.get_weight @norm[%layer] : !treadle.weight<48xf32, plain>
    %u = treadle.get_weight @up[%layer] : !treadle.weight<80x48xbf16, panels>
    %d = treadle.get_weight @down[%layer] : !treadle.weight<48x80xbf16, panels>
    %a = treadle.rms_norm %h, %n {eps = 1.0e-5 : f32} : (tensor<16x48xf32>, !treadle.weight<48xf32, plain>) -> tensor<16x48xf32>
    %b = treadle.linear %a, %u : (tensor<16x48xf32>, !treadle.weight<80x48xbf16, panels>) -> tensor<16x80xf32>
    %c = treadle.linear %b, %d : (tensor<16x80xf32>, !treadle.weight<48x80xbf16, panels>) -> tensor<16x48xf32>
    %e = arith.addf %h, %c : tensor<16x48xf32>
    treadle.yield %e : tensor<16x48xf32>
  }
  return %y : tensor<16x48xf32>
}

// Where the passes are counted at run time, a stage runs once for each. Attention reads all rows of keys, values and
// mask: 2 x 24 x 2 + 1 bytes a key, and 2 x 4 x (12 + 12) operations for each row and key; its lane twice as much, but
// of a row's own lane one row of each. A ring is read and written whole.
// CHECK-LABEL: func.func @passes
// CHECK-SAME: treadle.stages = [
// CHECK-SAME: #treadle.work<name = "append keys", calls = 1, looped = true, row_bytes = 144>
// CHECK-SAME: #treadle.work<name = "attention keys values mask", calls = 1, looped = true, attended = [@keys, @values, @mask], row_bytes = 384, key_bytes = 97, key_flops = 192>
// CHECK-SAME: #treadle.work<name = "attention keys values mask lane_keys lane_values", calls = 1, looped = true, attended = [@keys, @values, @mask, @lane_keys, @lane_values], row_bytes = 384, key_bytes = 193, key_flops = 384>
// CHECK-SAME: #treadle.work<name = "attention keys values mask lane_keys lane_values", calls = 1, looped = true, attended = [@keys, @values, @mask], row_bytes = 480, key_bytes = 97, key_flops = 192>
// CHECK-SAME: #treadle.work<name = "linear groups", calls = 1, looped = true, weights = [@groups], weight_bytes = 2304, row_bytes = 384, flops = 1152>
// CHECK-SAME: #treadle.work<name = "causal_conv taps ring mask", calls = 1, looped = true, weights = [@taps], weight_bytes = 768, state_bytes = 1152, row_bytes = 385>
// CHECK-SAME: ]
func.func @passes(%x: tensor<1x48xf32>, %k: tensor<1x24xf32>, %position: index, %valid: index, %loops: index)
    -> tensor<1x48xf32> attributes {treadle.entry = #treadle.entry<forward, rows = 1>} {
  %y = treadle.loop %pass to %loops max 4 carry (%h = %x) : tensor<1x48xf32> {
    %ks = treadle.get_state @keys : !treadle.state<append, 64x24xbf16, panels>
    %vs = treadle.get_state @values : !treadle.state<append, 64x24xbf16>
    %lk = treadle.get_state @lane_keys : !treadle.state<append, 64x24xbf16, panels>
    %lv = treadle.get_state @lane_values : !treadle.state<append, 64x24xbf16>
    %m = treadle.get_state @mask : !treadle.state<append, 64xi8>
    %r = treadle.get_state @ring : !treadle.state<ring, 3x48xf32>
    %g = treadle.get_weight @groups : !treadle.weight<4x12x12xf32, panels>
    %w = treadle.get_weight @taps : !treadle.weight<48x4xf32, plain>
    treadle.append %k, %ks at %position valid %valid : tensor<1x24xf32>, !treadle.state<append, 64x24xbf16, panels>
    %a = treadle.attention %h, %ks, %vs, %m at %position valid %valid
      {heads = 4 : i64, kv_heads = 2 : i64, scale = 1.0 : f32}
      : (tensor<1x48xf32>, !treadle.state<append, 64x24xbf16, panels>, !treadle.state<append, 64x24xbf16>,
         !treadle.state<append, 64xi8>, index, index) -> tensor<1x48xf32>
    %b = treadle.attention %a, %ks, %vs, %m at %position valid %valid lane %lk, %lv
      {heads = 4 : i64, kv_heads = 2 : i64, scale = 1.0 : f32}
      : (tensor<1x48xf32>, !treadle.state<append, 64x24xbf16, panels>, !treadle.state<append, 64x24xbf16>,
         !treadle.state<append, 64xi8>, index, index, !treadle.state<append, 64x24xbf16, panels>,
         !treadle.state<append, 64x24xbf16>) -> tensor<1x48xf32>
    %c = treadle.attention %b, %ks, %vs, %m at %position valid %valid lane %lk, %lv
      {heads = 4 : i64, kv_heads = 2 : i64, own, scale = 1.0 : f32}
      : (tensor<1x48xf32>, !treadle.state<append, 64x24xbf16, panels>, !treadle.state<append, 64x24xbf16>,
         !treadle.state<append, 64xi8>, index, index, !treadle.state<append, 64x24xbf16, panels>,
         !treadle.state<append, 64x24xbf16>) -> tensor<1x48xf32>
    %d = treadle.linear %c, %g {groups = 4 : i64}
      : (tensor<1x48xf32>, !treadle.weight<4x12x12xf32, panels>) -> tensor<1x48xf32>
    %e = treadle.causal_conv %d, %w, %r, %m at %position valid %valid {activation = #treadle.activation<silu>}
      : (tensor<1x48xf32>, !treadle.weight<48x4xf32, plain>, !treadle.state<ring, 3x48xf32>,
         !treadle.state<append, 64xi8>, index, index) -> tensor<1x48xf32>
    treadle.yield %e : tensor<1x48xf32>
  }
  return %y : tensor<1x48xf32>
}

// What is no entry point is left alone.
// CHECK-LABEL: func.func @other
// CHECK-NOT: treadle.stages
func.func @other(%x: tensor<1x48xf32>) -> tensor<1x48xf32> {
  return %x : tensor<1x48xf32>
}

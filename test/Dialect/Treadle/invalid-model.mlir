// RUN: treadle-opt %s --split-input-file --verify-diagnostics
// One function per numbered constraint of the nouns, attention apart; shapes that no noun takes at the end.

func.func @embedding_c1(%ids: tensor<4xi32>, %w: !treadle.weight<32x8xf32, panels>) {
  // expected-error@+1 {{expects a table V x 16, got '!treadle.weight<32x8xf32, panels>'}}
  %y = treadle.embedding %ids, %w : (tensor<4xi32>, !treadle.weight<32x8xf32, panels>) -> tensor<4x16xf32>
  return
}

// -----

func.func @embedding_c1_rank(%ids: tensor<4xi32>, %w: !treadle.weight<16xf32, plain>) {
  // expected-error@+1 {{expects a table V x 16, got '!treadle.weight<16xf32, plain>'}}
  %y = treadle.embedding %ids, %w : (tensor<4xi32>, !treadle.weight<16xf32, plain>) -> tensor<4x16xf32>
  return
}

// -----

func.func @embedding_c2(%ids: tensor<4xi32>, %w: !treadle.weight<32x8xf32, panels>) {
  // expected-error@+1 {{expects as many result rows as input rows}}
  %y = treadle.embedding %ids, %w : (tensor<4xi32>, !treadle.weight<32x8xf32, panels>) -> tensor<?x8xf32>
  return
}

// -----

func.func @rotary_table_c1(%ids: tensor<4xi32>, %p: index) {
  // expected-error@+1 {{expects a result R x 2 x 2, got 'tensor<4x2x3xf32>'}}
  %y = treadle.rotary_table %ids at %p {turns = array<i64: 1, 2>} : (tensor<4xi32>, index) -> tensor<4x2x3xf32>
  return
}

// -----

func.func @rotary_table_c2(%ids: tensor<4xi32>, %p: index) {
  // expected-error@+1 {{expects as many result rows as input rows}}
  %y = treadle.rotary_table %ids at %p {turns = array<i64: 1>} : (tensor<4xi32>, index) -> tensor<5x2x1xf32>
  return
}

// -----

func.func @linear_c1(%x: tensor<4x8xf32>, %w: !treadle.weight<16x9xf32, panels>) {
  // expected-error@+1 {{expects weight in panels of 16x8, got}}
  %y = treadle.linear %x, %w : (tensor<4x8xf32>, !treadle.weight<16x9xf32, panels>) -> tensor<4x16xf32>
  return
}

// -----

func.func @linear_c1_packing(%x: tensor<4x8xf32>, %w: !treadle.weight<16x8xf32, plain>) {
  // expected-error@+1 {{expects weight in panels, got '!treadle.weight<16x8xf32, plain>'}}
  %y = treadle.linear %x, %w : (tensor<4x8xf32>, !treadle.weight<16x8xf32, plain>) -> tensor<4x16xf32>
  return
}

// -----

func.func @linear_c2(%x: tensor<4x8xf32>, %w: !treadle.weight<16x8xf32, panels>) {
  // expected-error@+1 {{expects as many result rows as input rows}}
  %y = treadle.linear %x, %w : (tensor<4x8xf32>, !treadle.weight<16x8xf32, panels>) -> tensor<3x16xf32>
  return
}

// -----

func.func @linear_c2_columns(%x: tensor<4x8xf32>, %w: !treadle.weight<16x8xf32, panels>) {
  // expected-error@+1 {{expects weight in panels of 12x8, got}}
  %y = treadle.linear %x, %w : (tensor<4x8xf32>, !treadle.weight<16x8xf32, panels>) -> tensor<4x12xf32>
  return
}

// -----

func.func @low_rank_linear_c1(%x: tensor<4x8xf32>, %a: !treadle.weight<2x9xf32, panels>, %b: !treadle.weight<16x2xf32, panels>) {
  // expected-error@+1 {{expects down in panels of 2x8, got}}
  %y = treadle.low_rank_linear %x, %a, %b {scale = 1.0 : f32}
    : (tensor<4x8xf32>, !treadle.weight<2x9xf32, panels>, !treadle.weight<16x2xf32, panels>) -> tensor<4x16xf32>
  return
}

// -----

func.func @low_rank_linear_c1_scalar(%x: tensor<4x8xf32>, %a: !treadle.weight<f32, plain>, %b: !treadle.weight<16x2xf32, panels>) {
  // expected-error@+1 {{expects down in panels, got '!treadle.weight<f32, plain>'}}
  %y = treadle.low_rank_linear %x, %a, %b {scale = 1.0 : f32}
    : (tensor<4x8xf32>, !treadle.weight<f32, plain>, !treadle.weight<16x2xf32, panels>) -> tensor<4x16xf32>
  return
}

// -----

func.func @low_rank_linear_c2(%x: tensor<4x8xf32>, %a: !treadle.weight<2x8xf32, panels>, %b: !treadle.weight<16x3xf32, panels>) {
  // expected-error@+1 {{expects up in panels of 16x2, got}}
  %y = treadle.low_rank_linear %x, %a, %b {scale = 1.0 : f32}
    : (tensor<4x8xf32>, !treadle.weight<2x8xf32, panels>, !treadle.weight<16x3xf32, panels>) -> tensor<4x16xf32>
  return
}

// -----

func.func @rms_norm_c1(%x: tensor<4x8xf32>, %w: !treadle.weight<4xf32, plain>) {
  // expected-error@+1 {{expects a plain weight of size 8 (the columns of the input), got '!treadle.weight<4xf32, plain>'}}
  %y = treadle.rms_norm %x, %w {eps = 1.0e-6 : f32} : (tensor<4x8xf32>, !treadle.weight<4xf32, plain>) -> tensor<4x8xf32>
  return
}

// -----

func.func @rms_norm_c2(%x: tensor<4x8xf32>, %w: !treadle.weight<8xf32, plain>) {
  // expected-error@+1 {{expects a positive eps}}
  %y = treadle.rms_norm %x, %w {eps = -1.0e-6 : f32} : (tensor<4x8xf32>, !treadle.weight<8xf32, plain>) -> tensor<4x8xf32>
  return
}

// -----

func.func @rms_norm_c2_nan(%x: tensor<4x8xf32>, %w: !treadle.weight<8xf32, plain>) {
  // expected-error@+1 {{expects a positive eps}}
  %y = treadle.rms_norm %x, %w {eps = 0x7fc00000 : f32} : (tensor<4x8xf32>, !treadle.weight<8xf32, plain>) -> tensor<4x8xf32>
  return
}

// -----

func.func @rms_norm_c3(%x: tensor<4x8xf32>, %w: !treadle.weight<8xf32, plain>) {
  // expected-error@+1 {{expects a result of the type of the input}}
  %y = treadle.rms_norm %x, %w {eps = 1.0e-6 : f32} : (tensor<4x8xf32>, !treadle.weight<8xf32, plain>) -> tensor<?x8xf32>
  return
}

// -----

func.func @rope_c1(%x: tensor<4x8xf32>, %t: tensor<4x2x1xf32>) {
  // expected-error@+1 {{expects heads to divide 8 columns, got 3}}
  %y = treadle.rope %x, %t {heads = 3 : i64, pairing = #treadle.rope_pairing<half>}
    : (tensor<4x8xf32>, tensor<4x2x1xf32>) -> tensor<4x8xf32>
  return
}

// -----

func.func @rope_c1_zero(%x: tensor<4x8xf32>, %t: tensor<4x2x1xf32>) {
  // expected-error@+1 {{expects heads to divide 8 columns, got 0}}
  %y = treadle.rope %x, %t {heads = 0 : i64, pairing = #treadle.rope_pairing<half>}
    : (tensor<4x8xf32>, tensor<4x2x1xf32>) -> tensor<4x8xf32>
  return
}

// -----

func.func @rope_c2(%x: tensor<4x8xf32>, %t: tensor<4x2x3xf32>) {
  // expected-error@+1 {{expects a table R x 2 x P with 2 P <= 4 (the head width), got 'tensor<4x2x3xf32>'}}
  %y = treadle.rope %x, %t {heads = 2 : i64, pairing = #treadle.rope_pairing<half>}
    : (tensor<4x8xf32>, tensor<4x2x3xf32>) -> tensor<4x8xf32>
  return
}

// -----

func.func @rope_c3(%x: tensor<4x8xf32>, %t: tensor<4x2x1xf32>) {
  // expected-error@+1 {{expects a result of the type of the input}}
  %y = treadle.rope %x, %t {heads = 2 : i64, pairing = #treadle.rope_pairing<interleaved>}
    : (tensor<4x8xf32>, tensor<4x2x1xf32>) -> tensor<4x4xf32>
  return
}

// -----

func.func @glu_c1(%x: tensor<4x8xf32>, %y: tensor<?x8xf32>) {
  // expected-error@+1 {{failed to verify that all of {gate, up, result} have same type}}
  %z = "treadle.glu"(%x, %y) <{activation = #treadle.activation<silu>}> : (tensor<4x8xf32>, tensor<?x8xf32>) -> tensor<4x8xf32>
  return
}

// -----

func.func @gate_blend_c1(%x: tensor<4x8xf32>, %g: !treadle.weight<1xf32, plain>, %again: i1) {
  // expected-error@+1 {{expects gate to be a plain weight of one element, got '!treadle.weight<1xf32, plain>'}}
  %y = treadle.gate_blend %x, %x, %g when %again
    : (tensor<4x8xf32>, tensor<4x8xf32>, !treadle.weight<1xf32, plain>, i1) -> tensor<4x8xf32>
  return
}

// -----

func.func @gate_blend_c2(%x: tensor<4x8xf32>, %z: tensor<?x8xf32>, %g: !treadle.weight<f32, plain>, %again: i1) {
  // expected-error@+1 {{expects input, origin and result of one type}}
  %y = treadle.gate_blend %x, %z, %g when %again
    : (tensor<4x8xf32>, tensor<?x8xf32>, !treadle.weight<f32, plain>, i1) -> tensor<4x8xf32>
  return
}

// -----

func.func @open_columns(%x: tensor<4x?xf32>, %w: !treadle.weight<16x8xf32, panels>) {
  // expected-error@+1 {{operand #0 must be rows of f32 or bf16 with a known number of columns, but got 'tensor<4x?xf32>'}}
  %y = treadle.linear %x, %w : (tensor<4x?xf32>, !treadle.weight<16x8xf32, panels>) -> tensor<4x16xf32>
  return
}

// -----

func.func @no_rows(%x: tensor<0x8xf32>) {
  // expected-error@+1 {{operand #0 must be rows of f32 with a known number of columns, but got 'tensor<0x8xf32>'}}
  %y = treadle.glu %x, %x {activation = #treadle.activation<silu>} : tensor<0x8xf32>
  return
}

// -----

func.func @no_pairs(%ids: tensor<4xi32>, %p: index) {
  // expected-error@+1 {{result #0 must be R x 2 x P table of f32 with a known P, but got 'tensor<4x2x0xf32>'}}
  %y = treadle.rotary_table %ids at %p {turns = array<i64>} : (tensor<4xi32>, index) -> tensor<4x2x0xf32>
  return
}

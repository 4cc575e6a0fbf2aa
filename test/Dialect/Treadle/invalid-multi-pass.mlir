// RUN: treadle-opt %s --split-input-file --verify-diagnostics
// One function per numbered constraint of activations, contextual positions, differential attention
// and what passes from one period to the next.

func.func @activate_c1(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{failed to verify that all of {input, result} have same type}}
  %y = "treadle.activate"(%x) {activation = #treadle.activation<gelu>} : (tensor<4x8xf32>) -> tensor<4x6xf32>
  return
}

// -----

func.func @swish_c1(%x: tensor<4x8xf32>, %s: !treadle.weight<8xf32, plain>) {
  // expected-error@+1 {{expects slope to be a plain weight of one element, got '!treadle.weight<8xf32, plain>'}}
  %y = treadle.swish %x, %s : (tensor<4x8xf32>, !treadle.weight<8xf32, plain>) -> tensor<4x8xf32>
  return
}

// -----

func.func @swish_c2(%x: tensor<?x8xf32>, %s: !treadle.weight<f32, plain>) {
  // expected-error@+1 {{expects a result of the type of the input}}
  %y = treadle.swish %x, %s : (tensor<?x8xf32>, !treadle.weight<f32, plain>) -> tensor<4x8xf32>
  return
}

// -----

func.func @pad_logits_c1(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{failed to verify that all of {input, result} have same type}}
  %y = "treadle.pad_logits"(%x) {vocabulary = 5 : i64} : (tensor<4x8xf32>) -> tensor<4x6xf32>
  return
}

// -----

func.func @pad_logits_c2(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{expects a vocabulary of 1 to 8, got 9}}
  %y = treadle.pad_logits %x {vocabulary = 9 : i64} : tensor<4x8xf32>
  return
}

// -----

func.func @pad_logits_c2_none(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{expects a vocabulary of 1 to 8, got 0}}
  %y = treadle.pad_logits %x {vocabulary = 0 : i64} : tensor<4x8xf32>
  return
}

// -----

func.func @differential_c1(%a: tensor<4x8xf32>, %b: tensor<4x8xf32>, %q: !treadle.weight<2x3xf32, plain>, %k: !treadle.weight<2x4xf32, plain>, %i: f32) {
  // expected-error@+1 {{expects four plain weights of one type G x D, got '!treadle.weight<2x3xf32, plain>'}}
  %y = treadle.differential %a, %b by %q, %k, %q, %k init %i
    : (tensor<4x8xf32>, tensor<4x8xf32>, !treadle.weight<2x3xf32, plain>, !treadle.weight<2x4xf32, plain>, !treadle.weight<2x3xf32, plain>, !treadle.weight<2x4xf32, plain>, f32) -> tensor<4x8xf32>
  return
}

// -----

func.func @differential_c2(%a: tensor<4x8xf32>, %b: tensor<4x8xf32>, %q: !treadle.weight<3x3xf32, plain>, %k: !treadle.weight<3x3xf32, plain>, %i: f32) {
  // expected-error@+1 {{expects rows of weights to divide 8 columns, got 3}}
  %y = treadle.differential %a, %b by %q, %k, %q, %k init %i
    : (tensor<4x8xf32>, tensor<4x8xf32>, !treadle.weight<3x3xf32, plain>, !treadle.weight<3x3xf32, plain>, !treadle.weight<3x3xf32, plain>, !treadle.weight<3x3xf32, plain>, f32) -> tensor<4x8xf32>
  return
}

// -----

func.func @differential_c3(%a: tensor<4x8xf32>, %b: tensor<4x6xf32>, %q: !treadle.weight<2x3xf32, plain>, %k: !treadle.weight<2x3xf32, plain>, %i: f32) {
  // expected-error@+1 {{expects a result of the type of the input}}
  %y = treadle.differential %a, %b by %q, %k, %q, %k init %i
    : (tensor<4x8xf32>, tensor<4x6xf32>, !treadle.weight<2x3xf32, plain>, !treadle.weight<2x3xf32, plain>, !treadle.weight<2x3xf32, plain>, !treadle.weight<2x3xf32, plain>, f32) -> tensor<4x8xf32>
  return
}

// -----

func.func @cope_bias_c1(%q: tensor<4x8xf32>, %z: tensor<4x6xf32>, %k: !treadle.state<append, 64x8xf32, panels>, %m: !treadle.state<append, 64xi8>, %p: index) {
  // expected-error@+1 {{expects heads to divide 8 columns, got 3}}
  %y = treadle.cope_bias %q, %z, %k, %m at %p valid %p {heads = 3 : i64}
    : (tensor<4x8xf32>, tensor<4x6xf32>, !treadle.state<append, 64x8xf32, panels>, !treadle.state<append, 64xi8>, index, index) -> tensor<4x128xf32>
  return
}

// -----

func.func @cope_bias_c1_table(%q: tensor<4x8xf32>, %z: tensor<4x5xf32>, %k: !treadle.state<append, 64x8xf32, panels>, %m: !treadle.state<append, 64xi8>, %p: index) {
  // expected-error@+1 {{expects heads to divide 5 columns, got 2}}
  %y = treadle.cope_bias %q, %z, %k, %m at %p valid %p {heads = 2 : i64}
    : (tensor<4x8xf32>, tensor<4x5xf32>, !treadle.state<append, 64x8xf32, panels>, !treadle.state<append, 64xi8>, index, index) -> tensor<4x128xf32>
  return
}

// -----

func.func @cope_bias_c2(%q: tensor<4x8xf32>, %z: tensor<4x6xf32>, %k: !treadle.state<append, 64x6xf32, panels>, %m: !treadle.state<append, 64xi8>, %p: index) {
  // expected-error@+1 {{expects keys with rows of [8], got '!treadle.state<append, 64x6xf32, panels>'}}
  %y = treadle.cope_bias %q, %z, %k, %m at %p valid %p {heads = 2 : i64}
    : (tensor<4x8xf32>, tensor<4x6xf32>, !treadle.state<append, 64x6xf32, panels>, !treadle.state<append, 64xi8>, index, index) -> tensor<4x128xf32>
  return
}

// -----

func.func @cope_bias_c2_rows(%q: tensor<4x8xf32>, %z: tensor<4x6xf32>, %k: !treadle.state<append, 64x8xf32>, %m: !treadle.state<append, 64xi8>, %p: index) {
  // expected-error@+1 {{expects keys in panels, got '!treadle.state<append, 64x8xf32>'}}
  %y = treadle.cope_bias %q, %z, %k, %m at %p valid %p {heads = 2 : i64}
    : (tensor<4x8xf32>, tensor<4x6xf32>, !treadle.state<append, 64x8xf32>, !treadle.state<append, 64xi8>, index, index) -> tensor<4x128xf32>
  return
}

// -----

func.func @cope_bias_c3(%q: tensor<4x8xf32>, %z: tensor<4x6xf32>, %k: !treadle.state<append, 64x8xf32, panels>, %m: !treadle.state<append, 32xi8>, %p: index) {
  // expected-error@+1 {{expects states of one capacity, got '!treadle.state<append, 64x8xf32, panels>' and '!treadle.state<append, 32xi8>'}}
  %y = treadle.cope_bias %q, %z, %k, %m at %p valid %p {heads = 2 : i64}
    : (tensor<4x8xf32>, tensor<4x6xf32>, !treadle.state<append, 64x8xf32, panels>, !treadle.state<append, 32xi8>, index, index) -> tensor<4x128xf32>
  return
}

// -----

func.func @cope_bias_c4(%q: tensor<4x8xf32>, %z: tensor<4x6xf32>, %k: !treadle.state<append, 64x8xf32, panels>, %m: !treadle.state<append, 64xi8>, %p: index) {
  // expected-error@+1 {{expects a result of 128 columns, got 'tensor<4x64xf32>'}}
  %y = treadle.cope_bias %q, %z, %k, %m at %p valid %p {heads = 2 : i64}
    : (tensor<4x8xf32>, tensor<4x6xf32>, !treadle.state<append, 64x8xf32, panels>, !treadle.state<append, 64xi8>, index, index) -> tensor<4x64xf32>
  return
}

// -----

func.func @cope_bias_c4_rows(%q: tensor<4x8xf32>, %z: tensor<3x6xf32>, %k: !treadle.state<append, 64x8xf32, panels>, %m: !treadle.state<append, 64xi8>, %p: index) {
  // expected-error@+1 {{expects as many result rows as input rows}}
  %y = treadle.cope_bias %q, %z, %k, %m at %p valid %p {heads = 2 : i64}
    : (tensor<4x8xf32>, tensor<3x6xf32>, !treadle.state<append, 64x8xf32, panels>, !treadle.state<append, 64xi8>, index, index) -> tensor<4x128xf32>
  return
}

// -----

func.func @attention_c8(%q: tensor<4x8xf32>, %k: !treadle.state<append, 64x8xf32, panels>, %v: !treadle.state<append, 64x8xf32>, %m: !treadle.state<append, 64xi8>, %b: tensor<4x64xf32>, %p: index) {
  // expected-error@+1 {{expects a bias of 128 columns, got 'tensor<4x64xf32>'}}
  %y = treadle.attention %q, %k, %v, %m at %p valid %p bias %b {heads = 2 : i64, kv_heads = 2 : i64, scale = 0.5 : f32}
    : (tensor<4x8xf32>, !treadle.state<append, 64x8xf32, panels>, !treadle.state<append, 64x8xf32>, !treadle.state<append, 64xi8>, index, index, tensor<4x64xf32>) -> tensor<4x8xf32>
  return
}

// -----

func.func @attention_c8_rows(%q: tensor<4x8xf32>, %k: !treadle.state<append, 64x8xf32, panels>, %v: !treadle.state<append, 64x8xf32>, %m: !treadle.state<append, 64xi8>, %b: tensor<3x128xf32>, %p: index) {
  // expected-error@+1 {{expects as many result rows as input rows}}
  %y = treadle.attention %q, %k, %v, %m at %p valid %p bias %b {heads = 2 : i64, kv_heads = 2 : i64, scale = 0.5 : f32}
    : (tensor<4x8xf32>, !treadle.state<append, 64x8xf32, panels>, !treadle.state<append, 64x8xf32>, !treadle.state<append, 64xi8>, index, index, tensor<3x128xf32>) -> tensor<4x8xf32>
  return
}

// -----

func.func @ngram_embedding_c1(%t: !treadle.weight<40x8xf32, panels>, %i: !treadle.state<append, 64xi32>, %m: !treadle.state<append, 64xi8>, %h: !treadle.state<fixed, 2xi32>, %p: index) {
  // expected-error@+1 {{expects a positive window and a table V x C with window * C = 16, got 3 and '!treadle.weight<40x8xf32, panels>'}}
  %y = treadle.ngram_embedding %t, %i, %m, %h at %p valid %p {window = 3 : i64, lead = 0 : i64}
    : (!treadle.weight<40x8xf32, panels>, !treadle.state<append, 64xi32>, !treadle.state<append, 64xi8>, !treadle.state<fixed, 2xi32>, index, index) -> tensor<4x16xf32>
  return
}

// -----

func.func @ngram_embedding_c1_window(%t: !treadle.weight<40x8xf32, panels>, %i: !treadle.state<append, 64xi32>, %m: !treadle.state<append, 64xi8>, %h: !treadle.state<fixed, 2xi32>, %p: index) {
  // expected-error@+1 {{expects a positive window and a table V x C with window * C = 24, got 0 and '!treadle.weight<40x8xf32, panels>'}}
  %y = treadle.ngram_embedding %t, %i, %m, %h at %p valid %p {window = 0 : i64, lead = 0 : i64}
    : (!treadle.weight<40x8xf32, panels>, !treadle.state<append, 64xi32>, !treadle.state<append, 64xi8>, !treadle.state<fixed, 2xi32>, index, index) -> tensor<4x24xf32>
  return
}

// -----

func.func @ngram_embedding_c2(%t: !treadle.weight<40x8xf32, panels>, %i: !treadle.state<append, 64xi8>, %m: !treadle.state<append, 64xi8>, %h: !treadle.state<fixed, 2xi32>, %p: index) {
  // expected-error@+1 {{expects ids of 'i32', got '!treadle.state<append, 64xi8>'}}
  %y = treadle.ngram_embedding %t, %i, %m, %h at %p valid %p {window = 3 : i64, lead = 0 : i64}
    : (!treadle.weight<40x8xf32, panels>, !treadle.state<append, 64xi8>, !treadle.state<append, 64xi8>, !treadle.state<fixed, 2xi32>, index, index) -> tensor<4x24xf32>
  return
}

// -----

func.func @ngram_embedding_c3(%t: !treadle.weight<40x8xf32, panels>, %i: !treadle.state<append, 64xi32>, %m: !treadle.state<append, 64xi8>, %h: !treadle.state<fixed, 1xi32>, %p: index) {
  // expected-error@+1 {{expects a fixed state of at least 2 i32 as history, got '!treadle.state<fixed, 1xi32>'}}
  %y = treadle.ngram_embedding %t, %i, %m, %h at %p valid %p {window = 3 : i64, lead = 0 : i64}
    : (!treadle.weight<40x8xf32, panels>, !treadle.state<append, 64xi32>, !treadle.state<append, 64xi8>, !treadle.state<fixed, 1xi32>, index, index) -> tensor<4x24xf32>
  return
}

// -----

func.func @ngram_embedding_c3_kind(%t: !treadle.weight<40x8xf32, panels>, %i: !treadle.state<append, 64xi32>, %m: !treadle.state<append, 64xi8>, %h: !treadle.state<ring, 2xi32>, %p: index) {
  // expected-error@+1 {{expects history to be a fixed state of [2] 'i32', got '!treadle.state<ring, 2xi32>'}}
  %y = treadle.ngram_embedding %t, %i, %m, %h at %p valid %p {window = 3 : i64, lead = 0 : i64}
    : (!treadle.weight<40x8xf32, panels>, !treadle.state<append, 64xi32>, !treadle.state<append, 64xi8>, !treadle.state<ring, 2xi32>, index, index) -> tensor<4x24xf32>
  return
}

// -----

func.func @ngram_embedding_c4(%t: !treadle.weight<40x8xf32, panels>, %i: !treadle.state<append, 64xi32>, %m: !treadle.state<append, 64xi8>, %h: !treadle.state<fixed, 2xi32>, %p: index) {
  // expected-error@+1 {{expects a mask of at least lead + 64 rows, got '!treadle.state<append, 64xi8>' and lead 1}}
  %y = treadle.ngram_embedding %t, %i, %m, %h at %p valid %p {window = 3 : i64, lead = 1 : i64}
    : (!treadle.weight<40x8xf32, panels>, !treadle.state<append, 64xi32>, !treadle.state<append, 64xi8>, !treadle.state<fixed, 2xi32>, index, index) -> tensor<4x24xf32>
  return
}

// -----

func.func @ngram_embedding_c4_negative(%t: !treadle.weight<40x8xf32, panels>, %i: !treadle.state<append, 64xi32>, %m: !treadle.state<append, 64xi8>, %h: !treadle.state<fixed, 2xi32>, %p: index) {
  // expected-error@+1 {{expects a mask of at least lead + 64 rows, got '!treadle.state<append, 64xi8>' and lead -1}}
  %y = treadle.ngram_embedding %t, %i, %m, %h at %p valid %p {window = 3 : i64, lead = -1 : i64}
    : (!treadle.weight<40x8xf32, panels>, !treadle.state<append, 64xi32>, !treadle.state<append, 64xi8>, !treadle.state<fixed, 2xi32>, index, index) -> tensor<4x24xf32>
  return
}

// -----

func.func @read_state_c1(%s: !treadle.state<fixed, 4x6xf32>) {
  // expected-error@+1 {{expects state to be a fixed state of [4, 8] 'f32', got '!treadle.state<fixed, 4x6xf32>'}}
  %y = treadle.read_state %s : (!treadle.state<fixed, 4x6xf32>) -> tensor<4x8xf32>
  return
}

// -----

func.func @write_state_c1(%x: tensor<4x8xf32>, %s: !treadle.state<append, 4x8xf32>) {
  // expected-error@+1 {{expects state to be a fixed state of [4, 8] 'f32', got '!treadle.state<append, 4x8xf32>'}}
  treadle.write_state %x, %s : tensor<4x8xf32>, !treadle.state<append, 4x8xf32>
  return
}

// -----

func.func @carry_ids_c1(%i: !treadle.state<fixed, 64xi32>, %m: !treadle.state<append, 64xi8>, %h: !treadle.state<fixed, 2xi32>, %n: index) {
  // expected-error@+1 {{expects ids to be an append state, got '!treadle.state<fixed, 64xi32>'}}
  treadle.carry_ids %i, %m, %h at %n {lead = 0 : i64} : !treadle.state<fixed, 64xi32>, !treadle.state<append, 64xi8>, !treadle.state<fixed, 2xi32>
  return
}

// -----

func.func @carry_ids_c2(%i: !treadle.state<append, 64xi32>, %m: !treadle.state<append, 64xi8>, %h: !treadle.state<fixed, 1x2xi32>, %n: index) {
  // expected-error@+1 {{expects a fixed state of N i32 as history, got '!treadle.state<fixed, 1x2xi32>'}}
  treadle.carry_ids %i, %m, %h at %n {lead = 0 : i64} : !treadle.state<append, 64xi32>, !treadle.state<append, 64xi8>, !treadle.state<fixed, 1x2xi32>
  return
}

// -----

func.func @carry_ids_c2_type(%i: !treadle.state<append, 64xi32>, %m: !treadle.state<append, 64xi8>, %h: !treadle.state<fixed, 2xf32>, %n: index) {
  // expected-error@+1 {{expects history to be a fixed state of [2] 'i32', got '!treadle.state<fixed, 2xf32>'}}
  treadle.carry_ids %i, %m, %h at %n {lead = 0 : i64} : !treadle.state<append, 64xi32>, !treadle.state<append, 64xi8>, !treadle.state<fixed, 2xf32>
  return
}

// -----

func.func @carry_ids_c3(%i: !treadle.state<append, 64xi32>, %m: !treadle.state<append, 64xi8>, %h: !treadle.state<fixed, 2xi32>, %n: index) {
  // expected-error@+1 {{expects a mask of at least lead + 64 rows, got '!treadle.state<append, 64xi8>' and lead 4}}
  treadle.carry_ids %i, %m, %h at %n {lead = 4 : i64} : !treadle.state<append, 64xi32>, !treadle.state<append, 64xi8>, !treadle.state<fixed, 2xi32>
  return
}

// RUN: treadle-opt %s --split-input-file --verify-diagnostics
// Ops of running states, one function per numbered constraint.

func.func @layer_norm_c1(%x: tensor<4x12xf32>, %w: !treadle.weight<6xf32, plain>) {
  // expected-error@+1 {{expects a plain weight of size 12 or 4 (the columns of the input), got '!treadle.weight<6xf32, plain>'}}
  %y = treadle.layer_norm %x, %w {eps = 1.0e-5 : f32, groups = 3 : i64}
    : (tensor<4x12xf32>, !treadle.weight<6xf32, plain>) -> tensor<4x12xf32>
  return
}

// -----

func.func @layer_norm_c2(%x: tensor<4x12xf32>, %w: !treadle.weight<12xf32, plain>, %b: !treadle.weight<4xf32, plain>) {
  // expected-error@+1 {{expects a bias like the weight, '!treadle.weight<12xf32, plain>', got '!treadle.weight<4xf32, plain>'}}
  %y = treadle.layer_norm %x, %w, %b {eps = 1.0e-5 : f32, groups = 3 : i64}
    : (tensor<4x12xf32>, !treadle.weight<12xf32, plain>, !treadle.weight<4xf32, plain>) -> tensor<4x12xf32>
  return
}

// -----

func.func @layer_norm_c3(%x: tensor<4x12xf32>, %w: !treadle.weight<12xf32, plain>) {
  // expected-error@+1 {{expects a positive eps}}
  %y = treadle.layer_norm %x, %w {eps = 0.0 : f32} : (tensor<4x12xf32>, !treadle.weight<12xf32, plain>) -> tensor<4x12xf32>
  return
}

// -----

func.func @layer_norm_c4(%x: tensor<4x12xf32>, %w: !treadle.weight<12xf32, plain>) {
  // expected-error@+1 {{expects a result of the type of the input}}
  %y = treadle.layer_norm %x, %w {eps = 1.0e-5 : f32} : (tensor<4x12xf32>, !treadle.weight<12xf32, plain>) -> tensor<3x12xf32>
  return
}

// -----

func.func @layer_norm_c5(%x: tensor<4x12xf32>, %w: !treadle.weight<12xf32, plain>) {
  // expected-error@+1 {{expects groups to divide 12 columns, got 5}}
  %y = treadle.layer_norm %x, %w {eps = 1.0e-5 : f32, groups = 5 : i64}
    : (tensor<4x12xf32>, !treadle.weight<12xf32, plain>) -> tensor<4x12xf32>
  return
}

// -----

func.func @add_scaled_c1(%x: tensor<4x12xf32>, %s: !treadle.weight<5xf32, plain>) {
  // expected-error@+1 {{expects steps to divide 12 columns, got 5}}
  %y = treadle.add_scaled %x, %x, %s : (tensor<4x12xf32>, tensor<4x12xf32>, !treadle.weight<5xf32, plain>) -> tensor<4x12xf32>
  return
}

// -----

func.func @add_scaled_c1_matrix(%x: tensor<4x12xf32>, %s: !treadle.weight<3x1xf32, plain>) {
  // expected-error@+1 {{expects a plain vector of steps, got '!treadle.weight<3x1xf32, plain>'}}
  %y = treadle.add_scaled %x, %x, %s : (tensor<4x12xf32>, tensor<4x12xf32>, !treadle.weight<3x1xf32, plain>) -> tensor<4x12xf32>
  return
}

// -----

func.func @add_scaled_c2(%x: tensor<4x12xf32>, %u: tensor<3x12xf32>, %s: !treadle.weight<3xf32, plain>) {
  // expected-error@+1 {{expects a result of the type of the input}}
  %y = treadle.add_scaled %x, %u, %s : (tensor<4x12xf32>, tensor<3x12xf32>, !treadle.weight<3xf32, plain>) -> tensor<4x12xf32>
  return
}

// -----

func.func @blank_start_c1(%x: tensor<4x12xf32>, %p: index) {
  // expected-error@+1 {{failed to verify that all of {input, result} have same type}}
  %y = "treadle.blank_start"(%x, %p) {rows = 1 : i64} : (tensor<4x12xf32>, index) -> tensor<3x12xf32>
  return
}

// -----

func.func @blank_start_c2(%x: tensor<4x12xf32>, %p: index) {
  // expected-error@+1 {{expects a positive number of rows, got 0}}
  %y = treadle.blank_start %x at %p {rows = 0 : i64} : tensor<4x12xf32>
  return
}

// -----

func.func @running_sum_c1(%x: tensor<4x12xf32>, %s: !treadle.state<append, 64x12xbf16>, %m: !treadle.state<append, 64xi8>, %p: index) {
  // expected-error@+1 {{expects a state of f32, got '!treadle.state<append, 64x12xbf16>'}}
  treadle.running_sum %x, %s, %m at %p valid %p
    : tensor<4x12xf32>, !treadle.state<append, 64x12xbf16>, !treadle.state<append, 64xi8>
  return
}

// -----

func.func @running_sum_c1_columns(%x: tensor<4x12xf32>, %s: !treadle.state<append, 64x8xf32>, %m: !treadle.state<append, 64xi8>, %p: index) {
  // expected-error@+1 {{expects state with rows of [12], got '!treadle.state<append, 64x8xf32>'}}
  treadle.running_sum %x, %s, %m at %p valid %p
    : tensor<4x12xf32>, !treadle.state<append, 64x8xf32>, !treadle.state<append, 64xi8>
  return
}

// -----

func.func @running_sum_c2(%x: tensor<4x12xf32>, %s: !treadle.state<append, 64x12xf32>, %m: !treadle.state<append, 32xi8>, %p: index) {
  // expected-error@+1 {{expects states of one capacity, got '!treadle.state<append, 64x12xf32>' and '!treadle.state<append, 32xi8>'}}
  treadle.running_sum %x, %s, %m at %p valid %p
    : tensor<4x12xf32>, !treadle.state<append, 64x12xf32>, !treadle.state<append, 32xi8>
  return
}

// -----

func.func @running_sum_c2_mask(%x: tensor<4x12xf32>, %s: !treadle.state<append, 64x12xf32>, %m: !treadle.state<append, 64xi32>, %p: index) {
  // expected-error@+1 {{expects mask of 'i8', got '!treadle.state<append, 64xi32>'}}
  treadle.running_sum %x, %s, %m at %p valid %p
    : tensor<4x12xf32>, !treadle.state<append, 64x12xf32>, !treadle.state<append, 64xi32>
  return
}

// -----

func.func @read_rows_c1(%s: !treadle.state<append, 64x8xf32>, %p: index) {
  // expected-error@+1 {{expects state with rows of [12], got '!treadle.state<append, 64x8xf32>'}}
  %y = treadle.read_rows %s at %p valid %p {lag = 1 : i64}
    : (!treadle.state<append, 64x8xf32>, index, index) -> tensor<4x12xf32>
  return
}

// -----

func.func @read_rows_c1_kind(%s: !treadle.state<ring, 3x12xf32>, %p: index) {
  // expected-error@+1 {{expects state to be an append state, got '!treadle.state<ring, 3x12xf32>'}}
  %y = treadle.read_rows %s at %p valid %p {lag = 1 : i64}
    : (!treadle.state<ring, 3x12xf32>, index, index) -> tensor<4x12xf32>
  return
}

// -----

func.func @read_rows_c1_element(%s: !treadle.state<append, 64x12xi32>, %p: index) {
  // expected-error@+1 {{expects state of f32 or bf16, got '!treadle.state<append, 64x12xi32>'}}
  %y = treadle.read_rows %s at %p valid %p {lag = 1 : i64}
    : (!treadle.state<append, 64x12xi32>, index, index) -> tensor<4x12xf32>
  return
}

// -----

func.func @read_rows_c2(%s: !treadle.state<append, 64x12xf32>, %p: index) {
  // expected-error@+1 {{expects a lag of 0 or more rows, got -1}}
  %y = treadle.read_rows %s at %p valid %p {lag = -1 : i64}
    : (!treadle.state<append, 64x12xf32>, index, index) -> tensor<4x12xf32>
  return
}

// -----

!keys = !treadle.state<append, 64x8xf32, panels>
!cache = !treadle.state<append, 64x8xf32>
!mask = !treadle.state<append, 64xi8>

func.func @attention_c7(%q: tensor<4x16xf32>, %k: !keys, %v: !cache, %l: !treadle.state<append, 64x8xbf16>, %m: !mask, %p: index) {
  // expected-error@+1 {{expects a lane of the types of keys and values, '!treadle.state<append, 64x8xf32, panels>' and '!treadle.state<append, 64x8xf32>'}}
  %y = treadle.attention %q, %k, %v, %m at %p valid %p lane %l, %l {heads = 4 : i64, kv_heads = 2 : i64, scale = 0.5 : f32}
    : (tensor<4x16xf32>, !keys, !cache, !mask, index, index, !treadle.state<append, 64x8xbf16>, !treadle.state<append, 64x8xbf16>)
      -> tensor<4x16xf32>
  return
}

// -----

!keys = !treadle.state<append, 64x8xf32, panels>
!cache = !treadle.state<append, 64x8xf32>
!mask = !treadle.state<append, 64xi8>

func.func @attention_c7_own(%q: tensor<4x16xf32>, %k: !keys, %v: !cache, %m: !mask, %p: index) {
  // expected-error@+1 {{expects both keys and values of a lane, or neither and no 'own'}}
  %y = treadle.attention %q, %k, %v, %m at %p valid %p {heads = 4 : i64, kv_heads = 2 : i64, scale = 0.5 : f32, own}
    : (tensor<4x16xf32>, !keys, !cache, !mask, index, index) -> tensor<4x16xf32>
  return
}

// RUN: treadle-opt %s --split-input-file --verify-diagnostics
// One function per numbered constraint of the nouns that touch states: append and attention.

func.func @append_c1(%x: tensor<4x8xf32>, %s: !treadle.state<ring, 3x8xf32>, %p: index) {
  // expected-error@+1 {{expects state to be an append state, got '!treadle.state<ring, 3x8xf32>'}}
  treadle.append %x, %s at %p valid %p : tensor<4x8xf32>, !treadle.state<ring, 3x8xf32>
  return
}

// -----

func.func @append_c2(%x: tensor<4x8xf32>, %s: !treadle.state<append, 64x4xf32>, %p: index) {
  // expected-error@+1 {{expects state with rows of [8], got '!treadle.state<append, 64x4xf32>'}}
  treadle.append %x, %s at %p valid %p : tensor<4x8xf32>, !treadle.state<append, 64x4xf32>
  return
}

// -----

func.func @append_c2_rank(%x: tensor<f32>, %s: !treadle.state<append, 64xf32>, %p: index) {
  // expected-error@+1 {{expects a row dimension}}
  treadle.append %x, %s at %p valid %p : tensor<f32>, !treadle.state<append, 64xf32>
  return
}

// -----

func.func @append_c3(%x: tensor<4x8xbf16>, %s: !treadle.state<append, 64x8xf32>, %p: index) {
  // expected-error@+1 {{expects rows of 'f32', got 'bf16'}}
  treadle.append %x, %s at %p valid %p : tensor<4x8xbf16>, !treadle.state<append, 64x8xf32>
  return
}

// -----

!mask = !treadle.state<append, 64xi8>
!keys = !treadle.state<append, 64x8xf32, panels>
!cache = !treadle.state<append, 64x8xf32>

func.func @attention_c1(%q: tensor<4x16xf32>, %k: !keys, %v: !cache, %m: !mask, %p: index) {
  // expected-error@+1 {{expects kv_heads to divide heads, got 3 and 4}}
  %y = treadle.attention %q, %k, %v, %m at %p valid %p {heads = 4 : i64, kv_heads = 3 : i64, scale = 0.5 : f32}
    : (tensor<4x16xf32>, !keys, !cache, !mask, index, index) -> tensor<4x16xf32>
  return
}

// -----

!mask = !treadle.state<append, 64xi8>
!keys = !treadle.state<append, 64x8xf32, panels>
!cache = !treadle.state<append, 64x8xf32>

func.func @attention_c1_zero(%q: tensor<4x16xf32>, %k: !keys, %v: !cache, %m: !mask, %p: index) {
  // expected-error@+1 {{expects kv_heads to divide heads, got 0 and 4}}
  %y = treadle.attention %q, %k, %v, %m at %p valid %p {heads = 4 : i64, kv_heads = 0 : i64, scale = 0.5 : f32}
    : (tensor<4x16xf32>, !keys, !cache, !mask, index, index) -> tensor<4x16xf32>
  return
}

// -----

!mask = !treadle.state<append, 64xi8>
!cache = !treadle.state<append, 64x8xf32>

func.func @attention_c2(%q: tensor<4x16xf32>, %k: !treadle.state<append, 64x4xf32, panels>, %v: !cache, %m: !mask, %p: index) {
  // expected-error@+1 {{expects keys with rows of [8], got '!treadle.state<append, 64x4xf32, panels>'}}
  %y = treadle.attention %q, %k, %v, %m at %p valid %p {heads = 4 : i64, kv_heads = 2 : i64, scale = 0.5 : f32}
    : (tensor<4x16xf32>, !treadle.state<append, 64x4xf32, panels>, !cache, !mask, index, index) -> tensor<4x16xf32>
  return
}

// -----

!mask = !treadle.state<append, 64xi8>
!cache = !treadle.state<append, 64x8xf32>

func.func @attention_c2_packing(%q: tensor<4x16xf32>, %k: !cache, %m: !mask, %p: index) {
  // expected-error@+1 {{expects keys in panels, got '!treadle.state<append, 64x8xf32>'}}
  %y = treadle.attention %q, %k, %k, %m at %p valid %p {heads = 4 : i64, kv_heads = 2 : i64, scale = 0.5 : f32}
    : (tensor<4x16xf32>, !cache, !cache, !mask, index, index) -> tensor<4x16xf32>
  return
}

// -----

!mask = !treadle.state<append, 64xi8>
!keys = !treadle.state<append, 64x8xf32, panels>
!cache = !treadle.state<append, 64x8xf32>

func.func @attention_c2_heads(%q: tensor<4x18xf32>, %k: !keys, %v: !cache, %m: !mask, %p: index) {
  // expected-error@+1 {{expects heads to divide the columns of query and result}}
  %y = treadle.attention %q, %k, %v, %m at %p valid %p {heads = 4 : i64, kv_heads = 2 : i64, scale = 0.5 : f32}
    : (tensor<4x18xf32>, !keys, !cache, !mask, index, index) -> tensor<4x16xf32>
  return
}

// -----

!mask = !treadle.state<append, 64xi8>
!keys = !treadle.state<append, 64x8xf32, panels>
!cache = !treadle.state<append, 64x8xf32>

func.func @attention_c3(%q: tensor<4x16xf32>, %k: !keys, %v: !cache, %m: !mask, %p: index) {
  // expected-error@+1 {{expects values with rows of [16], got '!treadle.state<append, 64x8xf32>'}}
  %y = treadle.attention %q, %k, %v, %m at %p valid %p {heads = 4 : i64, kv_heads = 2 : i64, scale = 0.5 : f32}
    : (tensor<4x16xf32>, !keys, !cache, !mask, index, index) -> tensor<4x32xf32>
  return
}

// -----

!mask = !treadle.state<append, 64xi8>
!keys = !treadle.state<append, 64x8xf32, panels>
!bytes = !treadle.state<append, 64x8xi8>

func.func @attention_c3_element(%q: tensor<4x16xf32>, %k: !keys, %v: !bytes, %m: !mask, %p: index) {
  // expected-error@+1 {{expects values of f32 or bf16, got '!treadle.state<append, 64x8xi8>'}}
  %y = treadle.attention %q, %k, %v, %m at %p valid %p {heads = 4 : i64, kv_heads = 2 : i64, scale = 0.5 : f32}
    : (tensor<4x16xf32>, !keys, !bytes, !mask, index, index) -> tensor<4x16xf32>
  return
}

// -----

!mask = !treadle.state<append, 64xi32>
!keys = !treadle.state<append, 64x8xf32, panels>
!cache = !treadle.state<append, 64x8xf32>

func.func @attention_c4(%q: tensor<4x16xf32>, %k: !keys, %v: !cache, %m: !mask, %p: index) {
  // expected-error@+1 {{expects mask of 'i8', got '!treadle.state<append, 64xi32>'}}
  %y = treadle.attention %q, %k, %v, %m at %p valid %p {heads = 4 : i64, kv_heads = 2 : i64, scale = 0.5 : f32}
    : (tensor<4x16xf32>, !keys, !cache, !mask, index, index) -> tensor<4x16xf32>
  return
}

// -----

!mask = !treadle.state<append, 32xi8>
!keys = !treadle.state<append, 64x8xf32, panels>
!cache = !treadle.state<append, 64x8xf32>

func.func @attention_c5(%q: tensor<4x16xf32>, %k: !keys, %v: !cache, %m: !mask, %p: index) {
  // expected-error@+1 {{expects keys, values and mask of one capacity}}
  %y = treadle.attention %q, %k, %v, %m at %p valid %p {heads = 4 : i64, kv_heads = 2 : i64, scale = 0.5 : f32}
    : (tensor<4x16xf32>, !keys, !cache, !mask, index, index) -> tensor<4x16xf32>
  return
}

// -----

!mask = !treadle.state<append, 64xi8>
!keys = !treadle.state<append, 64x8xf32, panels>
!cache = !treadle.state<append, 64x8xf32>

func.func @attention_c6(%q: tensor<4x16xf32>, %k: !keys, %v: !cache, %m: !mask, %p: index) {
  // expected-error@+1 {{expects as many result rows as input rows}}
  %y = treadle.attention %q, %k, %v, %m at %p valid %p {heads = 4 : i64, kv_heads = 2 : i64, scale = 0.5 : f32}
    : (tensor<4x16xf32>, !keys, !cache, !mask, index, index) -> tensor<?x16xf32>
  return
}

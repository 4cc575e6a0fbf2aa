// RUN: treadle-opt %s --split-input-file --verify-diagnostics
// Ops of recurrent layers, and of waves and columns: one function per numbered constraint.

func.func @l2_norm_c1(%x: tensor<4x12xf32>) {
  // expected-error@+1 {{expects groups to divide 12 columns, got 5}}
  %y = treadle.l2_norm %x {eps = 1.0e-6 : f32, groups = 5 : i64} : (tensor<4x12xf32>) -> tensor<4x12xf32>
  return
}

// -----

func.func @l2_norm_c2(%x: tensor<4x12xf32>) {
  // expected-error@+1 {{expects a positive eps}}
  %y = treadle.l2_norm %x {eps = 0.0 : f32} : (tensor<4x12xf32>) -> tensor<4x12xf32>
  return
}

// -----

func.func @l2_norm_c3(%x: tensor<4x12xf32>) {
  // expected-error@+1 {{expects a result of the type of the input}}
  %y = treadle.l2_norm %x {eps = 1.0e-6 : f32} : (tensor<4x12xf32>) -> tensor<4x10xf32>
  return
}

// -----

func.func @poly_norm_c1(%x: tensor<4x12xf32>, %w: !treadle.weight<4xf32, plain>, %b: !treadle.weight<f32, plain>) {
  // expected-error@+1 {{expects weight to be a plain weight of 3, got '!treadle.weight<4xf32, plain>'}}
  %y = treadle.poly_norm %x, %w, %b {eps = 1.0e-6 : f32}
    : (tensor<4x12xf32>, !treadle.weight<4xf32, plain>, !treadle.weight<f32, plain>) -> tensor<4x12xf32>
  return
}

// -----

func.func @poly_norm_c2(%x: tensor<4x12xf32>, %w: !treadle.weight<3xf32, plain>) {
  // expected-error@+1 {{expects bias to be a plain weight of one element, got '!treadle.weight<3xf32, plain>'}}
  %y = treadle.poly_norm %x, %w, %w {eps = 1.0e-6 : f32}
    : (tensor<4x12xf32>, !treadle.weight<3xf32, plain>, !treadle.weight<3xf32, plain>) -> tensor<4x12xf32>
  return
}

// -----

func.func @poly_norm_c3(%x: tensor<4x12xf32>, %w: !treadle.weight<3xf32, plain>, %b: !treadle.weight<f32, plain>) {
  // expected-error@+1 {{expects a positive eps}}
  %y = treadle.poly_norm %x, %w, %b {eps = -1.0e-6 : f32}
    : (tensor<4x12xf32>, !treadle.weight<3xf32, plain>, !treadle.weight<f32, plain>) -> tensor<4x12xf32>
  return
}

// -----

func.func @poly_norm_c4(%x: tensor<4x12xf32>, %w: !treadle.weight<3xf32, plain>, %b: !treadle.weight<f32, plain>) {
  // expected-error@+1 {{expects a result of the type of the input}}
  %y = treadle.poly_norm %x, %w, %b {eps = 1.0e-6 : f32}
    : (tensor<4x12xf32>, !treadle.weight<3xf32, plain>, !treadle.weight<f32, plain>) -> tensor<3x12xf32>
  return
}

// -----

func.func @fan_c1(%x: tensor<4x12xf32>) {
  // expected-error@+1 {{expects 1 to 12 periodic columns, got 13}}
  %y = treadle.fan %x {periodic = 13 : i64} : (tensor<4x12xf32>) -> tensor<4x25xf32>
  return
}

// -----

func.func @fan_c2(%x: tensor<4x12xf32>) {
  // expected-error@+1 {{expects a result of 15 columns, got 'tensor<4x12xf32>'}}
  %y = treadle.fan %x {periodic = 3 : i64} : (tensor<4x12xf32>) -> tensor<4x12xf32>
  return
}

// -----

func.func @fan_c2_rows(%x: tensor<4x12xf32>) {
  // expected-error@+1 {{expects as many result rows as input rows}}
  %y = treadle.fan %x {periodic = 3 : i64} : (tensor<4x12xf32>) -> tensor<3x15xf32>
  return
}

// -----

func.func @fan_c3(%x: tensor<4x12xf32>, %b: !treadle.weight<12xf32, plain>) {
  // expected-error@+1 {{expects bias to be a plain weight of 9, got '!treadle.weight<12xf32, plain>'}}
  %y = treadle.fan %x, %b {periodic = 3 : i64} : (tensor<4x12xf32>, !treadle.weight<12xf32, plain>) -> tensor<4x15xf32>
  return
}

// -----

func.func @slice_c1(%x: tensor<4x12xf32>) {
  // expected-error@+1 {{expects groups to divide 12 columns, got 0}}
  %y = treadle.slice %x {groups = 0 : i64, offset = 0 : i64, size = 2 : i64} : (tensor<4x12xf32>) -> tensor<4x2xf32>
  return
}

// -----

func.func @slice_c2(%x: tensor<4x12xf32>) {
  // expected-error@+1 {{expects columns within a group of 4, got 2 from 3}}
  %y = treadle.slice %x {groups = 3 : i64, offset = 3 : i64, size = 2 : i64} : (tensor<4x12xf32>) -> tensor<4x6xf32>
  return
}

// -----

func.func @slice_c3(%x: tensor<4x12xf32>) {
  // expected-error@+1 {{expects a result of 6 columns, got 'tensor<4x2xf32>'}}
  %y = treadle.slice %x {groups = 3 : i64, offset = 1 : i64, size = 2 : i64} : (tensor<4x12xf32>) -> tensor<4x2xf32>
  return
}

// -----

func.func @concat_c1() {
  // expected-error@+1 {{expects at least one input}}
  %y = treadle.concat : () -> tensor<4x12xf32>
  return
}

// -----

func.func @concat_c1_rows(%x: tensor<4x12xf32>, %z: tensor<3x2xf32>) {
  // expected-error@+1 {{expects as many result rows as input rows}}
  %y = treadle.concat %x, %z : (tensor<4x12xf32>, tensor<3x2xf32>) -> tensor<4x14xf32>
  return
}

// -----

func.func @concat_c2(%x: tensor<4x12xf32>, %z: tensor<4x2xf32>) {
  // expected-error@+1 {{expects a result of 14 columns}}
  %y = treadle.concat %x, %z : (tensor<4x12xf32>, tensor<4x2xf32>) -> tensor<4x12xf32>
  return
}

// -----

func.func @gpas_c1(%x: tensor<4x12xf32>, %a: !treadle.weight<1xf32, plain>) {
  // expected-error@+1 {{expects alpha to be a plain weight of one element, got '!treadle.weight<1xf32, plain>'}}
  %y = treadle.gpas %x, %a : (tensor<4x12xf32>, !treadle.weight<1xf32, plain>) -> tensor<4x12xf32>
  return
}

// -----

func.func @gpas_c2(%x: tensor<4x12xf32>, %a: !treadle.weight<f32, plain>) {
  // expected-error@+1 {{all non-scalar operands/results must have the same shape and base type}}
  %y = treadle.gpas %x, %a : (tensor<4x12xf32>, !treadle.weight<f32, plain>) -> tensor<3x12xf32>
  return
}

// -----

func.func @log_decay_c1(%x: tensor<4x12xf32>, %a: !treadle.weight<12xf32, plain>, %b: !treadle.weight<4xf32, plain>) {
  // expected-error@+1 {{expects a vector to be a plain weight of 12, got '!treadle.weight<4xf32, plain>'}}
  %y = treadle.log_decay %x, %a, %b
    : (tensor<4x12xf32>, !treadle.weight<12xf32, plain>, !treadle.weight<4xf32, plain>) -> tensor<4x12xf32>
  return
}

// -----

func.func @log_decay_c2(%x: tensor<4x12xf32>, %a: !treadle.weight<12xf32, plain>) {
  // expected-error@+1 {{all non-scalar operands/results must have the same shape and base type}}
  %y = treadle.log_decay %x, %a, %a
    : (tensor<4x12xf32>, !treadle.weight<12xf32, plain>, !treadle.weight<12xf32, plain>) -> tensor<3x12xf32>
  return
}

// -----

!ring = !treadle.state<ring, 3x12xf32>
!mask = !treadle.state<append, 32xi8>
func.func @causal_conv_c1(%x: tensor<4x12xf32>, %w: !treadle.weight<12x1xf32, plain>, %s: !ring, %m: !mask, %p: index, %v: index) {
  // expected-error@+1 {{expects a plain weight 12 x T with T >= 2, got '!treadle.weight<12x1xf32, plain>'}}
  %y = treadle.causal_conv %x, %w, %s, %m at %p valid %v {activation = #treadle.activation<silu>}
    : (tensor<4x12xf32>, !treadle.weight<12x1xf32, plain>, !ring, !mask, index, index) -> tensor<4x12xf32>
  return
}

// -----

!ring = !treadle.state<ring, 3x12xf32>
!mask = !treadle.state<append, 32xi8>
func.func @causal_conv_c1_columns(%x: tensor<4x12xf32>, %w: !treadle.weight<10x4xf32, plain>, %s: !ring, %m: !mask, %p: index, %v: index) {
  // expected-error@+1 {{expects weight to be a plain weight of 12x4, got '!treadle.weight<10x4xf32, plain>'}}
  %y = treadle.causal_conv %x, %w, %s, %m at %p valid %v {activation = #treadle.activation<silu>}
    : (tensor<4x12xf32>, !treadle.weight<10x4xf32, plain>, !ring, !mask, index, index) -> tensor<4x12xf32>
  return
}

// -----

!fixed = !treadle.state<fixed, 3x12xf32>
!mask = !treadle.state<append, 32xi8>
func.func @causal_conv_c2(%x: tensor<4x12xf32>, %w: !treadle.weight<12x4xf32, plain>, %s: !fixed, %m: !mask, %p: index, %v: index) {
  // expected-error@+1 {{expects a ring state of 3x12 f32, got '!treadle.state<fixed, 3x12xf32>'}}
  %y = treadle.causal_conv %x, %w, %s, %m at %p valid %v {activation = #treadle.activation<silu>}
    : (tensor<4x12xf32>, !treadle.weight<12x4xf32, plain>, !fixed, !mask, index, index) -> tensor<4x12xf32>
  return
}

// -----

!ring = !treadle.state<ring, 3x12xf32>
func.func @causal_conv_c3(%x: tensor<4x12xf32>, %w: !treadle.weight<12x4xf32, plain>, %s: !ring, %p: index, %v: index) {
  // expected-error@+1 {{expects mask to be an append state, got '!treadle.state<ring, 3x12xf32>'}}
  %y = treadle.causal_conv %x, %w, %s, %s at %p valid %v {activation = #treadle.activation<silu>}
    : (tensor<4x12xf32>, !treadle.weight<12x4xf32, plain>, !ring, !ring, index, index) -> tensor<4x12xf32>
  return
}

// -----

!ring = !treadle.state<ring, 3x12xf32>
!mask = !treadle.state<append, 32xi8>
func.func @causal_conv_c4(%x: tensor<4x12xf32>, %w: !treadle.weight<12x4xf32, plain>, %s: !ring, %m: !mask, %p: index, %v: index) {
  // expected-error@+1 {{expects a result of the type of the input}}
  %y = treadle.causal_conv %x, %w, %s, %m at %p valid %v {activation = #treadle.activation<silu>}
    : (tensor<4x12xf32>, !treadle.weight<12x4xf32, plain>, !ring, !mask, index, index) -> tensor<3x12xf32>
  return
}

// -----

!s = !treadle.state<fixed, 4x3x5xf32>
!mask = !treadle.state<append, 32xi8>
func.func @gated_delta_rule_c1(%k: tensor<4x9xf32>, %v: tensor<4x20xf32>, %b: tensor<4x4xf32>, %s: !s, %m: !mask, %p: index, %n: index) {
  // expected-error@+1 {{expects key_heads to divide heads, got 3 and 4}}
  %y = treadle.gated_delta_rule %k, %k, %v, %b, %b, %s, %m at %p valid %n {heads = 4 : i64, key_heads = 3 : i64}
    : (tensor<4x9xf32>, tensor<4x9xf32>, tensor<4x20xf32>, tensor<4x4xf32>, tensor<4x4xf32>, !s, !mask, index, index) -> tensor<4x20xf32>
  return
}

// -----

!s = !treadle.state<fixed, 2x3x5xf32>
!mask = !treadle.state<append, 32xi8>
func.func @gated_delta_rule_c2(%k: tensor<4x6xf32>, %v: tensor<4x20xf32>, %b: tensor<4x4xf32>, %s: !s, %m: !mask, %p: index, %n: index) {
  // expected-error@+1 {{expects a fixed state 4 x D x E of f32, got '!treadle.state<fixed, 2x3x5xf32>'}}
  %y = treadle.gated_delta_rule %k, %k, %v, %b, %b, %s, %m at %p valid %n {heads = 4 : i64, key_heads = 2 : i64}
    : (tensor<4x6xf32>, tensor<4x6xf32>, tensor<4x20xf32>, tensor<4x4xf32>, tensor<4x4xf32>, !s, !mask, index, index) -> tensor<4x20xf32>
  return
}

// -----

!s = !treadle.state<fixed, 4x3x5xf32>
!mask = !treadle.state<append, 32xi8>
func.func @gated_delta_rule_c3(%k: tensor<4x12xf32>, %v: tensor<4x20xf32>, %b: tensor<4x4xf32>, %s: !s, %m: !mask, %p: index, %n: index) {
  // expected-error@+1 {{expects 6 columns of query and key}}
  %y = treadle.gated_delta_rule %k, %k, %v, %b, %b, %s, %m at %p valid %n {heads = 4 : i64, key_heads = 2 : i64}
    : (tensor<4x12xf32>, tensor<4x12xf32>, tensor<4x20xf32>, tensor<4x4xf32>, tensor<4x4xf32>, !s, !mask, index, index) -> tensor<4x20xf32>
  return
}

// -----

!s = !treadle.state<fixed, 4x3x5xf32>
!mask = !treadle.state<append, 32xi8>
func.func @gated_delta_rule_c3_values(%k: tensor<4x6xf32>, %v: tensor<4x24xf32>, %b: tensor<4x4xf32>, %s: !s, %m: !mask, %p: index, %n: index) {
  // expected-error@+1 {{expects 20 columns of value and result}}
  %y = treadle.gated_delta_rule %k, %k, %v, %b, %b, %s, %m at %p valid %n {heads = 4 : i64, key_heads = 2 : i64}
    : (tensor<4x6xf32>, tensor<4x6xf32>, tensor<4x24xf32>, tensor<4x4xf32>, tensor<4x4xf32>, !s, !mask, index, index) -> tensor<4x24xf32>
  return
}

// -----

!s = !treadle.state<fixed, 4x3x5xf32>
!mask = !treadle.state<append, 32xi8>
func.func @gated_delta_rule_c4(%k: tensor<4x6xf32>, %v: tensor<4x20xf32>, %b: tensor<4x2xf32>, %s: !s, %m: !mask, %p: index, %n: index) {
  // expected-error@+1 {{expects 4 columns of beta and decay}}
  %y = treadle.gated_delta_rule %k, %k, %v, %b, %b, %s, %m at %p valid %n {heads = 4 : i64, key_heads = 2 : i64}
    : (tensor<4x6xf32>, tensor<4x6xf32>, tensor<4x20xf32>, tensor<4x2xf32>, tensor<4x2xf32>, !s, !mask, index, index) -> tensor<4x20xf32>
  return
}

// -----

!s = !treadle.state<fixed, 4x3x5xf32>
func.func @gated_delta_rule_c5(%k: tensor<4x6xf32>, %v: tensor<4x20xf32>, %b: tensor<4x4xf32>, %s: !s, %p: index, %n: index) {
  // expected-error@+1 {{expects mask to be an append state, got '!treadle.state<fixed, 4x3x5xf32>'}}
  %y = treadle.gated_delta_rule %k, %k, %v, %b, %b, %s, %s at %p valid %n {heads = 4 : i64, key_heads = 2 : i64}
    : (tensor<4x6xf32>, tensor<4x6xf32>, tensor<4x20xf32>, tensor<4x4xf32>, tensor<4x4xf32>, !s, !s, index, index) -> tensor<4x20xf32>
  return
}

// -----

!s = !treadle.state<fixed, 4x3x5xf32>
!mask = !treadle.state<append, 32xi8>
func.func @gated_delta_rule_c6(%k: tensor<4x6xf32>, %v: tensor<4x20xf32>, %b: tensor<3x4xf32>, %s: !s, %m: !mask, %p: index, %n: index) {
  // expected-error@+1 {{expects as many result rows as input rows}}
  %y = treadle.gated_delta_rule %k, %k, %v, %b, %b, %s, %m at %p valid %n {heads = 4 : i64, key_heads = 2 : i64}
    : (tensor<4x6xf32>, tensor<4x6xf32>, tensor<4x20xf32>, tensor<3x4xf32>, tensor<3x4xf32>, !s, !mask, index, index) -> tensor<4x20xf32>
  return
}

// -----

func.func @rms_norm_c4(%x: tensor<4x12xf32>, %w: !treadle.weight<12xf32, plain>) {
  // expected-error@+1 {{expects groups to divide 12 columns, got 5}}
  %y = treadle.rms_norm %x, %w {eps = 1.0e-6 : f32, groups = 5 : i64}
    : (tensor<4x12xf32>, !treadle.weight<12xf32, plain>) -> tensor<4x12xf32>
  return
}

// -----

func.func @scale_c1(%x: tensor<4x12xf32>, %f: f32) {
  // expected-error@+1 {{failed to verify that all of {input, result} have same type}}
  %y = "treadle.scale"(%x, %f) : (tensor<4x12xf32>, f32) -> tensor<3x12xf32>
  return
}

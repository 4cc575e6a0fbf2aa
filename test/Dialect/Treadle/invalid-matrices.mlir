// RUN: treadle-opt %s --split-input-file --verify-diagnostics
// Products of groups and of several inputs, one function per numbered constraint.

func.func @linear_c1_stack(%x: tensor<4x8xf32>, %w: !treadle.weight<3x5x4xf32, panels>) {
  // expected-error@+1 {{expects weight in panels of 2x5x4, got '!treadle.weight<3x5x4xf32, panels>'}}
  %y = treadle.linear %x, %w {groups = 2 : i64} : (tensor<4x8xf32>, !treadle.weight<3x5x4xf32, panels>) -> tensor<4x10xf32>
  return
}

// -----

func.func @linear_c1_single_stack(%x: tensor<4x8xf32>, %w: !treadle.weight<1x5x8xf32, panels>) {
  // expected-error@+1 {{expects weight in panels of 5x8, got '!treadle.weight<1x5x8xf32, panels>'}}
  %y = treadle.linear %x, %w : (tensor<4x8xf32>, !treadle.weight<1x5x8xf32, panels>) -> tensor<4x5xf32>
  return
}

// -----

func.func @linear_c3(%x: tensor<4x8xf32>, %w: !treadle.weight<5x8xf32, panels>) {
  // expected-error@+1 {{expects groups to divide 8 columns, got 0}}
  %y = treadle.linear %x, %w {groups = 0 : i64} : (tensor<4x8xf32>, !treadle.weight<5x8xf32, panels>) -> tensor<4x5xf32>
  return
}

// -----

func.func @linear_c3_outputs(%x: tensor<4x8xf32>, %w: !treadle.weight<5x4xf32, panels>) {
  // expected-error@+1 {{expects groups to divide 11 columns, got 2}}
  %y = treadle.linear %x, %w {groups = 2 : i64} : (tensor<4x8xf32>, !treadle.weight<5x4xf32, panels>) -> tensor<4x11xf32>
  return
}

// -----

func.func @linear_c4(%x: tensor<4x8xf32>, %w: !treadle.weight<5x4xf32, panels>, %b: !treadle.weight<10xf32, plain>) {
  // expected-error@+1 {{expects bias to be a plain weight of 5, got '!treadle.weight<10xf32, plain>'}}
  %y = treadle.linear %x, %w bias %b {groups = 2 : i64}
    : (tensor<4x8xf32>, !treadle.weight<5x4xf32, panels>, !treadle.weight<10xf32, plain>) -> tensor<4x10xf32>
  return
}

// -----

func.func @linear_c4_stack(%x: tensor<4x8xf32>, %w: !treadle.weight<2x5x4xf32, panels>, %b: !treadle.weight<5xf32, plain>) {
  // expected-error@+1 {{expects bias to be a plain weight of 2x5, got '!treadle.weight<5xf32, plain>'}}
  %y = treadle.linear %x, %w bias %b {groups = 2 : i64}
    : (tensor<4x8xf32>, !treadle.weight<2x5x4xf32, panels>, !treadle.weight<5xf32, plain>) -> tensor<4x10xf32>
  return
}

// -----

func.func @linear_c5(%x: tensor<4x8xbf16>, %w: !treadle.weight<5x8xf32, panels>) {
  // expected-error @+1 {{'treadle.linear' op expects an input of f32, since the weight is 'f32', got 'bf16'}}
  %y = treadle.linear %x, %w : (tensor<4x8xbf16>, !treadle.weight<5x8xf32, panels>) -> tensor<4x5xf32>
  return
}

// -----

func.func @joint_linear_c1(%x: tensor<4x8xf32>, %w: !treadle.weight<5x9xf32, panels>) {
  // expected-error@+1 {{expects weight in panels of 5x8, got '!treadle.weight<5x9xf32, panels>'}}
  %y:2 = treadle.joint_linear (%x, %x), %w
    : (tensor<4x8xf32>, tensor<4x8xf32>, !treadle.weight<5x9xf32, panels>) -> (tensor<4x5xf32>, tensor<4x5xf32>)
  return
}

// -----

func.func @joint_linear_c2(%x: tensor<4x8xf32>, %w: !treadle.weight<5x8xf32, panels>) {
  // expected-error@+1 {{expects one result per input, inputs of one type and results of one type}}
  %y = treadle.joint_linear (%x, %x), %w
    : (tensor<4x8xf32>, tensor<4x8xf32>, !treadle.weight<5x8xf32, panels>) -> tensor<4x5xf32>
  return
}

// -----

func.func @joint_linear_c2_types(%x: tensor<4x8xf32>, %z: tensor<3x8xf32>, %w: !treadle.weight<5x8xf32, panels>) {
  // expected-error@+1 {{expects one result per input, inputs of one type and results of one type}}
  %y:2 = treadle.joint_linear (%x, %z), %w
    : (tensor<4x8xf32>, tensor<3x8xf32>, !treadle.weight<5x8xf32, panels>) -> (tensor<4x5xf32>, tensor<4x5xf32>)
  return
}

// -----

func.func @joint_linear_c2_rows(%x: tensor<4x8xf32>, %w: !treadle.weight<5x8xf32, panels>) {
  // expected-error@+1 {{expects as many result rows as input rows}}
  %y = treadle.joint_linear (%x), %w : (tensor<4x8xf32>, !treadle.weight<5x8xf32, panels>) -> tensor<3x5xf32>
  return
}

// -----

func.func @joint_linear_c3(%w: !treadle.weight<5x8xf32, panels>) {
  // expected-error@+1 {{expects at least one input}}
  "treadle.joint_linear"(%w) <{operandSegmentSizes = array<i32: 0, 1, 0>}> : (!treadle.weight<5x8xf32, panels>) -> ()
  return
}

// -----

func.func @joint_linear_c4(%x: tensor<4x8xf32>, %w: !treadle.weight<5x8xf32, panels>, %b: !treadle.weight<8xf32, plain>) {
  // expected-error@+1 {{expects bias to be a plain weight of 5, got '!treadle.weight<8xf32, plain>'}}
  %y:2 = treadle.joint_linear (%x, %x), %w bias %b
    : (tensor<4x8xf32>, tensor<4x8xf32>, !treadle.weight<5x8xf32, panels>, !treadle.weight<8xf32, plain>)
      -> (tensor<4x5xf32>, tensor<4x5xf32>)
  return
}

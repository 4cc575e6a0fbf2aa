// RUN: treadle-opt %s --treadle-check-contract --split-input-file --verify-diagnostics

func.func @open_rows(%x: tensor<?x8xf32>, %y: tensor<?x8xf32>) -> tensor<?x8xf32> attributes {treadle.entry = #treadle.entry<head, rows = 4>} {
  // expected-error @below {{expects static shapes behind the contract; specialise the rows first}}
  %z = arith.addf %x, %y : tensor<?x8xf32>
  return %z : tensor<?x8xf32>
}

// -----

func.func @no_stage(%x: tensor<4x8xf32>, %a: !treadle.weight<5x8xf32, panels>, %b: !treadle.weight<8x5xf32, panels>) -> tensor<4x8xf32> attributes {treadle.entry = #treadle.entry<head, rows = 4>} {
  // expected-error @below {{has no stage}}
  %y = treadle.low_rank_linear %x, %a, %b {scale = 1.0 : f32} : (tensor<4x8xf32>, !treadle.weight<5x8xf32, panels>, !treadle.weight<8x5xf32, panels>) -> tensor<4x8xf32>
  return %y : tensor<4x8xf32>
}

// -----

func.func @unknown_elementwise(%x: tensor<4xf32>) -> tensor<4xf32> attributes {treadle.entry = #treadle.entry<head, rows = 4>} {
  // expected-error @below {{has no stage}}
  %y = arith.negf %x : tensor<4xf32>
  return %y : tensor<4xf32>
}

// -----

treadle.state @k : !treadle.state<append, 16x8xf32> slots [2] loop_slot 0
func.func @too_many_passes(%x: tensor<4x8xf32>, %loops: index) -> tensor<4x8xf32> attributes {treadle.entry = #treadle.entry<head, rows = 4>} {
  %y = treadle.loop %i to %loops max 3 carry (%h = %x) : tensor<4x8xf32> {
    // expected-error @below {{expects slots below 2 of @k, got up to 2}}
    %k = treadle.get_state @k[%i] : !treadle.state<append, 16x8xf32>
    treadle.yield %h : tensor<4x8xf32>
  }
  return %y : tensor<4x8xf32>
}

// -----

treadle.weight @w : !treadle.weight<8xf32, plain> slots [2] from ["a", "b"]
func.func @computed_slot(%x: tensor<4x8xf32>, %i: index) -> tensor<4x8xf32> attributes {treadle.entry = #treadle.entry<head, rows = 4>} {
  // expected-error @below {{expects the index of a loop or a constant as slot}}
  %w = treadle.get_weight @w[%i] : !treadle.weight<8xf32, plain>
  return %x : tensor<4x8xf32>
}

// -----

func.func @pick_behind_the_table(%x: tensor<4x8xf32>) -> tensor<4x8xf32> attributes {treadle.entry = #treadle.entry<head, rows = 4>} {
  %y = treadle.loop %i max 3 carry (%h = %x) : tensor<4x8xf32> {
    // expected-error @below {{expects slots below 2 of its values, got up to 2}}
    %f = treadle.pick [%i] of dense<[1.0, 0.5]> : tensor<2xf32>
    %s = treadle.scale %h by %f : tensor<4x8xf32>
    treadle.yield %s : tensor<4x8xf32>
  }
  return %y : tensor<4x8xf32>
}

// -----

func.func @computed_pick(%x: tensor<4x8xf32>, %i: index) -> tensor<4x8xf32> attributes {treadle.entry = #treadle.entry<head, rows = 4>} {
  // expected-error @below {{expects the index of a loop or a constant as slot}}
  %f = treadle.pick [%i] of dense<[1.0, 0.5]> : tensor<2xf32>
  %s = treadle.scale %x by %f : tensor<4x8xf32>
  return %s : tensor<4x8xf32>
}

// -----

// Nothing is asked of a function that is no entry point.
func.func @helper(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %y = arith.negf %x : tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// RUN: treadle-opt %s --split-input-file --verify-diagnostics
// One function per numbered constraint of treadle.stage.

func.func @stage_c1(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{expects body arguments of the types of the inputs}}
  %y = "treadle.stage"(%x) <{iterations = [#treadle.iteration<rows = 4>], accesses = [#treadle.access<0, all>],
                             result_accesses = [#treadle.access<0, all>]}> ({
  ^bb0(%a: tensor<4x4xf32>):
    treadle.yield %a : tensor<4x4xf32>
  }) : (tensor<4x8xf32>) -> tensor<4x4xf32>
  return
}

// -----

func.func @stage_c2(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{expects to yield the types of the results}}
  %y = treadle.stage [<rows = 4>] (%a = %x : tensor<4x8xf32> <0, all>) -> (tensor<4x4xf32> <0, all>) {
    treadle.yield %a : tensor<4x8xf32>
  }
  return
}

// -----

func.func @stage_c3(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{expects one access per input and per result}}
  %y = "treadle.stage"(%x) <{iterations = [#treadle.iteration<rows = 4>], accesses = [],
                             result_accesses = [#treadle.access<0, all>]}> ({
  ^bb0(%a: tensor<4x8xf32>):
    treadle.yield %a : tensor<4x8xf32>
  }) : (tensor<4x8xf32>) -> tensor<4x8xf32>
  return
}

// -----

func.func @stage_c3_rank(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{expects 2 access dimensions for input 0, got 1}}
  %y = treadle.stage [<rows = 4>] (%a = %x : tensor<4x8xf32> <0>) -> (tensor<4x8xf32> <0, all>) {
    treadle.yield %a : tensor<4x8xf32>
  }
  return
}

// -----

func.func @stage_c3_scalar(%x: tensor<4x8xf32>, %i: index) {
  // expected-error@+1 {{expects 0 access dimensions for input 1, got 1}}
  %y = treadle.stage [<rows = 4>] (%a = %x : tensor<4x8xf32> <0, all>, %b = %i : index <0>)
      -> (tensor<4x8xf32> <0, all>) {
    treadle.yield %a : tensor<4x8xf32>
  }
  return
}

// -----

func.func @stage_c4(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{expects the extent of dimension 1, 3, to divide size 8 of input 0}}
  %y = treadle.stage [<rows = 4>, <heads = 3>] (%a = %x : tensor<4x8xf32> <0, 1>) -> (tensor<4x8xf32> <0, 1>) {
    treadle.yield %a : tensor<4x8xf32>
  }
  return
}

// -----

func.func @stage_c4_missing(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{expects an iteration dimension below 1 for input 0, got 1}}
  %y = treadle.stage [<rows = 4>] (%a = %x : tensor<4x8xf32> <0, 1>) -> (tensor<4x8xf32> <0, all>) {
    treadle.yield %a : tensor<4x8xf32>
  }
  return
}

// -----

func.func @stage_c4_extent(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{expects positive extents, got 0}}
  treadle.stage [<rows = 0>] (%a = %x : tensor<4x8xf32> <all, all>) -> () {
    treadle.yield
  }
  return
}

// -----

func.func @stage_c4_dynamic(%x: tensor<?x8xf32>) {
  // expected-error@+1 {{expects static sizes, got 'tensor<?x8xf32>' for input 0}}
  %y = treadle.stage [<rows = 4>] (%a = %x : tensor<?x8xf32> <0, all>) -> (tensor<?x8xf32> <0, all>) {
    treadle.yield %a : tensor<?x8xf32>
  }
  return
}

// -----

func.func @stage_c5(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{expects result 0 to be cut once by iteration dimension 1, or tiles overlap or leave gaps}}
  %y = treadle.stage [<rows = 4>, <outputs = 8>] (%a = %x : tensor<4x8xf32> <0, 1>) -> (tensor<4x8xf32> <0, all>) {
    treadle.yield %a : tensor<4x8xf32>
  }
  return
}

// -----

func.func @stage_c5_diagonal(%x: tensor<4x4xf32>) {
  // expected-error@+1 {{expects result 0 to be cut once by iteration dimension 0, or tiles overlap or leave gaps}}
  %y = treadle.stage [<rows = 4>] (%a = %x : tensor<4x4xf32> <0, 0>) -> (tensor<4x4xf32> <0, 0>) {
    treadle.yield %a : tensor<4x4xf32>
  }
  return
}

// -----

func.func @stage_c6(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{expects core ops and elementwise ops in the body, got func.call}}
  %y = treadle.stage [<rows = 4>] (%a = %x : tensor<4x8xf32> <0, all>) -> (tensor<4x8xf32> <0, all>) {
    %0 = func.call @f(%a) : (tensor<4x8xf32>) -> tensor<4x8xf32>
    treadle.yield %0 : tensor<4x8xf32>
  }
  return
}
func.func private @f(tensor<4x8xf32>) -> tensor<4x8xf32>

// -----

func.func @stage_c7(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{expects one positive tile size per iteration dimension}}
  %y = treadle.stage [<rows = 4>] (%a = %x : tensor<4x8xf32> <0, all>) -> (tensor<4x8xf32> <0, all>)
      attributes {tile = #treadle.tile<0>} {
    treadle.yield %a : tensor<4x8xf32>
  }
  return
}

// -----

func.func @stage_c7_count(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{expects one positive tile size per iteration dimension}}
  %y = treadle.stage [<rows = 4>] (%a = %x : tensor<4x8xf32> <0, all>) -> (tensor<4x8xf32> <0, all>)
      attributes {tile = #treadle.tile<2, 2>} {
    treadle.yield %a : tensor<4x8xf32>
  }
  return
}

// -----

func.func @stage_c8(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{expects one -1 or non-negative multiple of 64 per result as offsets}}
  %y = treadle.stage [<rows = 4>] (%a = %x : tensor<4x8xf32> <0, all>) -> (tensor<4x8xf32> <0, all>)
      attributes {offsets = array<i64: 32>} {
    treadle.yield %a : tensor<4x8xf32>
  }
  return
}

// -----

func.func @stage_c9(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{expects 'position' for the rows of an append state only, got it for input 0}}
  %y = treadle.stage [<rows = 4>] (%a = %x : tensor<4x8xf32> <position, all>) -> (tensor<4x8xf32> <0, all>) {
    treadle.yield %a : tensor<4x8xf32>
  }
  return
}

// -----

func.func @stage_c9_kind(%x: tensor<4x8xf32>, %s: !treadle.state<ring, 8x8xf32>) {
  // expected-error@+1 {{expects 'position' for the rows of an append state only, got it for input 1}}
  %y = treadle.stage [<rows = 4>] (%a = %x : tensor<4x8xf32> <0, all>, %b = %s : !treadle.state<ring, 8x8xf32> <position, all>)
      -> (tensor<4x8xf32> <0, all>) {
    treadle.yield %a : tensor<4x8xf32>
  }
  return
}

// -----

func.func @stage_c10(%x: tensor<4x8xf32>, %w: !treadle.weight<16x8xf32, panels>) {
  // expected-error@+1 {{expects the iteration dimensions of its core op, treadle.linear}}
  %y = treadle.stage [<rows = 4>] (%a = %x : tensor<4x8xf32> <0, all>, %b = %w : !treadle.weight<16x8xf32, panels> <all, all>)
      -> (tensor<4x16xf32> <0, all>) {
    %0 = treadle.linear %a, %b : (tensor<4x8xf32>, !treadle.weight<16x8xf32, panels>) -> tensor<4x16xf32>
    treadle.yield %0 : tensor<4x16xf32>
  }
  return
}

// -----

func.func @stage_c10_access(%x: tensor<4x8xf32>, %w: !treadle.weight<16x8xf32, panels>) {
  // expected-error@+1 {{expects input 1 to be accessed as operand 1 of its core op, treadle.linear}}
  %y = treadle.stage [<rows = 4>, <outputs = 16>] (%a = %x : tensor<4x8xf32> <0, all>, %b = %w : !treadle.weight<16x8xf32, panels> <all, all>)
      -> (tensor<4x16xf32> <0, 1>) {
    %0 = treadle.linear %a, %b : (tensor<4x8xf32>, !treadle.weight<16x8xf32, panels>) -> tensor<4x16xf32>
    treadle.yield %0 : tensor<4x16xf32>
  }
  return
}

// -----

// The outputs of a matrix are no multiple of the stage's.
func.func @stage_c10_divisor(%x: tensor<4x8xf32>, %w: !treadle.weight<16x8xf32, panels>, %v: !treadle.weight<24x8xf32, panels>) {
  // expected-error@+1 {{expects the iteration dimensions of its core op, treadle.linear}}
  %y:2 = treadle.stage [<rows = 4>, <outputs = 16>] (%a = %x : tensor<4x8xf32> <0, all>, %b = %w : !treadle.weight<16x8xf32, panels> <1, all>,
        %c = %v : !treadle.weight<24x8xf32, panels> <all, all>)
      -> (tensor<4x16xf32> <0, 1>, tensor<4x16xf32> <0, 1>) {
    %0 = treadle.linear %a, %b : (tensor<4x8xf32>, !treadle.weight<16x8xf32, panels>) -> tensor<4x16xf32>
    %1 = treadle.linear %a, %c : (tensor<4x8xf32>, !treadle.weight<24x8xf32, panels>) -> tensor<4x24xf32>
    treadle.yield %0, %0 : tensor<4x16xf32>, tensor<4x16xf32>
  }
  return
}

// -----

func.func @stage_c10_rows(%x: tensor<4x8xf32>, %w: !treadle.weight<16x8xf32, panels>) {
  // expected-error@+1 {{expects the iteration dimensions of its core op, treadle.linear}}
  %y = treadle.stage [<rows = 2>, <outputs = 16>] (%a = %x : tensor<4x8xf32> <0, all>, %b = %w : !treadle.weight<16x8xf32, panels> <1, all>)
      -> (tensor<4x16xf32> <0, 1>) {
    %0 = treadle.linear %a, %b : (tensor<4x8xf32>, !treadle.weight<16x8xf32, panels>) -> tensor<4x16xf32>
    treadle.yield %0 : tensor<4x16xf32>
  }
  return
}

// -----

func.func @stage_c10_prologue(%x: tensor<4x8xf32>, %n: !treadle.weight<8xf32, plain>, %w: !treadle.weight<16x8xf32, panels>) {
  // expected-error@+1 {{expects input 0 to be read whole, for the prologue, by treadle.rms_norm}}
  %y = treadle.stage [<rows = 4>, <outputs = 16>] (%a = %x : tensor<4x8xf32> <0, all>, %m = %n : !treadle.weight<8xf32, plain> <all>,
        %b = %w : !treadle.weight<16x8xf32, panels> <1, all>) -> (tensor<4x16xf32> <0, 1>) {
    %0 = treadle.rms_norm %a, %m {eps = 1.0 : f32} : (tensor<4x8xf32>, !treadle.weight<8xf32, plain>) -> tensor<4x8xf32>
    %1 = treadle.linear %0, %b : (tensor<4x8xf32>, !treadle.weight<16x8xf32, panels>) -> tensor<4x16xf32>
    treadle.yield %1 : tensor<4x16xf32>
  }
  return
}

// -----

func.func @stage_c11(%s: !treadle.state<fixed, 4x8xf32>, %w: !treadle.weight<16x8xf32, panels>) {
  // expected-error@+1 {{expects a prologue without states, got treadle.read_state}}
  %y = treadle.stage [<rows = 4>, <outputs = 16>] (%a = %s : !treadle.state<fixed, 4x8xf32> <all, all>,
        %b = %w : !treadle.weight<16x8xf32, panels> <1, all>) -> (tensor<4x16xf32> <0, 1>) {
    %0 = treadle.read_state %a : (!treadle.state<fixed, 4x8xf32>) -> tensor<4x8xf32>
    %1 = treadle.linear %0, %b : (tensor<4x8xf32>, !treadle.weight<16x8xf32, panels>) -> tensor<4x16xf32>
    treadle.yield %1 : tensor<4x16xf32>
  }
  return
}

// -----

func.func @stage_c12(%x: tensor<4x8xf32>, %n: !treadle.weight<8xf32, plain>, %w: !treadle.weight<8x8xf32, panels>) {
  // expected-error@+1 {{expects to yield what depends on a core op outside of the prologue}}
  %y:2 = treadle.stage [<rows = 4>, <outputs = 8>] (%a = %x : tensor<4x8xf32> <all, all>, %m = %n : !treadle.weight<8xf32, plain> <all>,
        %b = %w : !treadle.weight<8x8xf32, panels> <1, all>) -> (tensor<4x8xf32> <0, 1>, tensor<4x8xf32> <0, 1>) {
    %0 = treadle.rms_norm %a, %m {eps = 1.0 : f32} : (tensor<4x8xf32>, !treadle.weight<8xf32, plain>) -> tensor<4x8xf32>
    %1 = treadle.linear %0, %b : (tensor<4x8xf32>, !treadle.weight<8x8xf32, panels>) -> tensor<4x8xf32>
    treadle.yield %1, %0 : tensor<4x8xf32>, tensor<4x8xf32>
  }
  return
}

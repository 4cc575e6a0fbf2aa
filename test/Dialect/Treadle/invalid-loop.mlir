// RUN: treadle-opt %s --split-input-file --verify-diagnostics
// One function per numbered constraint of treadle.loop, treadle.pick, treadle.barrier and treadle.yield.

func.func @loop_c1(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{expects a positive max, got -1}}
  %y = treadle.loop %i max -1 carry (%h = %x) : tensor<4x8xf32> {
    treadle.yield %h : tensor<4x8xf32>
  }
  return
}

// -----

func.func @loop_c1_zero(%n: index) {
  // expected-error@+1 {{expects a positive max, got 0}}
  treadle.loop %i to %n max 0 {
  }
  return
}

// -----

func.func @loop_c2(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{expects a body of the index and one argument per init, of its type}}
  %y = "treadle.loop"(%x) <{max = 2 : i64, operandSegmentSizes = array<i32: 0, 1>}> ({
  ^bb0(%h: tensor<4x8xf32>):
    treadle.yield %h : tensor<4x8xf32>
  }) : (tensor<4x8xf32>) -> tensor<4x8xf32>
  return
}

// -----

func.func @loop_c2_empty() {
  // expected-error@+1 {{expects a body of the index and one argument per init, of its type}}
  "treadle.loop"() <{max = 2 : i64, operandSegmentSizes = array<i32: 0, 0>}> ({
    treadle.yield
  }) : () -> ()
  return
}

// -----

func.func @loop_c3(%x: tensor<4x8xf32>, %z: tensor<2x8xf32>) {
  // expected-error@+1 {{expects to yield and return the types of its inits}}
  %y = treadle.loop %i max 2 carry (%h = %x) : tensor<4x8xf32> {
    treadle.yield %z : tensor<2x8xf32>
  }
  return
}

// -----

func.func @loop_c3_results(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{expects to yield and return the types of its inits}}
  "treadle.loop"(%x) <{max = 2 : i64, operandSegmentSizes = array<i32: 0, 1>}> ({
  ^bb0(%i: index, %h: tensor<4x8xf32>):
    treadle.yield %h : tensor<4x8xf32>
  }) : (tensor<4x8xf32>) -> ()
  return
}

// -----

func.func @yield_c1(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{expects parent op to be one of 'treadle.loop, treadle.stage'}}
  treadle.yield %x : tensor<4x8xf32>
}

// -----

func.func @pick_c1(%i: index) {
  // expected-error@+1 {{expects one index per dimension of its values, 'tensor<3x1xf32>', got 1}}
  %f = treadle.pick [%i] of dense<1.0> : tensor<3x1xf32>
  return
}

// -----

func.func @pick_c1_none() {
  // expected-error@+1 {{expects one index per dimension of its values, 'tensor<f32>', got 0}}
  %f = treadle.pick [] of dense<1.0> : tensor<f32>
  return
}

// -----

func.func @barrier_c1(%condition: i1) {
  scf.if %condition {
    // expected-error@+1 {{expects to stand in a function or a loop}}
    treadle.barrier
  }
  return
}

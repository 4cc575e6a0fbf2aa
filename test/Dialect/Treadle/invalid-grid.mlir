// RUN: treadle-opt %s --split-input-file --verify-diagnostics

func.func @grid_arrive_c1(%counter: memref<2xi32>, %blocks: index) {
  // expected-error@+1 {{operand #0 must be memory of one i32}}
  %phase = treadle.grid_arrive %counter of %blocks : memref<2xi32>
  return
}

// -----

func.func @grid_wait_c1(%counter: memref<1xi64>, %phase: i32) {
  // expected-error@+1 {{operand #0 must be memory of one i32}}
  treadle.grid_wait %counter for %phase : memref<1xi64>
  return
}

// RUN: treadle-opt %s --convert-treadle-to-stages --verify-diagnostics
// A file without an op of the dialect is converted as well.

func.func @vector(%x: tensor<32xf32>) -> tensor<32xf32> {
  // expected-error@+1 {{'arith.addf' op has a result of 'tensor<32xf32>', expected [rows][columns]}}
  %y = arith.addf %x, %x : tensor<32xf32>
  return %y : tensor<32xf32>
}

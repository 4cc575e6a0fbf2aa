// RUN: treadle-opt %s --treadle-check-stack --split-input-file --verify-diagnostics | FileCheck %s

// What fits stays as it is.
// CHECK-LABEL: @fits
func.func private @fits() {
  %scores = memref.alloca() : memref<64x512xf32>
  %sums = memref.alloca() : memref<352x512xi16>
  return
}

// -----

// expected-error @+1 {{'wide' keeps 491524 bytes of one tile on the stack, expected at most 491520: too much for a CPU, such as very many or very wide heads}}
func.func private @wide() {
  %scores = memref.alloca() : memref<240x512xf32>
  %one = memref.alloca() : memref<1xf32>
  return
}

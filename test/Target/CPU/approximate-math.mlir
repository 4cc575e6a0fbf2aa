// RUN: treadle-opt %s --split-input-file --verify-diagnostics --treadle-approximate-math | FileCheck %s

// Two limits, one addition for rounding and the exponent, a polynomial of degree 6.
// CHECK-LABEL: func.func @exp
// CHECK-COUNT-2: arith.select
// CHECK-NOT: math.floor
// CHECK-COUNT-8: math.fma
// CHECK: arith.shli
// CHECK-NEXT: arith.bitcast
// CHECK-NEXT: arith.mulf
// CHECK-NEXT: return
func.func @exp(%x: vector<16xf32>) -> vector<16xf32> {
  %y = math.exp %x : vector<16xf32>
  return %y : vector<16xf32>
}

// -----

// One instruction on every CPU.
// CHECK-LABEL: func.func @inline_functions
func.func @inline_functions(%x: vector<16xf32>) -> vector<16xf32> {
  // CHECK: math.absf
  %0 = math.absf %x : vector<16xf32>
  // CHECK: math.sqrt
  %1 = math.sqrt %0 : vector<16xf32>
  // CHECK: math.rsqrt
  %2 = math.rsqrt %1 : vector<16xf32>
  // CHECK: math.roundeven
  %3 = math.roundeven %2 : vector<16xf32>
  // CHECK: math.fma
  %4 = math.fma %3, %1, %0 : vector<16xf32>
  return %4 : vector<16xf32>
}

// -----

func.func @library_call(%x: f32) -> f32 {
  // expected-error @+1 {{has no inline form and would call a mathematical library}}
  %y = math.powf %x, %x : f32
  return %y : f32
}

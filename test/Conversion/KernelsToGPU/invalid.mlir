// RUN: treadle-opt %s --split-input-file --convert-kernels-to-gpu --verify-diagnostics

// expected-error @below {{needs 65536 bytes of workgroup memory for one tile, of 49152 that a block has}}
func.func private @large_0(%first: index, %end: index) attributes {treadle.kernel} {
  %scratch = memref.alloca() : memref<16384xf32>
  return
}

// -----

func.func private @wide_0(%x: memref<64xf32>, %first: index, %end: index) attributes {treadle.kernel} {
  %c0 = arith.constant 0 : index
  // expected-error @below {{works on vectors of more than 16 lanes, for which a tile has no threads}}
  %a = vector.load %x[%c0] : memref<64xf32>, vector<32xf32>
  return
}

// -----

func.func private @odd_0(%x: memref<64xf32>, %first: index, %end: index) attributes {treadle.kernel} {
  %a = arith.constant dense<1.0> : vector<16xf32>
  // expected-error @below {{has no form for one lane}}
  %s = vector.reduction <add>, %a : vector<16xf32> into f32
  return
}

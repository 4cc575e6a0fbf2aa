// RUN: treadle-opt %s --convert-stages-to-vector --verify-diagnostics

func.func @head(%x: tensor<4x32xf32>) -> tensor<4x32xf32> attributes {treadle.entry = #treadle.entry<head, rows = 4>, treadle.arena_bytes = 0 : i64} {
  // expected-error @below {{expects tile sizes; run the target's tile assignment first}}
  %y = treadle.stage [<rows = 4>, <outputs = 32>] (%a = %x : tensor<4x32xf32> <0, 1>) -> (tensor<4x32xf32> <0, 1>) attributes {offsets = array<i64: -1>} {
    treadle.yield %a : tensor<4x32xf32>
  }
  return %y : tensor<4x32xf32>
}

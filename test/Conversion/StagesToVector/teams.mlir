// RUN: treadle-opt %s --pass-pipeline='builtin.module(convert-treadle-to-stages,treadle-fuse-prologues,func.func(treadle-plan-arena),treadle-gpu-assign-tiles,convert-stages-to-vector{slices=8})' | FileCheck %s
// RUN: treadle-opt %s --pass-pipeline='builtin.module(convert-treadle-to-stages,treadle-fuse-prologues,func.func(treadle-plan-arena),treadle-gpu-assign-tiles,convert-stages-to-vector)' | FileCheck %s --check-prefix=CHAIN

// CHAIN-NOT: treadle.sliced

treadle.weight @table : !treadle.weight<97x1024xf32, panels> from ["t"]
treadle.weight @small : !treadle.weight<97x1008xf32, panels> from ["s"]
treadle.weight @few : !treadle.weight<97x128xf32, panels> from ["f"]
treadle.weight @taps : !treadle.weight<64x4xf32, plain> from ["c"]
treadle.state @ring : !treadle.state<ring, 3x64xf32>
treadle.state @mask : !treadle.state<append, 32xi8>

// A long row has work for a block, whatever computes it; a shorter one has not.

// CHECK-LABEL: func.func private @embedding_0
// CHECK-SAME: treadle.sliced
// CHECK-LABEL: func.func private @embedding_1
// CHECK-NOT: treadle.sliced
// CHECK: return
func.func @rows(%ids: tensor<2xi32>) -> (tensor<2x1008xf32>) attributes {treadle.entry = #treadle.entry<head, rows = 2>} {
  %t = treadle.get_weight @table : !treadle.weight<97x1024xf32, panels>
  %s = treadle.get_weight @small : !treadle.weight<97x1008xf32, panels>
  %x = treadle.embedding %ids, %t : (tensor<2xi32>, !treadle.weight<97x1024xf32, panels>) -> tensor<2x1024xf32>
  %y = treadle.embedding %ids, %s : (tensor<2xi32>, !treadle.weight<97x1008xf32, panels>) -> tensor<2x1008xf32>
  %z = treadle.slice %x {groups = 1 : i64, offset = 0 : i64, size = 1008 : i64} : (tensor<2x1024xf32>) -> tensor<2x1008xf32>
  %u = arith.addf %y, %z : tensor<2x1008xf32>
  return %u : tensor<2x1008xf32>
}

// So has a prologue, which each tile of 16 columns runs as a whole; what has none and few columns has not.

// CHECK-LABEL: func.func private @causal_conv_0
// CHECK-SAME: treadle.sliced
// CHECK-LABEL: func.func private @causal_conv_1
// CHECK-NOT: treadle.sliced
// CHECK: return
func.func @columns(%ids: tensor<1xi32>, %flags: tensor<1xi8>, %position: index, %valid: index, %loops: index) -> tensor<1x64xf32> attributes {treadle.entry = #treadle.entry<forward, rows = 1>} {
  %w = treadle.get_weight @taps : !treadle.weight<64x4xf32, plain>
  %r = treadle.get_state @ring : !treadle.state<ring, 3x64xf32>
  %m = treadle.get_state @mask : !treadle.state<append, 32xi8>
  %t = treadle.get_weight @few : !treadle.weight<97x128xf32, panels>
  %x = treadle.embedding %ids, %t : (tensor<1xi32>, !treadle.weight<97x128xf32, panels>) -> tensor<1x128xf32>
  %s = treadle.slice %x {groups = 1 : i64, offset = 64 : i64, size = 64 : i64} : (tensor<1x128xf32>) -> tensor<1x64xf32>
  %y = treadle.causal_conv %s, %w, %r, %m at %position valid %valid {activation = #treadle.activation<silu>} : (tensor<1x64xf32>, !treadle.weight<64x4xf32, plain>, !treadle.state<ring, 3x64xf32>, !treadle.state<append, 32xi8>, index, index) -> tensor<1x64xf32>
  %z = treadle.causal_conv %y, %w, %r, %m at %position valid %valid {activation = #treadle.activation<silu>} : (tensor<1x64xf32>, !treadle.weight<64x4xf32, plain>, !treadle.state<ring, 3x64xf32>, !treadle.state<append, 32xi8>, index, index) -> tensor<1x64xf32>
  return %z : tensor<1x64xf32>
}

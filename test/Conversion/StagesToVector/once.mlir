// RUN: treadle-opt %s --pass-pipeline='builtin.module(convert-treadle-to-stages,treadle-fuse-epilogues,func.func(treadle-plan-arena),treadle-cpu-assign-tiles,convert-stages-to-vector)' | FileCheck %s

treadle.weight @w : !treadle.weight<32x32xf32, panels> from ["w"]
treadle.weight @alpha : !treadle.weight<f32, plain> from ["alpha"]

// A factor that no row changes is computed in front of all loops.
// CHECK-LABEL: func.func private @linear_0
// CHECK: memref.load %{{.*}}[] : memref<f32>
// CHECK: math.exp
// CHECK: scf.for
// CHECK-NOT: math.exp
// CHECK: return
func.func @head(%x: tensor<16x32xf32>) -> tensor<16x32xf32> attributes {treadle.entry = #treadle.entry<head, rows = 16>} {
  %w = treadle.get_weight @w : !treadle.weight<32x32xf32, panels>
  %alpha = treadle.get_weight @alpha : !treadle.weight<f32, plain>
  %h = treadle.linear %x, %w : (tensor<16x32xf32>, !treadle.weight<32x32xf32, panels>) -> tensor<16x32xf32>
  %y = treadle.gpas %h, %alpha : (tensor<16x32xf32>, !treadle.weight<f32, plain>) -> tensor<16x32xf32>
  return %y : tensor<16x32xf32>
}

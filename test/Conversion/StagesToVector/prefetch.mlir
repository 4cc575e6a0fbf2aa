// RUN: treadle-opt %s --pass-pipeline='builtin.module(convert-treadle-to-stages,treadle-fuse-epilogues,func.func(treadle-plan-arena),treadle-cpu-assign-tiles,convert-stages-to-vector)' | FileCheck %s

// Many rows pass by a block of weights and ask for the next one meanwhile; a single row reads weights in order, which
// the processor foresees, and a matrix of few words ends before it could ask for anything.

treadle.weight @wide : !treadle.weight<512x512xf32, panels> from ["a"]
treadle.weight @narrow : !treadle.weight<32x4xf32, panels> from ["b"]

func.func @head(%x: tensor<1x512xf32>) -> tensor<1x512xf32> attributes {treadle.entry = #treadle.entry<head, rows = 1>} {
  %w = treadle.get_weight @wide : !treadle.weight<512x512xf32, panels>
  %y = treadle.linear %x, %w : (tensor<1x512xf32>, !treadle.weight<512x512xf32, panels>) -> tensor<1x512xf32>
  return %y : tensor<1x512xf32>
}

func.func @head_16(%x: tensor<16x512xf32>) -> tensor<16x512xf32> attributes {treadle.entry = #treadle.entry<head, rows = 16>} {
  %w = treadle.get_weight @wide : !treadle.weight<512x512xf32, panels>
  %y = treadle.linear %x, %w : (tensor<16x512xf32>, !treadle.weight<512x512xf32, panels>) -> tensor<16x512xf32>
  return %y : tensor<16x512xf32>
}

func.func @head_32(%x: tensor<32x4xf32>) -> tensor<32x32xf32> attributes {treadle.entry = #treadle.entry<head, rows = 32>} {
  %w = treadle.get_weight @narrow : !treadle.weight<32x4xf32, panels>
  %y = treadle.linear %x, %w : (tensor<32x4xf32>, !treadle.weight<32x4xf32, panels>) -> tensor<32x32xf32>
  return %y : tensor<32x32xf32>
}

// CHECK-LABEL: func.func private @linear_0(%{{.*}}: memref<1x512xf32>
// CHECK-NOT: memref.prefetch
// CHECK-LABEL: func.func private @linear_1(
// CHECK-SAME: %{{.*}}: memref<?x512xf32>, %[[WEIGHT:.*]]: memref<32x512x16xf32>
// CHECK: %[[LINES:.*]] = memref.collapse_shape %[[WEIGHT]] {{\[}}[0], [1, 2]] : memref<32x512x16xf32> into memref<32x8192xf32>
// CHECK: memref.prefetch %[[LINES]][%{{.*}}, %{{.*}}], read, locality<2>, data : memref<32x8192xf32>
// CHECK-LABEL: func.func private @linear_2(
// CHECK-NOT: memref.prefetch

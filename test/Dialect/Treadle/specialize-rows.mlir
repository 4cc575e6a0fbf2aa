// RUN: treadle-opt %s --treadle-specialize-rows=rows=1,16 --split-input-file | FileCheck %s
// RUN: not treadle-opt %s --treadle-specialize-rows=rows=0 --split-input-file 2>&1 | FileCheck %s --check-prefix=ERROR

// ERROR: error: expects positive row counts, got 0

// CHECK-LABEL: func.func @forward_1
// CHECK-SAME: tensor<1xi32>
// CHECK-SAME: -> tensor<1x8xf32>
// CHECK-SAME: #treadle.entry<forward, rows = 1>
// CHECK: treadle.loop
// CHECK-SAME: tensor<1x8xf32>
// CHECK-LABEL: func.func @forward_16
// CHECK-SAME: #treadle.entry<forward, rows = 16>
// CHECK: treadle.yield %{{.*}} : tensor<16x8xf32>
// CHECK-NOT: tensor<?
treadle.weight @table : !treadle.weight<32x8xf32, panels> from ["t"]
func.func @forward(%ids: tensor<?xi32>, %mask: tensor<?xi8>, %position: index, %valid: index, %loops: index) -> tensor<?x8xf32>
    attributes {treadle.entry = #treadle.entry<forward, rows = 0>} {
  %w = treadle.get_weight @table : !treadle.weight<32x8xf32, panels>
  %x = treadle.embedding %ids, %w : (tensor<?xi32>, !treadle.weight<32x8xf32, panels>) -> tensor<?x8xf32>
  %y = treadle.loop %i to %loops max 2 carry (%h = %x) : tensor<?x8xf32> {
    treadle.yield %h : tensor<?x8xf32>
  }
  return %y : tensor<?x8xf32>
}

// -----

// A function that is no entry point stays open.
// CHECK-LABEL: func.func @helper(
// CHECK-SAME: tensor<?x8xf32>
func.func @helper(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  return %x : tensor<?x8xf32>
}

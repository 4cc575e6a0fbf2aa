// RUN: treadle-opt %s --pass-pipeline='builtin.module(convert-treadle-to-stages,treadle-fuse-epilogues,func.func(treadle-plan-arena),treadle-cpu-assign-tiles,convert-stages-to-vector)' | FileCheck %s

treadle.weight @w : !treadle.weight<32x32xf32, panels> slots [3] from ["a", "b", "c"]
treadle.state @s : !treadle.state<append, 64x32xbf16> slots [3]

// The nine arguments of an entry point, and one kernel for the equal stages of all layers.
// CHECK-LABEL: func.func @head
// CHECK-SAME: (%[[ARENA:.*]]: memref<{{.*}}xi8>, %[[STATES:.*]]: memref<12288xi8>, %[[WEIGHTS:.*]]: memref<12288xi8>, %{{.*}}: memref<4x32xf32>, %{{.*}}: memref<1xi8>, %{{.*}}: memref<4x32xf32>, %{{.*}}: index, %{{.*}}: index, %{{.*}}: index)
func.func @head(%x: tensor<4x32xf32>) -> tensor<4x32xf32> attributes {treadle.entry = #treadle.entry<head, rows = 4>} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %first = treadle.get_weight @w[%c0] : !treadle.weight<32x32xf32, panels>
  %y = treadle.linear %x, %first : (tensor<4x32xf32>, !treadle.weight<32x32xf32, panels>) -> tensor<4x32xf32>
  // CHECK: call @[[KERNEL:linear_0]]
  // CHECK: scf.for %[[LAYER:.*]] =
  // CHECK: arith.constant 4096 : index
  // CHECK: memref.view %[[WEIGHTS]]
  // CHECK-SAME: memref<2x32x16xf32>
  // CHECK: call @[[KERNEL]]
  // CHECK: memref.view %[[STATES]]
  // CHECK-SAME: memref<64x32xi16>
  // CHECK: call @append_0
  %z = treadle.loop %layer max 3 carry (%h = %y) : tensor<4x32xf32> {
    %w = treadle.get_weight @w[%layer] : !treadle.weight<32x32xf32, panels>
    %s = treadle.get_state @s[%layer] : !treadle.state<append, 64x32xbf16>
    %p = treadle.linear %h, %w : (tensor<4x32xf32>, !treadle.weight<32x32xf32, panels>) -> tensor<4x32xf32>
    treadle.append %p, %s at %c0 valid %c1 : tensor<4x32xf32>, !treadle.state<append, 64x32xbf16>
    treadle.yield %p : tensor<4x32xf32>
  }
  return %z : tensor<4x32xf32>
}

// 4 rows x 1 panel of accumulators, one chain of fma per row.
// CHECK: func.func private @linear_0(
// CHECK-SAME: attributes {passthrough = ["noinline"], treadle.kernel}
// CHECK: scf.for {{.*}} iter_args({{.*}}) -> (vector<16xf32>, vector<16xf32>, vector<16xf32>, vector<16xf32>)
// CHECK: vector.load {{.*}} memref<2x32x16xf32>, vector<16xf32>
// CHECK-COUNT-4: vector.fma
// CHECK-NOT: func.func private @linear_1
// CHECK: func.func private @append_0(

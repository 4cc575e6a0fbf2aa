// RUN: treadle-opt %s --pass-pipeline='builtin.module(convert-treadle-to-stages,treadle-fuse-epilogues,func.func(treadle-plan-arena),treadle-cpu-assign-tiles,convert-stages-to-vector)' | FileCheck %s

treadle.weight @w : !treadle.weight<32x32xf32, panels> slots [3] from ["a", "b", "c"]
treadle.state @s : !treadle.state<append, 64x32xbf16> slots [3]
treadle.state @turned : !treadle.state<fixed, 4x32xf32> slots [3]

// Equal tables of numbers are one.
// CHECK: memref.global "private" constant @table_0 : memref<3xf32> = dense<[1.000000e+00, 5.000000e-01, 2.500000e-01]>
// CHECK-NOT: memref.global

// The nine arguments of an entry point, and one kernel for the equal stages of all layers.
// CHECK-LABEL: func.func @head
// CHECK-SAME: (%[[ARENA:.*]]: memref<{{.*}}xi8>, %[[STATES:.*]]: memref<13824xi8>, %[[WEIGHTS:.*]]: memref<12288xi8>, %{{.*}}: memref<4x32xf32>, %{{.*}}: memref<1xi8>, %{{.*}}: memref<4x32xf32>, %{{.*}}: index, %{{.*}}: index, %{{.*}}: index)
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

// What an entry point of a turn has no use for are single bytes.
// CHECK: func.func @close
// CHECK-SAME: (%{{.*}}: memref<{{.*}}xi8>, %{{.*}}: memref<{{.*}}xi8>, %{{.*}}: memref<12288xi8>, %{{.*}}: memref<1xi8>, %{{.*}}: memref<1xi8>, %{{.*}}: memref<1xi8>, %[[POSITION:.*]]: index, %{{.*}}: index, %{{.*}}: index)
func.func @close(%position: index, %valid: index, %loops: index) attributes {treadle.entry = #treadle.entry<close, rows = 4>} {
  // CHECK: call @rotary_table_0(%[[POSITION]]
  %angles = treadle.rotary_table at %position {turns = array<i64: 1>} : (index) -> tensor<4x2x1xf32>
  // CHECK: scf.for %[[LAYER:.*]] =
  // CHECK: %[[TABLE:.*]] = memref.get_global @table_0
  // CHECK: memref.load %[[TABLE]][%[[LAYER]]]
  // CHECK: memref.get_global @table_0
  treadle.loop %layer max 3 {
    %s = treadle.get_state @turned[%layer] : !treadle.state<fixed, 4x32xf32>
    %x = treadle.read_state %s : (!treadle.state<fixed, 4x32xf32>) -> tensor<4x32xf32>
    %y = treadle.rope %x, %angles {heads = 1 : i64, pairing = #treadle.rope_pairing<half>} : (tensor<4x32xf32>, tensor<4x2x1xf32>) -> tensor<4x32xf32>
    %f = treadle.pick [%layer] of dense<[1.0, 0.5, 0.25]> : tensor<3xf32>
    %z = treadle.scale %y by %f : tensor<4x32xf32>
    %g = treadle.pick [%layer] of dense<[1.0, 0.5, 0.25]> : tensor<3xf32>
    %w = treadle.scale %z by %g : tensor<4x32xf32>
    treadle.write_state %w, %s : tensor<4x32xf32>, !treadle.state<fixed, 4x32xf32>
  }
  // CHECK: return
  return
}

// Many rows are counted at run time: one kernel for all their numbers, given with the sizes of its memory.
// CHECK-LABEL: func.func @head_16
// CHECK: %[[X:.*]] = memref.cast %{{.*}} : memref<16x32xf32> to memref<?x32xf32>
// CHECK: call @linear_1(%[[X]]
func.func @head_16(%x: tensor<16x32xf32>) -> tensor<16x32xf32> attributes {treadle.entry = #treadle.entry<head, rows = 16>} {
  %c0 = arith.constant 0 : index
  %w = treadle.get_weight @w[%c0] : !treadle.weight<32x32xf32, panels>
  %y = treadle.linear %x, %w : (tensor<16x32xf32>, !treadle.weight<32x32xf32, panels>) -> tensor<16x32xf32>
  return %y : tensor<16x32xf32>
}

// CHECK-LABEL: func.func @head_256
// CHECK: %[[TILES:.*]] = arith.constant 2 : index
// CHECK: call @linear_1(%{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %[[TILES]])
func.func @head_256(%x: tensor<256x32xf32>) -> tensor<256x32xf32> attributes {treadle.entry = #treadle.entry<head, rows = 256>} {
  %c0 = arith.constant 0 : index
  %w = treadle.get_weight @w[%c0] : !treadle.weight<32x32xf32, panels>
  %y = treadle.linear %x, %w : (tensor<256x32xf32>, !treadle.weight<32x32xf32, panels>) -> tensor<256x32xf32>
  return %y : tensor<256x32xf32>
}

// A constant says its rows: so does the kernel.
// CHECK-LABEL: func.func @head_48
// CHECK-NOT: memref.cast
// CHECK: call @linear_2
func.func @head_48(%x: tensor<48x32xf32>) -> tensor<48x32xf32> attributes {treadle.entry = #treadle.entry<head, rows = 48>} {
  %c0 = arith.constant 0 : index
  %w = treadle.get_weight @w[%c0] : !treadle.weight<32x32xf32, panels>
  %y = treadle.linear %x, %w : (tensor<48x32xf32>, !treadle.weight<32x32xf32, panels>) -> tensor<48x32xf32>
  %half = arith.constant dense<0.5> : tensor<48x32xf32>
  %z = arith.mulf %y, %half : tensor<48x32xf32>
  return %z : tensor<48x32xf32>
}

// 4 rows x 1 panel of accumulators, one chain of fma per row.
// CHECK: func.func private @linear_0(
// CHECK-SAME: attributes {passthrough = ["noinline"], treadle.kernel}
// CHECK: scf.for {{.*}} iter_args({{.*}}) -> (vector<16xf32>, vector<16xf32>, vector<16xf32>, vector<16xf32>)
// CHECK: vector.load {{.*}} memref<2x32x16xf32>, vector<16xf32>
// CHECK-COUNT-4: vector.fma
// CHECK: func.func private @append_0(
// CHECK: func.func private @linear_1(%{{.*}}: memref<?x32xf32>, %{{.*}}: memref<2x32x16xf32>, %{{.*}}: memref<?x32xf32>, %{{.*}}: index, %{{.*}}: index)
// CHECK-SAME: attributes {passthrough = ["noinline"], treadle.kernel}
// CHECK: memref.dim
// CHECK: func.func private @linear_2(%{{.*}}: memref<48x32xf32>
// CHECK-NOT: func.func private @linear_3

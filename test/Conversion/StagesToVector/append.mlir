// RUN: treadle-opt %s --pass-pipeline='builtin.module(convert-treadle-to-stages,func.func(treadle-plan-arena),treadle-cpu-assign-tiles,convert-stages-to-vector)' | FileCheck %s

treadle.weight @w : !treadle.weight<37x40xf32, panels> from ["w"]
treadle.state @k : !treadle.state<append, 70x40xbf16, panels>
treadle.state @v : !treadle.state<append, 70x40xbf16>

func.func @rows(%ids: tensor<16xi32>, %mask: tensor<16xi8>, %position: index, %valid: index, %loops: index) -> tensor<16x40xf32> attributes {treadle.entry = #treadle.entry<forward, rows = 16>} {
  %w = treadle.get_weight @w[] : !treadle.weight<37x40xf32, panels>
  %x = treadle.embedding %ids, %w : (tensor<16xi32>, !treadle.weight<37x40xf32, panels>) -> tensor<16x40xf32>
  %k = treadle.get_state @k[] : !treadle.state<append, 70x40xbf16, panels>
  %v = treadle.get_state @v[] : !treadle.state<append, 70x40xbf16>
  treadle.append %x, %k at %position valid %valid : tensor<16x40xf32>, !treadle.state<append, 70x40xbf16, panels>
  treadle.append %x, %v at %position valid %valid : tensor<16x40xf32>, !treadle.state<append, 70x40xbf16>
  return %x : tensor<16x40xf32>
}

// Rows turn into lanes: 16 columns of 16 rows, of the last 16 those that are there. Two bf16 make a word.
// CHECK-LABEL: func.func private @append_0
// CHECK-SAME: memref<?x40xf32>, %{{.*}}: memref<5x20x16xi32>
// CHECK: scf.for
// CHECK: scf.for
// CHECK: scf.for
// CHECK-COUNT-16: vector.maskedload {{.*}} : memref<?x40xf32>
// CHECK: %[[THERE:.*]] = arith.cmpi slt
// CHECK: %[[LANES:.*]] = vector.broadcast %[[THERE]]
// CHECK: %[[MASK:.*]] = arith.andi %{{.*}}, %[[LANES]]
// CHECK: %[[WORD:.*]] = arith.ori
// CHECK: vector.maskedstore %{{.*}}, %[[MASK]], %[[WORD]] : memref<5x20x16xi32>
// CHECK-COUNT-7: vector.maskedstore {{.*}} : memref<5x20x16xi32>
// CHECK-NOT: vector.maskedstore
// CHECK: return

// CHECK-LABEL: func.func private @append_1
// CHECK-SAME: memref<?x40xf32>, %{{.*}}: memref<70x40xi16>
// CHECK-NOT: vector.shuffle
// CHECK: return

// RUN: treadle-opt %s --convert-stages-to-vector | FileCheck %s

// A tile of some columns of an elementwise stage touches no others.

// CHECK: func.func private @elementwise_0(%{{.*}}: memref<4x40xf32>, %{{.*}}: memref<4x40xf32>, %{{.*}}: index, %{{.*}}: index)
// CHECK: arith.minsi
// CHECK: %[[END:.*]] = arith.minsi
// CHECK: scf.for
// CHECK: scf.for %[[COLUMN:.*]] = %{{.*}} to %[[END]] step
// CHECK: %[[LEFT:.*]] = arith.subi %[[END]], %[[COLUMN]]
// CHECK: %[[MASK:.*]] = vector.create_mask %[[LEFT]]
// CHECK: vector.maskedload %{{.*}}[%{{.*}}, %[[COLUMN]]], %[[MASK]]
// CHECK: vector.maskedstore %{{.*}}[%{{.*}}, %[[COLUMN]]], %[[MASK]]
func.func @head(%x: tensor<4x40xf32>) -> tensor<4x40xf32> attributes {treadle.arena_bytes = 0 : i64, treadle.entry = #treadle.entry<head, rows = 4>} {
  %y = treadle.stage [<rows = 4>, <outputs = 40>] (%a = %x : tensor<4x40xf32> <0, 1>) -> (tensor<4x40xf32> <0, 1>) attributes {tile = #treadle.tile<3, 16>, offsets = array<i64: -1>} {
    %0 = treadle.activate %a {activation = #treadle.activation<relu>} : tensor<4x40xf32>
    treadle.yield %0 : tensor<4x40xf32>
  }
  return %y : tensor<4x40xf32>
}

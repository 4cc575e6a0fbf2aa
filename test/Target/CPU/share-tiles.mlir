// RUN: treadle-opt %s --treadle-share-tiles | FileCheck %s

// Each member of the team runs its share of the tiles.
// CHECK-LABEL: func.func @entry
// CHECK-SAME: (%[[X:[^:]*]]: memref<64xf32>, %[[MEMBER:[^:]*]]: index, %[[MEMBERS:[^:]*]]: index, %[[TEAM:[^:]*]]: memref<1xi8>)
func.func @entry(%x: memref<64xf32>) attributes {treadle.entry = #treadle.entry<head, rows = 1>} {
  %c0 = arith.constant 0 : index
  %c8 = arith.constant 8 : index
  // CHECK: %[[TILES:.*]] = arith.subi %c8, %c0
  // CHECK: %[[ONE:.*]] = arith.constant 1 : index
  // CHECK: %[[NEXT:.*]] = arith.addi %[[MEMBER]], %[[ONE]]
  // CHECK: %[[BEFORE:.*]] = arith.muli %[[TILES]], %[[MEMBER]]
  // CHECK: %[[SKIP:.*]] = arith.divui %[[BEFORE]], %[[MEMBERS]]
  // CHECK: %[[FIRST:.*]] = arith.addi %c0, %[[SKIP]]
  // CHECK: %[[BEHIND:.*]] = arith.muli %[[TILES]], %[[NEXT]]
  // CHECK: %[[STOP:.*]] = arith.divui %[[BEHIND]], %[[MEMBERS]]
  // CHECK: %[[END:.*]] = arith.addi %c0, %[[STOP]]
  // CHECK: call @kernel(%[[X]], %[[FIRST]], %[[END]])
  call @kernel(%x, %c0, %c8) : (memref<64xf32>, index, index) -> ()
  // CHECK: call @treadle_barrier(%[[TEAM]])
  treadle.barrier
  return
}

// CHECK-LABEL: func.func private @kernel
// CHECK-SAME: (%{{[^:]*}}: memref<64xf32>, %{{[^:]*}}: index, %{{[^:]*}}: index)
func.func private @kernel(%x: memref<64xf32>, %first: index, %end: index) attributes {treadle.kernel} {
  return
}

// CHECK: func.func private @treadle_barrier(memref<1xi8>)

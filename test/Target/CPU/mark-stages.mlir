// RUN: treadle-opt %s --treadle-share-tiles --treadle-mark-stages | FileCheck %s

// Each stage has the number of its place in the entry point, however often a loop runs it. One that waits
// first says so too.
// CHECK-LABEL: func.func @entry
// CHECK-SAME: %{{[^:]*}}: index, %{{[^:]*}}: index, %[[TEAM:[^:]*]]: memref<1xi8>, %[[PROFILE:[^:]*]]: memref<1xi8>)
func.func @entry(%x: memref<64xf32>) attributes {treadle.entry = #treadle.entry<head, rows = 1>} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c8 = arith.constant 8 : index
  // CHECK: %[[FIRST:.*]] = arith.constant 0 : i32
  // CHECK: call @treadle_mark(%[[PROFILE]], %[[FIRST]])
  // CHECK-NEXT: call @a(
  call @a(%x, %c0, %c8) : (memref<64xf32>, index, index) -> ()
  // CHECK: scf.for
  scf.for %i = %c0 to %c8 step %c1 {
    // CHECK: %[[SECOND:.*]] = arith.constant 1 : i32
    // CHECK-NEXT: call @treadle_meet(%[[TEAM]], %[[PROFILE]], %[[SECOND]])
    // CHECK-NOT: treadle_
    // CHECK: call @b(
    treadle.barrier
    func.call @b(%x, %c0, %c8) : (memref<64xf32>, index, index) -> ()
  }
  // CHECK: %[[THIRD:.*]] = arith.constant 2 : i32
  // CHECK: call @treadle_mark(%[[PROFILE]], %[[THIRD]])
  // CHECK-NEXT: call @a(
  call @a(%x, %c0, %c8) : (memref<64xf32>, index, index) -> ()
  // What waits for no stage is left alone.
  // CHECK: call @treadle_barrier(%[[TEAM]])
  // CHECK-NEXT: return
  treadle.barrier
  return
}

// Kernels are not marked.
// CHECK-LABEL: func.func private @a
// CHECK-NOT: treadle_mark
// CHECK: return
func.func private @a(%x: memref<64xf32>, %first: index, %end: index) attributes {treadle.kernel} {
  return
}
func.func private @b(%x: memref<64xf32>, %first: index, %end: index) attributes {treadle.kernel} {
  return
}

// CHECK: func.func private @treadle_mark(memref<1xi8>, i32)
// CHECK: func.func private @treadle_meet(memref<1xi8>, memref<1xi8>, i32)

// RUN: treadle-opt %s --verify-roundtrip | FileCheck %s

// CHECK-LABEL: func.func @barrier
// CHECK: %[[PHASE:.*]] = treadle.grid_arrive %{{.*}} of %{{.*}} : memref<1xi32>
// CHECK: treadle.grid_wait %{{.*}} for %[[PHASE]] : memref<1xi32>
func.func @barrier(%counter: memref<1xi32>, %blocks: index) {
  %phase = treadle.grid_arrive %counter of %blocks : memref<1xi32>
  treadle.grid_wait %counter for %phase : memref<1xi32>
  return
}

// RUN: treadle-opt %s --treadle-lower-launches | FileCheck %s

// A launch is a call of the runtime; its arguments are words in one place per call of the entry point.

// CHECK-LABEL: func.func @forward_1
// CHECK-SAME: (%[[X:.*]]: memref<64xf32>, %[[F:.*]]: f32, %[[B:.*]]: i1, %[[N:.*]]: index, %[[LAUNCHER:.*]]: memref<1xi8>)
// CHECK-SAME: treadle.schedule = #treadle.entry<forward, rows = 1>
// CHECK: %[[WORDS:.*]] = memref.alloca() : memref<4xi64>
// CHECK: scf.for
// CHECK: memref.extract_aligned_pointer_as_index %[[X]]
// CHECK: %[[ADDRESS:.*]] = arith.index_cast %{{.*}} : index to i64
// CHECK: memref.store %[[ADDRESS]], %[[WORDS]][%c0
// CHECK: arith.bitcast %[[F]] : f32 to i32
// CHECK: %[[BITS:.*]] = arith.extui %{{.*}} : i32 to i64
// CHECK: memref.store %[[BITS]], %[[WORDS]][%c1
// CHECK: %[[FLAG:.*]] = arith.extui %[[B]] : i1 to i64
// CHECK: memref.store %[[FLAG]], %[[WORDS]][%c2
// CHECK: memref.store %{{.*}}, %[[WORDS]][%c3
// The second kernel, with four arguments.
// CHECK-DAG: %[[NUMBER:.*]] = arith.constant 1 : index
// CHECK-DAG: %[[COUNT:.*]] = arith.constant 4 : index
// CHECK: call @treadle_launch(%[[LAUNCHER]], %[[NUMBER]], %[[N]], %{{.*}}, %[[WORDS]], %[[COUNT]])
// CHECK: func.func private @treadle_launch(memref<1xi8>, index, index, index, memref<4xi64>, index)
// CHECK-NOT: gpu.
module attributes {gpu.container_module} {
  func.func @forward_1(%x: memref<64xf32>, %f: f32, %b: i1, %n: index) attributes {treadle.entry = #treadle.entry<forward, rows = 1>} {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c128 = arith.constant 128 : index
    scf.for %i = %c0 to %n step %c1 {
      gpu.launch_func @kernels::@second blocks in (%n, %c1, %c1) threads in (%c128, %c1, %c1) args(%x : memref<64xf32>, %f : f32, %b : i1, %i : index)
    }
    return
  }
  gpu.module @kernels {
    gpu.func @first() kernel {
      gpu.return
    }
    gpu.func @second(%x: memref<64xf32>, %f: f32, %b: i1, %n: index) kernel {
      gpu.return
    }
  }
}

// RUN: treadle-opt %s --treadle-kernels-to-llvm=cpu=x86-64-v3 | FileCheck %s
// RUN: treadle-opt %s --treadle-kernels-to-llvm=cpu=znver4 | FileCheck %s
// RUN: treadle-opt %s --treadle-kernels-to-llvm="cpu=neoverse-v1 triple=aarch64-linux-gnu" | FileCheck %s

// The symbols of the model stay: the program's image is made from them.
// CHECK: treadle.weight @embedding
treadle.weight @embedding : !treadle.weight<16x4xf32, plain> from ["embedding"]

// A memref is a bare pointer, a view an offset.
// CHECK-LABEL: llvm.func @entry
// CHECK-SAME: (%{{[^:]*}}: !llvm.ptr, %[[X:[^:]*]]: !llvm.ptr, %{{[^:]*}}: i64)
func.func @entry(%weights: memref<256xi8>, %x: memref<4xf32>, %position: index) {
  // CHECK: llvm.getelementptr
  // CHECK: llvm.call @kernel(%{{.*}}, %[[X]]) : (!llvm.ptr, !llvm.ptr) -> ()
  %c64 = arith.constant 64 : index
  %view = memref.view %weights[%c64][] : memref<256xi8> to memref<4x4xf32>
  call @kernel(%view, %x) : (memref<4x4xf32>, memref<4xf32>) -> ()
  return
}

// A loop that carries an accumulator stays in registers, and fuses because it says so.
// CHECK-LABEL: llvm.func @kernel
func.func private @kernel(%w: memref<4x4xf32>, %x: memref<4xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  %zero = arith.constant dense<0.0> : vector<4xf32>
  // CHECK: llvm.br
  // CHECK: llvm.intr.fmuladd
  // CHECK-NOT: fastmath
  %sum = scf.for %i = %c0 to %c4 step %c1 iter_args(%acc = %zero) -> vector<4xf32> {
    %a = vector.load %w[%i, %c0] : memref<4x4xf32>, vector<4xf32>
    %b = memref.load %x[%i] : memref<4xf32>
    %s = vector.broadcast %b : f32 to vector<4xf32>
    %next = vector.fma %a, %s, %acc : vector<4xf32>
    scf.yield %next : vector<4xf32>
  }
  // CHECK-NOT: llvm.intr.exp
  // CHECK: llvm.return
  %y = math.exp %sum : vector<4xf32>
  vector.store %y, %x[%c0] : memref<4xf32>, vector<4xf32>
  return
}

// Memory whose rows are counted at run time comes with its sizes.
// CHECK-LABEL: llvm.func @count
// CHECK-SAME: (%{{[^:]*}}: !llvm.ptr, %{{[^:]*}}: !llvm.ptr, %{{[^:]*}}: i64, %[[ROWS:[^:]*]]: i64, %{{[^:]*}}: i64, %{{[^:]*}}: i64, %{{[^:]*}}: i64)
// CHECK: llvm.return %[[ROWS]]
func.func private @count(%x: memref<?x4xf32>) -> index {
  %c0 = arith.constant 0 : index
  %rows = memref.dim %x, %c0 : memref<?x4xf32>
  return %rows : index
}

// Rounding to bf16 is integer arithmetic on every CPU.
// CHECK-LABEL: llvm.func @round
// CHECK-NOT: llvm.fptrunc
// CHECK: llvm.lshr
// CHECK: llvm.return
func.func private @round(%x: vector<16xf32>) -> vector<16xbf16> {
  %y = arith.truncf %x : vector<16xf32> to vector<16xbf16>
  return %y : vector<16xbf16>
}

// A reduction keeps its order.
// CHECK-LABEL: llvm.func @reduce
// CHECK: "llvm.intr.vector.reduce.fadd"{{.*}}fastmath<none>
func.func private @reduce(%x: vector<16xf32>) -> f32 {
  %y = vector.reduction <add>, %x : vector<16xf32> into f32
  return %y : f32
}

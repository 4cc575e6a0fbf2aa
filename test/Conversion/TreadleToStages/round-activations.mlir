// RUN: treadle-opt %s --convert-treadle-to-stages --treadle-fuse-epilogues --treadle-round-activations | FileCheck %s
// RUN: treadle-opt %s --pass-pipeline='builtin.module(convert-treadle-to-stages,treadle-fuse-epilogues,treadle-round-activations,func.func(treadle-plan-arena),treadle-cpu-assign-tiles,convert-stages-to-vector{bf16-dot=true register-panels=4})' | FileCheck %s --check-prefix=DOT
// RUN: treadle-opt %s --pass-pipeline='builtin.module(convert-treadle-to-stages,treadle-fuse-epilogues,treadle-round-activations,func.func(treadle-plan-arena),treadle-cpu-assign-tiles,convert-stages-to-vector)' | FileCheck %s --check-prefix=PLAIN

treadle.weight @e : !treadle.weight<37x32xf32, panels> from ["e"]
treadle.weight @n : !treadle.weight<32xf32, plain> from ["n"]
treadle.weight @w : !treadle.weight<48x32xbf16, panels> from ["w"]

// Both matrices take what the norm makes, rounded once. Where there is an instruction for pairs, it takes them from
// there; elsewhere they become f32 first.
// CHECK-LABEL: func.func @fires
// CHECK: treadle.embedding
// CHECK: %[[N:.*]] = treadle.stage {{.*}} -> (tensor<16x32xbf16> <0, all>)
// CHECK: %[[Y:.*]] = treadle.rms_norm
// CHECK-NEXT: %[[R:.*]] = arith.truncf %[[Y]] : tensor<16x32xf32> to tensor<16x32xbf16>
// CHECK-NEXT: treadle.yield %[[R]]
// CHECK: treadle.stage {{.*}} = %[[N]] : tensor<16x32xbf16>
// CHECK: treadle.linear {{.*}} : (tensor<16x32xbf16>
// CHECK: treadle.linear {{.*}} : (tensor<16x32xbf16>
// DOT-LABEL: func.func private @rms_norm_0
// DOT: x86vector.avx512.cvt.packed.f32_to_bf16
// DOT: vector.store %{{.*}} : memref<?x32xi16>, vector<16xi16>
// DOT-LABEL: func.func private @linear_0
// DOT-SAME: memref<?x32xi16>
// DOT-NOT: x86vector.avx512.cvt.packed.f32_to_bf16
// DOT: vector.load %{{.*}} : memref<?x32xi16>, vector<2xi16>
// DOT: x86vector.avx512.dot
// DOT: return
// PLAIN-LABEL: func.func private @linear_0
// PLAIN-SAME: memref<?x32xi16>
// PLAIN: vector.load %{{.*}} : memref<?x32xi16>, vector<16xi16>
// PLAIN: arith.extui
// PLAIN: vector.fma
// PLAIN: return
func.func @fires(%ids: tensor<16xi32>, %mask: tensor<16xi8>, %position: index, %valid: index, %loops: index) -> tensor<16x48xf32> attributes {treadle.entry = #treadle.entry<forward, rows = 16>} {
  %e = treadle.get_weight @e[] : !treadle.weight<37x32xf32, panels>
  %n = treadle.get_weight @n[] : !treadle.weight<32xf32, plain>
  %w = treadle.get_weight @w[] : !treadle.weight<48x32xbf16, panels>
  %x = treadle.embedding %ids, %e : (tensor<16xi32>, !treadle.weight<37x32xf32, panels>) -> tensor<16x32xf32>
  %y = treadle.rms_norm %x, %n {eps = 1.0e-6 : f32} : (tensor<16x32xf32>, !treadle.weight<32xf32, plain>) -> tensor<16x32xf32>
  %p = treadle.linear %y, %w : (tensor<16x32xf32>, !treadle.weight<48x32xbf16, panels>) -> tensor<16x48xf32>
  %q = treadle.linear %y, %w : (tensor<16x32xf32>, !treadle.weight<48x32xbf16, panels>) -> tensor<16x48xf32>
  %z = arith.addf %p, %q : tensor<16x48xf32>
  return %z : tensor<16x48xf32>
}

// The matrix is f32.
// CHECK-LABEL: func.func @exact
// CHECK-NOT: arith.truncf
// CHECK: return
func.func @exact(%x: tensor<16x32xf32>, %n: !treadle.weight<32xf32, plain>, %w: !treadle.weight<48x32xf32, panels>) -> tensor<16x48xf32> {
  %y = treadle.rms_norm %x, %n {eps = 1.0e-6 : f32} : (tensor<16x32xf32>, !treadle.weight<32xf32, plain>) -> tensor<16x32xf32>
  %p = treadle.linear %y, %w : (tensor<16x32xf32>, !treadle.weight<48x32xf32, panels>) -> tensor<16x48xf32>
  return %p : tensor<16x48xf32>
}

// Something else takes the activation: as it is, or elementwise behind the matrix.
// CHECK-LABEL: func.func @other_use
// CHECK-NOT: arith.truncf
// CHECK: return
func.func @other_use(%x: tensor<16x32xf32>, %n: !treadle.weight<32xf32, plain>, %w: !treadle.weight<32x32xbf16, panels>) -> tensor<16x32xf32> {
  %y = treadle.rms_norm %x, %n {eps = 1.0e-6 : f32} : (tensor<16x32xf32>, !treadle.weight<32xf32, plain>) -> tensor<16x32xf32>
  %p = treadle.linear %y, %w : (tensor<16x32xf32>, !treadle.weight<32x32xbf16, panels>) -> tensor<16x32xf32>
  %z = arith.addf %p, %y : tensor<16x32xf32>
  return %z : tensor<16x32xf32>
}

// The result of the function.
// CHECK-LABEL: func.func @returned
// CHECK-NOT: arith.truncf
// CHECK: return
func.func @returned(%x: tensor<16x32xf32>, %n: !treadle.weight<32xf32, plain>, %w: !treadle.weight<48x32xbf16, panels>) -> (tensor<16x32xf32>, tensor<16x48xf32>) {
  %y = treadle.rms_norm %x, %n {eps = 1.0e-6 : f32} : (tensor<16x32xf32>, !treadle.weight<32xf32, plain>) -> tensor<16x32xf32>
  %p = treadle.linear %y, %w : (tensor<16x32xf32>, !treadle.weight<48x32xbf16, panels>) -> tensor<16x48xf32>
  return %y, %p : tensor<16x32xf32>, tensor<16x48xf32>
}

// Half a pair at the end of each row.
// CHECK-LABEL: func.func @odd
// CHECK-NOT: arith.truncf
// CHECK: return
func.func @odd(%x: tensor<16x31xf32>, %n: !treadle.weight<31xf32, plain>, %w: !treadle.weight<48x31xbf16, panels>) -> tensor<16x48xf32> {
  %y = treadle.rms_norm %x, %n {eps = 1.0e-6 : f32} : (tensor<16x31xf32>, !treadle.weight<31xf32, plain>) -> tensor<16x31xf32>
  %p = treadle.linear %y, %w : (tensor<16x31xf32>, !treadle.weight<48x31xbf16, panels>) -> tensor<16x48xf32>
  return %p : tensor<16x48xf32>
}

// A single row.
// CHECK-LABEL: func.func @one_row
// CHECK-NOT: arith.truncf
// CHECK: return
func.func @one_row(%x: tensor<1x32xf32>, %n: !treadle.weight<32xf32, plain>, %w: !treadle.weight<48x32xbf16, panels>) -> tensor<1x48xf32> {
  %y = treadle.rms_norm %x, %n {eps = 1.0e-6 : f32} : (tensor<1x32xf32>, !treadle.weight<32xf32, plain>) -> tensor<1x32xf32>
  %p = treadle.linear %y, %w : (tensor<1x32xf32>, !treadle.weight<48x32xbf16, panels>) -> tensor<1x48xf32>
  return %p : tensor<1x48xf32>
}

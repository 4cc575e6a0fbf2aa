// RUN: treadle-opt %s --pass-pipeline='builtin.module(convert-treadle-to-stages,func.func(treadle-plan-arena),treadle-cpu-assign-tiles,convert-stages-to-vector{register-rows=6 register-panels=4 single-row-panels=8})' | FileCheck %s
// RUN: treadle-opt %s --pass-pipeline='builtin.module(convert-treadle-to-stages,func.func(treadle-plan-arena),treadle-cpu-assign-tiles,convert-stages-to-vector{masked-keys=true single-row-panels=1})' | FileCheck %s --check-prefix=MASKED

// MASKED-LABEL: func.func private @attention_0
// MASKED-NOT: vector.load {{.*}} : memref<4x64x16xf32>
// MASKED: vector.maskedload {{.*}} : memref<4x64x16xf32>, vector<16xi1>
// MASKED-NOT: vector.load {{.*}} : memref<4x64x16xf32>
// MASKED: return

treadle.weight @w : !treadle.weight<37x128xf32, panels> from ["w"]
treadle.state @k : !treadle.state<append, 64x64xf32, panels>
treadle.state @v : !treadle.state<append, 64x64xf32>
treadle.state @m : !treadle.state<append, 64xi8>

// Two rows of two heads share four blocks of 16 keys, of which the bounds are not looked at where all rows reach them;
// and the two vectors of a value, in two chains each. Values are copied first, for many register blocks; masked ones
// are left out then.
// CHECK-LABEL: func.func private @attention_0
// CHECK-SAME: memref<?x128xf32>
// CHECK-NOT: memref.prefetch
// CHECK: scf.for {{.*}} -> ({{(vector<16xf32>(, )?){16}[)]}} {
// CHECK-COUNT-4: vector.load {{.*}} : memref<4x64x16xf32>, vector<16xf32>
// CHECK-NOT: vector.load
// CHECK-COUNT-16: vector.fma
// CHECK: scf.yield
// CHECK: scf.if
// CHECK-NOT: arith.andi
// CHECK: } else {
// CHECK: arith.andi
// CHECK: vector.load {{.*}} : memref<64x64xf32>, vector<16xf32>
// CHECK: arith.select
// CHECK: vector.store {{.*}} : memref<512x32xf32>, vector<16xf32>
// CHECK: scf.for {{.*}} -> ({{(vector<16xf32>(, )?){16}[)]}} {
// CHECK-COUNT-2: vector.load {{.*}} : memref<512x32xf32>, vector<16xf32>
// CHECK-NOT: vector.load
// CHECK-COUNT-8: vector.fma
// CHECK-COUNT-2: vector.load {{.*}} : memref<512x32xf32>, vector<16xf32>
// CHECK-NOT: vector.load
// CHECK-COUNT-8: vector.fma
// CHECK: scf.yield
// Behind the keys that all rows reach, each row takes its own.
// CHECK: scf.for {{.*}} -> ({{(vector<16xf32>(, )?){16}[)]}} {
// CHECK: arith.cmpi slt
// CHECK: vector.fma
// CHECK: arith.select
// CHECK: scf.yield
func.func @rows(%ids: tensor<32xi32>, %mask: tensor<32xi8>, %position: index, %valid: index, %loops: index) -> tensor<32x128xf32> attributes {treadle.entry = #treadle.entry<forward, rows = 32>} {
  %w = treadle.get_weight @w[] : !treadle.weight<37x128xf32, panels>
  %q = treadle.embedding %ids, %w : (tensor<32xi32>, !treadle.weight<37x128xf32, panels>) -> tensor<32x128xf32>
  %k = treadle.get_state @k[] : !treadle.state<append, 64x64xf32, panels>
  %v = treadle.get_state @v[] : !treadle.state<append, 64x64xf32>
  %m = treadle.get_state @m[] : !treadle.state<append, 64xi8>
  %y = treadle.attention %q, %k, %v, %m at %position valid %valid {heads = 4 : i64, kv_heads = 2 : i64, scale = 0.5 : f32}
    : (tensor<32x128xf32>, !treadle.state<append, 64x64xf32, panels>, !treadle.state<append, 64x64xf32>, !treadle.state<append, 64xi8>, index, index) -> tensor<32x128xf32>
  return %y : tensor<32x128xf32>
}

// A single row asks early for what it is about to read, and reads values where they lie: 16 keys at once, a look at the
// mask for all of them.
// CHECK-LABEL: func.func private @attention_1
// CHECK-SAME: memref<1x128xf32>
// CHECK-NOT: memref<512x32xf32>
// CHECK: memref.prefetch
// CHECK: scf.if {{.*}} -> ({{(vector<16xf32>(, )?){8}[)]}} {
// CHECK-NOT: arith.cmpi
// CHECK-COUNT-32: vector.load {{.*}} : memref<64x64xf32>, vector<16xf32>
// CHECK-NOT: arith.cmpi
// CHECK: } else {
// CHECK: scf.for
// CHECK: arith.cmpi
// CHECK: arith.select
// CHECK: return
func.func @row(%ids: tensor<1xi32>, %mask: tensor<1xi8>, %position: index, %valid: index, %loops: index) -> tensor<1x128xf32> attributes {treadle.entry = #treadle.entry<forward, rows = 1>} {
  %w = treadle.get_weight @w[] : !treadle.weight<37x128xf32, panels>
  %q = treadle.embedding %ids, %w : (tensor<1xi32>, !treadle.weight<37x128xf32, panels>) -> tensor<1x128xf32>
  %k = treadle.get_state @k[] : !treadle.state<append, 64x64xf32, panels>
  %v = treadle.get_state @v[] : !treadle.state<append, 64x64xf32>
  %m = treadle.get_state @m[] : !treadle.state<append, 64xi8>
  %y = treadle.attention %q, %k, %v, %m at %position valid %valid {heads = 4 : i64, kv_heads = 2 : i64, scale = 0.5 : f32}
    : (tensor<1x128xf32>, !treadle.state<append, 64x64xf32, panels>, !treadle.state<append, 64x64xf32>, !treadle.state<append, 64xi8>, index, index) -> tensor<1x128xf32>
  return %y : tensor<1x128xf32>
}

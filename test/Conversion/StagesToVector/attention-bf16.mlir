// RUN: treadle-opt %s --pass-pipeline='builtin.module(convert-treadle-to-stages,func.func(treadle-plan-arena),treadle-cpu-assign-tiles,convert-stages-to-vector{register-rows=6 register-panels=4 single-row-panels=8 bf16-dot})' | FileCheck %s --check-prefixes=CHECK,DOT
// RUN: treadle-opt %s --pass-pipeline='builtin.module(convert-treadle-to-stages,func.func(treadle-plan-arena),treadle-cpu-assign-tiles,convert-stages-to-vector{register-rows=6 register-panels=4 single-row-panels=8})' | FileCheck %s --check-prefixes=CHECK,FMA

treadle.weight @w : !treadle.weight<37x128xf32, panels> from ["w"]
treadle.state @k : !treadle.state<append, 64x64xbf16, panels>
treadle.state @v : !treadle.state<append, 64x64xbf16>
treadle.state @m : !treadle.state<append, 64xi8>

// Queries are rounded once for all keys.
// CHECK-LABEL: func.func private @attention_0
// DOT: x86vector.avx512.cvt.packed.f32_to_bf16
// DOT: vector.store {{.*}} : memref<32x2x32xi16>, vector<16xi16>
// FMA: vector.store {{.*}} : memref<32x2x32xf32>, vector<16xf32>

// Two columns of 16 keys are a line of the cache.
// CHECK: scf.for {{.*}} -> ({{(vector<16xf32>(, )?){16}[)]}} {
// DOT-COUNT-4: vector.load {{.*}} : memref<4x32x16xi32>, vector<16xi32>
// DOT-COUNT-16: x86vector.avx512.dot
// FMA-COUNT-4: vector.load {{.*}} : memref<4x32x16xi32>, vector<16xi32>
// FMA-COUNT-32: vector.fma
// CHECK: scf.yield

// Exponentials are rounded, then summed.
// CHECK: math.exp
// DOT: x86vector.avx512.cvt.packed.f32_to_bf16
// CHECK: vector.store {{.*}} : memref<32x2x512x[[STORED:i16|f32]]>
// CHECK: arith.addf

// Two keys of 16 columns become a line.
// CHECK-COUNT-2: vector.load {{.*}} : memref<64x64xi16>, vector<16xi16>
// CHECK: arith.ori
// CHECK: vector.store {{.*}} : memref<256x32xi32>, vector<16xi32>

// CHECK: scf.for {{.*}} -> ({{(vector<16xf32>(, )?){16}[)]}} {
// CHECK-COUNT-2: vector.load {{.*}} : memref<256x32xi32>, vector<16xi32>
// DOT-COUNT-16: x86vector.avx512.dot
// FMA-COUNT-32: vector.fma
// CHECK: scf.yield
func.func @rows(%ids: tensor<32xi32>, %mask: tensor<32xi8>, %position: index, %valid: index, %loops: index) -> tensor<32x128xf32> attributes {treadle.entry = #treadle.entry<forward, rows = 32>} {
  %w = treadle.get_weight @w[] : !treadle.weight<37x128xf32, panels>
  %q = treadle.embedding %ids, %w : (tensor<32xi32>, !treadle.weight<37x128xf32, panels>) -> tensor<32x128xf32>
  %k = treadle.get_state @k[] : !treadle.state<append, 64x64xbf16, panels>
  %v = treadle.get_state @v[] : !treadle.state<append, 64x64xbf16>
  %m = treadle.get_state @m[] : !treadle.state<append, 64xi8>
  %y = treadle.attention %q, %k, %v, %m at %position valid %valid {heads = 4 : i64, kv_heads = 2 : i64, scale = 0.5 : f32}
    : (tensor<32x128xf32>, !treadle.state<append, 64x64xbf16, panels>, !treadle.state<append, 64x64xbf16>, !treadle.state<append, 64xi8>, index, index) -> tensor<32x128xf32>
  return %y : tensor<32x128xf32>
}

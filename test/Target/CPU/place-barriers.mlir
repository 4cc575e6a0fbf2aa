// RUN: treadle-opt %s --pass-pipeline='builtin.module(convert-treadle-to-stages,treadle-fuse-epilogues,func.func(treadle-plan-arena),treadle-cpu-assign-tiles,func.func(treadle-cpu-place-barriers))' | FileCheck %s

treadle.weight @q : !treadle.weight<256x256xf32, panels> from ["q"]
treadle.weight @k : !treadle.weight<256x256xf32, panels> from ["k"]
treadle.weight @norm : !treadle.weight<256xf32, plain> from ["norm"]
treadle.state @keys : !treadle.state<append, 64x256xf32>
treadle.state @panels : !treadle.state<append, 64x64xf32, panels>
treadle.state @values : !treadle.state<append, 64x64xf32>
treadle.state @mask : !treadle.state<append, 64xi8>

// Two products of one input do not wait for each other, but their reader does. What a call costs
// stands on the entry point.
// CHECK-LABEL: func.func @head
// CHECK-SAME: treadle.barriers = 1 : i64
// CHECK-SAME: treadle.serial = {{[0-9]+}} : i64, treadle.work = {{[0-9]+}} : i64
func.func @head(%x: tensor<1x256xf32>) -> tensor<1x256xf32> attributes {treadle.entry = #treadle.entry<head, rows = 1>} {
  %q = treadle.get_weight @q : !treadle.weight<256x256xf32, panels>
  %k = treadle.get_weight @k : !treadle.weight<256x256xf32, panels>
  // CHECK-NOT: treadle.barrier
  // CHECK: treadle.linear
  // CHECK-NOT: treadle.barrier
  // CHECK: treadle.linear
  // CHECK: treadle.barrier
  // CHECK: treadle.linear
  // CHECK-NOT: treadle.barrier
  // CHECK: return
  %a = treadle.linear %x, %q : (tensor<1x256xf32>, !treadle.weight<256x256xf32, panels>) -> tensor<1x256xf32>
  %b = treadle.linear %x, %k : (tensor<1x256xf32>, !treadle.weight<256x256xf32, panels>) -> tensor<1x256xf32>
  %c = arith.addf %a, %b : tensor<1x256xf32>
  %d = treadle.linear %c, %q : (tensor<1x256xf32>, !treadle.weight<256x256xf32, panels>) -> tensor<1x256xf32>
  return %d : tensor<1x256xf32>
}

// Row by row, a stage reads what the same thread wrote.
// Each position that a call sees costs its 513 bytes at 30 a nanosecond.
// CHECK-LABEL: func.func @seen
// CHECK-SAME: treadle.key_work = 17{{[0-9][0-9][0-9]}} : i64
func.func @seen(%q: tensor<1x256xf32>, %position: index, %valid: index) -> tensor<1x256xf32> attributes {treadle.entry = #treadle.entry<forward, rows = 1>} {
  %k = treadle.get_state @panels : !treadle.state<append, 64x64xf32, panels>
  %v = treadle.get_state @values : !treadle.state<append, 64x64xf32>
  %m = treadle.get_state @mask : !treadle.state<append, 64xi8>
  %y = treadle.attention %q, %k, %v, %m at %position valid %valid {heads = 4 : i64, kv_heads = 1 : i64, scale = 0.125 : f32} : (tensor<1x256xf32>, !treadle.state<append, 64x64xf32, panels>, !treadle.state<append, 64x64xf32>, !treadle.state<append, 64xi8>, index, index) -> tensor<1x256xf32>
  return %y : tensor<1x256xf32>
}

// CHECK-LABEL: func.func @rows
// CHECK-SAME: treadle.barriers = 0 : i64
func.func @rows(%x: tensor<16x256xf32>) -> tensor<16x256xf32> attributes {treadle.entry = #treadle.entry<head, rows = 16>} {
  %n = treadle.get_weight @norm : !treadle.weight<256xf32, plain>
  // CHECK-NOT: treadle.barrier
  // CHECK: return
  %a = treadle.rms_norm %x, %n {eps = 1.0e-5 : f32} : (tensor<16x256xf32>, !treadle.weight<256xf32, plain>) -> tensor<16x256xf32>
  %b = treadle.rms_norm %a, %n {eps = 1.0e-5 : f32} : (tensor<16x256xf32>, !treadle.weight<256xf32, plain>) -> tensor<16x256xf32>
  return %b : tensor<16x256xf32>
}

// Rows of tiles of another size belong to other threads.
// CHECK-LABEL: func.func @cut
// CHECK: treadle.rms_norm
// CHECK: treadle.barrier
// CHECK: treadle.linear
func.func @cut(%x: tensor<16x256xf32>) -> tensor<16x256xf32> attributes {treadle.entry = #treadle.entry<head, rows = 16>} {
  %n = treadle.get_weight @norm : !treadle.weight<256xf32, plain>
  %q = treadle.get_weight @q : !treadle.weight<256x256xf32, panels>
  %a = treadle.rms_norm %x, %n {eps = 1.0e-5 : f32} : (tensor<16x256xf32>, !treadle.weight<256xf32, plain>) -> tensor<16x256xf32>
  %b = treadle.linear %a, %q : (tensor<16x256xf32>, !treadle.weight<256x256xf32, panels>) -> tensor<16x256xf32>
  return %b : tensor<16x256xf32>
}

// What one iteration of a loop leaves meets the next one. In each of four the product waits, and the
// copy of what is carried; then what reads it.
// CHECK-LABEL: func.func @loop
// CHECK-SAME: treadle.barriers = 9 : i64
func.func @loop(%x: tensor<1x256xf32>) -> tensor<1x256xf32> attributes {treadle.entry = #treadle.entry<head, rows = 1>} {
  %q = treadle.get_weight @q : !treadle.weight<256x256xf32, panels>
  %first = treadle.linear %x, %q : (tensor<1x256xf32>, !treadle.weight<256x256xf32, panels>) -> tensor<1x256xf32>
  // CHECK: treadle.loop
  // CHECK: treadle.barrier
  // CHECK-NEXT: treadle.stage
  // CHECK: treadle.linear
  // CHECK: treadle.barrier
  // CHECK: treadle.linear
  // CHECK: return
  %y = treadle.loop %i max 4 carry (%h = %first) : tensor<1x256xf32> {
    %a = treadle.linear %h, %q : (tensor<1x256xf32>, !treadle.weight<256x256xf32, panels>) -> tensor<1x256xf32>
    treadle.yield %a : tensor<1x256xf32>
  }
  %z = treadle.linear %y, %q : (tensor<1x256xf32>, !treadle.weight<256x256xf32, panels>) -> tensor<1x256xf32>
  return %z : tensor<1x256xf32>
}

// Rows of a state are read by whoever attends.
// CHECK-LABEL: func.func @states
// CHECK: treadle.append
// CHECK: treadle.barrier
// CHECK: treadle.read_rows
func.func @states(%x: tensor<16x256xf32>, %position: index, %valid: index) -> tensor<16x256xf32> attributes {treadle.entry = #treadle.entry<head, rows = 16>} {
  %k = treadle.get_state @keys : !treadle.state<append, 64x256xf32>
  treadle.append %x, %k at %position valid %valid : tensor<16x256xf32>, !treadle.state<append, 64x256xf32>
  %y = treadle.read_rows %k at %position valid %valid {lag = 0 : i64} : (!treadle.state<append, 64x256xf32>, index, index) -> tensor<16x256xf32>
  return %y : tensor<16x256xf32>
}

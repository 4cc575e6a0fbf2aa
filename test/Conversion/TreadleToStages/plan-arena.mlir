// RUN: treadle-opt %s --pass-pipeline='builtin.module(convert-treadle-to-stages,func.func(treadle-plan-arena))' | FileCheck %s

// 4 x 16 floats are 256 bytes. The result goes to the output.
// CHECK-LABEL: func.func @straight
// CHECK-SAME: treadle.arena_bytes = 512
func.func @straight(%x: tensor<4x16xf32>) -> tensor<4x16xf32> attributes {treadle.entry = #treadle.entry<head, rows = 4>} {
  // CHECK: offsets = array<i64: 0>
  %a = arith.negf %x : tensor<4x16xf32>
  // CHECK: offsets = array<i64: 256>
  %b = arith.negf %a : tensor<4x16xf32>
  // %a is dead: its place is free again.
  // CHECK: offsets = array<i64: 0>
  %c = arith.negf %b : tensor<4x16xf32>
  // CHECK: offsets = array<i64: -1>
  %d = arith.negf %c : tensor<4x16xf32>
  return %d : tensor<4x16xf32>
}

// The init is dead after the loop began: it is carried where it lies, and so is the result.
// CHECK-LABEL: func.func @carried
func.func @carried(%x: tensor<4x16xf32>, %n: index) -> tensor<4x16xf32> attributes {treadle.entry = #treadle.entry<head, rows = 4>} {
  // CHECK: offsets = array<i64: -1>
  %init = arith.negf %x : tensor<4x16xf32>
  // CHECK: treadle.loop
  %y = treadle.loop %i to %n max 4 carry (%h = %init) : tensor<4x16xf32> {
    // The elementwise stage may overwrite what it reads.
    // CHECK: offsets = array<i64: -1>
    // CHECK-NOT: treadle.stage
    // CHECK: treadle.yield
    %next = arith.negf %h : tensor<4x16xf32>
    treadle.yield %next : tensor<4x16xf32>
  }
  return %y : tensor<4x16xf32>
}

// The init is read inside the loop: a copy is carried instead.
// CHECK-LABEL: func.func @init_still_needed
func.func @init_still_needed(%x: tensor<4x16xf32>, %n: index) -> tensor<4x16xf32> attributes {treadle.entry = #treadle.entry<head, rows = 4>} {
  // CHECK: %[[INIT:.*]] = treadle.stage {{.*}}offsets = array<i64: 0>
  %init = arith.negf %x : tensor<4x16xf32>
  // CHECK: %[[COPY:.*]] = treadle.stage {{.*}} %[[INIT]] {{.*}}offsets = array<i64: -1>
  // CHECK-NEXT: treadle.yield
  // CHECK: treadle.loop {{.*}} = %[[COPY]])
  %y = treadle.loop %i to %n max 4 carry (%h = %init) : tensor<4x16xf32> {
    %next = arith.addf %h, %init : tensor<4x16xf32>
    treadle.yield %next : tensor<4x16xf32>
  }
  return %y : tensor<4x16xf32>
}

// A matrix stage reads whole rows: it must not overwrite its input, so the next value is copied.
// CHECK-LABEL: func.func @not_in_place
func.func @not_in_place(%x: tensor<4x16xf32>, %n: index, %w: !treadle.weight<16x16xf32, panels>) -> tensor<4x16xf32> attributes {treadle.entry = #treadle.entry<head, rows = 4>} {
  %init = arith.negf %x : tensor<4x16xf32>
  // CHECK: treadle.loop
  %y = treadle.loop %i to %n max 4 carry (%h = %init) : tensor<4x16xf32> {
    // CHECK: %[[NEXT:.*]] = treadle.stage {{.*}}offsets = array<i64: 0>
    // CHECK: treadle.linear
    // CHECK: treadle.stage {{.*}} %[[NEXT]] {{.*}}offsets = array<i64: -1>
    %next = treadle.linear %h, %w : (tensor<4x16xf32>, !treadle.weight<16x16xf32, panels>) -> tensor<4x16xf32>
    treadle.yield %next : tensor<4x16xf32>
  }
  return %y : tensor<4x16xf32>
}

// An argument has a place of its own: it is copied to the output.
// CHECK-LABEL: func.func @argument
func.func @argument(%x: tensor<4x16xf32>) -> tensor<4x16xf32> attributes {treadle.entry = #treadle.entry<head, rows = 4>} {
  // CHECK: treadle.stage {{.*}}offsets = array<i64: -1>
  return %x : tensor<4x16xf32>
}

// The results of one stage have a place each.
// CHECK-LABEL: func.func @several_results
// CHECK-SAME: treadle.arena_bytes = 512
func.func @several_results(%x: tensor<4x16xf32>, %w: !treadle.weight<16x16xf32, panels>) -> tensor<4x16xf32> attributes {treadle.entry = #treadle.entry<head, rows = 4>} {
  // CHECK: offsets = array<i64: 0, 256>
  %p:2 = treadle.joint_linear (%x, %x), %w
    : (tensor<4x16xf32>, tensor<4x16xf32>, !treadle.weight<16x16xf32, panels>) -> (tensor<4x16xf32>, tensor<4x16xf32>)
  // CHECK: offsets = array<i64: -1>
  %y = arith.subf %p#0, %p#1 : tensor<4x16xf32>
  return %y : tensor<4x16xf32>
}

// An entry point without a result: everything lies in the arena.
// CHECK-LABEL: func.func @close
// CHECK-SAME: treadle.arena_bytes = 512
treadle.state @turned : !treadle.state<fixed, 4x16xf32>
func.func @close(%position: index, %valid: index, %loops: index) attributes {treadle.entry = #treadle.entry<close, rows = 4>} {
  %s = treadle.get_state @turned : !treadle.state<fixed, 4x16xf32>
  // CHECK: offsets = array<i64: 0>
  %x = treadle.read_state %s : (!treadle.state<fixed, 4x16xf32>) -> tensor<4x16xf32>
  // CHECK: offsets = array<i64: 256>
  %y = arith.negf %x : tensor<4x16xf32>
  treadle.write_state %y, %s : tensor<4x16xf32>, !treadle.state<fixed, 4x16xf32>
  return
}

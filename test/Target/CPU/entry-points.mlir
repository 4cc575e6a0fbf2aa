// What a module in the kernels phase must bring.

// RUN: rm -rf %t.so
// RUN: split-file %s %t
// RUN: not treadle-compile --from=kernels %t/no-model.mlir -o %t.so 2>&1 | FileCheck %s --check-prefix=MODEL
// MODEL: treadle-compile: error: expected a module with the attribute treadle.model
// RUN: not treadle-compile --from=kernels %t/no-head.mlir -o %t.so 2>&1 | FileCheck %s --check-prefix=HEAD
// HEAD: error: expected an entry point 'head' of one row
// RUN: not treadle-compile --from=kernels %t/no-arena.mlir -o %t.so 2>&1 | FileCheck %s --check-prefix=ARENA
// ARENA: error: @forward_1: expected a positive row count and treadle.arena_bytes
// RUN: not treadle-compile --from=kernels %t/arguments.mlir -o %t.so 2>&1 | FileCheck %s --check-prefix=ARGUMENTS
// ARGUMENTS: error: @forward_1: expected 6 memrefs and 3 indices, as docs/Architecture.md says
// RUN: not treadle-compile --from=kernels %t/state.mlir -o %t.so 2>&1 | FileCheck %s --check-prefix=STATE
// STATE: error: @s: expected at most 3 slot and 4 row dimensions
// RUN: not treadle-compile --from=kernels %t/capacity.mlir -o %t.so 2>&1 | FileCheck %s --check-prefix=CAPACITY
// CAPACITY: error: @k: expected 8 rows, the capacity of the model, got 16
// RUN: not treadle-compile --from=kernels %t/ids.mlir -o %t.so 2>&1 | FileCheck %s --check-prefix=IDS
// IDS: error: @ids: expected !treadle.state<append, 8xi32> without slots, of lead 0, since the runtime writes it
// RUN: not treadle-compile --from=kernels %t/call.mlir -o %t.so 2>&1 | FileCheck %s --check-prefix=CALL
// CALL: call.mlir:{{.*}}: 'llvm.call' op calls 'malloc', which no library provides
// RUN: not ls %t.so

//--- no-model.mlir
func.func @f() { return }

//--- no-head.mlir
module attributes {treadle.model = #treadle.model<family = "toy", vocabulary = 4, hidden = 4, capacity = 8,
    config_capacity = 8, max_loops = 1, config_loops = 1, eos = [], info = "{}">} {
  func.func @forward_1() attributes {treadle.entry = #treadle.entry<forward, rows = 1>, treadle.arena_bytes = 0 : i64} {
    return
  }
}

//--- no-arena.mlir
module attributes {treadle.model = #treadle.model<family = "toy", vocabulary = 4, hidden = 4, capacity = 8,
    config_capacity = 8, max_loops = 1, config_loops = 1, eos = [], info = "{}">} {
  func.func @forward_1() attributes {treadle.entry = #treadle.entry<forward, rows = 1>} {
    return
  }
}

//--- arguments.mlir
module attributes {treadle.model = #treadle.model<family = "toy", vocabulary = 4, hidden = 4, capacity = 8,
    config_capacity = 8, max_loops = 1, config_loops = 1, eos = [], info = "{}">} {
  func.func @forward_1() attributes {treadle.entry = #treadle.entry<forward, rows = 1>, treadle.arena_bytes = 0 : i64} {
    return
  }
  func.func @head_1() attributes {treadle.entry = #treadle.entry<head, rows = 1>, treadle.arena_bytes = 0 : i64} {
    return
  }
}

//--- state.mlir
module attributes {treadle.model = #treadle.model<family = "toy", vocabulary = 4, hidden = 4, capacity = 8,
    config_capacity = 8, max_loops = 1, config_loops = 1, eos = [], info = "{}">} {
  treadle.state @s : !treadle.state<append, 8xf32> slots [1, 1, 1, 1]
  func.func @forward_1() attributes {treadle.entry = #treadle.entry<forward, rows = 1>, treadle.arena_bytes = 0 : i64} {
    return
  }
  func.func @head_1() attributes {treadle.entry = #treadle.entry<head, rows = 1>, treadle.arena_bytes = 0 : i64} {
    return
  }
}

//--- capacity.mlir
module attributes {treadle.model = #treadle.model<family = "toy", vocabulary = 4, hidden = 4, capacity = 8,
    config_capacity = 8, max_loops = 1, config_loops = 1, eos = [], info = "{}">} {
  treadle.state @k : !treadle.state<append, 16xf32>
  func.func @forward_1(%arena: memref<64xi8>, %states: memref<64xi8>, %weights: memref<64xi8>, %ids: memref<1xi32>,
      %mask: memref<1xi8>, %output: memref<1x4xf32>, %position: index, %valid: index, %passes: index) attributes {treadle.entry = #treadle.entry<forward, rows = 1>, treadle.arena_bytes = 0 : i64} {
    return
  }
  func.func @head_1(%arena: memref<64xi8>, %states: memref<64xi8>, %weights: memref<64xi8>, %hidden: memref<1x4xf32>,
      %mask: memref<1xi8>, %output: memref<1x4xf32>, %position: index, %valid: index, %passes: index) attributes {treadle.entry = #treadle.entry<head, rows = 1>, treadle.arena_bytes = 0 : i64} {
    return
  }
}

//--- ids.mlir
module attributes {treadle.model = #treadle.model<family = "toy", vocabulary = 4, hidden = 4, capacity = 8,
    config_capacity = 8, max_loops = 1, config_loops = 1, eos = [], info = "{}">} {
  treadle.state @ids : !treadle.state<fixed, 1xf32>
  func.func @forward_1(%arena: memref<64xi8>, %states: memref<64xi8>, %weights: memref<64xi8>, %ids: memref<1xi32>,
      %mask: memref<1xi8>, %output: memref<1x4xf32>, %position: index, %valid: index, %passes: index) attributes {treadle.entry = #treadle.entry<forward, rows = 1>, treadle.arena_bytes = 0 : i64} {
    return
  }
  func.func @head_1(%arena: memref<64xi8>, %states: memref<64xi8>, %weights: memref<64xi8>, %hidden: memref<1x4xf32>,
      %mask: memref<1xi8>, %output: memref<1x4xf32>, %position: index, %valid: index, %passes: index) attributes {treadle.entry = #treadle.entry<head, rows = 1>, treadle.arena_bytes = 0 : i64} {
    return
  }
}

//--- call.mlir
module attributes {treadle.model = #treadle.model<family = "toy", vocabulary = 4, hidden = 4, capacity = 8,
    config_capacity = 8, max_loops = 1, config_loops = 1, eos = [], info = "{}">} {
  func.func @forward_1(%arena: memref<64xi8>, %states: memref<64xi8>, %weights: memref<64xi8>, %ids: memref<1xi32>,
      %mask: memref<1xi8>, %output: memref<1x4xf32>, %position: index, %valid: index, %passes: index) attributes {treadle.entry = #treadle.entry<forward, rows = 1>, treadle.arena_bytes = 0 : i64} {
    %memory = memref.alloc() : memref<4xf32>
    %c0 = arith.constant 0 : index
    %one = arith.constant 1.0 : f32
    memref.store %one, %memory[%c0] : memref<4xf32>
    %kept = memref.load %memory[%position] : memref<4xf32>
    memref.store %kept, %output[%c0, %c0] : memref<1x4xf32>
    return
  }
  func.func @head_1(%arena: memref<64xi8>, %states: memref<64xi8>, %weights: memref<64xi8>, %hidden: memref<1x4xf32>,
      %mask: memref<1xi8>, %output: memref<1x4xf32>, %position: index, %valid: index, %passes: index) attributes {treadle.entry = #treadle.entry<head, rows = 1>, treadle.arena_bytes = 0 : i64} {
    return
  }
}

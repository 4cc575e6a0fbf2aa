// What the library of a model with periods says of its entry points and states.

// RUN: split-file %s %t
// RUN: treadle-compile --from=kernels %t/good.mlir -o %t.so
// RUN: sed 's/treadle.entry<open, rows = 2>/treadle.entry<close, rows = 2>/' %t/good.mlir > %t/open.mlir
// RUN: not treadle-compile --from=kernels %t/open.mlir -o %t.none 2>&1 | FileCheck %s --check-prefix=OPEN
// OPEN: error: expected one entry point 'open' in a model with a period, got 0
// RUN: sed 's/period = 8/period = 0/; s/capacity = 0/capacity = 8/g' %t/good.mlir > %t/no-period.mlir
// RUN: not treadle-compile --from=kernels %t/no-period.mlir -o %t.none 2>&1 | FileCheck %s --check-prefix=NONE
// NONE: error: expected no entry point 'open' in a model without a period, got 1
// RUN: sed 's/13xf32> lead 2/13xf32> lead 1/' %t/good.mlir > %t/lead.mlir
// RUN: not treadle-compile --from=kernels %t/lead.mlir -o %t.none 2>&1 | FileCheck %s --check-prefix=LEAD
// LEAD: error: @keys: expected a lead of 0 or 2, the rows of 'open', got 1
// RUN: sed 's/13xf32> lead 2/12xf32> lead 2/' %t/good.mlir > %t/rows.mlir
// RUN: not treadle-compile --from=kernels %t/rows.mlir -o %t.none 2>&1 | FileCheck %s --check-prefix=ROWS
// ROWS: error: @keys: expected 10 rows (its lead and the period), or 13 with those of 'close', got 12
// RUN: sed 's/13xi8> lead 2/10xi8> lead 2/' %t/good.mlir > %t/mask.mlir
// RUN: not treadle-compile --from=kernels %t/mask.mlir -o %t.none 2>&1 | FileCheck %s --check-prefix=MASK
// MASK: error: @mask: expected !treadle.state<append, 13xi8> without slots, of lead 2, since the runtime writes it
// RUN: sed 's/append, 8xi32/append, 11xi32/' %t/good.mlir > %t/ids.mlir
// RUN: not treadle-compile --from=kernels %t/ids.mlir -o %t.none 2>&1 | FileCheck %s --check-prefix=IDS
// IDS: error: @ids: expected !treadle.state<append, 8xi32> without slots, of lead 0, since the runtime writes it
// RUN: sed 's/fixed, 3xi32> by_turn fill 5/ring, 3xi32>/' %t/good.mlir > %t/ring.mlir
// RUN: not treadle-compile --from=kernels %t/ring.mlir -o %t.none 2>&1 | FileCheck %s --check-prefix=RING
// RING: error: @history: expected no ring in a model with a period: its rows would begin anew at a turn
// RUN: not ls %t.none

//--- good.mlir
module attributes {treadle.model = #treadle.model<family = "toy", vocabulary = 4, hidden = 4, capacity = 0,
    config_capacity = 0, max_loops = 1, config_loops = 1, eos = [], info = "{}", period = 8>} {
  treadle.state @ids : !treadle.state<append, 8xi32>
  treadle.state @mask : !treadle.state<append, 13xi8> lead 2
  treadle.state @keys : !treadle.state<append, 13xf32> lead 2
  treadle.state @values : !treadle.state<append, 10xf32> lead 2
  treadle.state @counts : !treadle.state<append, 8xf32>
  treadle.state @history : !treadle.state<fixed, 3xi32> by_turn fill 5
  func.func @forward_entry(%arena: memref<64xi8>, %states: memref<256xi8>, %weights: memref<64xi8>, %input: memref<1xi32>,
      %mask: memref<1xi8>, %output: memref<1x4xf32>, %position: index, %valid: index, %passes: index)
      attributes {treadle.entry = #treadle.entry<forward, rows = 1>, treadle.arena_bytes = 0 : i64} {
    return
  }
  func.func @head_entry(%arena: memref<64xi8>, %states: memref<256xi8>, %weights: memref<64xi8>, %input: memref<1xi32>,
      %mask: memref<1xi8>, %output: memref<1x4xf32>, %position: index, %valid: index, %passes: index)
      attributes {treadle.entry = #treadle.entry<head, rows = 1>, treadle.arena_bytes = 0 : i64} {
    return
  }
  func.func @open_entry(%arena: memref<64xi8>, %states: memref<256xi8>, %weights: memref<64xi8>, %input: memref<1xi32>,
      %mask: memref<1xi8>, %output: memref<1x4xf32>, %position: index, %valid: index, %passes: index)
      attributes {treadle.entry = #treadle.entry<open, rows = 2>, treadle.arena_bytes = 0 : i64} {
    return
  }
  func.func @close_entry(%arena: memref<64xi8>, %states: memref<256xi8>, %weights: memref<64xi8>, %input: memref<1xi32>,
      %mask: memref<1xi8>, %output: memref<1x4xf32>, %position: index, %valid: index, %passes: index)
      attributes {treadle.entry = #treadle.entry<close, rows = 3>, treadle.arena_bytes = 0 : i64} {
    return
  }
}

// RUN: treadle-opt %s --split-input-file --convert-kernels-to-gpu --canonicalize | FileCheck %s

// A block runs a tile of a kernel in slices together. Slices go to its 64 quads, whose threads have four lanes each and
// 16 bytes of memory; so do the rows that follow, of memory whose rows are a multiple of 16. Barriers stand around both.

// CHECK-LABEL: func.func @entry
// CHECK-DAG: %[[THREADS:.*]] = arith.constant 256 : index
// CHECK-DAG: %[[TILES:.*]] = arith.constant 9 : index
// CHECK: gpu.launch_func @kernels::@product_0 blocks in (%[[TILES]], %{{.*}}) threads in (%[[THREADS]],
// CHECK: gpu.func @product_0(%[[X:.*]]: memref<2x64xf32>, %[[W:.*]]: memref<9x64x16xf32>, %[[Y:.*]]: memref<2x144xf32>, %{{.*}}: index)
// CHECK-SAME: workgroup(%[[ALL:.*]] : memref<1x64x2x16xf32, #gpu.address_space<workgroup>> {llvm.align = 64 : i64})
// CHECK-SAME: known_block_size = array<i32: 256, 1, 1>
// CHECK-DAG: %[[ZERO:.*]] = arith.constant dense<0.000000e+00> : vector<4xf32>
// CHECK-DAG: %[[THREAD:.*]] = gpu.thread_id x
// CHECK-DAG: %[[QUAD:.*]] = arith.divui %[[THREAD]], %c4
// CHECK-DAG: %[[QUARTER:.*]] = arith.remui %[[THREAD]], %c4
// CHECK: %[[FOUR:.*]] = arith.muli %[[QUARTER]], %c4
// CHECK: %[[TILE:.*]] = gpu.block_id x
// CHECK: %[[PARTIALS:.*]] = memref.subview %[[ALL]]
// CHECK: gpu.barrier
// CHECK: scf.for %[[SLICE:.*]] = %[[QUAD]] to %c64 step %c64 {
// CHECK: vector.load %[[W]][%{{.*}}, %[[SLICE]], %[[FOUR]]] {alignment = 16 : i64} : memref<9x64x16xf32>, vector<4xf32>
// CHECK: memref.load %[[X]][%c0, %[[SLICE]]]
// CHECK: vector.broadcast {{.*}} : f32 to vector<4xf32>
// CHECK: math.fma %{{.*}}, %{{.*}}, %[[ZERO]] : vector<4xf32>
// CHECK: vector.store %{{.*}}, %[[PARTIALS]][%[[SLICE]], %c0, %[[FOUR]]] {alignment = 16 : i64}
// CHECK: gpu.barrier
// CHECK: scf.for %[[ROW:.*]] = %[[QUAD]] to %c2 step %c64 {
// CHECK: scf.for {{.*}} iter_args({{.*}}) -> (vector<4xf32>)
// CHECK: vector.load %[[PARTIALS]][%{{.*}}, %[[ROW]], %[[FOUR]]]
// CHECK: vector.store %{{.*}}, %[[Y]][%[[ROW]], %{{.*}}] {alignment = 16 : i64}
// CHECK-NOT: gpu.barrier
// CHECK: gpu.return
func.func private @product_0(%x: memref<2x64xf32>, %w: memref<9x64x16xf32>, %y: memref<2x144xf32>, %first: index, %end: index) attributes {treadle.kernel, treadle.sliced} {
  %partials = memref.alloca() {alignment = 64 : i64} : memref<64x2x16xf32>
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %c16 = arith.constant 16 : index
  %c64 = arith.constant 64 : index
  scf.for %tile = %first to %end step %c1 {
    scf.for %slice = %c0 to %c64 step %c1 {
      %zero = arith.constant dense<0.0> : vector<16xf32>
      %weights = vector.load %w[%tile, %slice, %c0] : memref<9x64x16xf32>, vector<16xf32>
      %a = memref.load %x[%c0, %slice] : memref<2x64xf32>
      %as = vector.broadcast %a : f32 to vector<16xf32>
      %sum = vector.fma %as, %weights, %zero : vector<16xf32>
      vector.store %sum, %partials[%slice, %c0, %c0] : memref<64x2x16xf32>, vector<16xf32>
      %b = memref.load %x[%c1, %slice] : memref<2x64xf32>
      %bs = vector.broadcast %b : f32 to vector<16xf32>
      %other = vector.fma %bs, %weights, %zero : vector<16xf32>
      vector.store %other, %partials[%slice, %c1, %c0] : memref<64x2x16xf32>, vector<16xf32>
    }
    %column = arith.muli %tile, %c16 : index
    scf.for %row = %c0 to %c2 step %c1 {
      %zero = arith.constant dense<0.0> : vector<16xf32>
      %total = scf.for %slice = %c0 to %c64 step %c1 iter_args(%sum = %zero) -> (vector<16xf32>) {
        %partial = vector.load %partials[%slice, %row, %c0] : memref<64x2x16xf32>, vector<16xf32>
        %next = arith.addf %sum, %partial : vector<16xf32>
        scf.yield %next : vector<16xf32>
      }
      vector.store %total, %y[%row, %column] : memref<2x144xf32>, vector<16xf32>
    }
  }
  return
}
func.func @entry(%x: memref<2x64xf32>, %w: memref<9x64x16xf32>, %y: memref<2x144xf32>) attributes {treadle.entry = #treadle.entry<head, rows = 2>} {
  %c0 = arith.constant 0 : index
  %c9 = arith.constant 9 : index
  call @product_0(%x, %w, %y, %c0, %c9) : (memref<2x64xf32>, memref<9x64x16xf32>, memref<2x144xf32>, index, index) -> ()
  return
}

// -----

// Columns are dealt out to groups, 16 to each at a time, in the one iteration of the loop over rows. A sum over columns
// is everybody's: each group needs it.

// CHECK: gpu.func @norm_0
// CHECK: %[[GROUP:.*]] = arith.divui %{{.*}}, %c16
// CHECK: %[[SUM:.*]] = scf.for %[[COLUMN:.*]] = %c0 to %c512 step %c16 iter_args
// CHECK: %[[OWN:.*]] = arith.muli %[[GROUP]], %c16
// CHECK: scf.for %[[COLUMN:.*]] = %[[OWN]] to %c512 step %c256 {
// CHECK: memref.store
// CHECK-NOT: gpu.barrier
// CHECK: gpu.return
func.func private @norm_0(%x: memref<1x512xf32>, %y: memref<1x512xf32>, %first: index, %end: index) attributes {treadle.kernel, treadle.sliced} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c16 = arith.constant 16 : index
  %c512 = arith.constant 512 : index
  scf.for %row = %c0 to %c1 step %c1 {
    %zero = arith.constant dense<0.0> : vector<16xf32>
    %sum = scf.for %column = %c0 to %c512 step %c16 iter_args(%part = %zero) -> (vector<16xf32>) {
      %a = vector.load %x[%row, %column] : memref<1x512xf32>, vector<16xf32>
      %next = arith.addf %part, %a : vector<16xf32>
      scf.yield %next : vector<16xf32>
    }
    scf.for %column = %c0 to %c512 step %c16 {
      %a = vector.load %x[%row, %column] : memref<1x512xf32>, vector<16xf32>
      %b = arith.mulf %a, %sum : vector<16xf32>
      vector.store %b, %y[%row, %column] : memref<1x512xf32>, vector<16xf32>
    }
  }
  return
}

// -----

// Each iteration reads what the one before has written; or all write to one place; or their vectors overlap: the first
// group alone stores, and others wait for it where they read.

// CHECK: gpu.func @chains_0
// CHECK: %[[GROUP:.*]] = arith.divui %{{.*}}, %c16
// CHECK: scf.for %{{.*}} = %c1 to %c64 step %c1 {
// CHECK: gpu.barrier
// CHECK: %[[IS_FIRST:.*]] = arith.cmpi eq, %[[GROUP]], %c0
// CHECK: scf.if %[[IS_FIRST]]
// CHECK: memref.store
// CHECK: gpu.barrier
// CHECK: scf.for %{{.*}} = %c0 to %c64 step %c1 {
// CHECK: scf.if
// CHECK: memref.store
// CHECK: scf.for %{{.*}} = %c0 to %c64 step %c8 {
// CHECK: scf.if
// CHECK: memref.store
func.func private @chains_0(%x: memref<64x16xf32>, %y: memref<16xf32>, %z: memref<80xf32>, %first: index, %end: index) attributes {treadle.kernel, treadle.sliced} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c8 = arith.constant 8 : index
  %c64 = arith.constant 64 : index
  scf.for %i = %c1 to %c64 step %c1 {
    %before = arith.subi %i, %c1 : index
    %a = vector.load %x[%before, %c0] : memref<64x16xf32>, vector<16xf32>
    vector.store %a, %x[%i, %c0] : memref<64x16xf32>, vector<16xf32>
  }
  scf.for %i = %c0 to %c64 step %c1 {
    %a = vector.load %x[%i, %c0] : memref<64x16xf32>, vector<16xf32>
    vector.store %a, %y[%c0] : memref<16xf32>, vector<16xf32>
  }
  scf.for %i = %c0 to %c64 step %c8 {
    %a = vector.load %x[%i, %c0] : memref<64x16xf32>, vector<16xf32>
    vector.store %a, %z[%i] : memref<80xf32>, vector<16xf32>
  }
  return
}

// -----

// Where rows are no multiple of 16, or vectors start elsewhere, or a lane is read by others, iterations go to groups.

// CHECK: gpu.func @odd_0
// CHECK: %[[GROUP:.*]] = arith.divui %{{.*}}, %c16
// CHECK: scf.for %{{.*}} = %[[GROUP]] to %c64 step %c16 {
// CHECK: scf.for %{{.*}} = %[[GROUP]] to %c64 step %c16 {
// CHECK: scf.for %{{.*}} = %[[GROUP]] to %c64 step %c16 {
// CHECK: gpu.return
func.func private @odd_0(%x: memref<64x24xf32>, %y: memref<64x32xf32>, %z: memref<64x32xf32>, %u: memref<64x32xf32>, %first: index, %end: index) attributes {treadle.kernel, treadle.sliced} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c8 = arith.constant 8 : index
  %c64 = arith.constant 64 : index
  scf.for %i = %c0 to %c64 step %c1 {
    %a = vector.load %x[%i, %c0] : memref<64x24xf32>, vector<16xf32>
    vector.store %a, %u[%i, %c0] : memref<64x32xf32>, vector<16xf32>
  }
  scf.for %i = %c0 to %c64 step %c1 {
    %a = vector.load %y[%i, %c8] : memref<64x32xf32>, vector<16xf32>
    vector.store %a, %u[%i, %c0] : memref<64x32xf32>, vector<16xf32>
  }
  scf.for %i = %c0 to %c64 step %c1 {
    %a = vector.load %y[%i, %c0] : memref<64x32xf32>, vector<16xf32>
    vector.store %a, %z[%i, %c0] : memref<64x32xf32>, vector<16xf32>
    %b = memref.load %z[%i, %c1] : memref<64x32xf32>
    %c = vector.broadcast %b : f32 to vector<16xf32>
    vector.store %c, %u[%i, %c0] : memref<64x32xf32>, vector<16xf32>
  }
  return
}

// -----

// Heads of 32 columns, each of which a loop inside runs through: heads go to groups. The next loop runs into the head
// behind its own, and stays with all groups.

// CHECK: gpu.func @heads_0
// CHECK: %[[GROUP:.*]] = arith.divui %{{.*}}, %c16
// CHECK: %[[OWN:.*]] = arith.muli %[[GROUP]], %c32
// CHECK: scf.for %[[HEAD:.*]] = %[[OWN]] to %c96 step %c512 {
// CHECK: scf.for %{{.*}} = %c0 to %c32 step %c16 {
// CHECK: memref.store
// CHECK: scf.for %{{.*}} = %c0 to %c96 step %c32 {
// CHECK: scf.for %{{.*}} = %{{.*}} to %c48 step %c256 {
// CHECK: gpu.return
func.func private @heads_0(%x: memref<1x96xf32>, %y: memref<1x144xf32>, %first: index, %end: index) attributes {treadle.kernel, treadle.sliced} {
  %c0 = arith.constant 0 : index
  %c16 = arith.constant 16 : index
  %c32 = arith.constant 32 : index
  %c48 = arith.constant 48 : index
  %c96 = arith.constant 96 : index
  scf.for %head = %c0 to %c96 step %c32 {
    %scale = vector.load %x[%c0, %head] : memref<1x96xf32>, vector<16xf32>
    scf.for %column = %c0 to %c32 step %c16 {
      %place = arith.addi %head, %column : index
      %a = vector.load %x[%c0, %place] : memref<1x96xf32>, vector<16xf32>
      %b = arith.mulf %a, %scale : vector<16xf32>
      %c = vector.shuffle %b, %b [1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14] : vector<16xf32>, vector<16xf32>
      vector.store %c, %y[%c0, %place] : memref<1x144xf32>, vector<16xf32>
    }
  }
  scf.for %head = %c0 to %c96 step %c32 {
    scf.for %column = %c0 to %c48 step %c16 {
      %place = arith.addi %head, %column : index
      %a = vector.load %x[%c0, %head] : memref<1x96xf32>, vector<16xf32>
      %c = vector.shuffle %a, %a [1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14] : vector<16xf32>, vector<16xf32>
      vector.store %c, %y[%c0, %place] : memref<1x144xf32>, vector<16xf32>
    }
  }
  return
}

// -----

// Two stores of one iteration, as of the halves of a head that is turned: heads of 64 columns go to groups. Of one head, its
// columns do, for its halves lie as far apart as all of them reach; pairs side by side move twice as fast. Halves that lie
// nearer meet, and so do places that a scalar moves.

// CHECK: gpu.func @pairs_0
// CHECK: %[[GROUP:.*]] = arith.divui %{{.*}}, %c16
// CHECK: scf.for %{{.*}} = %[[GROUP]] to %c40 step %c16 {
// CHECK: scf.for %{{.*}} = %c0 to %c32 step %c16 {
// CHECK: %[[OWN:.*]] = arith.muli %[[GROUP]], %c16
// CHECK: scf.for %{{.*}} = %[[OWN]] to %c32 step %c256 {
// CHECK: %[[OWN:.*]] = arith.muli %[[GROUP]], %c16
// CHECK: scf.for %{{.*}} = %[[OWN]] to %c32 step %c256 {
// CHECK: scf.for %{{.*}} = %c0 to %c48 step %c16 {
// CHECK: scf.for %{{.*}} = %c0 to %c32 step %c16 {
// CHECK: gpu.return
func.func private @pairs_0(%x: memref<1x2560xf32>, %y: memref<1x2560xf32>, %z: memref<1x2560xf32>, %u: memref<1x2560xf32>, %t: memref<1x2560xf32>, %v: memref<1x2560xf32>, %n: index, %first: index, %end: index) attributes {treadle.kernel, treadle.sliced} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c16 = arith.constant 16 : index
  %c32 = arith.constant 32 : index
  %c40 = arith.constant 40 : index
  %c48 = arith.constant 48 : index
  scf.for %head = %c0 to %c40 step %c1 {
    scf.for %pair = %c0 to %c32 step %c16 {
      %c64 = arith.constant 64 : index
      %origin = arith.muli %head, %c64 : index
      %low = arith.addi %origin, %pair : index
      %high = arith.addi %low, %c32 : index
      %a = vector.load %x[%c0, %low] : memref<1x2560xf32>, vector<16xf32>
      %b = vector.load %x[%c0, %high] : memref<1x2560xf32>, vector<16xf32>
      %odd = vector.shuffle %a, %b [1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31] : vector<16xf32>, vector<16xf32>
      vector.store %b, %y[%c0, %low] : memref<1x2560xf32>, vector<16xf32>
      vector.store %odd, %y[%c0, %high] : memref<1x2560xf32>, vector<16xf32>
    }
  }
  scf.for %pair = %c0 to %c32 step %c16 {
    %high = arith.addi %pair, %c32 : index
    %a = vector.load %x[%c0, %pair] : memref<1x2560xf32>, vector<16xf32>
    %b = vector.shuffle %a, %a [1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14] : vector<16xf32>, vector<16xf32>
    vector.store %a, %z[%c0, %pair] : memref<1x2560xf32>, vector<16xf32>
    vector.store %b, %z[%c0, %high] : memref<1x2560xf32>, vector<16xf32>
  }
  scf.for %pair = %c0 to %c32 step %c16 {
    %c2 = arith.constant 2 : index
    %low = arith.muli %pair, %c2 : index
    %high = arith.addi %low, %c16 : index
    %a = vector.load %x[%c0, %low] : memref<1x2560xf32>, vector<16xf32>
    %b = vector.shuffle %a, %a [1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14] : vector<16xf32>, vector<16xf32>
    vector.store %a, %u[%c0, %low] : memref<1x2560xf32>, vector<16xf32>
    vector.store %b, %u[%c0, %high] : memref<1x2560xf32>, vector<16xf32>
  }
  scf.for %pair = %c0 to %c48 step %c16 {
    %high = arith.addi %pair, %c32 : index
    %a = vector.load %x[%c0, %pair] : memref<1x2560xf32>, vector<16xf32>
    vector.store %a, %t[%c0, %pair] : memref<1x2560xf32>, vector<16xf32>
    vector.store %a, %t[%c0, %high] : memref<1x2560xf32>, vector<16xf32>
  }
  scf.for %pair = %c0 to %c32 step %c16 {
    %high = arith.addi %pair, %n : index
    %a = vector.load %x[%c0, %pair] : memref<1x2560xf32>, vector<16xf32>
    vector.store %a, %v[%c0, %pair] : memref<1x2560xf32>, vector<16xf32>
    vector.store %a, %v[%c0, %high] : memref<1x2560xf32>, vector<16xf32>
  }
  return
}

// -----

// Loops in each other, both of which may be dealt out: that one is with which fewer steps are left. One head of the tile, or
// two of many columns, leave their columns to groups; many heads of few columns go to groups themselves.

// CHECK: gpu.func @nested_0
// CHECK: %[[GROUP:.*]] = arith.divui %{{.*}}, %c16
// CHECK: scf.for %{{.*}} = %{{.*}} to %{{.*}} step %c1 {
// CHECK: %[[OWN:.*]] = arith.muli %[[GROUP]], %c16
// CHECK: scf.for %{{.*}} = %[[OWN]] to %c32 step %c256 {
// CHECK: scf.for %{{.*}} = %c0 to %c2 step %c1 {
// CHECK: %[[OWN:.*]] = arith.muli %[[GROUP]], %c16
// CHECK: scf.for %{{.*}} = %[[OWN]] to %c512 step %c256 {
// CHECK: scf.for %{{.*}} = %[[GROUP]] to %c64 step %c16 {
// CHECK: scf.for %{{.*}} = %c0 to %c32 step %c16 {
// CHECK: gpu.return
func.func private @nested_0(%x: memref<64x512xf32>, %y: memref<64x512xf32>, %begin: index, %first: index, %end: index) attributes {treadle.kernel, treadle.sliced} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %c16 = arith.constant 16 : index
  %c32 = arith.constant 32 : index
  %c64 = arith.constant 64 : index
  %c512 = arith.constant 512 : index
  %next = arith.addi %begin, %c1 : index
  scf.for %head = %begin to %next step %c1 {
    scf.for %column = %c0 to %c32 step %c16 {
      %a = vector.load %x[%head, %column] : memref<64x512xf32>, vector<16xf32>
      %b = vector.shuffle %a, %a [1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14] : vector<16xf32>, vector<16xf32>
      vector.store %b, %y[%head, %column] : memref<64x512xf32>, vector<16xf32>
    }
  }
  scf.for %head = %c0 to %c2 step %c1 {
    scf.for %column = %c0 to %c512 step %c16 {
      %a = vector.load %x[%head, %column] : memref<64x512xf32>, vector<16xf32>
      %b = vector.shuffle %a, %a [1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14] : vector<16xf32>, vector<16xf32>
      vector.store %b, %y[%head, %column] : memref<64x512xf32>, vector<16xf32>
    }
  }
  scf.for %head = %c0 to %c64 step %c1 {
    scf.for %column = %c0 to %c32 step %c16 {
      %a = vector.load %x[%head, %column] : memref<64x512xf32>, vector<16xf32>
      %b = vector.shuffle %a, %a [1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14] : vector<16xf32>, vector<16xf32>
      vector.store %b, %y[%head, %column] : memref<64x512xf32>, vector<16xf32>
    }
  }
  return
}

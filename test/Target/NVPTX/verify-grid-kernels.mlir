// RUN: treadle-opt %s --split-input-file --treadle-verify-grid-kernels --verify-diagnostics

// A barrier orders two stages; a kernel that is no entry point's schedule is none of the pass's business. What else it refuses, test/python/test_grid_rules.py goes through.

module attributes {gpu.container_module} {
  func.func @forward_1(%x: memref<16xf32>) attributes {treadle.entry = #treadle.entry<forward, rows = 1>} {
    %c1 = arith.constant 1 : index
    %c32 = arith.constant 32 : index
    gpu.launch_func @kernels::@add blocks in (%c32, %c1, %c1) threads in (%c32, %c1, %c1) args(%x : memref<16xf32>)
    gpu.launch_func @kernels::@add blocks in (%c32, %c1, %c1) threads in (%c32, %c1, %c1) args(%x : memref<16xf32>)
    return
  }
  gpu.module @kernels {
    gpu.func @add(%x: memref<16xf32>) kernel {
      gpu.return
    }
    func.func private @add_block(%b: index, %x: memref<16xf32>) attributes {gpu.known_block_size = array<i32: 32, 1, 1>} {
      %f = memref.load %x[%b] : memref<16xf32>
      memref.store %f, %x[%b] : memref<16xf32>
      return
    }
    gpu.func @forward_1(%x: memref<16xf32>, %counter: memref<1xi32>) kernel attributes {known_block_size = array<i32: 32, 1, 1>, nvvm.minctasm = 1 : i32} {
      %c32 = arith.constant 32 : index
      %block = gpu.block_id x
      %blocks = gpu.grid_dim x
      scf.for %b = %block to %c32 step %blocks {
        func.call @add_block(%b, %x) : (index, memref<16xf32>) -> ()
      }
      %phase = treadle.grid_arrive %counter of %blocks : memref<1xi32>
      treadle.grid_wait %counter for %phase : memref<1xi32>
      scf.for %b = %block to %c32 step %blocks {
        func.call @add_block(%b, %x) : (index, memref<16xf32>) -> ()
      }
      gpu.return
    }
  }
}

// -----

module attributes {gpu.container_module} {
  func.func @forward_1(%x: memref<16xf32>) attributes {treadle.entry = #treadle.entry<forward, rows = 1>} {
    %c1 = arith.constant 1 : index
    %c32 = arith.constant 32 : index
    gpu.launch_func @kernels::@add blocks in (%c32, %c1, %c1) threads in (%c32, %c1, %c1) args(%x : memref<16xf32>)
    gpu.launch_func @kernels::@add blocks in (%c32, %c1, %c1) threads in (%c32, %c1, %c1) args(%x : memref<16xf32>)
    return
  }
  gpu.module @kernels {
    gpu.func @add(%x: memref<16xf32>) kernel {
      gpu.return
    }
    func.func private @add_block(%b: index, %x: memref<16xf32>) attributes {gpu.known_block_size = array<i32: 32, 1, 1>} {
      %f = memref.load %x[%b] : memref<16xf32>
      memref.store %f, %x[%b] : memref<16xf32>
      return
    }
    gpu.func @forward_1(%x: memref<16xf32>, %counter: memref<1xi32>) kernel attributes {known_block_size = array<i32: 32, 1, 1>, nvvm.minctasm = 1 : i32} {
      %c32 = arith.constant 32 : index
      %block = gpu.block_id x
      %blocks = gpu.grid_dim x
      scf.for %b = %block to %c32 step %blocks {
        // expected-note@+1 {{the earlier stage}}
        func.call @add_block(%b, %x) : (index, memref<16xf32>) -> ()
      }
      scf.for %b = %block to %c32 step %blocks {
        // expected-error@+1 {{stage @add_block touches memory that stage @add_block touches, one of them to write, and no barrier of the grid orders them}}
        func.call @add_block(%b, %x) : (index, memref<16xf32>) -> ()
      }
      gpu.return
    }
  }
}

// -----

module attributes {gpu.container_module} {
  gpu.module @kernels {
    gpu.func @other(%counter: memref<1xi32>) kernel {
      %blocks = gpu.grid_dim x
      %phase = treadle.grid_arrive %counter of %blocks : memref<1xi32>
      gpu.return
    }
  }
}

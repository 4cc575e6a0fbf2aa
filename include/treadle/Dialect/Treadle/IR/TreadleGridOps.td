//===- TreadleGridOps.td - How the blocks of a grid meet ---*- tablegen -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The barrier of a GPU's grid has two halves: a block that has arrived may do what needs nothing of
// the others before it waits for them.
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_DIALECT_TREADLE_IR_TREADLEGRIDOPS_TD
#define TREADLE_DIALECT_TREADLE_IR_TREADLEGRIDOPS_TD

include "treadle/Dialect/Treadle/IR/TreadleSymbolOps.td"

def Treadle_GridCounter
    : ConfinedType<StaticShapeMemRefOf<[I32]>,
        [CPred<"::llvm::cast<::mlir::MemRefType>($_self).getNumElements() == 1">],
        "memory of one i32">;

def Treadle_GridArriveOp : Treadle_Op<"grid_arrive", [MemoryEffects<[MemRead, MemWrite]>]> {
  let summary = "says that this block has come to a barrier of the grid";
  let description = [{
    counter += 1, or 2^31 - (blocks - 1) for block 0; phase = what it was before.

    So bit 31 of the counter changes when the last of `blocks` blocks has arrived, and not
    before; nobody ever sets it back. A counter is 0 before its first use. All threads of the
    block come by, and what they did before is done for whoever waits with the phase.

    Constraints:
    * (C1) The counter is memory of one i32.

    Example:
    ```mlir
    %phase = treadle.grid_arrive %counter of %blocks : memref<1xi32>
    ```
  }];
  let arguments = (ins /*grid_arrive_c1*/ Treadle_GridCounter:$counter, Index:$blocks);
  let results = (outs I32:$phase);
  let assemblyFormat = "$counter `of` $blocks attr-dict `:` type($counter)";
}

def Treadle_GridWaitOp : Treadle_Op<"grid_wait", [MemoryEffects<[MemRead, MemWrite]>]> {
  let summary = "waits until all blocks of the grid have arrived";
  let description = [{
    Goes on when bit 31 of the counter is another than in `phase`, which this block's arrival gave.
    What any block did before it arrived, all threads of this one see.

    Constraints:
    * (C1) The counter is memory of one i32.

    Example:
    ```mlir
    treadle.grid_wait %counter for %phase : memref<1xi32>
    ```
  }];
  let arguments = (ins /*grid_wait_c1*/ Treadle_GridCounter:$counter, I32:$phase);
  let assemblyFormat = "$counter `for` $phase attr-dict `:` type($counter)";
}

#endif // TREADLE_DIALECT_TREADLE_IR_TREADLEGRIDOPS_TD

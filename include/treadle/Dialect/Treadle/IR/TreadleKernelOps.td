//===- TreadleKernelOps.td - What kernels are made of ------*- tablegen -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_DIALECT_TREADLE_IR_TREADLEKERNELOPS_TD
#define TREADLE_DIALECT_TREADLE_IR_TREADLEKERNELOPS_TD

include "treadle/Dialect/Treadle/IR/TreadleSymbolOps.td"

def Treadle_MultiplyPanelsOp : Treadle_Op<"multiply_panels", [AttrSizedOperandSegments]> {
  let summary = "multiplies rows by panels of bf16 weights, on tensor cores";
  let description = [{
    With N = `most_panels` and R = `most_rows`, for each input i, each of the `panels` panels p, each
    of the `rows` rows r, and every lane n of a panel:

        sums[(i N + p) R + r, n] = sum_k bf16(x_i[row + r, column + k]) * W[group, panel + p, k, n]

    as the bits of an f32, for k < `inner`; what lies behind in the panels is 0. K has steps of 16
    numbers, and an even number of steps makes a slice, of which there are at most 16. What a slice
    lacks at the end is 0. Each slice is a chain of steps, which starts from +0; their sums are added in
    order, starting from +0. So the bits of a sum depend on `inner` and on what it is a sum of, and
    not on the rows and panels beside it.

    All threads of a block run it together, and what any of them has written before has to be there
    for all. `sums` is memory of the block, which has room for what they work with as well. The other
    rows of `sums` hold anything afterwards.

    Constraints:
    * (C1) `weight` is a matrix in panels, with the words that `inner` numbers need; `group` says which
      one of a stack.
    * (C2) There is an input.
    * (C3) `sums` has the rows that `getRoom` says.
    * (C4) `most_rows` is positive and at most 16, or a multiple of 64; then there is one input.
    * (C5) `most_panels` is positive, and 4 or 8 of more than 16 rows.
    * (C6) Inputs are f32, or bf16 as i16; of these, `inner` and the columns are even.

    Example:
    ```mlir
    treadle.multiply_panels %sums = (%x) [%row, %c0] rows %c1 by %w[%panel] panels %c1
        {inner = 64 : i64, most_rows = 1 : i64, most_panels = 1 : i64}
      : memref<3x16xi32>, (memref<1x64xf32>), memref<8x32x16xi32>
    ```
  }];
  let arguments = (ins Arg<MemRefRankOf<[I32], [2]>, "sums", [MemRead, MemWrite]>:$sums,
                       Arg<Variadic<MemRefRankOf<[F32, I16], [2]>>, "R x K", [MemRead]>:$inputs,
                       Index:$row, Index:$column, Index:$rows,
                       Arg<MemRefRankOf<[I32], [3, 4]>, "N/16 x K/2 x 16", [MemRead]>:$weight,
                       Optional<Index>:$group, Index:$panel, Index:$panels,
                       I64Attr:$inner, I64Attr:$most_rows, I64Attr:$most_panels);
  let assemblyFormat = [{
    $sums `=` `(` $inputs `)` `[` $row `,` $column `]` `rows` $rows
    `by` $weight (`of` $group^)? `[` $panel `]` `panels` $panels attr-dict
    `:` type($sums) `,` `(` type($inputs) `)` `,` type($weight)
  }];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    /// Numbers of K in a step, and rows that are few: they need no copy of the weights.
    static constexpr int64_t stepNumbers = 16, stepWords = stepNumbers / 2, fewRows = 16;

    /// How many slices K has, of how many steps each.
    struct Slicing {
      int64_t slices, steps;
    };
    static Slicing getSlicing(int64_t inner);

    /// Many rows pass K in blocks of two steps, of which some are under way. A row of a block has
    /// four words more than it needs, so that rows begin in different banks of memory; what needs
    /// no such words has mbarriers there.
    static constexpr int64_t blockSteps = 2, blockWords = blockSteps * stepWords;
    static constexpr int64_t stagedBlocks = 3, stagedRowWords = blockWords + 4;

    /// The rows of memory, of 16 words, for `inputs` inputs.
    static int64_t getRoom(int64_t inner, int64_t inputs, int64_t mostRows, int64_t mostPanels);

    bool hasFewRows() { return static_cast<int64_t>(getMostRows()) <= fewRows; }
  }];
}

#endif // TREADLE_DIALECT_TREADLE_IR_TREADLEKERNELOPS_TD

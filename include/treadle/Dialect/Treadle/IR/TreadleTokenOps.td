//===- TreadleTokenOps.td - Tokens and positions to rows ---*- tablegen -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_DIALECT_TREADLE_IR_TREADLETOKENOPS_TD
#define TREADLE_DIALECT_TREADLE_IR_TREADLETOKENOPS_TD

include "treadle/Dialect/Treadle/IR/TreadleOpBase.td"

def Treadle_EmbeddingOp : Treadle_RowCoreOp<"embedding", [], ["getLookups"]> {
  let summary = "looks up one row of a table per token";
  let description = [{
    y[r, c] = E[ids[r], c]

    The table is plain, or in panels where it is tied to the head's matrix, which so exists
    once: there the look-up gathers a strided column.

    Constraints:
    * (C1) `table` is a matrix V x C and the result has C columns.
    * (C2) The result has one row per id.

    Example:
    ```mlir
    %x = treadle.embedding %ids, %table
      : (tensor<16xi32>, !treadle.weight<2048x256xf32, panels>) -> tensor<16x256xf32>
    ```
  }];
  let arguments = (ins Treadle_Ids:$ids, Arg<Treadle_WeightType, "V x C", [MemRead]>:$table);
  let results = (outs Treadle_Rows:$result);
  let assemblyFormat = "$ids `,` $table attr-dict `:` functional-type(operands, results)";
}

def Treadle_RotaryTableOp : Treadle_RowCoreOp<"rotary_table", [Pure]> {
  let summary = "cos and sin of the rotary angles of the rows";
  let description = [{
    y[r, 0, j] = cos(2 pi t), y[r, 1, j] = sin(2 pi t),
    t = ((position + r) * turns[j] mod 2^64) / 2^64

    `turns` are angles per position as 64-bit fixed-point turns,
    round(theta_j / 2 pi * 2^64): no table over positions, and no loss of digits at
    position 131,071. Computed once per entry point and shared by its layers.
    Where `reversed`, the last of the R rows stands at `position` and row 0 at
    position + R - 1.

    Constraints:
    * (C1) The result is R x 2 x P with P = number of `turns`.
    * (C2) The result has one row per row of `like`, where that is given.

    Example:
    ```mlir
    %t = treadle.rotary_table %ids at %position {turns = array<i64: 2935890503282001226>}
      : (tensor<16xi32>, index) -> tensor<16x2x1xf32>
    ```
  }];
  let arguments = (ins Optional<Treadle_Ids>:$like, Index:$position, DenseI64ArrayAttr:$turns,
                       UnitAttr:$reversed);
  let results = (outs Treadle_RotaryTable:$result);
  let assemblyFormat = "($like^)? `at` $position attr-dict `:` functional-type(operands, results)";
}

//===----------------------------------------------------------------------===//

def Treadle_NgramEmbeddingOp : Treadle_RowCoreOp<"ngram_embedding", [], ["getLookups"]> {
  let summary = "looks up the last few tokens of each row, side by side";
  let description = [{
    y[r, j C + c] = E[id(position + r - W + 1 + j), c] for j < W = `window`, oldest first.
    For p >= 0, id(p) = ids[p], or -1 where mask[lead + p] = 0; before the open period
    it is history[|history| + p]. The row of an id that is none of the table's is 0.
    Padding rows stand on the last token.

    Constraints:
    * (C1) `window` is positive, `table` is a matrix V x C and the result has W C columns.
    * (C2) `ids` is an append state of one i32 per row.
    * (C3) `history` is a fixed state of at least W - 1 i32.
    * (C4) `mask` is an append state of one i8 per row, with room for `lead` rows more than `ids`.

    Example:
    ```mlir
    %x = treadle.ngram_embedding %table, %ids, %mask, %history at %position valid %valid
           {window = 3 : i64, lead = 4 : i64}
      : (!treadle.weight<264x64xf32, panels>, !treadle.state<append, 512xi32>,
         !treadle.state<append, 520xi8>, !treadle.state<fixed, 2xi32>, index, index)
        -> tensor<16x192xf32>
    ```
  }];
  let arguments = (ins Arg<Treadle_WeightType, "V x C", [MemRead]>:$table,
                       Arg<Treadle_StateType, "capacity", [MemRead]>:$ids,
                       Arg<Treadle_StateType, "lead + capacity", [MemRead]>:$mask,
                       Arg<Treadle_StateType, "ids before the open period", [MemRead]>:$history,
                       Index:$position, Index:$valid, I64Attr:$window,
                       DefaultValuedAttr<I64Attr, "0">:$lead);
  let results = (outs Treadle_Rows:$result);
  let assemblyFormat = [{
    $table `,` $ids `,` $mask `,` $history `at` $position `valid` $valid attr-dict
    `:` functional-type(operands, results)
  }];
}

#endif // TREADLE_DIALECT_TREADLE_IR_TREADLETOKENOPS_TD

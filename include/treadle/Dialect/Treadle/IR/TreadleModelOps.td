//===- TreadleModelOps.td - The nouns of the architectures -*- tablegen -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_DIALECT_TREADLE_IR_TREADLEMODELOPS_TD
#define TREADLE_DIALECT_TREADLE_IR_TREADLEMODELOPS_TD

include "mlir/Interfaces/InferTypeOpInterface.td"
include "treadle/Dialect/Treadle/IR/TreadleSymbolOps.td"

// Dimension 0 counts rows and may be open; all others are known in every phase, and none is 0.
class Treadle_RowsOf<Type element, int rank, string summary>
    : ConfinedType<TensorRankOf<[element], [rank]>,
        [CPred<"::treadle::isRowsShape(::llvm::cast<::mlir::ShapedType>($_self).getShape())">], summary>;

// Activations: one row per token, heads side by side in the columns.
def Treadle_Rows : Treadle_RowsOf<F32, 2, "rows of f32 with a known number of columns">;
def Treadle_Ids : Treadle_RowsOf<I32, 1, "one i32 per row">;
// One cos row and one sin row per token, one column per rotated pair.
def Treadle_RotaryTable : Treadle_RowsOf<F32, 3, "R x 2 x P table of f32 with a known P">;

// An op that can be the core of a stage.
class Treadle_CoreOp<string mnemonic, list<Trait> traits = []>
    : Treadle_Op<mnemonic, !listconcat(traits,
        [DeclareOpInterfaceMethods<Treadle_StageCoreOpInterface>])> {
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Tokens in
//===----------------------------------------------------------------------===//

def Treadle_EmbeddingOp : Treadle_CoreOp<"embedding"> {
  let summary = "looks up one row of a table per token";
  let description = [{
    y[r, c] = E[ids[r], c]

    In panels the look-up gathers a strided column, so that a tied matrix exists once.

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

def Treadle_RotaryTableOp : Treadle_CoreOp<"rotary_table", [Pure]> {
  let summary = "cos and sin of the rotary angles of the rows";
  let description = [{
    y[r, 0, j] = cos(2 pi t), y[r, 1, j] = sin(2 pi t),
    t = ((position + r) * turns[j] mod 2^64) / 2^64

    `turns` are angles per position as 64-bit fixed-point turns,
    round(theta_j / 2 pi * 2^64): no table over positions, and no loss of digits at
    position 131,071. Computed once per entry point and shared by its layers.

    Constraints:
    * (C1) The result is R x 2 x P with P = number of `turns`.
    * (C2) The result has one row per row of `like`.

    Example:
    ```mlir
    %t = treadle.rotary_table %ids at %position {turns = array<i64: 2935890503282001226>}
      : (tensor<16xi32>, index) -> tensor<16x2x1xf32>
    ```
  }];
  let arguments = (ins Treadle_Ids:$like, Index:$position, DenseI64ArrayAttr:$turns);
  let results = (outs Treadle_RotaryTable:$result);
  let assemblyFormat = "$like `at` $position attr-dict `:` functional-type(operands, results)";
}

//===----------------------------------------------------------------------===//
// Matrices
//===----------------------------------------------------------------------===//

def Treadle_LinearOp : Treadle_CoreOp<"linear"> {
  let summary = "multiplies each row by a weight matrix";
  let description = [{
    y[r, n] = sum_k x[r, k] * W[n, k], one chain of fused multiply-adds in the order
    of k, starting from +0. With bf16 storage x is rounded to bf16 first (nearest,
    ties to even), and within each pair of k the odd product is added first, as
    `vdpbf16ps` does.

    Constraints:
    * (C1) `weight` is a matrix N x K in panels, `input` has K columns.
    * (C2) The result has N columns and the rows of `input`.

    Example:
    ```mlir
    %y = treadle.linear %x, %w
      : (tensor<16x256xf32>, !treadle.weight<512x256xbf16, panels>) -> tensor<16x512xf32>
    ```
  }];
  let arguments = (ins Treadle_Rows:$input, Arg<Treadle_WeightType, "N x K", [MemRead]>:$weight);
  let results = (outs Treadle_Rows:$result);
  let assemblyFormat = "$input `,` $weight attr-dict `:` functional-type(operands, results)";
}

def Treadle_LowRankLinearOp : Treadle_Op<"low_rank_linear"> {
  let summary = "multiplies each row by a product of two thin matrices";
  let description = [{
    y = scale * B (A x), A: r x K, B: N x r. The factors are never multiplied out:
    r (K + N) against K N multiply-adds.

    Constraints:
    * (C1) `down` is a matrix r x K in panels, `input` has K columns.
    * (C2) `up` is a matrix N x r in panels, the result has N columns and the rows of `input`.

    Example:
    ```mlir
    %q = treadle.low_rank_linear %x, %a, %b {scale = 1.0 : f32}
      : (tensor<16x256xf32>, !treadle.weight<16x256xf32, panels>,
         !treadle.weight<256x16xf32, panels>) -> tensor<16x256xf32>
    ```
  }];
  let arguments = (ins Treadle_Rows:$input, Arg<Treadle_WeightType, "r x K", [MemRead]>:$down,
                       Arg<Treadle_WeightType, "N x r", [MemRead]>:$up, F32Attr:$scale);
  let results = (outs Treadle_Rows:$result);
  let assemblyFormat = "$input `,` $down `,` $up attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Norms and rotations
//===----------------------------------------------------------------------===//

def Treadle_RMSNormOp : Treadle_CoreOp<"rms_norm"> {
  let summary = "scales each row to unit root mean square";
  let description = [{
    y[r, c] = w[c] * x[r, c] / sqrt(sum_c x[r, c]^2 / C + eps)

    The sum runs over 16 partials by c mod 16, then a fixed tree.

    Constraints:
    * (C1) `weight` is a plain vector with one entry per column.
    * (C2) `eps` is positive.
    * (C3) The result has the type of `input`.

    Example:
    ```mlir
    %y = treadle.rms_norm %x, %w {eps = 1.0e-6 : f32}
      : (tensor<16x256xf32>, !treadle.weight<256xf32, plain>) -> tensor<16x256xf32>
    ```
  }];
  let arguments = (ins Treadle_Rows:$input, Arg<Treadle_WeightType, "C", [MemRead]>:$weight,
                       F32Attr:$eps);
  let results = (outs Treadle_Rows:$result);
  let assemblyFormat = "$input `,` $weight attr-dict `:` functional-type(operands, results)";
}

def Treadle_RopeOp : Treadle_CoreOp<"rope", [Pure]> {
  let summary = "rotates pairs of columns of each head by the row's angles";
  let description = [{
    With P pairs per head and head width D, for j < P:
    (a, b) -> (a cos_j - b sin_j, b cos_j + a sin_j), where (a, b) are the columns
    (j, j + P) of the head (`half`) or (2j, 2j + 1) (`interleaved`).
    Columns from 2 P on pass unchanged.

    Constraints:
    * (C1) `heads` is positive and divides the columns.
    * (C2) `table` is R x 2 x P with 2 P <= the head width.
    * (C3) The result has the type of `input`.

    Example:
    ```mlir
    %y = treadle.rope %q, %table {heads = 8 : i64, pairing = #treadle.rope_pairing<half>}
      : (tensor<16x256xf32>, tensor<16x2x16xf32>) -> tensor<16x256xf32>
    ```
  }];
  let arguments = (ins Treadle_Rows:$input, Treadle_RotaryTable:$table, I64Attr:$heads,
                       Treadle_RopePairingAttr:$pairing);
  let results = (outs Treadle_Rows:$result);
  let assemblyFormat = "$input `,` $table attr-dict `:` functional-type(operands, results)";
}

//===----------------------------------------------------------------------===//
// States
//===----------------------------------------------------------------------===//

def Treadle_AppendOp : Treadle_CoreOp<"append"> {
  let summary = "appends the rows of the tokens to a state";
  let description = [{
    S[position + r, ...] = rows[r, ...] for r < valid, converted to the element type of
    the state (bf16: nearest, ties to even). Padding rows change nothing.

    Constraints:
    * (C1) `state` is of kind append.
    * (C2) A row of `rows` has the row shape of the state.
    * (C3) The element types are equal, or f32 rows enter a bf16 state.

    Example:
    ```mlir
    treadle.append %k, %cache at %position valid %valid
      : tensor<16x128xf32>, !treadle.state<append, 512x128xf32>
    ```
  }];
  let arguments = (ins AnyRankedTensor:$rows, Arg<Treadle_StateType, "capacity x row", [MemWrite]>:$state,
                       Index:$position, Index:$valid);
  let assemblyFormat = [{
    $rows `,` $state `at` $position `valid` $valid attr-dict `:` type($rows) `,` type($state)
  }];
}

def Treadle_AttentionOp : Treadle_CoreOp<"attention"> {
  let summary = "causal grouped attention over appended keys and values";
  let description = [{
    For row r at p = position + min(r, valid - 1), head h and g = h / (heads / kv_heads):

        s[j] = scale * sum_c q[r, h, c] * K[j, g, c]      for j <= p with mask[j] != 0
        y[r, h, :] = sum_j softmax(s)[j] * V[j, g, :]

    A row with no key left is 0. Excluded keys are skipped by select, never by
    multiplying with 0. Keys are taken in blocks at absolute positions and partial
    sums of 512 keys are merged left to right, so the bits do not depend on the rows
    of the entry point.

    Constraints:
    * (C1) `heads` and `kv_heads` are positive and `kv_heads` divides `heads`.
    * (C2) `keys` is an append state of rows kv_heads * D, where `query` has heads * D columns.
    * (C3) `values` is an append state of rows kv_heads * E, where the result has heads * E columns.
      Both are f32 or bf16.
    * (C4) `mask` is an append state of one i8 per row.
    * (C5) The three states have the same capacity.
    * (C6) The result has the rows of `query`.

    Example:
    ```mlir
    %y = treadle.attention %q, %k, %v, %m at %position valid %valid
           {heads = 8 : i64, kv_heads = 4 : i64, scale = 0.176776692 : f32}
      : (tensor<16x256xf32>, !treadle.state<append, 512x128xf32>,
         !treadle.state<append, 512x128xf32>, !treadle.state<append, 512xi8>, index, index)
        -> tensor<16x256xf32>
    ```
  }];
  let arguments = (ins Treadle_Rows:$query,
                       Arg<Treadle_StateType, "capacity x (kv_heads * D)", [MemRead]>:$keys,
                       Arg<Treadle_StateType, "capacity x (kv_heads * E)", [MemRead]>:$values,
                       Arg<Treadle_StateType, "capacity", [MemRead]>:$mask,
                       Index:$position, Index:$valid, I64Attr:$heads, I64Attr:$kv_heads,
                       F32Attr:$scale);
  let results = (outs Treadle_Rows:$result);
  let assemblyFormat = [{
    $query `,` $keys `,` $values `,` $mask `at` $position `valid` $valid attr-dict
    `:` functional-type(operands, results)
  }];
}

//===----------------------------------------------------------------------===//
// Gates
//===----------------------------------------------------------------------===//

def Treadle_GLUOp : Treadle_Op<"glu", [Pure, Elementwise, SameOperandsAndResultType,
    /*glu_c1*/ AllTypesMatch<["gate", "up", "result"]>]> {
  let summary = "activates one half of a gated linear unit and multiplies";
  let description = [{
    y = act(gate) * up, elementwise.

    Constraints:
    * (C1) Operands and result have one type.

    Example:
    ```mlir
    %y = treadle.glu %gate, %up {activation = #treadle.activation<silu>} : tensor<16x512xf32>
    ```
  }];
  let arguments = (ins Treadle_Rows:$gate, Treadle_Rows:$up, Treadle_ActivationAttr:$activation);
  let results = (outs Treadle_Rows:$result);
  let assemblyFormat = "$gate `,` $up attr-dict `:` type($result)";
}

def Treadle_GateBlendOp : Treadle_Op<"gate_blend", [Elementwise]> {
  let summary = "blends a pass of a loop with the loop's input";
  let description = [{
    y = condition ? g * x + (1 - g) * origin : x, with g = 1 / (1 + exp(-gate)).

    Constraints:
    * (C1) `gate` is a plain scalar weight.
    * (C2) `input`, `origin` and the result have one type.

    Example:
    ```mlir
    %y = treadle.gate_blend %x, %x0, %gate when %again
      : (tensor<16x256xf32>, tensor<16x256xf32>, !treadle.weight<f32, plain>, i1) -> tensor<16x256xf32>
    ```
  }];
  let arguments = (ins Treadle_Rows:$input, Treadle_Rows:$origin,
                       Arg<Treadle_WeightType, "scalar", [MemRead]>:$gate, I1:$condition);
  let results = (outs Treadle_Rows:$result);
  let assemblyFormat = [{
    $input `,` $origin `,` $gate `when` $condition attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

#endif // TREADLE_DIALECT_TREADLE_IR_TREADLEMODELOPS_TD

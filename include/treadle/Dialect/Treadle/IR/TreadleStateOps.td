//===- TreadleStateOps.td - Ops over states ----------------*- tablegen -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_DIALECT_TREADLE_IR_TREADLESTATEOPS_TD
#define TREADLE_DIALECT_TREADLE_IR_TREADLESTATEOPS_TD

include "treadle/Dialect/Treadle/IR/TreadleOpBase.td"

def Treadle_AppendOp : Treadle_CoreOp<"append"> {
  let summary = "appends the rows of the tokens to a state";
  let description = [{
    S[position + r, ...] = rows[r, ...] for r < valid, converted to the element type of
    the state (bf16: nearest, ties to even). Padding rows change nothing. A row enters a panel beside
    those before it.

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

def Treadle_AttentionOp : Treadle_CoreOp<"attention", [AttrSizedOperandSegments],
                                         ["getKeyFlops", "readsAllRows"]> {
  let summary = "causal grouped attention over appended keys and values";
  let description = [{
    For row r at p = position + min(r, valid - 1), head h and g = h / (heads / kv_heads):

        s[j] = scale * sum_c q[r, h, c] * K[j, g, c]      for j <= p with mask[j] != 0
        y[r, h, :] = sum_j softmax(s)[j] * V[j, g, :]

    A `lane` is a second set of keys and values, one row per token as well: its scores
    enter the same softmax. Of it a row attends to all rows j <= p, or where `own` is
    set to row p alone. `bias` is added to the scores of the first set:
    s[j] += bias[r, h, j].

    A row with no key left is 0. Excluded keys are skipped by select, never by
    multiplying with 0. Keys are taken in blocks at absolute positions and partial
    sums of 512 keys are merged left to right, so the bits do not depend on the rows
    of the entry point.

    What meets a bf16 state is rounded to bf16 (nearest, ties to even): q where it meets
    K, and where they meet V the exponentials exp(s[j] - m), m the maximum of the 512
    keys, before they are summed. Products are added to f32 sums in pairs, of columns
    and of keys, the odd one first.

    Constraints:
    * (C1) `heads` and `kv_heads` are positive and `kv_heads` divides `heads`.
    * (C2) `keys` is an append state, in panels, of rows kv_heads * D, where `query` has heads * D columns.
    * (C3) `values` is an append state of rows kv_heads * E, where the result has heads * E columns.
      Both are f32 or bf16.
    * (C4) `mask` is an append state of one i8 per row.
    * (C5) The three states have the same capacity.
    * (C6) The result has the rows of `query`.
    * (C7) `lane_keys` and `lane_values` are given together, and of the types of `keys` and `values`;
      `own` needs them.
    * (C8) `bias`, where given, has heads * capacity columns and the rows of `query`.

    Example:
    ```mlir
    %y = treadle.attention %q, %k, %v, %m at %position valid %valid
           {heads = 8 : i64, kv_heads = 4 : i64, scale = 0.176776692 : f32}
      : (tensor<16x256xf32>, !treadle.state<append, 512x128xf32, panels>,
         !treadle.state<append, 512x128xf32>, !treadle.state<append, 512xi8>, index, index)
        -> tensor<16x256xf32>
    ```
  }];
  let arguments = (ins Treadle_Rows:$query,
                       Arg<Treadle_StateType, "capacity x (kv_heads * D)", [MemRead]>:$keys,
                       Arg<Treadle_StateType, "capacity x (kv_heads * E)", [MemRead]>:$values,
                       Arg<Treadle_StateType, "capacity", [MemRead]>:$mask,
                       Index:$position, Index:$valid,
                       Arg<Optional<Treadle_StateType>, "like keys", [MemRead]>:$lane_keys,
                       Arg<Optional<Treadle_StateType>, "like values", [MemRead]>:$lane_values,
                       Optional<Treadle_Rows>:$bias,
                       I64Attr:$heads, I64Attr:$kv_heads, F32Attr:$scale, UnitAttr:$own);
  let results = (outs Treadle_Rows:$result);
  let assemblyFormat = [{
    $query `,` $keys `,` $values `,` $mask `at` $position `valid` $valid
    (`lane` $lane_keys^ `,` $lane_values)? (`bias` $bias^)? attr-dict
    `:` functional-type(operands, results)
  }];
}

//===----------------------------------------------------------------------===//

def Treadle_CopeBiasOp : Treadle_CoreOp<"cope_bias", [], ["readsAllRows"]> {
  let summary = "attention bias by contextual position";
  let description = [{
    For row r at p = position + min(r, valid - 1), head h and key j <= p:

        gate[j] = sigmoid(q[r, h] . K[j, h]), or 0 where mask[j] = 0
        n = min(sum_{m = j ... p} gate[m], P - 1), summed from p downwards
        y[r, h, j] = z[r, h, floor n] (1 - n + floor n) + z[r, h, ceil n] (n - floor n)

    where `table` z has P entries per row and head. Entries behind p are unspecified.
    Golovneva et al., "Contextual Position Encoding", arXiv 2405.18719.

    Constraints:
    * (C1) `heads` is positive and divides the columns of `query` and of `table`.
    * (C2) `keys` is an append state, in panels, with rows like those of `query`.
    * (C3) `mask` is an append state of one i8 per row, of the capacity of `keys`.
    * (C4) The result has heads * capacity columns; all have the same rows.

    Example:
    ```mlir
    %b = treadle.cope_bias %q, %z, %k, %m at %position valid %valid {heads = 8 : i64}
      : (tensor<16x256xf32>, tensor<16x4096xf32>, !treadle.state<append, 640x256xf32>,
         !treadle.state<append, 640xi8>, index, index) -> tensor<16x5120xf32>
    ```
  }];
  let arguments = (ins Treadle_Rows:$query, Treadle_Rows:$table,
                       Arg<Treadle_StateType, "capacity x (heads * D)", [MemRead]>:$keys,
                       Arg<Treadle_StateType, "capacity", [MemRead]>:$mask,
                       Index:$position, Index:$valid, I64Attr:$heads);
  let results = (outs Treadle_Rows:$result);
  let assemblyFormat = [{
    $query `,` $table `,` $keys `,` $mask `at` $position `valid` $valid attr-dict
    `:` functional-type(operands, results)
  }];
}

// Recurrences

def Treadle_RunningSumOp : Treadle_CoreOp<"running_sum"> {
  let summary = "appends the sum of all rows so far";
  let description = [{
    S[p] = S[p - 1] + (mask[p] ? x[p - position] : 0) for p = position ... position + valid - 1,
    with S[-1] = 0. One addition per row, in their order. Where `single` is set, the sums
    are of one row each: S[p] = mask[p] ? x[p - position] : 0.

    Constraints:
    * (C1) `state` is an append state of f32 with the columns of `input`.
    * (C2) `mask` is an append state of one i8 per row, of the capacity of `state`.

    Example:
    ```mlir
    treadle.running_sum %x, %sum, %mask at %position valid %valid
      : tensor<16x512xf32>, !treadle.state<append, 4096x512xf32>, !treadle.state<append, 4096xi8>
    ```
  }];
  let arguments = (ins Treadle_Rows:$input,
                       Arg<Treadle_StateType, "capacity x columns", [MemRead, MemWrite]>:$state,
                       Arg<Treadle_StateType, "capacity", [MemRead]>:$mask,
                       Index:$position, Index:$valid, UnitAttr:$single);
  let assemblyFormat = [{
    $input `,` $state `,` $mask `at` $position `valid` $valid attr-dict
    `:` type($input) `,` type($state) `,` type($mask)
  }];
}

def Treadle_ReadRowsOp : Treadle_RowCoreOp<"read_rows"> {
  let summary = "reads the rows of an append state, some rows late";
  let description = [{
    y[r] = S[q] for q = position + min(r, valid - 1) - lag >= 0, else 0. Where `mean` is
    set, S[q] / (q + 1).

    Constraints:
    * (C1) `state` is an append state of f32 or bf16 with the columns of the result.
    * (C2) `lag` is not negative.

    Example:
    ```mlir
    %y = treadle.read_rows %sum at %position valid %valid {lag = 1 : i64}
      : (!treadle.state<append, 4096x512xf32>, index, index) -> tensor<16x512xf32>
    ```
  }];
  let arguments = (ins Arg<Treadle_StateType, "capacity x columns", [MemRead]>:$state,
                       Index:$position, Index:$valid, I64Attr:$lag, UnitAttr:$mean);
  let results = (outs Treadle_Rows:$result);
  let assemblyFormat = [{
    $state `at` $position `valid` $valid attr-dict `:` functional-type(operands, results)
  }];
}

def Treadle_CausalConvOp : Treadle_CoreOp<"causal_conv"> {
  let summary = "convolves each column over the last few tokens";
  let description = [{
    y[r, c] = act(sum_{t < T} w[c, t] * in[p - T + 1 + t, c]) for p = position + r, one chain
    of fused multiply-adds in the order of t, where in[p] is the input's row, 0 where
    the token is masked or before the sequence. `ring` holds the last T - 1 inputs, that
    of position p in row p mod (T - 1).

    Constraints:
    * (C1) `weight` is a plain matrix C x T with T >= 2, for C columns.
    * (C2) `ring` is a ring state of T - 1 rows of C f32.
    * (C3) `mask` is an append state of one i8 per row.
    * (C4) The result has the type of `input`.

    Example:
    ```mlir
    %y = treadle.causal_conv %x, %w, %ring, %mask at %position valid %valid
           {activation = #treadle.activation<silu>}
      : (tensor<16x1024xf32>, !treadle.weight<1024x4xf32, plain>, !treadle.state<ring, 3x1024xf32>,
         !treadle.state<append, 512xi8>, index, index) -> tensor<16x1024xf32>
    ```
  }];
  let arguments = (ins Treadle_Rows:$input, Arg<Treadle_WeightType, "C x T", [MemRead]>:$weight,
                       Arg<Treadle_StateType, "(T - 1) x C", [MemRead, MemWrite]>:$ring,
                       Arg<Treadle_StateType, "capacity", [MemRead]>:$mask,
                       Index:$position, Index:$valid, Treadle_ActivationAttr:$activation);
  let results = (outs Treadle_Rows:$result);
  let assemblyFormat = [{
    $input `,` $weight `,` $ring `,` $mask `at` $position `valid` $valid attr-dict
    `:` functional-type(operands, results)
  }];
}

def Treadle_GatedDeltaRuleOp : Treadle_CoreOp<"gated_delta_rule"> {
  let summary = "a matrix memory that decays and corrects what it holds for a key";
  let description = [{
    For each of H = `heads` heads, with its key head g = h / (H / key_heads), row by row:

        S <- exp(decay[r, h]) S
        e  = beta[r, h] (v[r, h] - S^T k[r, g])
        S <- S + k[r, g] e^T
        y[r, h] = S^T q[r, g]

    A masked token has beta 0 and decay 0. Two lowerings: row by row, and in chunks of
    64 rows at absolute positions (the WY form). Yang et al., "Gated Delta Networks",
    arXiv 2412.06464.

    Constraints:
    * (C1) `heads` and `key_heads` are positive and `key_heads` divides `heads`.
    * (C2) `state` is a fixed state H x D x E of f32.
    * (C3) `query` and `key` have key_heads * D columns, `value` and the result H * E.
    * (C4) `beta` and `decay` have H columns.
    * (C5) `mask` is an append state of one i8 per row.
    * (C6) All have the same rows.

    Example:
    ```mlir
    %y = treadle.gated_delta_rule %q, %k, %v, %beta, %decay, %s, %m at %position valid %valid
           {heads = 16 : i64, key_heads = 8 : i64}
      : (tensor<16x256xf32>, tensor<16x256xf32>, tensor<16x512xf32>, tensor<16x16xf32>,
         tensor<16x16xf32>, !treadle.state<fixed, 16x32x32xf32>, !treadle.state<append, 512xi8>,
         index, index) -> tensor<16x512xf32>
    ```
  }];
  let arguments = (ins Treadle_Rows:$query, Treadle_Rows:$key, Treadle_Rows:$value,
                       Treadle_Rows:$beta, Treadle_Rows:$decay,
                       Arg<Treadle_StateType, "H x D x E", [MemRead, MemWrite]>:$state,
                       Arg<Treadle_StateType, "capacity", [MemRead]>:$mask,
                       Index:$position, Index:$valid, I64Attr:$heads, I64Attr:$key_heads);
  let results = (outs Treadle_Rows:$result);
  let assemblyFormat = [{
    $query `,` $key `,` $value `,` $beta `,` $decay `,` $state `,` $mask `at` $position
    `valid` $valid attr-dict `:` functional-type(operands, results)
  }];
}

// Fixed states as rows

def Treadle_ReadStateOp : Treadle_CoreOp<"read_state"> {
  let summary = "reads a whole fixed state";
  let description = [{
    y = S

    Constraints:
    * (C1) `state` is a fixed state of the shape of the result, of f32.

    Example: `%y = treadle.read_state %s : (!treadle.state<fixed, 64x1024xf32>) -> tensor<64x1024xf32>`
  }];
  let arguments = (ins Arg<Treadle_StateType, "rows x columns", [MemRead]>:$state);
  let results = (outs Treadle_Rows:$result);
  let assemblyFormat = "$state attr-dict `:` functional-type(operands, results)";
}

def Treadle_WriteStateOp : Treadle_CoreOp<"write_state"> {
  let summary = "overwrites a whole fixed state";
  let description = [{
    S = rows

    Constraints:
    * (C1) `state` is a fixed state of the shape of `rows`, of f32.

    Example: `treadle.write_state %x, %s : tensor<64x1024xf32>, !treadle.state<fixed, 64x1024xf32>`
  }];
  let arguments = (ins Treadle_Rows:$rows, Arg<Treadle_StateType, "rows x columns", [MemWrite]>:$state);
  let assemblyFormat = "$rows `,` $state attr-dict `:` type($rows) `,` type($state)";
}

def Treadle_CarryIdsOp : Treadle_CoreOp<"carry_ids"> {
  let summary = "keeps the last ids of a period as the history of the next";
  let description = [{
    history[j] <- id(count - N + j) for j < N. For p >= 0, id(p) = ids[p], or -1 where
    mask[lead + p] = 0; before, it is the old history[N + p].

    Constraints:
    * (C1) `ids` is an append state of one i32 per row.
    * (C2) `history` is a fixed state of N i32.
    * (C3) `mask` is an append state of one i8 per row, with room for `lead` rows more than `ids`.

    Example:
    ```mlir
    treadle.carry_ids %ids, %mask, %history at %count {lead = 4 : i64}
      : !treadle.state<append, 512xi32>, !treadle.state<append, 520xi8>, !treadle.state<fixed, 2xi32>
    ```
  }];
  let arguments = (ins Arg<Treadle_StateType, "capacity", [MemRead]>:$ids,
                       Arg<Treadle_StateType, "lead + capacity", [MemRead]>:$mask,
                       Arg<Treadle_StateType, "N", [MemRead, MemWrite]>:$history, Index:$count,
                       DefaultValuedAttr<I64Attr, "0">:$lead);
  let assemblyFormat = [{
    $ids `,` $mask `,` $history `at` $count attr-dict
    `:` type($ids) `,` type($mask) `,` type($history)
  }];
}

#endif // TREADLE_DIALECT_TREADLE_IR_TREADLESTATEOPS_TD

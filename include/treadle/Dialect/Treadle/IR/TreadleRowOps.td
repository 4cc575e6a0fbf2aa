//===- TreadleRowOps.td - Each row on its own: norms, columns, rotation *- tablegen -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_DIALECT_TREADLE_IR_TREADLEROWOPS_TD
#define TREADLE_DIALECT_TREADLE_IR_TREADLEROWOPS_TD

include "treadle/Dialect/Treadle/IR/TreadleOpBase.td"

def Treadle_RMSNormOp : Treadle_RowCoreOp<"rms_norm"> {
  let summary = "scales each row to unit root mean square";
  let description = [{
    y[r, c] = (offset + w[c]) * x[r, c] / sqrt(sum_c x[r, c]^2 / C + eps)

    over each group of C columns on its own. The sum runs over 16 partials by c mod 16,
    counted within the group, then a fixed tree.

    Constraints:
    * (C1) `weight` is a plain vector with one entry per column, or with one per column of a group,
      which the groups then share.
    * (C2) `eps` is positive.
    * (C3) The result has the type of `input`.
    * (C4) `groups` is positive and divides the columns.

    Example:
    ```mlir
    %y = treadle.rms_norm %x, %w {eps = 1.0e-6 : f32}
      : (tensor<16x256xf32>, !treadle.weight<256xf32, plain>) -> tensor<16x256xf32>
    ```
  }];
  let arguments = (ins Treadle_Rows:$input, Arg<Treadle_WeightType, "C", [MemRead]>:$weight,
                       F32Attr:$eps, DefaultValuedAttr<I64Attr, "1">:$groups,
                       DefaultValuedAttr<F32Attr, "::llvm::APFloat(0.0f)">:$offset);
  let results = (outs Treadle_Rows:$result);
  let assemblyFormat = "$input `,` $weight attr-dict `:` functional-type(operands, results)";
}

def Treadle_LayerNormOp : Treadle_RowCoreOp<"layer_norm"> {
  let summary = "centres each row and scales it to unit variance";
  let description = [{
    y[r, c] = (offset + w[c]) * (x[r, c] - m) / sqrt(v + eps) + b[c], with
    m = sum_c x[r, c] / C and v = sum_c (x[r, c] - m)^2 / C, over each group of C columns
    on its own. Sums run as those of `treadle.rms_norm`.

    Constraints:
    * (C1) `weight` is a plain vector with one entry per column, or with one per column of a group.
    * (C2) `bias`, where given, has the type of `weight`.
    * (C3) `eps` is positive.
    * (C4) The result has the type of `input`.
    * (C5) `groups` is positive and divides the columns.

    Example:
    ```mlir
    %y = treadle.layer_norm %x, %w, %b {eps = 1.0e-5 : f32, groups = 8 : i64}
      : (tensor<16x256xf32>, !treadle.weight<32xf32, plain>, !treadle.weight<32xf32, plain>)
        -> tensor<16x256xf32>
    ```
  }];
  let arguments = (ins Treadle_Rows:$input, Arg<Treadle_WeightType, "C", [MemRead]>:$weight,
                       Arg<Optional<Treadle_WeightType>, "C", [MemRead]>:$bias,
                       F32Attr:$eps, DefaultValuedAttr<I64Attr, "1">:$groups,
                       DefaultValuedAttr<F32Attr, "::llvm::APFloat(0.0f)">:$offset);
  let results = (outs Treadle_Rows:$result);
  let assemblyFormat = [{
    $input `,` $weight (`,` $bias^)? attr-dict `:` functional-type(operands, results)
  }];
}

def Treadle_L2NormOp : Treadle_RowCoreOp<"l2_norm", [Pure]> {
  let summary = "scales each group of columns to a given length";
  let description = [{
    y[r, c] = scale * x[r, c] / sqrt(sum_c x[r, c]^2 + eps), over each group of columns
    on its own. Sums run as those of `treadle.rms_norm`.

    Constraints:
    * (C1) `groups` is positive and divides the columns.
    * (C2) `eps` is positive.
    * (C3) The result has the type of `input`.

    Example:
    ```mlir
    %y = treadle.l2_norm %q {groups = 8 : i64, scale = 1.767767e-01 : f32, eps = 1.0e-6 : f32}
      : (tensor<16x256xf32>) -> tensor<16x256xf32>
    ```
  }];
  let arguments = (ins Treadle_Rows:$input, F32Attr:$eps,
                       DefaultValuedAttr<I64Attr, "1">:$groups,
                       DefaultValuedAttr<F32Attr, "::llvm::APFloat(1.0f)">:$scale);
  let results = (outs Treadle_Rows:$result);
  let assemblyFormat = "$input attr-dict `:` functional-type(operands, results)";
}

def Treadle_PolyNormOp : Treadle_RowCoreOp<"poly_norm"> {
  let summary = "a learned cubic of each row, every power normalised";
  let description = [{
    y = w[0] n(x^3) + w[1] n(x^2) + w[2] n(x) + b, powers elementwise, with
    n(a) = a / sqrt(sum_c a[r, c]^2 / C + eps). Sums run as those of `treadle.rms_norm`.
    Zhuo et al., "Polynomial Composition Activations", arXiv 2411.03884.

    Constraints:
    * (C1) `weight` is a plain vector of 3.
    * (C2) `bias` is a plain scalar.
    * (C3) `eps` is positive.
    * (C4) The result has the type of `input`.

    Example:
    ```mlir
    %y = treadle.poly_norm %x, %w, %b {eps = 1.0e-6 : f32}
      : (tensor<16x256xf32>, !treadle.weight<3xf32, plain>, !treadle.weight<f32, plain>)
        -> tensor<16x256xf32>
    ```
  }];
  let arguments = (ins Treadle_Rows:$input, Arg<Treadle_WeightType, "3", [MemRead]>:$weight,
                       Arg<Treadle_WeightType, "scalar", [MemRead]>:$bias, F32Attr:$eps);
  let results = (outs Treadle_Rows:$result);
  let assemblyFormat = "$input `,` $weight `,` $bias attr-dict `:` functional-type(operands, results)";
}

// Columns

def Treadle_FanOp : Treadle_RowCoreOp<"fan"> {
  let summary = "turns the first columns into cosines and sines, passes the others";
  let description = [{
    With P = `periodic`: y = [cos(x[:, 0:P]) | sin(x[:, 0:P]) | x[:, P:] + bias]. Arguments
    are unbounded; they are reduced exactly. Dong et al., "FANformer", arXiv 2502.21309.

    Constraints:
    * (C1) `periodic` is positive and at most the columns of `input`.
    * (C2) The result has P more columns than `input`, and its rows.
    * (C3) `bias`, where given, is a plain vector with one entry per column that passes.

    Example:
    ```mlir
    %y = treadle.fan %x {periodic = 64 : i64} : (tensor<16x448xf32>) -> tensor<16x512xf32>
    ```
  }];
  let arguments = (ins Treadle_Rows:$input,
                       Arg<Optional<Treadle_WeightType>, "columns - P", [MemRead]>:$bias,
                       I64Attr:$periodic);
  let results = (outs Treadle_Rows:$result);
  let assemblyFormat = "$input (`,` $bias^)? attr-dict `:` functional-type(operands, results)";
}

def Treadle_SliceOp : Treadle_RowCoreOp<"slice", [Pure]> {
  let summary = "takes some columns of each group";
  let description = [{
    y[r, g size + c] = x[r, g C + offset + c] for c < size, where the G groups have C
    columns each.

    Constraints:
    * (C1) `groups` is positive and divides the columns of `input`.
    * (C2) `offset` is not negative, `size` is positive, and offset + size <= C.
    * (C3) The result has G size columns and the rows of `input`.

    Example:
    ```mlir
    %q = treadle.slice %qkvz {groups = 8 : i64, offset = 0 : i64, size = 32 : i64}
      : (tensor<16x1536xf32>) -> tensor<16x256xf32>
    ```
  }];
  let arguments = (ins Treadle_Rows:$input, I64Attr:$groups, I64Attr:$offset, I64Attr:$size);
  let results = (outs Treadle_Rows:$result);
  let assemblyFormat = "$input attr-dict `:` functional-type(operands, results)";
}

def Treadle_ConcatOp : Treadle_RowCoreOp<"concat", [Pure]> {
  let summary = "puts the columns of several activations side by side";
  let description = [{
    y = [x_0 | x_1 | ...]

    Constraints:
    * (C1) There is at least one input, and all have the rows of the result.
    * (C2) The result has the columns of all inputs together.

    Example:
    ```mlir
    %y = treadle.concat %q, %k : (tensor<16x256xf32>, tensor<16x128xf32>) -> tensor<16x384xf32>
    ```
  }];
  let arguments = (ins Variadic<Treadle_Rows>:$inputs);
  let results = (outs Treadle_Rows:$result);
  let assemblyFormat = "$inputs attr-dict `:` functional-type(operands, results)";
}

def Treadle_AddScaledOp : Treadle_RowCoreOp<"add_scaled"> {
  let summary = "takes a step of a length that each group has of its own";
  let description = [{
    y[r, g C + c] = x[r, g C + c] + step[g] * update[r, g C + c]

    Constraints:
    * (C1) `step` is a plain vector; its size, the number of groups, divides the columns.
    * (C2) `input`, `update` and the result have one type.

    Example:
    ```mlir
    %y = treadle.add_scaled %x, %update, %step
      : (tensor<16x512xf32>, tensor<16x512xf32>, !treadle.weight<16xf32, plain>) -> tensor<16x512xf32>
    ```
  }];
  let arguments = (ins Treadle_Rows:$input, Treadle_Rows:$update,
                       Arg<Treadle_WeightType, "groups", [MemRead]>:$step);
  let results = (outs Treadle_Rows:$result);
  let assemblyFormat = "$input `,` $update `,` $step attr-dict `:` functional-type(operands, results)";
}

def Treadle_DifferentialOp : Treadle_CoreOp<"differential"> {
  let summary = "subtracts a learned share of a second attention from a first";
  let description = [{
    y[r, g C + c] = a[r, g C + c] - lambda_g b[r, g C + c], with
    lambda_g = exp(q1[g] . k1[g]) - exp(q2[g] . k2[g]) + init, and dot products summed as
    the squares of `treadle.rms_norm`. Ye et al., "Differential Transformer", arXiv 2410.05258.

    Constraints:
    * (C1) The four vectors are plain weights of one type G x D.
    * (C2) G divides the columns.
    * (C3) `positive`, `negative` and the result have one type.

    Example:
    ```mlir
    %y = treadle.differential %a, %b by %q1, %k1, %q2, %k2 init %init
      : (tensor<16x256xf32>, tensor<16x256xf32>, !treadle.weight<8x16xf32, plain>,
         !treadle.weight<8x16xf32, plain>, !treadle.weight<8x16xf32, plain>,
         !treadle.weight<8x16xf32, plain>, f32) -> tensor<16x256xf32>
    ```
  }];
  let arguments = (ins Treadle_Rows:$positive, Treadle_Rows:$negative,
                       Arg<Treadle_WeightType, "G x D", [MemRead]>:$q1,
                       Arg<Treadle_WeightType, "G x D", [MemRead]>:$k1,
                       Arg<Treadle_WeightType, "G x D", [MemRead]>:$q2,
                       Arg<Treadle_WeightType, "G x D", [MemRead]>:$k2, F32:$init);
  let results = (outs Treadle_Rows:$result);
  let assemblyFormat = [{
    $positive `,` $negative `by` $q1 `,` $k1 `,` $q2 `,` $k2 `init` $init attr-dict
    `:` functional-type(operands, results)
  }];
}

// Rotation

def Treadle_RopeOp : Treadle_CoreOp<"rope", [Pure]> {
  let summary = "rotates pairs of columns of each head by the row's angles";
  let description = [{
    With P pairs per head and head width D, for j < P:
    (a, b) -> (a cos_j - b sin_j, b cos_j + a sin_j), where (a, b) are the columns
    (j, j + P) of the head (`half`) or (2j, 2j + 1) (`interleaved`).
    Columns from 2 P on pass unchanged. Where `inverse`, the angles are negated.

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
                       Treadle_RopePairingAttr:$pairing, UnitAttr:$inverse);
  let results = (outs Treadle_Rows:$result);
  let assemblyFormat = "$input `,` $table attr-dict `:` functional-type(operands, results)";
}

//===----------------------------------------------------------------------===//

#endif // TREADLE_DIALECT_TREADLE_IR_TREADLEROWOPS_TD

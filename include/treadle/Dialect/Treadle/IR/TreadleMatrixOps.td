//===- TreadleMatrixOps.td - Rows times weight matrices ----*- tablegen -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_DIALECT_TREADLE_IR_TREADLEMATRIXOPS_TD
#define TREADLE_DIALECT_TREADLE_IR_TREADLEMATRIXOPS_TD

include "treadle/Dialect/Treadle/IR/TreadleOpBase.td"

def Treadle_LinearOp : Treadle_CoreOp<"linear", [], ["getRowFlops"]> {
  let summary = "multiplies each row by a weight matrix";
  let description = [{
    y[r, n] = sum_k x[r, k] * W[n, k] + bias[n], one chain of fused multiply-adds in
    the order of k, starting from +0, then the bias. With bf16 storage x is rounded to
    bf16 first (nearest, ties to even), and within each pair of k the odd product is
    added first, as `vdpbf16ps` does.

    With `groups` G, group g of the columns of x makes group g of the result, by a
    matrix of its own (a stack G x N x K) or by the one that all groups share (N x K):
    y[r, g N + n] = sum_k x[r, g K + k] * W[g, n, k] + bias[g, n].

    Constraints:
    * (C1) `weight` is a matrix N x K in panels, or where `groups` > 1 a stack of G; `input` has
      G K columns.
    * (C2) The result has G N columns and the rows of `input`.
    * (C3) `groups` is positive.
    * (C4) `bias`, where given, is a plain weight of shape N, or G x N for a stack.
    * (C5) `input` is bf16 only where `weight` is: it has been rounded before.

    Example:
    ```mlir
    %y = treadle.linear %x, %w
      : (tensor<16x256xf32>, !treadle.weight<512x256xbf16, panels>) -> tensor<16x512xf32>
    ```
  }];
  let arguments = (ins Treadle_RoundedRows:$input,
                       Arg<Treadle_WeightType, "N x K", [MemRead]>:$weight,
                       Arg<Optional<Treadle_WeightType>, "N", [MemRead]>:$bias,
                       DefaultValuedAttr<I64Attr, "1">:$groups);
  let results = (outs Treadle_Rows:$result);
  let assemblyFormat = [{
    $input `,` $weight (`bias` $bias^)? attr-dict `:` functional-type(operands, results)
  }];
  let builders = [OpBuilder<(ins "::mlir::Type":$type, "::mlir::Value":$input, "::mlir::Value":$weight),
    [{ build($_builder, $_state, type, input, weight, ::mlir::Value()); }]>];
}

def Treadle_JointLinearOp : Treadle_CoreOp<"joint_linear", [AttrSizedOperandSegments], ["getRowFlops"]> {
  let summary = "multiplies the rows of several inputs by one matrix, which is read once";
  let description = [{
    y_i[r, n] = sum_k x_i[r, k] * W[n, k] + bias[n], each as `treadle.linear` computes it.

    Constraints:
    * (C1) `weight` is a matrix N x K in panels; every input has K columns.
    * (C2) There is one result per input; all inputs have one type, all results one with N columns
      and the rows of the inputs.
    * (C3) There is at least one input.
    * (C4) `bias`, where given, is a plain weight of shape N.

    Example:
    ```mlir
    %k, %ks = treadle.joint_linear (%x, %s), %w
      : (tensor<16x256xf32>, tensor<16x256xf32>, !treadle.weight<128x256xf32, panels>)
        -> (tensor<16x128xf32>, tensor<16x128xf32>)
    ```
  }];
  let arguments = (ins Variadic<Treadle_Rows>:$inputs, Arg<Treadle_WeightType, "N x K", [MemRead]>:$weight,
                       Arg<Optional<Treadle_WeightType>, "N", [MemRead]>:$bias);
  let results = (outs Variadic<Treadle_Rows>:$outputs);
  let assemblyFormat = [{
    `(` $inputs `)` `,` $weight (`bias` $bias^)? attr-dict `:` functional-type(operands, results)
  }];
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

#endif // TREADLE_DIALECT_TREADLE_IR_TREADLEMATRIXOPS_TD

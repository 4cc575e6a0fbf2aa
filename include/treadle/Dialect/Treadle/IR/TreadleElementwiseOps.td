//===- TreadleElementwiseOps.td - Gates and other elementwise ops *- tablegen -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_DIALECT_TREADLE_IR_TREADLEELEMENTWISEOPS_TD
#define TREADLE_DIALECT_TREADLE_IR_TREADLEELEMENTWISEOPS_TD

include "treadle/Dialect/Treadle/IR/TreadleOpBase.td"

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

// Elementwise, fused into the stage that makes their operand. A plain vector has one entry per
// column.

class Treadle_ElementwiseOp<string mnemonic, list<Trait> traits = []>
    : Treadle_Op<mnemonic, !listconcat(traits, [Elementwise])> {
  let results = (outs Treadle_Rows:$result);
}

def Treadle_ActivateOp : Treadle_ElementwiseOp<"activate", [Pure,
    /*activate_c1*/ AllTypesMatch<["input", "result"]>]> {
  let summary = "applies a pointwise nonlinearity";
  let description = [{
    y = act(x)

    Constraints:
    * (C1) The result has the type of `input`.

    Example: `%y = treadle.activate %x {activation = #treadle.activation<gelu>} : tensor<16x512xf32>`
  }];
  let arguments = (ins Treadle_Rows:$input, Treadle_ActivationAttr:$activation);
  let assemblyFormat = "$input attr-dict `:` type($result)";
}

def Treadle_SwishOp : Treadle_ElementwiseOp<"swish"> {
  let summary = "multiplies by a sigmoid of learned slope";
  let description = [{
    y = x / (1 + exp(-slope * x))

    Constraints:
    * (C1) `slope` is a plain scalar weight.
    * (C2) The result has the type of `input`.

    Example:
    ```mlir
    %y = treadle.swish %x, %slope
      : (tensor<16x512xf32>, !treadle.weight<f32, plain>) -> tensor<16x512xf32>
    ```
  }];
  let arguments = (ins Treadle_Rows:$input, Arg<Treadle_WeightType, "scalar", [MemRead]>:$slope);
  let assemblyFormat = "$input `,` $slope attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Treadle_ScaleOp : Treadle_ElementwiseOp<"scale", [Pure,
    /*scale_c1*/ AllTypesMatch<["input", "result"]>]> {
  let summary = "multiplies by a number";
  let description = [{
    y = factor * x

    Constraints:
    * (C1) The result has the type of `input`.

    Example: `%y = treadle.scale %x by %f : tensor<16x512xf32>`
  }];
  let arguments = (ins Treadle_Rows:$input, F32:$factor);
  let assemblyFormat = "$input `by` $factor attr-dict `:` type($result)";
}

def Treadle_GPASOp : Treadle_ElementwiseOp<"gpas"> {
  let summary = "shrinks the residual stream by a learned share";
  let description = [{
    y = x * (1 - silu(alpha)). Chen et al., "GPAS: Accelerating Convergence of LLM
    Pretraining via Gradient-Preserving Activation Scaling", arXiv 2506.22049.

    Constraints:
    * (C1) `alpha` is a plain scalar weight.
    * (C2) The result has the type of `input`.

    Example:
    ```mlir
    %y = treadle.gpas %x, %alpha
      : (tensor<16x512xf32>, !treadle.weight<f32, plain>) -> tensor<16x512xf32>
    ```
  }];
  let arguments = (ins Treadle_Rows:$input, Arg<Treadle_WeightType, "scalar", [MemRead]>:$alpha);
  let assemblyFormat = "$input `,` $alpha attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Treadle_LogDecayOp : Treadle_ElementwiseOp<"log_decay"> {
  let summary = "the logarithm of a gated recurrence's decay";
  let description = [{
    y[r, h] = -exp(a_log[h]) * log(1 + exp(x[r, h] + dt_bias[h])), never positive.
    Yang et al., "Gated Delta Networks", arXiv 2412.06464.

    Constraints:
    * (C1) `a_log` and `dt_bias` are plain vectors with one entry per column.
    * (C2) The result has the type of `input`.

    Example:
    ```mlir
    %g = treadle.log_decay %a, %a_log, %dt_bias
      : (tensor<16x16xf32>, !treadle.weight<16xf32, plain>, !treadle.weight<16xf32, plain>)
        -> tensor<16x16xf32>
    ```
  }];
  let arguments = (ins Treadle_Rows:$input, Arg<Treadle_WeightType, "columns", [MemRead]>:$a_log,
                       Arg<Treadle_WeightType, "columns", [MemRead]>:$dt_bias);
  let assemblyFormat = "$input `,` $a_log `,` $dt_bias attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Treadle_BlankStartOp : Treadle_ElementwiseOp<"blank_start", [Pure,
    /*blank_start_c1*/ AllTypesMatch<["input", "result"]>]> {
  let summary = "zeroes the first rows of a sequence";
  let description = [{
    y[r, c] = position + r < rows ? 0 : x[r, c]

    Constraints:
    * (C1) The result has the type of `input`.
    * (C2) `rows` is positive.

    Example: `%y = treadle.blank_start %x at %position {rows = 1 : i64} : tensor<16x512xf32>`
  }];
  let arguments = (ins Treadle_Rows:$input, Index:$position, I64Attr:$rows);
  let assemblyFormat = "$input `at` $position attr-dict `:` type($result)";
  let hasVerifier = 1;
}

def Treadle_PadLogitsOp : Treadle_ElementwiseOp<"pad_logits", [Pure,
    /*pad_logits_c1*/ AllTypesMatch<["input", "result"]>]> {
  let summary = "rules out the columns behind a vocabulary";
  let description = [{
    y[r, c] = c < vocabulary ? x[r, c] : -infinity

    Constraints:
    * (C1) The result has the type of `input`.
    * (C2) `vocabulary` is positive and at most the columns.

    Example: `%y = treadle.pad_logits %x {vocabulary = 257 : i64} : tensor<1x264xf32>`
  }];
  let arguments = (ins Treadle_Rows:$input, I64Attr:$vocabulary);
  let assemblyFormat = "$input attr-dict `:` type($result)";
  let hasVerifier = 1;
}

#endif // TREADLE_DIALECT_TREADLE_IR_TREADLEELEMENTWISEOPS_TD

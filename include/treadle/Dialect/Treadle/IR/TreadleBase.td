//===- TreadleBase.td - Dialect definition -----------------*- tablegen -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_DIALECT_TREADLE_IR_TREADLEBASE_TD
#define TREADLE_DIALECT_TREADLE_IR_TREADLEBASE_TD

include "mlir/IR/OpBase.td"

def Treadle_Dialect : Dialect {
  let name = "treadle";
  let cppNamespace = "::treadle";
  let summary = "Language models that loop, recur and remember";
  let description = [{
    A model is a module of `treadle.weight` and `treadle.state` symbols and a
    function `@forward` that turns the token ids of R rows into R hidden rows
    (and `@head`, which turns hidden rows into logits).

    Activations are rank-2 tensors `R x C` of f32: one row per token, heads side
    by side in the columns. R is dynamic in the `model` phase and static from the
    `program` phase on. Weights and states are never tensors: an op reads or
    writes them through a reference (`treadle.get_weight`, `treadle.get_state`)
    and declares its memory effect on it. See docs/Rationale/References.md.

    Row i of an entry point stands at position `position + i` of the sequence.
    Only the first `valid` rows are tokens; the others are padding, change no
    state, and their results are unspecified.
  }];
  let useDefaultTypePrinterParser = 1;
  let useDefaultAttributePrinterParser = 1;
  let hasOperationAttrVerify = 1;
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::func::FuncDialect"];
}

#endif // TREADLE_DIALECT_TREADLE_IR_TREADLEBASE_TD

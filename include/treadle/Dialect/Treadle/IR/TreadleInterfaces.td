//===- TreadleInterfaces.td - Op interfaces ----------------*- tablegen -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_DIALECT_TREADLE_IR_TREADLEINTERFACES_TD
#define TREADLE_DIALECT_TREADLE_IR_TREADLEINTERFACES_TD

include "mlir/IR/OpBase.td"

def Treadle_StageCoreOpInterface : OpInterface<"StageCoreOpInterface"> {
  let cppNamespace = "::treadle";
  let description = [{
    An op that can be the core of a stage. It names the dimensions that may be
    cut into independent tiles, and says for each operand and result which
    region one tile touches. Everything that schedules stages (tiling, threads,
    arena planning, the GPU) reads these maps and nothing else.

    It also says what it needs where that does not follow from its operands' types:
    what is counted, and what is measured against, is in docs/HowTo/Measure.md.
  }];
  let methods = [
    InterfaceMethod<"The iteration dimensions, outermost first.",
      "::llvm::SmallVector<::treadle::IterationAttr>", "getIterationDims">,
    InterfaceMethod<"The region of operand `index` that one tile reads (or writes, for states).",
      "::treadle::AccessAttr", "getOperandAccess", (ins "unsigned":$index)>,
    InterfaceMethod<"The region of each result that one tile writes. Unused without results.",
      "::treadle::AccessAttr", "getResultAccess">,
    InterfaceMethod<[{Operations of matrices for one row, two for a multiply-add. Norms, activations
      and recurrences count nothing.}],
      "int64_t", "getRowFlops", (ins), "", "return 0;">,
    InterfaceMethod<"Operations of attention for one row and one key that it attends to.",
      "int64_t", "getKeyFlops", (ins), "", "return 0;">,
    InterfaceMethod<[{Whether a row reads all rows of the append state `index` up to its own, rather
      than one.}],
      "bool", "readsAllRows", (ins "unsigned":$index), "", "return false;">,
    InterfaceMethod<[{How many rows of the weight `index`, a table, one row looks up; 0: it needs the
      whole weight.}],
      "int64_t", "getLookups", (ins "unsigned":$index), "", "return 0;">,
  ];
}

#endif // TREADLE_DIALECT_TREADLE_IR_TREADLEINTERFACES_TD

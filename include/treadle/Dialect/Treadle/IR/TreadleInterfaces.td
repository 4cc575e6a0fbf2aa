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
  }];
  let methods = [
    InterfaceMethod<"The iteration dimensions, outermost first.",
      "::llvm::SmallVector<::treadle::IterationAttr>", "getIterationDims">,
    InterfaceMethod<"The region of operand `index` that one tile reads (or writes, for states).",
      "::treadle::AccessAttr", "getOperandAccess", (ins "unsigned":$index)>,
    InterfaceMethod<"The region of each result that one tile writes. Unused without results.",
      "::treadle::AccessAttr", "getResultAccess">,
  ];
}

#endif // TREADLE_DIALECT_TREADLE_IR_TREADLEINTERFACES_TD

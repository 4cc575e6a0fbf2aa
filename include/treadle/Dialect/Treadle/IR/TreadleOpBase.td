//===- TreadleOpBase.td - What ops over rows share ---------*- tablegen -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_DIALECT_TREADLE_IR_TREADLEOPBASE_TD
#define TREADLE_DIALECT_TREADLE_IR_TREADLEOPBASE_TD

include "mlir/Interfaces/InferTypeOpInterface.td"
include "treadle/Dialect/Treadle/IR/TreadleSymbolOps.td"

// Dimension 0 counts rows and may be open; all others are known in every phase, and none is 0.
class Treadle_RowsOf<Type element, int rank, string summary>
    : ConfinedType<TensorRankOf<[element], [rank]>,
        [CPred<"::treadle::isRowsShape(::llvm::cast<::mlir::ShapedType>($_self).getShape())">], summary>;

// Activations: one row per token, heads side by side in the columns.
def Treadle_Rows : Treadle_RowsOf<F32, 2, "rows of f32 with a known number of columns">;
// Activations that may have been rounded for what takes them.
def Treadle_RoundedRows
    : Treadle_RowsOf<AnyTypeOf<[F32, BF16]>, 2, "rows of f32 or bf16 with a known number of columns">;
def Treadle_Ids : Treadle_RowsOf<I32, 1, "one i32 per row">;
// One cos row and one sin row per token, one column per rotated pair.
def Treadle_RotaryTable : Treadle_RowsOf<F32, 3, "R x 2 x P table of f32 with a known P">;

// An op that can be the core of a stage. `needs` are the methods of the interface by which it says more
// of what it needs than the types of its operands do.
class Treadle_CoreOp<string mnemonic, list<Trait> traits = [], list<string> needs = []>
    : Treadle_Op<mnemonic, !listconcat(traits,
        [DeclareOpInterfaceMethods<Treadle_StageCoreOpInterface, needs>])> {
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//

// A core op that works row by row: its tiles are rows.
class Treadle_RowCoreOp<string mnemonic, list<Trait> traits = [], list<string> needs = []>
    : Treadle_CoreOp<mnemonic, traits, needs> {
  let extraClassDefinition = [{
    ::llvm::SmallVector<::treadle::IterationAttr> $cppClass::getIterationDims() {
      return {::treadle::getRowIteration(*this)};
    }
    ::treadle::AccessAttr $cppClass::getOperandAccess(unsigned index) {
      return ::treadle::getRowAccess(*this, getOperation()->getOperand(index).getType());
    }
    ::treadle::AccessAttr $cppClass::getResultAccess() {
      return ::treadle::getRowAccess(*this, getOperation()->getResult(0).getType());
    }
  }];
}

#endif // TREADLE_DIALECT_TREADLE_IR_TREADLEOPBASE_TD

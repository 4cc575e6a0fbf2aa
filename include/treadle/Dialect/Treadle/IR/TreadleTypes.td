//===- TreadleTypes.td - References to weights and states --*- tablegen -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_DIALECT_TREADLE_IR_TREADLETYPES_TD
#define TREADLE_DIALECT_TREADLE_IR_TREADLETYPES_TD

include "treadle/Dialect/Treadle/IR/TreadleAttrs.td"

def Treadle_WeightType : TypeDef<Treadle_Dialect, "Weight"> {
  let mnemonic = "weight";
  let summary = "a reference to one slot of a weight";
  let description = [{
    The logical shape, the storage element type and the packing. Values are
    read as f32 whatever the storage. A matrix is `N x K` (output, input), a stack of them
    `G x N x K`.

    Constraints:
    * (C1) The element type is f32 or bf16.
    * (C2) Every dimension is positive, and their product is at most 2^48.
    * (C3) Panels hold a matrix or a stack of equal matrices.

    Example: `!treadle.weight<512x256xbf16, panels>`, `!treadle.weight<f32, plain>` (a scalar).
  }];
  let parameters = (ins ArrayRefParameter<"int64_t">:$shape, "::mlir::Type":$elementType,
                        EnumParameter<Treadle_Packing>:$packing);
  let assemblyFormat = "`<` custom<ShapeAndElement>($shape, $elementType) `,` $packing `>`";
  let genVerifyDecl = 1;
}

def Treadle_StateType : TypeDef<Treadle_Dialect, "State"> {
  let mnemonic = "state";
  let summary = "a reference to one slot of a state";
  let description = [{
    The kind and the shape of one slot. Dimension 0 counts rows: the capacity of
    an `append` state, the length of a `ring`; a `fixed` state has no row
    dimension. The remaining dimensions are the row.

    Constraints:
    * (C1) The element type is f32, bf16, i8 or i32.
    * (C2) Every dimension is positive, and their product is at most 2^48.
    * (C3) A state of kind append or ring has a row dimension.
    * (C4) Panels hold an append state of f32 or bf16 whose rows have one dimension.

    Example: `!treadle.state<append, 512x128xbf16>`,
    `!treadle.state<append, 512x128xbf16, panels>` (16 rows side by side)
  }];
  let parameters = (ins EnumParameter<Treadle_StateKind>:$kind,
                        ArrayRefParameter<"int64_t">:$shape, "::mlir::Type":$elementType,
                        DefaultValuedParameter<"::treadle::Packing",
                                               "::treadle::Packing::plain">:$packing);
  let assemblyFormat = [{
    `<` $kind `,` custom<ShapeAndElement>($shape, $elementType) (`,` $packing^)? `>`
  }];
  let builders = [TypeBuilder<(ins "::treadle::StateKind":$kind,
                                   "::llvm::ArrayRef<int64_t>":$shape,
                                   "::mlir::Type":$elementType),
                              [{ return $_get($_ctxt, kind, shape, elementType, Packing::plain); }]>];
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    /// The shape of what one token adds: everything behind the row dimension.
    ::llvm::ArrayRef<int64_t> getRowShape() const {
      return getKind() == ::treadle::StateKind::fixed ? getShape() : getShape().drop_front();
    }
  }];
}

#endif // TREADLE_DIALECT_TREADLE_IR_TREADLETYPES_TD

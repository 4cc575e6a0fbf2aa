//===- TreadleSymbolOps.td - Weights, states, references ------*- tablegen -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_DIALECT_TREADLE_IR_TREADLESYMBOLOPS_TD
#define TREADLE_DIALECT_TREADLE_IR_TREADLESYMBOLOPS_TD

include "mlir/IR/OpBase.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/SideEffectInterfaces.td"
include "treadle/Dialect/Treadle/IR/TreadleInterfaces.td"
include "treadle/Dialect/Treadle/IR/TreadleTypes.td"

class Treadle_Op<string mnemonic, list<Trait> traits = []> : Op<Treadle_Dialect, mnemonic, traits>;

//===----------------------------------------------------------------------===//
// Symbols
//===----------------------------------------------------------------------===//

def Treadle_WeightOp : Treadle_Op<"weight", [Symbol]> {
  let summary = "declares a weight of the model";
  let description = [{
    A table of equal weights, one per slot, read from the named source tensors in
    row-major order of the slots. Equal layers share one symbol with a slot per
    layer, so that a loop over layers is a loop and code does not grow with depth.
    Where there are more sources than slots, the same number of them makes each slot,
    one behind the other. `view` says that a source is stored in another shape or order
    than the weight, or its part of it, has; a matrix stored as K x N is one.

    Constraints:
    * (C1) Every slot dimension is positive, and all slots together hold at most 2^48 elements.
    * (C2) There is at least one source per slot, and the same number for each.
    * (C3) A slot divides into its sources along the first dimension.
    * (C4) `view`, where given, holds as many elements as a source gives.

    Example:
    ```mlir
    treadle.weight @entry.q.down : !treadle.weight<16x256xf32, panels> slots [2]
      from ["entry_layers.0.attn.q_proj.down.weight", "entry_layers.1.attn.q_proj.down.weight"]
    treadle.weight @embedding : !treadle.weight<2048x256xf32, panels> from ["token_embedding.weight"]
    treadle.weight @turned : !treadle.weight<16x256xf32, panels> from ["w"]
      view #treadle.view<[256, 16], [1, 0]>
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, TypeAttrOf<Treadle_WeightType>:$type,
                       DefaultValuedAttr<DenseI64ArrayAttr, "{}">:$slots, StrArrayAttr:$sources,
                       OptionalAttr<Treadle_ViewAttr>:$view);
  let extraClassDeclaration = [{
    /// How many sources make one slot.
    int64_t getNumParts();
  }];
  let assemblyFormat = [{
    $sym_name `:` $type (`slots` $slots^)? `from` $sources (`view` $view^)? attr-dict
  }];
  let hasVerifier = 1;
}

def Treadle_StateOp : Treadle_Op<"state", [Symbol, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "declares memory that a sequence carries from token to token";
  let description = [{
    A table of equal states, one per slot. Session layout, reset, fork,
    checkpoint, rollback, truncate and serialise follow from the declaration.
    `loop_slot` names the slot dimension that counts the passes of a run-time
    loop: a session that runs fewer passes never touches the slots behind.

    In a model with a period (`treadle.model`), rows of append states are counted from
    the last turn; `lead` rows in front of them are written by the entry point `open`,
    and rows behind the period are scratch of `close`. A fixed state is 0 at the start of
    a sequence, or the weight `initial`, or `fill` in every element. `by_turn` says that
    only `open` and `close` write it, so that tokens of an open period can be taken back.

    Constraints:
    * (C1) Every slot dimension is positive, and all slots together hold at most 2^48 elements.
    * (C2) `loop_slot`, where given, is the index of a slot dimension.
    * (C3) `lead` is not negative, and 0 but for an append state, of whose rows it is a part.
    * (C4) Only a fixed state is `by_turn`, or has `initial` or `fill`, and not both.
    * (C5) `initial` is a plain weight of f32 of the state's shape and slots.
    * (C6) `fill` stands on a state of i32.

    Example: one row of keys per token for each of 4 passes and 2 layers:
    ```mlir
    treadle.state @shared.k : !treadle.state<append, 512x128xf32> slots [4, 2] loop_slot 0
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, TypeAttrOf<Treadle_StateType>:$type,
                       DefaultValuedAttr<DenseI64ArrayAttr, "{}">:$slots,
                       OptionalAttr<I64Attr>:$loop_slot,
                       DefaultValuedAttr<I64Attr, "0">:$lead, UnitAttr:$by_turn,
                       OptionalAttr<FlatSymbolRefAttr>:$initial, OptionalAttr<I32Attr>:$fill);
  let assemblyFormat = [{
    $sym_name `:` $type (`slots` $slots^)? (`loop_slot` $loop_slot^)? (`lead` $lead^)?
    (`by_turn` $by_turn^)? (`initial` $initial^)? (`fill` $fill^)? attr-dict
  }];
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// References
//===----------------------------------------------------------------------===//

class Treadle_ReferenceOp<string mnemonic, string symbol, Type type>
    : Treadle_Op<mnemonic, [Pure, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "a reference to one slot of a " # symbol;
  let arguments = (ins FlatSymbolRefAttr:$symbol, Variadic<Index>:$slot);
  let results = (outs type:$result);
  let assemblyFormat = "$symbol (`[` $slot^ `]`)? `:` type($result) attr-dict";
}

def Treadle_GetWeightOp : Treadle_ReferenceOp<"get_weight", "weight", Treadle_WeightType> {
  let description = [{
    The slot with the given indices, row-major; the whole weight where it has no slots.

    Constraints:
    * (C1) The symbol is a `treadle.weight` of the result's type.
    * (C2) There is one index per slot dimension.

    Example: `%w = treadle.get_weight @entry.q.down[%layer] : !treadle.weight<16x256xf32, panels>`
  }];
}

def Treadle_GetStateOp : Treadle_ReferenceOp<"get_state", "state", Treadle_StateType> {
  let description = [{
    The slot with the given indices, row-major; the whole state where it has no slots.

    Constraints:
    * (C1) The symbol is a `treadle.state` of the result's type.
    * (C2) There is one index per slot dimension.

    Example: `%k = treadle.get_state @shared.k[%pass, %layer] : !treadle.state<append, 512x128xf32>`
  }];
}

#endif // TREADLE_DIALECT_TREADLE_IR_TREADLESYMBOLOPS_TD

//===- TreadleAttrs.td - Enums and attributes --------------*- tablegen -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_DIALECT_TREADLE_IR_TREADLEATTRS_TD
#define TREADLE_DIALECT_TREADLE_IR_TREADLEATTRS_TD

include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"
include "treadle/Dialect/Treadle/IR/TreadleBase.td"

class Treadle_Enum<string name, string summary, list<EnumCase> cases>
    : I32Enum<name, summary, cases> {
  let cppNamespace = "::treadle";
}
class Treadle_EnumAttr<EnumInfo info, string mnemonic> : EnumAttr<Treadle_Dialect, info, mnemonic> {
  let assemblyFormat = "`<` $value `>`";
}

def Treadle_Packing : Treadle_Enum<"Packing", "how a weight lies in the packed file, a state in memory", [
  // Row-major; of weights as in the source: vectors and small tensors.
  I32EnumCase<"plain", 0>,
  // [N/16][K/k][16][k]: 16 output features on lanes, K in order, k = elements per 32 bits.
  // Of states [rows/16][columns/k][16][k]: 16 rows on lanes.
  I32EnumCase<"panels", 1>,
]>;

def Treadle_StateKind : Treadle_Enum<"StateKind", "how a state follows the tokens", [
  I32EnumCase<"append", 0>, // one row per token, up to a capacity
  I32EnumCase<"fixed", 1>,  // overwritten by each token
  I32EnumCase<"ring", 2>,   // the last k rows
]>;

def Treadle_RopePairing : Treadle_Enum<"RopePairing", "which two columns of a head rotate together", [
  I32EnumCase<"half", 0>,        // (j, j + P) for P pairs
  I32EnumCase<"interleaved", 1>, // (2j, 2j + 1)
]>;
def Treadle_RopePairingAttr : Treadle_EnumAttr<Treadle_RopePairing, "rope_pairing">;

def Treadle_Activation : Treadle_Enum<"Activation", "pointwise nonlinearity", [
  I32EnumCase<"silu", 0>,    // x / (1 + exp(-x))
  I32EnumCase<"gelu", 1>,    // x (1 + erf(x / sqrt 2)) / 2
  I32EnumCase<"relu", 2>,    // max(x, 0)
  I32EnumCase<"abs", 3>,     // |x|
  I32EnumCase<"sigmoid", 4>, // 1 / (1 + exp(-x))
  I32EnumCase<"identity", 5>,
]>;
def Treadle_ActivationAttr : Treadle_EnumAttr<Treadle_Activation, "activation">;

def Treadle_EntryKind : Treadle_Enum<"EntryKind", "what an entry point computes", [
  I32EnumCase<"forward", 0>, // ids -> hidden rows, advances the states
  I32EnumCase<"head", 1>,    // hidden rows -> logits
  I32EnumCase<"open", 2>,    // begins a period: writes the rows that lead its append states
  I32EnumCase<"close", 3>,   // ends a period: writes the states that outlive it
]>;

def Treadle_EntryAttr : AttrDef<Treadle_Dialect, "Entry"> {
  let mnemonic = "entry";
  let summary = "marks a function as an entry point of the library";
  let description = [{
    `rows` is the static row count; 0 in the `model` phase, where it is open.

    Constraints:
    * (C1) `rows` is not negative.
    * (C2) The attribute `treadle.entry` stands on a function and is of this kind.

    Example:
    ```mlir
    func.func @forward_16(...) attributes {treadle.entry = #treadle.entry<forward, rows = 16>}
    ```
  }];
  let parameters = (ins EnumParameter<Treadle_EntryKind>:$kind, "int64_t":$rows);
  let assemblyFormat = "`<` $kind `,` `rows` `=` $rows `>`";
  let genVerifyDecl = 1;
}

def Treadle_IterationKind : Treadle_Enum<"IterationKind", "what a dimension of a stage counts", [
  I32EnumCase<"rows", 0>,    // tokens of the entry point
  I32EnumCase<"outputs", 1>, // output features
  I32EnumCase<"heads", 2>,   // attention heads that share one key/value head, or state heads
]>;

def Treadle_IterationAttr : AttrDef<Treadle_Dialect, "Iteration"> {
  let mnemonic = "iteration";
  let summary = "one named iteration dimension of a stage";
  let description = [{
    Example: `#treadle.iteration<outputs = 512>`, in a stage written `<outputs = 512>`.
  }];
  let parameters = (ins EnumParameter<Treadle_IterationKind>:$kind, "int64_t":$extent);
  let assemblyFormat = "`<` $kind `=` $extent `>`";
}

def Treadle_AccessAttr : AttrDef<Treadle_Dialect, "Access"> {
  let mnemonic = "access";
  let summary = "which region of an operand a tile of a stage touches";
  let description = [{
    One entry per dimension of the operand:
    * `i >= 0`: the tile's interval of iteration dimension i, times (size / extent);
    * `all` (-1): the whole dimension;
    * `position` (-2): the rows of the tile, counted from the session's position
      (the row dimension of an append state).
    Scalars and 0-d operands have no entries.

    Constraints:
    * (C1) An entry is an iteration dimension, `all` or `position`.

    Example: `#treadle.access<0, all>` reads whole rows of the tile.
  }];
  let parameters = (ins ArrayRefParameter<"int64_t">:$dims);
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    static constexpr int64_t all = -1;
    static constexpr int64_t position = -2;
  }];
}

def Treadle_ModelAttr : AttrDef<Treadle_Dialect, "Model"> {
  let mnemonic = "model";
  let summary = "what a library says of its model; attached to the module";
  let description = [{
    * `family`: the `model_type` of the config;
    * `vocabulary`: width of a logits row; `hidden`: width of a hidden row;
    * `tokens`: how many of the columns of logits are tokens, the first ones; 0: all;
    * `capacity`: positions compiled for; `config_capacity`: positions the config allows;
      both are 0, no limit, in a model with a period;
    * `period`: positions after which the append states begin anew, at a turn; 0: never;
    * `max_loops`: largest trip count of a run-time loop; `config_loops`: the config's own;
    * `eos`: ids that end a text;
    * `info`: a JSON object with the family's own facts, printed by `--info`.

    Constraints:
    * (C1) Sizes and loop counts are positive, `period` is not negative. Capacities are positive
      without a period, and 0 with one.
    * (C2) `tokens` is from 0 to `vocabulary`, and every id of `eos` is one of a token.
    * (C3) The attribute `treadle.model` stands on a module and is of this kind.

    Example:
    ```mlir
    module attributes {treadle.model = #treadle.model<
      family = "miniaxion", vocabulary = 2048, hidden = 256, capacity = 512, config_capacity = 512,
      max_loops = 4, config_loops = 2, eos = [2], info = "{}">} {}
    ```
  }];
  let parameters = (ins StringRefParameter<>:$family, "int64_t":$vocabulary, "int64_t":$hidden,
                        "int64_t":$capacity, "int64_t":$config_capacity, "int64_t":$max_loops,
                        "int64_t":$config_loops, "::mlir::DenseI64ArrayAttr":$eos,
                        StringRefParameter<>:$info,
                        DefaultValuedParameter<"int64_t", "0">:$period,
                        DefaultValuedParameter<"int64_t", "0">:$tokens);
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    /// Every id is below it.
    int64_t getTokenCount() const { return getTokens() ? getTokens() : getVocabulary(); }
  }];
}

def Treadle_ViewAttr : AttrDef<Treadle_Dialect, "View"> {
  let mnemonic = "view";
  let summary = "how a weight is read from its source tensor";
  let description = [{
    The source tensor has `shape`. Its dimensions are reordered by `order` (dimension i
    of the result is dimension order[i] of the source), and the result, read row-major,
    is the weight.

    Constraints:
    * (C1) Sizes are positive, and their product is at most 2^48.
    * (C2) `order` is a permutation of the dimensions.

    Example: a stack of 8 matrices stored as input x output, `#treadle.view<[8, 64, 32], [0, 2, 1]>`.
  }];
  let parameters = (ins ArrayRefParameter<"int64_t">:$shape, ArrayRefParameter<"int64_t">:$order);
  let assemblyFormat = "`<` `[` $shape `]` `,` `[` $order `]` `>`";
  let genVerifyDecl = 1;
}

def Treadle_TileAttr : AttrDef<Treadle_Dialect, "Tile"> {
  let mnemonic = "tile";
  let summary = "tile sizes of a stage, one per iteration dimension; attached by a target";
  let description = [{
    Example: `#treadle.tile<8, 32>`
  }];
  let parameters = (ins ArrayRefParameter<"int64_t">:$sizes);
  let assemblyFormat = "`<` $sizes `>`";
}

def Treadle_WorkAttr : AttrDef<Treadle_Dialect, "Work"> {
  let mnemonic = "work";
  let summary = "what a stage of an entry point needs of memory and arithmetic";
  let description = [{
    * `name`: its ops, and the symbols that they touch;
    * `calls`: how often it runs in a call of the entry point; where it is `looped`, for each pass of
      the run-time loop;
    * `weights`: those that it reads whole; `tables`: those that it looks rows up in; `attended`: the
      append states of which it reads all rows;
    * bytes of one run: `weight_bytes`; `state_bytes` of fixed and ring states, read and written each;
      `row_bytes` for each row, of activations and of append states that it reads or writes a row of;
      `lookup_bytes` for each row, of tables; `key_bytes` for each row of the states that it attends to;
    * operations of one run: `flops` for each row, `key_flops` for each row and key.

    Bytes are those of the logical shapes, without any padding.

    Constraints:
    * (C1) `calls` is positive, bytes and operations are not negative.
    * (C2) `weights`, `tables` and `attended` hold names of symbols.
    * (C3) The attribute `treadle.stages` stands on a function and is a list of these. (There is one for
      each stage, in their order.)

    Example:
    ```mlir
    #treadle.work<name = "linear layers.q", calls = 12, weights = [@layers.q], weight_bytes = 262144,
                  row_bytes = 2048, flops = 131072>
    ```
  }];
  let parameters = (ins StringRefParameter<>:$name, "int64_t":$calls,
                        DefaultValuedParameter<"bool", "false">:$looped,
                        OptionalParameter<"::mlir::ArrayAttr">:$weights,
                        OptionalParameter<"::mlir::ArrayAttr">:$tables,
                        OptionalParameter<"::mlir::ArrayAttr">:$attended,
                        DefaultValuedParameter<"int64_t", "0">:$weight_bytes,
                        DefaultValuedParameter<"int64_t", "0">:$state_bytes,
                        DefaultValuedParameter<"int64_t", "0">:$row_bytes,
                        DefaultValuedParameter<"int64_t", "0">:$lookup_bytes,
                        DefaultValuedParameter<"int64_t", "0">:$key_bytes,
                        DefaultValuedParameter<"int64_t", "0">:$flops,
                        DefaultValuedParameter<"int64_t", "0">:$key_flops);
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
}

#endif // TREADLE_DIALECT_TREADLE_IR_TREADLEATTRS_TD

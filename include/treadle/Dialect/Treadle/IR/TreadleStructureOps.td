//===- TreadleStructureOps.td - loop, pick, stage, yield ---*- tablegen -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_DIALECT_TREADLE_IR_TREADLESTRUCTUREOPS_TD
#define TREADLE_DIALECT_TREADLE_IR_TREADLESTRUCTUREOPS_TD

include "treadle/Dialect/Treadle/IR/TreadleSymbolOps.td"

def Treadle_LoopOp : Treadle_Op<"loop", [
    RecursiveMemoryEffects, AttrSizedOperandSegments,
    SingleBlockImplicitTerminator<"::treadle::YieldOp">]> {
  let summary = "runs its body a number of times over carried activations";
  let description = [{
    x_0 = inits; x_{i+1} = body(i, x_i); results = x_n, where n is `trips`, or
    `max` where no trip count is given. 1 <= n <= max; the runtime guarantees it.
    The body exists once, whatever n. Weights and states of iteration i are the
    slots that its index selects.

    Constraints:
    * (C1) `max` is positive.
    * (C2) The body takes the index and one argument per init, of its type.
    * (C3) The body yields one value per init, of its type, and so are the results.

    Example:
    ```mlir
    %y = treadle.loop %pass to %loops max 4 carry (%h = %x) : tensor<16x256xf32> {
      ...
      treadle.yield %next : tensor<16x256xf32>
    }
    ```
  }];
  let arguments = (ins Optional<Index>:$trips, I64Attr:$max, Variadic<AnyRankedTensor>:$inits);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let regions = (region SizedRegion<1>:$bodyRegion);
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
  let builders = [OpBuilder<(ins "::mlir::Value":$trips, "int64_t":$max, "::mlir::ValueRange":$inits,
    "::llvm::function_ref<::llvm::SmallVector<::mlir::Value>(::mlir::OpBuilder &, ::mlir::Value, ::mlir::ValueRange)>":$body)>];
  let skipDefaultBuilders = 1;
  let extraClassDeclaration = [{
    ::mlir::BlockArgument getIndex() { return getBody()->getArgument(0); }
    ::mlir::Block::BlockArgListType getCarried() { return getBody()->getArguments().drop_front(); }
  }];
}

def Treadle_PickOp : Treadle_Op<"pick", [Pure]> {
  let summary = "one of several numbers, by the iteration of the enclosing loops";
  let description = [{
    y = values[i, j, ...]

    What a formula makes of a layer's number, say, where the layers are a loop. Behind the
    contract each index is, as a slot is, that of a loop or a constant, below the size of
    its dimension.

    Constraints:
    * (C1) There is one index per dimension of `values`, and at least one.

    Example:
    ```mlir
    %f = treadle.pick [%layer] of dense<[1.0, 0.707106769, 0.577350259]> : tensor<3xf32>
    ```
  }];
  let arguments = (ins Variadic<Index>:$indices, FloatElementsAttr<32>:$values);
  let results = (outs F32:$result);
  let assemblyFormat = "`[` $indices `]` `of` $values attr-dict";
  let hasVerifier = 1;
}

def Treadle_StageOp : Treadle_Op<"stage", [
    IsolatedFromAbove, RecursiveMemoryEffects,
    SingleBlockImplicitTerminator<"::treadle::YieldOp">]> {
  let summary = "an untiled piece of work whose tiles are independent";
  let description = [{
    Core ops with their prologue and epilogue, over named iteration dimensions.
    `accesses` says for each input which region one tile touches, `result_accesses`
    for each result. Tiles write disjoint regions, so they may run in any order, on
    any thread, with the same bits.

    A core op whose results another core op uses (directly or through elementwise ops) is
    part of the prologue, which has no tiles: whoever runs some tiles of the stage computes
    it whole, for itself. Every other core op is cut into the tiles of the stage. Where there
    are several, a tile is the same share of each: with an extent of 128, outputs 32 to 63
    of 128 and outputs 128 to 255 of 512.
 A stage is fused but untiled: a target attaches
    `tile`. `offsets`, attached by the arena planner, are the byte places of the
    results in the session's arena, or -1 for the output of the entry point.

    Constraints:
    * (C1) The body's arguments have the types of the inputs.
    * (C2) The body yields values of the result types.
    * (C3) There is one access per input and per result, with one entry per dimension
      (none for scalars).
    * (C4) Sizes are static and extents positive. Where an access names an iteration
      dimension, that dimension exists and its extent divides the size.
    * (C5) Every iteration dimension appears exactly once in every result's access:
      tiles write disjoint regions, and together the whole result.
    * (C6) The body has core ops (`StageCoreOpInterface`) and elementwise ops.
    * (C7) `tile`, where given, has one positive size per iteration dimension.
    * (C8) `offsets`, where given, has one -1 or non-negative multiple of 64 per result.
    * (C9) `position` stands only for the rows of an append state.
    * (C10) The iteration dimensions are those of each core op outside of the prologue, but
      that where it counts outputs or heads the stage may count any divisor of them; and so are
      the accesses of the inputs that it takes directly. What core ops of the prologue take is read whole.
    * (C11) Core ops of the prologue touch no state.
    * (C12) Where there are core ops, what is yielded depends on one outside of the prologue.

    Example:
    ```mlir
    %y = treadle.stage [<rows = 16>, <outputs = 512>] (
           %a = %x : tensor<16x256xf32> <0, all>,
           %b = %w : !treadle.weight<512x256xf32, panels> <1, all>)
         -> (tensor<16x512xf32> <0, 1>) {
      %0 = treadle.linear %a, %b : (...) -> tensor<16x512xf32>
      treadle.yield %0 : tensor<16x512xf32>
    }
    ```
  }];
  let arguments = (ins Variadic<AnyType>:$inputs,
                       TypedArrayAttrBase<Treadle_IterationAttr, "iteration dimensions">:$iterations,
                       TypedArrayAttrBase<Treadle_AccessAttr, "input accesses">:$accesses,
                       TypedArrayAttrBase<Treadle_AccessAttr, "result accesses">:$result_accesses,
                       OptionalAttr<Treadle_TileAttr>:$tile,
                       OptionalAttr<DenseI64ArrayAttr>:$offsets);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let regions = (region SizedRegion<1>:$bodyRegion);
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
  let hasRegionVerifier = 1;
  let extraClassDeclaration = [{
    /// The place, in `offsets`, of a result that is written to the entry point's output.
    static constexpr int64_t outputPlace = -1;

    /// The core ops of the body, in order; none of a purely elementwise stage.
    ::llvm::SmallVector<::treadle::StageCoreOpInterface> getCores();

    /// The last of them, which is not part of the prologue, or null.
    ::treadle::StageCoreOpInterface getCore();

    /// Whether another core op uses what `core`, of the body, computes.
    static bool isPrologue(::treadle::StageCoreOpInterface core);

    /// The rows of its activations, always their first dimension; 1 where there are none.
    int64_t getRows();

    int64_t getExtent(unsigned dim) {
      return ::mlir::cast<::treadle::IterationAttr>(getIterations()[dim]).getExtent();
    }

    /// Tiles along one dimension, and of the whole stage. Expects `tile`.
    int64_t getNumTiles(unsigned dim) {
      return ::llvm::divideCeilSigned(getExtent(dim), getTile()->getSizes()[dim]);
    }
    int64_t getNumTiles();
  }];
}

def Treadle_BarrierOp : Treadle_Op<"barrier", [
    MemoryEffects<[MemRead, MemWrite]>]> {
  let summary = "waits until every thread of the team is here";
  let description = [{
    Where several threads run an entry point, each its share of the tiles of every stage,
    what stands behind a barrier sees all that was written before it, by whichever thread.
    Placed by the target, which knows who runs which tile.

    Constraints:
    * (C1) The parent is a function or a loop, so that every thread comes by equally often.

    Example: `treadle.barrier`
  }];
  let assemblyFormat = "attr-dict";
  let hasVerifier = 1;
}

def Treadle_YieldOp : Treadle_Op<"yield", [Pure, Terminator,
    /*yield_c1*/ ParentOneOf<["::treadle::LoopOp", "::treadle::StageOp"]>]> {
  let summary = "ends the body of a loop or a stage";
  let description = [{
    Its operands are what the next iteration carries, or what the stage writes.

    Constraints:
    * (C1) The parent is a `treadle.loop` or a `treadle.stage`.

    Example: `treadle.yield %y : tensor<16x256xf32>`
  }];
  let arguments = (ins Variadic<AnyType>:$values);
  let assemblyFormat = "($values^ `:` type($values))? attr-dict";
  let builders = [OpBuilder<(ins), [{ build($_builder, $_state, ::mlir::ValueRange{}); }]>];
}

#endif // TREADLE_DIALECT_TREADLE_IR_TREADLESTRUCTUREOPS_TD

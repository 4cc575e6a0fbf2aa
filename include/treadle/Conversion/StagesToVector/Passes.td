//===- Passes.td - From stages to vector code -------------*- tablegen -*--===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_CONVERSION_STAGESTOVECTOR_PASSES_TD
#define TREADLE_CONVERSION_STAGESTOVECTOR_PASSES_TD

include "mlir/Pass/PassBase.td"

def ConvertStagesToVectorPass : Pass<"convert-stages-to-vector", "::mlir::ModuleOp"> {
  let summary = "turns tiled stages into vector kernels and entry points into calls";
  let description = [{
    Each distinct stage becomes one private function over memrefs,

        func.func private @linear_0(%x: memref<16x256xf32>, %w: memref<32x256x16x1xf32>,
                                    %y: memref<16x512xf32>, %first: index, %end: index)
            attributes {treadle.kernel}

    that runs the tiles `first` to `end`; equal stages share it. Stages with a multiple of
    16 rows are equal whatever the multiple: their kernel takes memrefs of `?` rows, unless
    a constant in the stage has its rows. An entry point gets
    the nine arguments of docs/Architecture.md and becomes loops and calls: activations
    are views of the arena at the planned offsets, weights and states views of their
    memory by Layout.h.

    All vectors have 16 lanes of f32; the target splits them as its registers need.
    Matrices run in register blocks of `register-rows` x `register-panels`; a single
    row takes up to `single-row-panels` at once, for enough independent chains. K passes in blocks
    of `block-words` words, of one f32 or two bf16, for one row in blocks of
    `single-row-words`; that changes no bit.

    Where there are `slices`, K has no blocks: slice s of S takes words s, s + S, ... in one chain,
    and the sums of slices are added in order, which makes other bits, the same for every number of
    rows. A stage that ends in a matrix becomes a kernel with the attribute `treadle.sliced`, in
    which slices are iterations of a loop that have nothing to do with each other. If it has several
    matrices of different heights, `treadle.parts` says in how many parts each of its tiles runs.
    So does a stage that ends in attention, in which the panels of keys of a span, and then every
    16th of its keys, are such iterations; and one whose tile is a long row, 1024 columns
    or more, or that ends in the delta rule, of which the vectors of columns of a head's state are.
    So does any stage with a prologue, all of which each tile runs. The sum
    over a long row is one of 16 slices of its vectors of columns. Where rows are
    few and a context holds several spans of keys, each span is a part, and what it gives lies
    behind the planned arena:

        call @attention_0(%q, ..., %y, %spans, %c0, %tiles_times_spans)
        call @attention_0_merge(%q, ..., %y, %spans, %c0, %tiles)

    Matrices in bf16 have slices of their own there: those of `treadle.multiply_panels`, which makes
    the sums of some rows and panels in scratch memory, on tensor cores.

    Recurrences run row by row, or where `chunked` in chunks of up to 64 rows. Where there are
    `slices`, all of a chunk is loops with such iterations, over rows, vectors of columns or both, and
    it has 32 rows, or 16 where more would not fit a block's memory; heads that are too wide for 16
    run row by row.
    Keys are read a panel at a time, of the last one with those that are not there yet; where
    `masked-keys`, without.
  }];
  let options = [
    Option<"registerRows", "register-rows", "int64_t", "6", "rows of a register block">,
    Option<"registerPanels", "register-panels", "int64_t", "1", "panels of a register block">,
    Option<"singleRowPanels", "single-row-panels", "int64_t", "4", "panels at once for one row">,
    // A register block's activations (6 x 1 KB) and a panel's block of weights (16 KB) share the
    // first-level cache. A single row has no reuse to protect.
    Option<"blockWords", "block-words", "int64_t", "256", "words of K in a block">,
    Option<"singleRowWords", "single-row-words", "int64_t", "8192", "the same for one row">,
    Option<"slices", "slices", "int64_t", "1", "slices of K that are summed for themselves">,
    Option<"bf16Dot", "bf16-dot", "bool", "false", "use vdpbf16ps for bf16 weights">,
    Option<"chunked", "chunked", "bool", "false", "run recurrences in chunks of rows">,
    Option<"maskedKeys", "masked-keys", "bool", "false", "read no key behind the last one">,
    Option<"packValues", "pack-values", "bool", "true", "copy values that many rows share">,
  ];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::func::FuncDialect", "::mlir::math::MathDialect",
    "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect", "::mlir::vector::VectorDialect",
    "::mlir::x86vector::X86VectorDialect",
  ];
}

#endif // TREADLE_CONVERSION_STAGESTOVECTOR_PASSES_TD

//===- Passes.td - From treadle ops to stages -------------*- tablegen -*--===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_CONVERSION_TREADLETOSTAGES_PASSES_TD
#define TREADLE_CONVERSION_TREADLETOSTAGES_PASSES_TD

include "mlir/Pass/PassBase.td"

def ConvertTreadleToStagesPass : Pass<"convert-treadle-to-stages"> {
  let summary = "wraps each op of an entry point into a stage";
  let description = [{
        %y = treadle.linear %x, %w
      =>
        %y = treadle.stage [<rows = 16>, <outputs = 512>]
               (%a = %x <0, all>, %b = %w <1, all>) -> (tensor<16x512xf32> <0, 1>) {
          %0 = treadle.linear %a, %b
          treadle.yield %0
        }

    A core op brings its dimensions and accesses (`StageCoreOpInterface`); an
    elementwise op runs over rows and outputs. Constants move into the body.
  }];
}

def FuseEpiloguesPass : Pass<"treadle-fuse-epilogues"> {
  let summary = "merges an elementwise stage into the matrix stage before it";
  let description = [{
        %p = stage { linear }            %y = stage { linear, addf }
        %y = stage (%p, %r) { addf }  =>

    Saves a write and a read of the activation. Fires where the product has no
    other use, both stages iterate alike, and the first reads no state (so that it
    may move down to the second).
  }];
}

def PlanArenaPass : Pass<"treadle-plan-arena", "::mlir::func::FuncOp"> {
  let summary = "gives every activation its place in the session's arena";
  let description = [{
    Sets `offsets` on every stage: bytes into the arena, or -1 for the value that
    the function returns, which is written to the entry point's output. Values
    whose lifetimes overlap get disjoint places. What a loop carries stays in one
    place (init, argument, yielded value and result); where that would overwrite a
    value still needed, a copying stage is put in. Sets `treadle.arena_bytes` on
    the function.
  }];
}

#endif // TREADLE_CONVERSION_TREADLETOSTAGES_PASSES_TD

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
    elementwise op runs over rows and outputs, so its result has these two. Constants move
    into the body.
  }];
  let dependentDialects = ["::treadle::TreadleDialect"];
}

def FuseEpiloguesPass : Pass<"treadle-fuse-epilogues"> {
  let summary = "merges an elementwise stage into the matrix stage before it";
  let description = [{
        %p = stage { linear }            %y = stage { linear, addf }
        %y = stage (%p, %r) { addf }  =>

    Saves a write and a read of the activation. Fires where the product has no
    other use, both stages iterate alike, and the first reads no state (so that it
    may move down to the second). A stage of several products takes what follows one of
    them or some at the same place, if nothing else is needed that comes after it.
  }];
}

def FuseSharedInputsPass : Pass<"treadle-fuse-shared-inputs"> {
  let summary = "merges matrix stages of one input into one stage";
  let description = [{
        %k = stage { linear %x, %w }         %k, %v = stage { linear %x, %w
        %v = stage { linear %x, %u }  =>                      linear %x, %u }

    Rows are rounded once, prologues run once, and panels of several matrices make more
    chains of sums that do not wait for each other. The outputs of the merged stage are the
    greatest common divisor of those of its matrices, a tile the same share of each. Runs
    before epilogues are fused, so that act(gate) * up becomes one.

    Fires where the stages take the same rows, or results of the same stage; where rows are
    few, since many hide all this behind their arithmetic; where the common divisor leaves
    enough tiles for a team; and where what the later stage reads is there before the earlier.
  }];
  let options = [
    Option<"fewRows", "few-rows", "int64_t", "4", "the most rows that are few">,
  ];
}

def FuseProloguesPass : Pass<"treadle-fuse-prologues"> {
  let summary = "lets stages compute for themselves what little they need";
  let description = [{
        %n = stage { rms_norm %x }           %y = stage { rms_norm %x
        %y = stage { linear %n, %w }  =>                  linear }

    The small stage becomes part of the prologue of every stage that uses it: each member of
    a team computes it whole, on its stack, before its first tile. That takes less time than
    to wait for the member that would compute it. So do norms, slices, FAN's cos and sin, gates,
    rotary embeddings, and the small inner product of a low-rank pair.

    Fires where rows are few; where the stage reads no state and its work, in multiply-adds
    times users, is at most `work`; and where every user is a stage whose core op takes it.
  }];
  let options = [
    Option<"fewRows", "few-rows", "int64_t", "4", "the most rows that are few">,
    Option<"work", "work", "int64_t", "16384", "multiply-adds that are cheaper than a barrier">,
  ];
}

def FuseAppendsPass : Pass<"treadle-fuse-appends"> {
  let summary = "appends a row in the stage that reads it";
  let description = [{
        stage { append %k, %keys }              stage { append %k, %keys
        stage { attention %q, %keys, ... }  =>          attention %q, %keys, ... }

    A tile appends just the columns that it then reads, so nobody waits. Fires for one row,
    where the next stage that touches the state reads it by columns.
  }];
}

def RoundActivationsPass : Pass<"treadle-round-activations"> {
  let summary = "stores in bf16 what only matrices in bf16 take";
  let description = [{
        %n = stage { rms_norm }            %n = stage { rms_norm, arith.truncf }  // bf16
        %y = stage (%n) { linear }    =>   %y = stage (%n) { linear }

    A matrix in bf16 rounds its input, for every tile of its outputs anew. Rounded where it is
    made, it is rounded once and takes half of the memory; no bit of a product changes.

    Fires for at least `many-rows` rows, since a single row is rounded while weights come; where
    all that takes the activation are inputs of `linear` with weights in bf16; and where K is even.
  }];
  let options = [
    Option<"manyRows", "many-rows", "int64_t", "16", "the fewest rows that are many">,
  ];
  let dependentDialects = ["::mlir::arith::ArithDialect"];
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

def CountWorkPass : Pass<"treadle-count-work", "::mlir::func::FuncOp"> {
  let summary = "notes on each entry point what its stages need";
  let description = [{
        func.func @forward_1(...) attributes {...} { stage { linear } ... }
      =>
        func.func @forward_1(...) attributes {..., treadle.stages = [#treadle.work<...>, ...]} ...

    One `#treadle.work` for each stage, in their order: bytes, operations, and how often it
    runs. The library says them as its fact "work", which benchmarks and profiles are measured by.
    Changes nothing else. Runs behind everything that makes, merges or drops stages.
  }];
}

#endif // TREADLE_CONVERSION_TREADLETOSTAGES_PASSES_TD

//===- FuseSharedInputs.cpp - Matrix stages of one input into one ---------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "MergeStages.h"
#include "treadle/Conversion/TreadleToStages/TreadleToStages.h"
#include "treadle/Dialect/Treadle/IR/Layout.h"

#include <numeric>

namespace treadle {
#define GEN_PASS_DEF_FUSESHAREDINPUTSPASS
#include "treadle/Conversion/TreadleToStages/Passes.h.inc"
} // namespace treadle

using namespace mlir;
using namespace treadle;

/// A stage of one matrix per core op, all cut by outputs.
static bool isMatrixStage(StageOp stage) {
  SmallVector<StageCoreOpInterface> cores = stage.getCores();
  return !cores.empty() && llvm::all_of(cores, [](StageCoreOpInterface core) {
    auto linear = dyn_cast<LinearOp>(core.getOperation());
    return linear && linear.getGroups() == 1 && !StageOp::isPrologue(core);
  });
}

/// The outputs of the largest matrix of `stage`.
static int64_t largestMatrix(StageOp stage) {
  int64_t largest = 0;
  for (StageCoreOpInterface core : stage.getCores())
    largest = std::max(largest, core.getIterationDims()[1].getExtent());
  return largest;
}

/// A stage of few outputs has few tiles anyway; a larger one keeps `enough` of one panel at least.
static bool leavesTiles(StageOp a, StageOp b, int64_t outputs) {
  constexpr int64_t enough = 8, outputsOfTile = 4 * panelWidth;
  int64_t wanted = std::min(enough, std::max(largestMatrix(a), largestMatrix(b)) / outputsOfTile);
  return llvm::divideCeil(outputs, panelWidth) >= uint64_t(wanted);
}

/// The values that the core ops of `stage` multiply.
static SmallVector<Value> getRows(StageOp stage) {
  SmallVector<Value> rows;
  for (StageCoreOpInterface core : stage.getCores())
    if (auto argument = dyn_cast<BlockArgument>(cast<LinearOp>(core.getOperation()).getInput()))
      rows.push_back(stage.getInputs()[argument.getArgNumber()]);
  return rows;
}

/// True if both multiply the same rows, or results of the same stage.
static bool shareRows(StageOp a, StageOp b) {
  for (Value rowsOfA : getRows(a))
    for (Value rowsOfB : getRows(b)) {
      auto producer = rowsOfA.getDefiningOp<StageOp>();
      if (rowsOfA == rowsOfB || (producer && producer == rowsOfB.getDefiningOp()))
        return true;
    }
  return false;
}

/// `later` into `earlier`; fails where they do not fit.
static FailureOr<StageOp> merge(RewriterBase &rewriter, StageOp earlier, StageOp later) {
  Attribute rows = earlier.getIterations()[0];
  int64_t outputs = std::gcd(earlier.getExtent(1), later.getExtent(1));
  if (rows != later.getIterations()[0] || !shareRows(earlier, later) ||
      !leavesTiles(earlier, later, outputs))
    return failure();
  Attribute common = IterationAttr::get(rewriter.getContext(), IterationKind::outputs, outputs);
  return mergeUp(rewriter, earlier, later, rewriter.getArrayAttr({rows, common}));
}

namespace {
struct FuseSharedInputs : public treadle::impl::FuseSharedInputsPassBase<FuseSharedInputs> {
  using FuseSharedInputsPassBase::FuseSharedInputsPassBase;

  void runOnOperation() override {
    getOperation()->walk([&](Block *block) { mergeIn(*block); });
  }

  /// Each matrix stage, in order, takes in those behind it that fit.
  void mergeIn(Block &block) {
    IRRewriter rewriter(&getContext());
    SmallVector<StageOp> stages;
    for (auto stage : block.getOps<StageOp>())
      if (isMatrixStage(stage) && hasFewRows(stage, fewRows))
        stages.push_back(stage);
    while (!stages.empty()) {
      StageOp first = stages.front();
      SmallVector<StageOp> others;
      for (StageOp next : ArrayRef(stages).drop_front()) {
        FailureOr<StageOp> merged = merge(rewriter, first, next);
        if (succeeded(merged))
          first = *merged;
        else
          others.push_back(next);
      }
      stages = std::move(others);
    }
  }
};
} // namespace

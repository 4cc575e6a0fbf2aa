//===- FuseAppends.cpp - Appended rows into the stage that reads them -----===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "MergeStages.h"
#include "treadle/Conversion/TreadleToStages/TreadleToStages.h"

namespace treadle {
#define GEN_PASS_DEF_FUSEAPPENDSPASS
#include "treadle/Conversion/TreadleToStages/Passes.h.inc"
} // namespace treadle

using namespace mlir;
using namespace treadle;

/// The state that `stage`, of one row, appends columns to, and nothing else; null otherwise.
static GetStateOp getAppended(StageOp stage) {
  auto append = dyn_cast_if_present<AppendOp>(stage.getCore().getOperation());
  if (!append || stage.getIterations().size() != 2 || stage.getExtent(0) != 1 ||
      stage.getNumResults() > 0)
    return {};
  auto argument = cast<BlockArgument>(append.getState());
  return stage.getInputs()[argument.getArgNumber()].getDefiningOp<GetStateOp>();
}

/// Whether `stage` touches a state, in any slot.
static bool touches(StageOp stage, GetStateOp state) {
  return llvm::any_of(stage.getInputs(), [&](Value input) {
    auto other = input.getDefiningOp<GetStateOp>();
    return other && other.getSymbol() == state.getSymbol();
  });
}

/// Whether every tile of `reader`, of one row, reads just its share of the columns that `appended`
/// gets.
static bool readsByColumns(StageOp reader, StageOp appending, GetStateOp appended) {
  if (reader.getIterations().size() != 2 || reader.getExtent(0) != 1 ||
      cast<IterationAttr>(reader.getIterations()[0]).getKind() != IterationKind::rows ||
      appending.getExtent(1) % reader.getExtent(1) != 0)
    return false;
  return llvm::all_of(llvm::zip(reader.getInputs(), reader.getAccesses()), [&](auto pair) {
    auto [input, access] = pair;
    return input != appended.getResult() ||
           cast<AccessAttr>(access).getDims() == ArrayRef<int64_t>{AccessAttr::all, 1};
  });
}

/// The first stage behind `stage` that touches `state`, or null where a loop comes first.
static StageOp getNext(StageOp stage, GetStateOp state) {
  for (Operation *op = stage->getNextNode(); op && !isa<LoopOp>(op); op = op->getNextNode())
    if (auto next = dyn_cast<StageOp>(op); next && touches(next, state))
      return next;
  return {};
}

namespace {
struct FuseAppends : public treadle::impl::FuseAppendsPassBase<FuseAppends> {
  void runOnOperation() override {
    SmallVector<std::pair<StageOp, GetStateOp>> appends;
    getOperation()->walk([&](StageOp stage) {
      if (GetStateOp state = getAppended(stage))
        appends.push_back({stage, state});
    });
    for (auto [stage, state] : appends)
      fuse(stage, state);
  }

  void fuse(StageOp appending, GetStateOp state) {
    StageOp reader = getNext(appending, state);
    if (!reader || !readsByColumns(reader, appending, state))
      return;
    OpBuilder builder(reader);
    StageMerger merger(builder.getContext());
    merger.add(appending);
    merger.add(reader);
    SmallVector<OpResult> results(reader->getResults());
    StageOp merged = merger.create(builder, reader.getLoc(), reader.getIterations(), results);
    reader->replaceAllUsesWith(merged->getResults());
    reader.erase();
    appending.erase();
  }
};
} // namespace

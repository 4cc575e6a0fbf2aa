//===- FusePrologues.cpp - Small stages into those that use them ----------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "MergeStages.h"
#include "treadle/Conversion/TreadleToStages/TreadleToStages.h"

#include "mlir/Analysis/SliceAnalysis.h"
#include "llvm/ADT/SetVector.h"

namespace treadle {
#define GEN_PASS_DEF_FUSEPROLOGUESPASS
#include "treadle/Conversion/TreadleToStages/Passes.h.inc"
} // namespace treadle

using namespace mlir;
using namespace treadle;

/// The inner dimension of what is a matrix; 0 of anything else.
static int64_t getInner(Type type) {
  auto weight = dyn_cast<WeightType>(type);
  return weight && weight.getPacking() == Packing::panels ? weight.getShape().back() : 0;
}

/// Rough, in multiply-adds: of a matrix as such, of anything else a few per element.
static int64_t estimateWork(StageOp stage) {
  constexpr int64_t perElement = 4;
  int64_t work = 0;
  for (Operation &op : stage.getBody()->without_terminator()) {
    int64_t elements = 0, inner = perElement;
    for (Type type : op.getResultTypes())
      if (auto tensor = dyn_cast<RankedTensorType>(type))
        elements += tensor.getNumElements();
    for (Type type : op.getOperandTypes())
      inner = std::max(inner, getInner(type));
    work += elements * inner;
  }
  return work;
}

/// True if `stage` can run in front of any other: it takes nothing that changes, and all that it
/// yields is rows of columns.
static bool canBePrologue(StageOp stage) {
  auto isRows = [](Type type) {
    auto tensor = cast<RankedTensorType>(type);
    return tensor.getRank() == 2 && tensor.getElementType().isF32();
  };
  return stage.getNumResults() > 0 && llvm::all_of(stage.getResultTypes(), isRows) &&
         llvm::none_of(stage.getInputs().getTypes(), llvm::IsaPred<StateType>);
}

/// Whether a core op of `user` takes each result of `stage` that the user takes.
static bool isTakenByCore(StageOp stage, StageOp user) {
  return llvm::all_of(llvm::zip(user.getInputs(), user.getBody()->getArguments()), [&](auto pair) {
    auto [input, argument] = pair;
    SetVector<Operation *> dependent;
    getForwardSlice(argument, &dependent);
    return input.getDefiningOp() != stage ||
           llvm::any_of(dependent, llvm::IsaPred<StageCoreOpInterface>);
  });
}

/// The stages that use what `stage` yields; nothing if something else does, or if it could not be
/// the prologue of one.
static SmallVector<StageOp> getUsers(StageOp stage) {
  llvm::SetVector<Operation *> users;
  for (Operation *user : stage->getUsers())
    users.insert(user);
  SmallVector<StageOp> stages;
  for (Operation *op : users) {
    auto user = dyn_cast<StageOp>(op);
    if (!user || user->getBlock() != stage->getBlock() || !isTakenByCore(stage, user))
      return {};
    stages.push_back(user);
  }
  return stages;
}

namespace {
struct FusePrologues : public treadle::impl::FuseProloguesPassBase<FusePrologues> {
  using FuseProloguesPassBase::FuseProloguesPassBase;

  /// From the last stage to the first, so that a whole chain moves into the stage behind it.
  void runOnOperation() override {
    SmallVector<StageOp> stages;
    getOperation()->walk([&](StageOp stage) { stages.push_back(stage); });
    for (StageOp stage : llvm::reverse(stages))
      fuse(stage);
  }

  void fuse(StageOp stage) {
    if (!canBePrologue(stage) || !hasFewRows(stage, fewRows))
      return;
    SmallVector<StageOp> users = getUsers(stage);
    if (users.empty() || estimateWork(stage) * int64_t(users.size()) > work)
      return;
    for (StageOp user : users) {
      OpBuilder builder(user);
      StageMerger merger(builder.getContext());
      merger.add(stage, /*isPrologue=*/true);
      merger.add(user);
      SmallVector<OpResult> results(user->getResults());
      StageOp merged = merger.create(builder, user.getLoc(), user.getIterations(), results);
      user->replaceAllUsesWith(merged->getResults());
      user.erase();
    }
    stage.erase();
  }
};
} // namespace

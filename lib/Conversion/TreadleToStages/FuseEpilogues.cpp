//===- FuseEpilogues.cpp - Elementwise stages into matrix stages ----------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "MergeStages.h"
#include "treadle/Conversion/TreadleToStages/TreadleToStages.h"

#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace treadle {
#define GEN_PASS_DEF_FUSEEPILOGUESPASS
#include "treadle/Conversion/TreadleToStages/Passes.h.inc"
} // namespace treadle

using namespace mlir;
using namespace treadle;

/// The stage that computes `value` for `consumer` alone and may be merged into it, or null.
static StageOp fusibleProducer(Value value, StageOp consumer) {
  auto producer = value.getDefiningOp<StageOp>();
  if (!producer || producer->getNumResults() != 1 || !value.hasOneUse() ||
      producer->getBlock() != consumer->getBlock())
    return {};
  if (producer.getIterations() != consumer.getIterations() ||
      producer.getResultAccesses() != consumer.getResultAccesses())
    return {};
  // The merged stage stands where the consumer stood; a state may change in between.
  if (llvm::any_of(producer.getInputs().getTypes(), llvm::IsaPred<StateType>))
    return {};
  return producer;
}

namespace {
/// %p = stage { core }; stage (%p, ...) { elementwise }  =>  stage (...) { core, elementwise }
struct FuseEpilogue : public OpRewritePattern<StageOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(StageOp consumer, PatternRewriter &rewriter) const override {
    if (consumer.getCore())
      return rewriter.notifyMatchFailure(consumer, "expected a purely elementwise stage");
    // The last producer, so that the values of the others are there.
    StageOp producer;
    for (Value input : consumer.getInputs()) {
      StageOp candidate = fusibleProducer(input, consumer);
      if (candidate && (!producer || producer->isBeforeInBlock(candidate)))
        producer = candidate;
    }
    if (!producer)
      return rewriter.notifyMatchFailure(consumer, "expected a producer of this use alone, with "
                                                   "the same tiles and no state");

    StageMerger merger(getContext());
    merger.add(producer);
    merger.add(consumer);
    SmallVector<OpResult> results(consumer->getResults());
    StageOp fused = merger.create(rewriter, consumer.getLoc(), consumer.getIterations(), results);
    rewriter.replaceOp(consumer, fused.getResults());
    rewriter.eraseOp(producer);
    return success();
  }
};

/// %p, %q = stage { matrices }; stage (%p, ...) { elementwise }  =>  stage (...) { matrices,
/// elementwise }, where the matrices stood: others use them, too.
struct FuseIntoSeveral : public OpRewritePattern<StageOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(StageOp consumer, PatternRewriter &rewriter) const override {
    if (consumer.getCore())
      return rewriter.notifyMatchFailure(consumer, "expected a purely elementwise stage");
    for (Value input : consumer.getInputs()) {
      auto producer = input.getDefiningOp<StageOp>();
      if (producer && producer->getBlock() == consumer->getBlock() && yieldsSeveral(producer) &&
          isCutAlike(producer, consumer) &&
          succeeded(mergeUp(rewriter, producer, consumer, producer.getIterations())))
        return success();
    }
    return rewriter.notifyMatchFailure(consumer, "expected a producer of several products, and "
                                                 "nothing that comes after it");
  }

  /// Products of one place are handed on together.
  static bool yieldsSeveral(StageOp stage) {
    return stage.getNumResults() > 1 && llvm::all_of(stage.getCores(), [](Operation *core) {
             return isa<LinearOp, JointLinearOp>(core);
           });
  }

  /// A tile of the producer is some of the consumer's.
  static bool isCutAlike(StageOp producer, StageOp consumer) {
    return producer.getIterations()[0] == consumer.getIterations()[0] &&
           consumer.getExtent(1) % producer.getExtent(1) == 0;
  }
};

struct FuseEpilogues : public treadle::impl::FuseEpiloguesPassBase<FuseEpilogues> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<FuseEpilogue, FuseIntoSeveral>(&getContext());
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};
} // namespace

//===- FuseEpilogues.cpp - Elementwise stages into matrix stages ----------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "treadle/Conversion/TreadleToStages/TreadleToStages.h"
#include "treadle/Dialect/Treadle/IR/Treadle.h"

#include "mlir/IR/IRMapping.h"
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

/// Appends the body of `stage` to the block of `builder`; returns what it yields.
static SmallVector<Value> inlineBody(OpBuilder &builder, StageOp stage, IRMapping &mapping) {
  for (Operation &op : stage.getBody()->without_terminator())
    builder.clone(op, mapping);
  return llvm::map_to_vector(stage.getBody()->getTerminator()->getOperands(),
                             [&](Value value) { return mapping.lookup(value); });
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
    unsigned position = 0;
    for (auto [i, input] : llvm::enumerate(consumer.getInputs())) {
      StageOp candidate = fusibleProducer(input, consumer);
      if (candidate && (!producer || producer->isBeforeInBlock(candidate))) {
        producer = candidate;
        position = i;
      }
    }
    if (!producer)
      return rewriter.notifyMatchFailure(consumer, "expected a producer of this use alone, with "
                                                   "the same tiles and no state");

    SmallVector<Value> inputs(producer.getInputs());
    SmallVector<Attribute> accesses(producer.getAccesses().getValue());
    for (auto [i, input] : llvm::enumerate(consumer.getInputs())) {
      if (i == position)
        continue;
      inputs.push_back(input);
      accesses.push_back(consumer.getAccesses()[i]);
    }
    auto fused = StageOp::create(rewriter, consumer.getLoc(), consumer.getResultTypes(), inputs,
                                 consumer.getIterations(), rewriter.getArrayAttr(accesses),
                                 consumer.getResultAccesses(), TileAttr(), DenseI64ArrayAttr());
    Block *body = rewriter.createBlock(&fused.getBodyRegion());
    for (Value input : inputs)
      body->addArgument(input.getType(), input.getLoc());

    IRMapping mapping;
    unsigned numProducerInputs = producer.getInputs().size();
    mapping.map(producer.getBody()->getArguments(),
                body->getArguments().take_front(numProducerInputs));
    Value product = inlineBody(rewriter, producer, mapping).front();
    unsigned next = numProducerInputs;
    for (auto [i, argument] : llvm::enumerate(consumer.getBody()->getArguments()))
      mapping.map(argument, i == position ? product : body->getArgument(next++));
    SmallVector<Value> results = inlineBody(rewriter, consumer, mapping);
    YieldOp::create(rewriter, consumer.getLoc(), results);

    rewriter.replaceOp(consumer, fused.getResults());
    rewriter.eraseOp(producer);
    return success();
  }
};

struct FuseEpilogues : public treadle::impl::FuseEpiloguesPassBase<FuseEpilogues> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<FuseEpilogue>(&getContext());
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};
} // namespace

//===- FuseTails.cpp - A fused pass in a plugin ---------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Tools/Plugins/PassPlugin.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "treadle/Dialect/Treadle/IR/Treadle.h"
#include "treadle/Pipelines/Hooks.h"

using namespace mlir;
using namespace treadle;

/// Sums and products alone. An exponential at the end of a short row would wait for what the row
/// waits for; a stage of its own overlaps those of many rows.
static bool isCheap(StageOp stage) {
  return llvm::all_of(stage.getBody()->without_terminator(), [](Operation &op) {
    return isa<arith::ArithDialect>(op.getDialect()) || isa<ScaleOp>(op);
  });
}

/// The stage whose result is `input` of `consumer` and goes nowhere else; null if there is none
/// that may move down to the consumer: past other stages, which may change a state, but into no
/// loop.
static StageOp getProducer(OpOperand &input, StageOp consumer) {
  auto producer = input.get().getDefiningOp<StageOp>();
  if (!producer || !producer.getCore() || producer->getNumResults() != 1 ||
      !input.get().hasOneUse() || producer->getBlock() != consumer->getBlock() ||
      llvm::any_of(producer.getInputs().getTypes(), llvm::IsaPred<StateType>))
    return {};
  return producer;
}

/// One stage with the tiles of `producer`: what the consumer touches by its dimension i, it now
/// touches by what the producer's result has there.
static StageOp merge(RewriterBase &rewriter, StageOp producer, OpOperand &product,
                     StageOp consumer) {
  Attribute place = producer.getResultAccesses()[0];
  SmallVector<Value> inputs(producer.getInputs());
  SmallVector<Attribute> accesses(producer.getAccesses().getValue());
  for (OpOperand &input : consumer->getOpOperands())
    if (&input != &product) {
      auto dims = llvm::to_vector(
          cast<AccessAttr>(consumer.getAccesses()[input.getOperandNumber()]).getDims());
      for (int64_t &dim : dims)
        dim = dim < 0 ? dim : cast<AccessAttr>(place).getDims()[dim];
      inputs.push_back(input.get());
      accesses.push_back(AccessAttr::get(rewriter.getContext(), dims));
    }
  auto merged = StageOp::create(rewriter, consumer.getLoc(), consumer.getResultTypes(), inputs,
                                producer.getIterations(), rewriter.getArrayAttr(accesses),
                                rewriter.getArrayAttr(place), TileAttr(), DenseI64ArrayAttr());

  Block *body = rewriter.createBlock(&merged.getBodyRegion());
  for (Value input : inputs)
    body->addArgument(input.getType(), input.getLoc());
  IRMapping mapping;
  auto next = body->args_begin();
  for (Value argument : producer.getBody()->getArguments())
    mapping.map(argument, *next++);
  for (Operation &op : producer.getBody()->without_terminator())
    rewriter.clone(op, mapping);
  Value computed = mapping.lookup(producer.getBody()->getTerminator()->getOperand(0));
  for (auto [i, argument] : llvm::enumerate(consumer.getBody()->getArguments()))
    mapping.map(argument, i == product.getOperandNumber() ? computed : *next++);
  for (Operation &op : *consumer.getBody())
    rewriter.clone(op, mapping);
  return merged;
}

namespace {
/// %n = stage [rows] (%x <0, all>, %w <all>) -> <0, all> { rms_norm }
/// %y = stage [rows, outputs] (%n <0, 1>, %z <0, 1>) -> <0, 1> { addf }
///   =>
/// %y = stage [rows] (%x <0, all>, %w <all>, %z <0, all>) -> <0, all> { rms_norm, addf }
struct FuseTail : OpRewritePattern<StageOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(StageOp consumer, PatternRewriter &rewriter) const override {
    if (consumer.getCore() || consumer->getNumResults() != 1 || !isCheap(consumer))
      return rewriter.notifyMatchFailure(consumer, "expected sums and products alone");
    for (OpOperand &input : consumer->getOpOperands()) {
      StageOp producer = getProducer(input, consumer);
      // Cell by cell: a tile writes of the result what it reads of the input.
      if (producer &&
          consumer.getAccesses()[input.getOperandNumber()] ==
              AccessAttr::get(getContext(), {0, 1}) &&
          consumer.getResultAccesses()[0] == AccessAttr::get(getContext(), {0, 1})) {
        StageOp merged = merge(rewriter, producer, input, consumer);
        rewriter.replaceOp(consumer, merged.getResults());
        rewriter.eraseOp(producer);
        return success();
      }
    }
    return rewriter.notifyMatchFailure(consumer, "expected a stage for this use alone, with a core "
                                                 "and no state");
  }
};

struct FuseTailsPass : PassWrapper<FuseTailsPass, OperationPass<>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(FuseTailsPass)

  StringRef getArgument() const override { return "fuse-tails"; }
  StringRef getDescription() const override {
    return "runs sums and products in the tiles of the stage before, whole rows or heads";
  }

  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<FuseTail>(&getContext());
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};
} // namespace

/// For treadle-compile: the hook at which the pass runs.
extern "C" void treadleRegisterHooks(HookRegistry &hooks) {
  hooks.add(Hook::stagesEnd,
            [](OpPassManager &passes) { passes.addPass(std::make_unique<FuseTailsPass>()); });
}

/// For treadle-opt: the pass by name.
extern "C" PassPluginLibraryInfo mlirGetPassPluginInfo() {
  return {MLIR_PLUGIN_API_VERSION, "FuseTails", "1", [] { PassRegistration<FuseTailsPass>(); }};
}

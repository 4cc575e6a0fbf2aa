//===- DecomposeLowRank.cpp - low_rank_linear => linear, linear -----------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "treadle/Dialect/Treadle/IR/Treadle.h"
#include "treadle/Dialect/Treadle/Transforms/Passes.h"

#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace treadle {
#define GEN_PASS_DEF_DECOMPOSELOWRANKPASS
#include "treadle/Dialect/Treadle/Transforms/Passes.h.inc"
} // namespace treadle

using namespace mlir;
using namespace treadle;

namespace {
/// low_rank_linear x, A, B {s}  =>  mulf (linear (linear x, A), B), s
struct SplitLowRank : public OpRewritePattern<LowRankLinearOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(LowRankLinearOp op, PatternRewriter &rewriter) const override {
    Location loc = op.getLoc();
    auto type = cast<RankedTensorType>(op.getType());
    bool isScaled = !op.getScale().isExactlyValue(1.0);
    auto latentType = type.clone({type.getDimSize(0), op.getDown().getType().getShape()[0]});
    Value latent = LinearOp::create(rewriter, loc, latentType, op.getInput(), op.getDown());
    if (!isScaled) {
      rewriter.replaceOpWithNewOp<LinearOp>(op, type, latent, op.getUp());
      return success();
    }
    Value product = LinearOp::create(rewriter, loc, type, latent, op.getUp());
    Value scale = arith::ConstantOp::create(rewriter, loc, op.getScaleAttr());
    rewriter.replaceOpWithNewOp<ScaleOp>(op, type, product, scale);
    return success();
  }
};

struct DecomposeLowRank : public treadle::impl::DecomposeLowRankPassBase<DecomposeLowRank> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<SplitLowRank>(&getContext());
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};
} // namespace

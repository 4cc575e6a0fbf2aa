//===- ApproximateMath.cpp - Functions as polynomials ---------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/Transforms/Passes.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "treadle/Target/CPU/Passes.h"

namespace treadle {
#define GEN_PASS_DEF_APPROXIMATEMATHPASS
#include "treadle/Target/CPU/Passes.h.inc"
} // namespace treadle

using namespace mlir;

/// Whether every CPU level does it inline (`rsqrt` as a root and a division).
static bool isInline(Operation *op) {
  return isa<math::AbsFOp, math::AbsIOp, math::CeilOp, math::CopySignOp, math::CountLeadingZerosOp,
             math::CountTrailingZerosOp, math::CtPopOp, math::FloorOp, math::FmaOp,
             math::RoundEvenOp, math::RsqrtOp, math::SqrtOp, math::TruncOp>(op);
}

namespace {
/// exp x = 2^n p(r), r = x - n ln 2, n = round(x / ln 2), in half the time of upstream's form.
///
/// x / ln 2 is added to a number whose last place is 1: that rounds it, and leaves n + 127 in the
/// low bits, which are the exponent of 2^n once they are moved there. p is 1 + r + r^2 c(r), c the
/// polynomial of degree 4 that has the least relative error of exp for |r| <= ln(2) / 2, 3.1e-9.
/// The result is off by 0.89 units in the last place at most; by 6e-6 of it above 2.4e38, where n
/// is 127 and r runs on to ln 2. It is 0 from -87.69 down, inf from 88.73 up, and NaN for NaN.
struct ExpAsPolynomial : OpRewritePattern<math::ExpOp> {
  // Before upstream's.
  ExpAsPolynomial(MLIRContext *context) : OpRewritePattern(context, /*benefit=*/2) {}

  LogicalResult matchAndRewrite(math::ExpOp op, PatternRewriter &rewriter) const override;
};
} // namespace

LogicalResult ExpAsPolynomial::matchAndRewrite(math::ExpOp op, PatternRewriter &rewriter) const {
  Type type = op.getType();
  if (!getElementTypeOrSelf(type).isF32())
    return rewriter.notifyMatchFailure(op, "not of f32");
  ImplicitLocOpBuilder b(op.getLoc(), rewriter);
  auto shaped = dyn_cast<VectorType>(type);
  Type intType = shaped ? Type(shaped.clone(b.getI32Type())) : b.getI32Type();
  auto constant = [&](TypedAttr number, Type of) -> Value {
    if (shaped)
      number = DenseElementsAttr::get(cast<ShapedType>(of), number);
    return arith::ConstantOp::create(b, number);
  };
  auto real = [&](float number) { return constant(b.getF32FloatAttr(number), type); };
  // Chooses x where it is NaN, and is one instruction.
  auto limit = [&](arith::CmpFPredicate predicate, Value x, Value bound) -> Value {
    return arith::SelectOp::create(b, arith::CmpFOp::create(b, predicate, x, bound), x, bound);
  };
  auto fma = [&](Value x, Value y, Value z) -> Value { return math::FmaOp::create(b, x, y, z); };

  constexpr float lastPlaceIs1 = 0x1.8p23f, bias = 127.0f, mostN = 127.0f;
  constexpr float log2e = 1.44269504f;
  constexpr float ln2High = 0.693359375f, ln2Low = -2.12194440e-4f; // n * ln2High is exact
  Value shift = real(lastPlaceIs1 + bias);
  Value x = limit(arith::CmpFPredicate::UGE, op.getOperand(), real(-87.8f));
  Value shifted = limit(arith::CmpFPredicate::ULE, fma(x, real(log2e), shift),
                        real(lastPlaceIs1 + bias + mostN));
  Value n = arith::SubFOp::create(b, shifted, shift);
  Value r = fma(n, real(-ln2Low), fma(n, real(-ln2High), x));
  Value p = real(1.3814599e-3f);
  for (float coefficient : {8.3687166e-3f, 4.1668389e-2f, 1.6666521e-1f, 4.9999994e-1f, 1.0f, 1.0f})
    p = fma(p, r, real(coefficient));
  Value bits = arith::BitcastOp::create(b, intType, shifted);
  bits = arith::ShLIOp::create(b, bits, constant(b.getI32IntegerAttr(23), intType));
  rewriter.replaceOpWithNewOp<arith::MulFOp>(op, p, arith::BitcastOp::create(b, type, bits));
  return success();
}

namespace {
struct ApproximateMathPass : treadle::impl::ApproximateMathPassBase<ApproximateMathPass> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<ExpAsPolynomial>(&getContext());
    populateMathPolynomialApproximationPatterns(patterns);
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      return signalPassFailure();
    WalkResult result = getOperation()->walk([](Operation *op) {
      if (!isa<math::MathDialect>(op->getDialect()) || isInline(op))
        return WalkResult::advance();
      op->emitOpError("has no inline form and would call a mathematical library");
      return WalkResult::interrupt();
    });
    if (result.wasInterrupted())
      signalPassFailure();
  }
};
} // namespace

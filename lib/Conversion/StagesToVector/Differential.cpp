//===- Differential.cpp - differential on lanes ---------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "StageKernel.h"

#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace treadle;

/// exp(q[group] . k[group]) on all lanes, the sum over 16 partials by column mod 16.
static Value emitExpOfProduct(LaneBuilder &b, Value q, Value k, Value group, int64_t width) {
  SmallVector<Value> sum =
      b.forLanes(width, {b.splat(0.0f)},
                 [&](Value column, Value mask, ValueRange partial) -> SmallVector<Value> {
                   Value x = b.load(q, {group, column}, mask);
                   return {b.fma(x, b.load(k, {group, column}, mask), partial[0])};
                 });
  return math::ExpOp::create(b, Value(b.broadcast(b.reduceSum(sum[0]))));
}

/// y = a - lambda b for each group.
void treadle::emitDifferential(StageKernel &kernel, DifferentialOp op) {
  LaneBuilder &b = kernel.builder();
  Value positive = kernel.operand(op.getPositive()), negative = kernel.operand(op.getNegative());
  ArrayRef<int64_t> shape = op.getQ1().getType().getShape();
  int64_t width = cast<ShapedType>(op.getResult().getType()).getDimSize(1) / shape[0];

  b.loop(kernel.begin(1), kernel.end(1), 1, [&](Value group) {
    auto product = [&](Value q, Value k) {
      return emitExpOfProduct(b, kernel.operand(q), kernel.operand(k), group, shape[1]);
    };
    Value lambda =
        arith::SubFOp::create(b, product(op.getQ1(), op.getK1()), product(op.getQ2(), op.getK2()));
    lambda = arith::AddFOp::create(b, lambda, Value(b.broadcast(kernel.operand(op.getInit()))));
    Value share = arith::NegFOp::create(b, lambda);
    Value origin = b.mul(group, b.index(width));
    b.loop(kernel.begin(0), kernel.end(0), 1, [&](Value row) {
      b.forLanes(width, [&](Value offset, Value mask) {
        Value column = b.add(origin, offset);
        Value y = b.fma(share, b.load(negative, {row, column}, mask),
                        b.load(positive, {row, column}, mask));
        kernel.storeResult(y, row, column, mask);
      });
    });
  });
}

//===- Norm.cpp - rms_norm on lanes ---------------------------------------===//
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

/// y = w x / sqrt(sum x^2 / C + eps), the sum over 16 partials by column mod 16.
void treadle::emitRMSNorm(StageKernel &kernel, RMSNormOp op) {
  LaneBuilder &b = kernel.builder();
  Value input = kernel.operand(op.getInput()), weight = kernel.operand(op.getWeight());
  int64_t columns = cast<ShapedType>(op.getInput().getType()).getDimSize(1);

  b.loop(kernel.begin(0), kernel.end(0), 1, [&](Value row) {
    SmallVector<Value> squares =
        b.forLanes(columns, {b.splat(0.0f)},
                   [&](Value column, Value mask, ValueRange sum) -> SmallVector<Value> {
                     Value x = b.load(input, {row, column}, mask);
                     return {b.fma(x, x, sum[0])};
                   });
    Value mean = arith::DivFOp::create(b, b.reduceSum(squares[0]), b.f32(columns));
    Value variance = arith::AddFOp::create(b, mean, b.f32(op.getEps().convertToFloat()));
    Value scale = b.broadcast(
        arith::DivFOp::create(b, b.f32(1.0f), Value(math::SqrtOp::create(b, variance))));
    b.forLanes(columns, [&](Value column, Value mask) {
      Value x = b.load(input, {row, column}, mask);
      Value scaled = arith::MulFOp::create(b, x, scale);
      Value weighted = arith::MulFOp::create(b, scaled, b.load(weight, {column}, mask));
      kernel.storeResult(weighted, row, column, mask);
    });
  });
}

//===- LayerNorm.cpp - layer_norm on lanes --------------------------------===//
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

/// y = (offset + w) (x - m) / sqrt(v + eps) + b for each group of columns; both sums over 16
/// partials by column mod 16.
void treadle::emitLayerNorm(StageKernel &kernel, LayerNormOp op) {
  LaneBuilder &b = kernel.builder();
  Value input = kernel.operand(op.getInput()), weight = kernel.operand(op.getWeight());
  Value bias = op.getBias() ? kernel.operand(op.getBias()) : Value();
  int64_t groups = op.getGroups();
  int64_t columns = cast<ShapedType>(op.getInput().getType()).getDimSize(1) / groups;
  bool isShared = op.getWeight().getType().getShape()[0] == columns;

  auto normalise = [&](Value row, Value origin) {
    auto load = [&](Value column, Value mask) {
      return b.load(input, {row, b.add(origin, column)}, mask);
    };
    SmallVector<Value> sum = sumColumns(
        kernel, columns, 1, [&](Value column, Value mask, ValueRange s) -> SmallVector<Value> {
          return {arith::AddFOp::create(b, s[0], load(column, mask))};
        });
    Value mean = b.broadcast(arith::DivFOp::create(b, b.reduceSum(sum[0]), b.f32(columns)));
    auto centre = [&](Value column, Value mask) -> Value {
      return arith::SubFOp::create(b, load(column, mask), mean);
    };
    SmallVector<Value> squares = sumColumns(
        kernel, columns, 1, [&](Value column, Value mask, ValueRange s) -> SmallVector<Value> {
          Value x = centre(column, mask);
          if (mask) // the lanes behind the group
            x = arith::SelectOp::create(b, mask, x, b.splat(0.0f));
          return {b.fma(x, x, s[0])};
        });
    Value variance = arith::DivFOp::create(b, b.reduceSum(squares[0]), b.f32(columns));
    variance = arith::AddFOp::create(b, variance, b.f32(op.getEps().convertToFloat()));
    Value scale = b.broadcast(
        arith::DivFOp::create(b, b.f32(1.0f), Value(math::SqrtOp::create(b, variance))));
    b.forLanes(columns, [&](Value column, Value mask) {
      Value target = b.add(origin, column);
      Value entry = isShared ? column : target;
      Value factor = b.load(weight, {entry}, mask);
      if (!op.getOffset().isZero())
        factor = arith::AddFOp::create(b, b.splat(op.getOffset().convertToFloat()), factor);
      Value unit = arith::MulFOp::create(b, centre(column, mask), scale);
      Value y = arith::MulFOp::create(b, unit, factor);
      if (bias)
        y = arith::AddFOp::create(b, y, b.load(bias, {entry}, mask));
      kernel.storeResult(y, row, target, mask);
    });
  };
  b.loop(kernel.begin(0), kernel.end(0), 1, [&](Value row) {
    b.loop(b.index(0), b.index(groups * columns), columns,
           [&](Value origin) { normalise(row, origin); });
  });
}

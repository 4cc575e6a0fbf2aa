//===- Norm.cpp - rms_norm, l2_norm and poly_norm on lanes ----------------===//
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

/// The power of lanes that a sum of squares is taken of.
static Value power(LaneBuilder &b, Value x, int64_t exponent) {
  Value y = x;
  for (int64_t i = 1; i < exponent; ++i)
    y = arith::MulFOp::create(b, y, x);
  return y;
}

/// numerator / sqrt(sum / divisor + eps) on all lanes, for a sum of 16 partials.
static Value emitScale(LaneBuilder &b, Value partials, int64_t divisor, const APFloat &eps,
                       float numerator) {
  Value sum = b.reduceSum(partials);
  if (divisor > 1)
    sum = arith::DivFOp::create(b, sum, b.f32(divisor));
  Value square = arith::AddFOp::create(b, sum, b.f32(eps.convertToFloat()));
  return b.broadcast(
      arith::DivFOp::create(b, b.f32(numerator), Value(math::SqrtOp::create(b, square))));
}

/// Sums of squares of x^1, x^2, ... of `columns` columns from `origin` on, each over 16 partials
/// by column mod 16.
static SmallVector<Value> emitSquares(LaneBuilder &b, Value input, Value row, Value origin,
                                      int64_t columns, int64_t powers = 1) {
  SmallVector<Value> zeros(powers, b.splat(0.0f));
  return b.forLanes(columns, zeros,
                    [&](Value column, Value mask, ValueRange sums) -> SmallVector<Value> {
                      Value x = b.load(input, {row, b.add(origin, column)}, mask);
                      SmallVector<Value> next;
                      for (auto [i, sum] : llvm::enumerate(sums)) {
                        Value y = power(b, x, i + 1);
                        next.push_back(b.fma(y, y, sum));
                      }
                      return next;
                    });
}

/// Runs over rows of the tile and groups of columns: body(row, first column of the group).
static void forGroups(StageKernel &kernel, int64_t groups, int64_t columns,
                      function_ref<void(Value, Value)> body) {
  LaneBuilder &b = kernel.builder();
  b.loop(kernel.begin(0), kernel.end(0), 1, [&](Value row) {
    b.loop(b.index(0), b.index(groups), 1,
           [&](Value group) { body(row, b.mul(group, b.index(columns))); });
  });
}

/// y = (offset + w) x / sqrt(sum x^2 / C + eps)
void treadle::emitRMSNorm(StageKernel &kernel, RMSNormOp op) {
  LaneBuilder &b = kernel.builder();
  Value input = kernel.operand(op.getInput()), weight = kernel.operand(op.getWeight());
  int64_t groups = op.getGroups();
  int64_t columns = cast<ShapedType>(op.getInput().getType()).getDimSize(1) / groups;
  bool isShared = op.getWeight().getType().getShape()[0] == columns;

  forGroups(kernel, groups, columns, [&](Value row, Value origin) {
    Value squares = emitSquares(b, input, row, origin, columns)[0];
    Value scale = emitScale(b, squares, columns, op.getEps(), 1.0f);
    b.forLanes(columns, [&](Value column, Value mask) {
      Value target = b.add(origin, column);
      Value scaled = arith::MulFOp::create(b, b.load(input, {row, target}, mask), scale);
      Value factor = b.load(weight, {isShared ? column : target}, mask);
      if (!op.getOffset().isZero())
        factor = arith::AddFOp::create(b, b.splat(op.getOffset().convertToFloat()), factor);
      kernel.storeResult(arith::MulFOp::create(b, scaled, factor), row, target, mask);
    });
  });
}

/// y = scale x / sqrt(sum x^2 + eps)
void treadle::emitL2Norm(StageKernel &kernel, L2NormOp op) {
  LaneBuilder &b = kernel.builder();
  Value input = kernel.operand(op.getInput());
  int64_t groups = op.getGroups();
  int64_t columns = cast<ShapedType>(op.getInput().getType()).getDimSize(1) / groups;

  forGroups(kernel, groups, columns, [&](Value row, Value origin) {
    Value squares = emitSquares(b, input, row, origin, columns)[0];
    Value scale = emitScale(b, squares, 1, op.getEps(), op.getScale().convertToFloat());
    b.forLanes(columns, [&](Value column, Value mask) {
      Value target = b.add(origin, column);
      Value x = b.load(input, {row, target}, mask);
      kernel.storeResult(arith::MulFOp::create(b, x, scale), row, target, mask);
    });
  });
}

/// y = w[0] n(x^3) + w[1] n(x^2) + w[2] n(x) + b, where each n is a factor of the row.
void treadle::emitPolyNorm(StageKernel &kernel, PolyNormOp op) {
  LaneBuilder &b = kernel.builder();
  Value input = kernel.operand(op.getInput()), weight = kernel.operand(op.getWeight());
  Value bias =
      b.broadcast(memref::LoadOp::create(b, Value(kernel.operand(op.getBias())), ValueRange{}));
  int64_t columns = cast<ShapedType>(op.getInput().getType()).getDimSize(1);

  forGroups(kernel, 1, columns, [&](Value row, Value origin) {
    SmallVector<Value> squares = emitSquares(b, input, row, origin, columns, 3);
    SmallVector<Value> factors; // of x, x^2, x^3
    for (auto [i, sum] : llvm::enumerate(squares)) {
      Value w = b.broadcast(memref::LoadOp::create(b, weight, ValueRange{b.index(2 - i)}));
      factors.push_back(arith::MulFOp::create(b, w, emitScale(b, sum, columns, op.getEps(), 1.0f)));
    }
    b.forLanes(columns, [&](Value column, Value mask) {
      Value x = b.load(input, {row, column}, mask);
      Value y = bias;
      for (auto [i, factor] : llvm::enumerate(factors))
        y = b.fma(power(b, x, i + 1), factor, y);
      kernel.storeResult(y, row, column, mask);
    });
  });
}

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

namespace {
/// A group of columns of a row.
struct Group {
  Value row, origin;
};
} // namespace

/// Sums of squares of x^1, x^2, ... of the `columns` columns of each group, each over 16 partials
/// by column mod 16: all powers of a group, then those of the next.
static SmallVector<Value> emitSquares(StageKernel &kernel, Value input, ArrayRef<Group> groups,
                                      int64_t columns, int64_t powers = 1) {
  LaneBuilder &b = kernel.builder();
  auto add = [&](Value column, Value mask, ValueRange sums) -> SmallVector<Value> {
    SmallVector<Value> next;
    for (auto [i, group] : llvm::enumerate(groups)) {
      Value x = b.load(input, {group.row, b.add(group.origin, column)}, mask);
      for (auto [exponent, sum] : llvm::enumerate(sums.slice(i * powers, powers))) {
        Value y = power(b, x, exponent + 1);
        next.push_back(b.fma(y, y, sum));
      }
    }
    return next;
  };
  return sumColumns(kernel, columns, groups.size() * powers, add);
}

/// Runs over groups of columns of the tile's rows: the same group of several rows at once where
/// there are many, since a sum alone waits for itself.
static void forGroups(StageKernel &kernel, int64_t groups, int64_t columns,
                      function_ref<void(ArrayRef<Group>)> body) {
  constexpr int64_t several = 4;
  LaneBuilder &b = kernel.builder();
  int64_t rowsAtOnce = kernel.hasWholeGranules() && kernel.tileSize(0) % several == 0 ? several : 1;
  b.loop(kernel.begin(0), kernel.end(0), rowsAtOnce, [&](Value row) {
    b.loop(b.index(0), b.index(groups * columns), columns, [&](Value origin) {
      SmallVector<Group> together;
      for (int64_t r = 0; r < rowsAtOnce; ++r)
        together.push_back({b.add(row, b.index(r)), origin});
      body(together);
    });
  });
}

/// y = (offset + w) x / sqrt(sum x^2 / C + eps)
void treadle::emitRMSNorm(StageKernel &kernel, RMSNormOp op) {
  LaneBuilder &b = kernel.builder();
  Value input = kernel.operand(op.getInput()), weight = kernel.operand(op.getWeight());
  int64_t numGroups = op.getGroups();
  int64_t columns = cast<ShapedType>(op.getInput().getType()).getDimSize(1) / numGroups;
  bool isShared = op.getWeight().getType().getShape()[0] == columns;

  forGroups(kernel, numGroups, columns, [&](ArrayRef<Group> groups) {
    SmallVector<Value> scales;
    for (Value squares : emitSquares(kernel, input, groups, columns))
      scales.push_back(emitScale(b, squares, columns, op.getEps(), 1.0f));
    b.forLanes(columns, [&](Value column, Value mask) {
      for (auto [group, scale] : llvm::zip(groups, scales)) {
        Value target = b.add(group.origin, column);
        Value scaled = arith::MulFOp::create(b, b.load(input, {group.row, target}, mask), scale);
        Value factor = b.load(weight, {isShared ? column : target}, mask);
        if (!op.getOffset().isZero())
          factor = arith::AddFOp::create(b, b.splat(op.getOffset().convertToFloat()), factor);
        kernel.storeResult(arith::MulFOp::create(b, scaled, factor), group.row, target, mask);
      }
    });
  });
}

/// y = scale x / sqrt(sum x^2 + eps)
void treadle::emitL2Norm(StageKernel &kernel, L2NormOp op) {
  LaneBuilder &b = kernel.builder();
  Value input = kernel.operand(op.getInput());
  int64_t numGroups = op.getGroups();
  int64_t columns = cast<ShapedType>(op.getInput().getType()).getDimSize(1) / numGroups;

  forGroups(kernel, numGroups, columns, [&](ArrayRef<Group> groups) {
    SmallVector<Value> scales;
    for (Value squares : emitSquares(kernel, input, groups, columns))
      scales.push_back(emitScale(b, squares, 1, op.getEps(), op.getScale().convertToFloat()));
    b.forLanes(columns, [&](Value column, Value mask) {
      for (auto [group, scale] : llvm::zip(groups, scales)) {
        Value target = b.add(group.origin, column);
        Value x = b.load(input, {group.row, target}, mask);
        kernel.storeResult(arith::MulFOp::create(b, x, scale), group.row, target, mask);
      }
    });
  });
}

/// y = w[0] n(x^3) + w[1] n(x^2) + w[2] n(x) + b, where each n is a factor of the row.
void treadle::emitPolyNorm(StageKernel &kernel, PolyNormOp op) {
  constexpr int64_t powers = 3;
  LaneBuilder &b = kernel.builder();
  Value input = kernel.operand(op.getInput()), weight = kernel.operand(op.getWeight());
  Value bias =
      b.broadcast(memref::LoadOp::create(b, Value(kernel.operand(op.getBias())), ValueRange{}));
  int64_t columns = cast<ShapedType>(op.getInput().getType()).getDimSize(1);

  forGroups(kernel, 1, columns, [&](ArrayRef<Group> groups) {
    SmallVector<Value> factors; // of x, x^2, x^3 of each group
    for (auto [i, sum] : llvm::enumerate(emitSquares(kernel, input, groups, columns, powers))) {
      Value place = b.index(powers - 1 - i % powers);
      Value w = b.broadcast(memref::LoadOp::create(b, weight, ValueRange{place}));
      factors.push_back(arith::MulFOp::create(b, w, emitScale(b, sum, columns, op.getEps(), 1.0f)));
    }
    b.forLanes(columns, [&](Value column, Value mask) {
      for (auto [i, group] : llvm::enumerate(groups)) {
        Value x = b.load(input, {group.row, column}, mask);
        Value y = bias;
        for (auto [exponent, factor] : llvm::enumerate(ArrayRef(factors).slice(i * powers, powers)))
          y = b.fma(power(b, x, exponent + 1), factor, y);
        kernel.storeResult(y, group.row, column, mask);
      }
    });
  });
}

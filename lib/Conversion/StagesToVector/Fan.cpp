//===- Fan.cpp - fan on lanes ---------------------------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "StageKernel.h"

using namespace mlir;
using namespace treadle;

/// y = [cos(x[0:P]) | sin(x[0:P]) | x[P:] + bias]
void treadle::emitFan(StageKernel &kernel, FanOp op) {
  LaneBuilder &b = kernel.builder();
  Value input = kernel.operand(op.getInput());
  Value bias = op.getBias() ? kernel.operand(op.getBias()) : Value();
  int64_t periodic = op.getPeriodic();
  int64_t plain = cast<ShapedType>(op.getInput().getType()).getDimSize(1) - periodic;
  auto behind = [&](Value column, int64_t distance) { return b.add(column, b.index(distance)); };

  b.loop(kernel.begin(0), kernel.end(0), 1, [&](Value row) {
    b.forLanes(periodic, [&](Value column, Value mask) {
      auto [cos, sin] = emitCosSin(kernel, b.load(input, {row, column}, mask));
      kernel.storeResult(cos, row, column, mask);
      kernel.storeResult(sin, row, behind(column, periodic), mask);
    });
    b.forLanes(plain, [&](Value column, Value mask) {
      Value x = b.load(input, {row, behind(column, periodic)}, mask);
      if (bias)
        x = arith::AddFOp::create(b, x, b.load(bias, {column}, mask));
      kernel.storeResult(x, row, behind(column, 2 * periodic), mask);
    });
  });
}

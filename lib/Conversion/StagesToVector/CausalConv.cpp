//===- CausalConv.cpp - causal_conv on lanes ------------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

//
// A tile is some columns. Its rows pass one after another, the last T - 1 inputs in
// registers; before and behind, these lie in the ring, that of position p in row
// p mod (T - 1).
//
//===----------------------------------------------------------------------===//

#include "StageKernel.h"

using namespace mlir;
using namespace treadle;

void treadle::emitCausalConv(StageKernel &kernel, CausalConvOp op) {
  LaneBuilder &b = kernel.builder();
  Value input = kernel.operand(op.getInput()), taps = kernel.operand(op.getWeight());
  Value ring = kernel.operand(op.getRing()), flags = kernel.operand(op.getMask());
  Value position = kernel.operand(op.getPosition()), valid = kernel.operand(op.getValid());
  int64_t count = op.getWeight().getType().getShape()[1], history = count - 1;
  Value noFlag = arith::ConstantOp::create(b, b.getI8IntegerAttr(0));

  // The weights of one tap for 16 columns, which lie `count` apart.
  SmallVector<int32_t> distances;
  for (int64_t lane = 0; lane < numLanes; ++lane)
    distances.push_back(lane * count);
  Value strides =
      arith::ConstantOp::create(b, DenseElementsAttr::get(b.words(), ArrayRef(distances)));

  // The ring's row of the j-th of the last inputs before a position.
  auto ringRow = [&](Value place, int64_t j) -> Value {
    return arith::RemUIOp::create(b, b.add(place, b.index(j)), b.index(history));
  };

  kernel.forColumns(0, [&](Value column, Value mask) {
    Value lanes = mask ? mask : b.maskBelow(b.index(numLanes));
    SmallVector<Value> weights, window;
    for (int64_t t = 0; t < count; ++t)
      weights.push_back(vector::GatherOp::create(
          b, b.floats(), taps, ValueRange{column, b.index(t)}, strides, lanes, b.splat(0.0f)));
    for (int64_t j = 0; j < history; ++j) {
      Value isThere = arith::CmpIOp::create(b, arith::CmpIPredicate::sge,
                                            b.add(position, b.index(j)), b.index(history));
      Value old = b.load(ring, {ringRow(position, j), column}, mask);
      window.push_back(arith::SelectOp::create(b, isThere, old, b.splat(0.0f)));
    }

    auto addRow = [&](Value row, ValueRange before) -> SmallVector<Value> {
      Value flag = memref::LoadOp::create(b, flags, ValueRange{b.add(position, row)});
      Value isToken = arith::CmpIOp::create(b, arith::CmpIPredicate::ne, flag, noFlag);
      SmallVector<Value> inputs(before);
      inputs.push_back(
          arith::SelectOp::create(b, isToken, b.load(input, {row, column}, mask), b.splat(0.0f)));
      Value sum = b.splat(0.0f);
      for (auto [weight, x] : llvm::zip(weights, inputs))
        sum = b.fma(weight, x, sum);
      kernel.storeResult(emitActivation(b, op.getActivation(), sum), row, column, mask);
      return SmallVector<Value>(llvm::drop_begin(inputs));
    };
    ValueRange last = b.loop(b.index(0), valid, 1, window, addRow);
    for (int64_t j = 0; j < history; ++j)
      b.store(last[j], ring, {ringRow(b.add(position, valid), j), column}, mask);
  });
}

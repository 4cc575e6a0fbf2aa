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

/// Rows lie pages apart: of each, so many vectors of columns run together.
static constexpr int64_t vectorsAtOnce = 4;

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

  auto isEven = [](int64_t columns) { return columns % (vectorsAtOnce * numLanes) == 0; };
  bool areEven = isEven(kernel.tileSize(0)) && isEven(kernel.extent(0));
  int64_t vectors = areEven ? vectorsAtOnce : 1;
  b.loop(kernel.begin(0), kernel.end(0), vectors * numLanes, [&](Value first) {
    SmallVector<Value> columns;
    for (int64_t n = 0; n < vectors; ++n)
      columns.push_back(b.add(first, b.index(n * numLanes)));
    Value mask =
        kernel.extent(0) % numLanes == 0 ? Value() : b.maskBelow(b.sub(kernel.end(0), first));
    Value lanes = mask ? mask : b.maskBelow(b.index(numLanes));
    SmallVector<SmallVector<Value>> weights(vectors); // of each vector, by tap
    SmallVector<Value> window;                        // by age, of each vector
    for (int64_t t = 0; t < count; ++t)
      for (auto [ofVector, column] : llvm::zip(weights, columns))
        ofVector.push_back(vector::GatherOp::create(
            b, b.floats(), taps, ValueRange{column, b.index(t)}, strides, lanes, b.splat(0.0f)));
    for (int64_t j = 0; j < history; ++j) {
      Value isThere = arith::CmpIOp::create(b, arith::CmpIPredicate::sge,
                                            b.add(position, b.index(j)), b.index(history));
      for (Value column : columns) {
        Value old = b.load(ring, {ringRow(position, j), column}, mask);
        window.push_back(arith::SelectOp::create(b, isThere, old, b.splat(0.0f)));
      }
    }

    auto addRow = [&](Value row, ValueRange before) -> SmallVector<Value> {
      Value flag = memref::LoadOp::create(b, flags, ValueRange{b.add(position, row)});
      Value isToken = arith::CmpIOp::create(b, arith::CmpIPredicate::ne, flag, noFlag);
      SmallVector<Value> inputs(before);
      for (Value column : columns)
        inputs.push_back(
            arith::SelectOp::create(b, isToken, b.load(input, {row, column}, mask), b.splat(0.0f)));
      for (int64_t n = 0; n < vectors; ++n) {
        Value sum = b.splat(0.0f);
        for (int64_t t = 0; t < count; ++t)
          sum = b.fma(weights[n][t], inputs[t * vectors + n], sum);
        kernel.storeResult(emitActivation(b, op.getActivation(), sum), row, columns[n], mask);
      }
      return SmallVector<Value>(llvm::drop_begin(inputs, vectors));
    };
    ValueRange last = b.loop(b.index(0), valid, 1, window, addRow);
    for (int64_t j = 0; j < history; ++j)
      for (int64_t n = 0; n < vectors; ++n)
        b.store(last[j * vectors + n], ring, {ringRow(b.add(position, valid), j), columns[n]},
                mask);
  });
}

//===- Append.cpp - append on lanes ---------------------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "StageKernel.h"

using namespace mlir;
using namespace treadle;

/// S[position + r] = rows[r] for r < valid.
void treadle::emitAppend(StageKernel &kernel, AppendOp op) {
  LaneBuilder &b = kernel.builder();
  Value rows = kernel.operand(op.getRows()), state = kernel.operand(op.getState());
  Value position = kernel.operand(op.getPosition()), valid = kernel.operand(op.getValid());
  auto type = cast<RankedTensorType>(op.getRows().getType());
  Value end = b.minimum(kernel.end(0), valid);

  if (type.getRank() == 1) { // rows on lanes
    b.loop(kernel.begin(0), end, numLanes, [&](Value row) {
      Value mask = b.maskBelow(b.sub(end, row));
      Value zero = arith::ConstantOp::create(b, b.getZeroAttr(b.lanes(type.getElementType())));
      Value lanes = vector::MaskedLoadOp::create(b, b.lanes(type.getElementType()), rows,
                                                 ValueRange{row}, mask, zero);
      vector::MaskedStoreOp::create(b, state, ValueRange{b.add(position, row)}, mask, lanes);
    });
    return;
  }
  bool isEven = kernel.tileSize(1) % numLanes == 0 && kernel.extent(1) % kernel.tileSize(1) == 0;
  b.loop(kernel.begin(0), end, 1, [&](Value row) {
    Value target = b.add(position, row);
    b.loop(kernel.begin(1), kernel.end(1), numLanes, [&](Value column) {
      Value mask = isEven ? Value() : b.maskBelow(b.sub(kernel.end(1), column));
      b.store(b.load(rows, {row, column}, mask), state, {target, column}, mask);
    });
  });
}

//===- Append.cpp - append on lanes ---------------------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "StageKernel.h"
#include "StatePanels.h"

using namespace mlir;
using namespace treadle;

/// The tile's rows before `end` and its columns to panels. A panel takes those of its 16 positions
/// that are there: 16 columns of 16 rows at a time, turned over.
static void appendToPanels(StageKernel &kernel, Value rows, Value state, Value position, Value end,
                           bool isEven) {
  LaneBuilder &b = kernel.builder();
  Value begin = kernel.begin(0), endColumn = kernel.end(1);
  StatePanels panels(b, state, kernel.extent(1));
  Value lanes = b.index(numLanes), last = b.sub(end, b.index(1));
  Value firstPanel = arith::DivUIOp::create(b, b.add(position, begin), lanes);
  Value endPanel = arith::CeilDivUIOp::create(b, b.add(position, end), lanes);
  // Nothing to append is no panel.
  Value isEmpty = arith::CmpIOp::create(b, arith::CmpIPredicate::sge, begin, end);
  endPanel = arith::SelectOp::create(b, isEmpty, firstPanel, endPanel);
  b.loop(firstPanel, endPanel, 1, [&](Value panel) {
    // The row of lane 0, which may stand before the first.
    Value firstRow = b.sub(b.mul(panel, lanes), position);
    Value mask = arith::XOrIOp::create(b, b.maskBelow(b.sub(begin, firstRow)),
                                       b.maskBelow(b.sub(end, firstRow)));
    b.loop(kernel.begin(1), endColumn, numLanes, [&](Value column) {
      Value columnMask = isEven ? Value() : b.maskBelow(b.sub(endColumn, column));
      SmallVector<Value> block;
      for (int64_t lane = 0; lane < numLanes; ++lane) {
        Value row = b.minimum(b.add(firstRow, b.index(lane)), last);
        row = arith::MaxSIOp::create(b, row, begin);
        block.push_back(b.load(rows, {row, column}, columnMask));
      }
      b.transpose(block);
      // What a word holds behind the last column is 0, as what is not read of the rows.
      int64_t step = panels.wordColumns();
      for (int64_t c = 0; c < numLanes; c += step) {
        Value target = b.add(column, b.index(c)), storeMask = mask;
        if (!isEven) {
          Value isThere = arith::CmpIOp::create(b, arith::CmpIPredicate::slt, target, endColumn);
          storeMask = arith::AndIOp::create(b, mask, Value(b.broadcast(isThere)));
        }
        panels.store(ArrayRef(block).slice(c, step), panel, target, storeMask);
      }
    });
  });
}

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
  if (op.getState().getType().getPacking() == Packing::panels)
    return appendToPanels(kernel, rows, state, position, end, isEven);
  b.loop(kernel.begin(0), end, 1, [&](Value row) {
    Value target = b.add(position, row);
    b.loop(kernel.begin(1), kernel.end(1), numLanes, [&](Value column) {
      Value mask = isEven ? Value() : b.maskBelow(b.sub(kernel.end(1), column));
      b.store(b.load(rows, {row, column}, mask), state, {target, column}, mask);
    });
  });
}

//===- StateStream.cpp - running_sum, read_rows, add_scaled on lanes ------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "StageKernel.h"

using namespace mlir;
using namespace treadle;

//===----------------------------------------------------------------------===//
// running_sum
//===----------------------------------------------------------------------===//

/// S[p] = S[p - 1] + (mask[p] ? x : 0), one row after the other; 16 columns at a time.
void treadle::emitRunningSum(StageKernel &kernel, RunningSumOp op) {
  LaneBuilder &b = kernel.builder();
  Value input = kernel.operand(op.getInput()), state = kernel.operand(op.getState());
  Value flags = kernel.operand(op.getMask());
  Value position = kernel.operand(op.getPosition()), valid = kernel.operand(op.getValid());
  Value zero = arith::ConstantOp::create(b, b.getI8IntegerAttr(0));

  kernel.forColumns(0, [&](Value column, Value mask) {
    auto addRow = [&](Value row, ValueRange sum) -> SmallVector<Value> {
      Value place = b.add(position, row);
      Value isToken =
          arith::CmpIOp::create(b, arith::CmpIPredicate::ne,
                                Value(memref::LoadOp::create(b, flags, ValueRange{place})), zero);
      Value term =
          arith::SelectOp::create(b, isToken, b.load(input, {row, column}, mask), b.splat(0.0f));
      Value next = op.getSingle() ? term : arith::AddFOp::create(b, sum[0], term);
      b.store(next, state, {place, column}, mask);
      return {next};
    };
    // Nothing stands before the first row: there no lane reads, which makes it 0.
    Value isStart = arith::CmpIOp::create(b, arith::CmpIPredicate::eq, position, b.index(0));
    Value before = arith::MaxSIOp::create(b, b.sub(position, b.index(1)), b.index(0));
    Value lanes = b.maskBelow(arith::SelectOp::create(b, isStart, b.index(0), b.index(numLanes)));
    if (mask)
      lanes = arith::AndIOp::create(b, lanes, mask);
    b.loop(b.index(0), valid, 1, b.load(state, {before, column}, lanes), addRow);
  });
}

//===----------------------------------------------------------------------===//
// read_rows
//===----------------------------------------------------------------------===//

/// y[r] = S[q] or S[q] / (q + 1) for q = position + min(r, valid - 1) - lag, 0 before row 0.
void treadle::emitReadRows(StageKernel &kernel, ReadRowsOp op) {
  LaneBuilder &b = kernel.builder();
  Value state = kernel.operand(op.getState());
  Value position = kernel.operand(op.getPosition()), valid = kernel.operand(op.getValid());
  int64_t columns = op.getState().getType().getShape()[1];
  Value first = b.sub(position, b.index(op.getLag()));

  b.loop(kernel.begin(0), kernel.end(0), 1, [&](Value row) {
    Value place = b.add(first, b.minimum(row, b.sub(valid, b.index(1))));
    Value isBefore = arith::CmpIOp::create(b, arith::CmpIPredicate::slt, place, b.index(0));
    Value source = arith::MaxSIOp::create(b, place, b.index(0));
    Value count = arith::IndexCastOp::create(b, b.getI64Type(), b.add(source, b.index(1)));
    Value divisor = b.broadcast(arith::SIToFPOp::create(b, b.getF32Type(), count));
    b.forLanes(columns, [&](Value column, Value mask) {
      Value lanes = b.load(state, {source, column}, mask);
      if (op.getMean())
        lanes = arith::DivFOp::create(b, lanes, divisor);
      lanes = arith::SelectOp::create(b, isBefore, b.splat(0.0f), lanes);
      kernel.storeResult(lanes, row, column, mask);
    });
  });
}

//===----------------------------------------------------------------------===//
// add_scaled
//===----------------------------------------------------------------------===//

/// y = x + step[g] * update for the columns of group g.
void treadle::emitAddScaled(StageKernel &kernel, AddScaledOp op) {
  LaneBuilder &b = kernel.builder();
  Value input = kernel.operand(op.getInput()), update = kernel.operand(op.getUpdate());
  Value steps = kernel.operand(op.getStep());
  int64_t groups = op.getStep().getType().getShape()[0];
  int64_t columns = cast<ShapedType>(op.getInput().getType()).getDimSize(1) / groups;

  b.loop(kernel.begin(0), kernel.end(0), 1, [&](Value row) {
    b.loop(b.index(0), b.index(groups), 1, [&](Value group) {
      Value step = b.broadcast(memref::LoadOp::create(b, steps, ValueRange{group}));
      b.forLanes(columns, [&](Value column, Value mask) {
        Value target = b.add(b.mul(group, b.index(columns)), column);
        Value x = b.load(input, {row, target}, mask);
        kernel.storeResult(b.fma(step, b.load(update, {row, target}, mask), x), row, target, mask);
      });
    });
  });
}

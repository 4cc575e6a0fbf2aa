//===- WholeState.cpp - read_state and write_state on lanes ---------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "StageKernel.h"

using namespace mlir;
using namespace treadle;

void treadle::emitReadState(StageKernel &kernel, ReadStateOp op) {
  LaneBuilder &b = kernel.builder();
  Value state = kernel.operand(op.getState());
  b.loop(kernel.begin(0), kernel.end(0), 1, [&](Value row) {
    b.forLanes(op.getState().getType().getShape()[1], [&](Value column, Value mask) {
      kernel.storeResult(b.load(state, {row, column}, mask), row, column, mask);
    });
  });
}

void treadle::emitWriteState(StageKernel &kernel, WriteStateOp op) {
  LaneBuilder &b = kernel.builder();
  Value rows = kernel.operand(op.getRows()), state = kernel.operand(op.getState());
  b.loop(kernel.begin(0), kernel.end(0), 1, [&](Value row) {
    b.forLanes(op.getState().getType().getShape()[1], [&](Value column, Value mask) {
      b.store(b.load(rows, {row, column}, mask), state, {row, column}, mask);
    });
  });
}

//===- Columns.cpp - slice and concat on lanes ----------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "StageKernel.h"

using namespace mlir;
using namespace treadle;

static int64_t columnsOf(Value value) { return cast<ShapedType>(value.getType()).getDimSize(1); }

/// y[r, g size + c] = x[r, g C + offset + c]
void treadle::emitSlice(StageKernel &kernel, SliceOp op) {
  LaneBuilder &b = kernel.builder();
  Value input = kernel.operand(op.getInput());
  int64_t groups = op.getGroups(), size = op.getSize(), width = columnsOf(op.getInput()) / groups;
  b.loop(kernel.begin(0), kernel.end(0), 1, [&](Value row) {
    b.loop(b.index(0), b.index(groups), 1, [&](Value group) {
      Value source = b.add(b.mul(group, b.index(width)), b.index(op.getOffset()));
      Value target = b.mul(group, b.index(size));
      b.forLanes(size, [&](Value column, Value mask) {
        Value lanes = b.load(input, {row, b.add(source, column)}, mask);
        kernel.storeResult(lanes, row, b.add(target, column), mask);
      });
    });
  });
}

/// y = [x_0 | x_1 | ...]
void treadle::emitConcat(StageKernel &kernel, ConcatOp op) {
  LaneBuilder &b = kernel.builder();
  b.loop(kernel.begin(0), kernel.end(0), 1, [&](Value row) {
    int64_t offset = 0;
    for (Value input : op.getInputs()) {
      Value memory = kernel.operand(input);
      b.forLanes(columnsOf(input), [&](Value column, Value mask) {
        Value lanes = b.load(memory, {row, column}, mask);
        kernel.storeResult(lanes, row, b.add(column, b.index(offset)), mask);
      });
      offset += columnsOf(input);
    }
  });
}

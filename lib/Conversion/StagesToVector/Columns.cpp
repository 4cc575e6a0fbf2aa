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

/// A row's slices of groups so narrow that lanes hold some of them, each of `size` columns.
static void sliceNarrowGroups(StageKernel &kernel, SliceOp op, int64_t width, Value row) {
  LaneBuilder &b = kernel.builder();
  Value input = kernel.operand(op.getInput());
  int64_t size = op.getSize();
  SmallVector<int32_t> distances;
  for (int64_t lane = 0; lane < numLanes; ++lane)
    distances.push_back(lane / size * width + lane % size);
  Value offsets =
      arith::ConstantOp::create(b, DenseElementsAttr::get(b.words(), ArrayRef(distances)));
  b.forLanes(op.getGroups() * size, [&](Value column, Value mask) {
    Value group = arith::DivUIOp::create(b, column, b.index(size));
    Value source = b.add(b.mul(group, b.index(width)), b.index(op.getOffset()));
    Value present = mask ? mask : b.maskBelow(b.index(numLanes));
    Value lanes = vector::GatherOp::create(b, b.floats(), input, ValueRange{row, source}, offsets,
                                           present, b.splat(0.0f));
    kernel.storeResult(lanes, row, column, mask);
  });
}

/// y[r, g size + c] = x[r, g C + offset + c]
void treadle::emitSlice(StageKernel &kernel, SliceOp op) {
  LaneBuilder &b = kernel.builder();
  Value input = kernel.operand(op.getInput());
  int64_t groups = op.getGroups(), size = op.getSize(), width = columnsOf(op.getInput()) / groups;
  b.loop(kernel.begin(0), kernel.end(0), 1, [&](Value row) {
    if (groups > 1 && size < numLanes && numLanes % size == 0)
      return sliceNarrowGroups(kernel, op, width, row);
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

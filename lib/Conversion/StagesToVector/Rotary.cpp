//===- Rotary.cpp - rotary_table and rope on lanes ------------------------===//
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
// rotary_table
//===----------------------------------------------------------------------===//

void treadle::emitRotaryTable(StageKernel &kernel, RotaryTableOp op) {
  LaneBuilder &b = kernel.builder();
  Value position = kernel.operand(op.getPosition());
  ArrayRef<int64_t> turns = op.getTurns();
  b.loop(kernel.begin(0), kernel.end(0), 1, [&](Value row) {
    Value step = op.getReversed() ? b.sub(b.sub(kernel.limit(0), b.index(1)), row) : row;
    Value place = arith::IndexCastOp::create(b, b.getI64Type(), b.add(position, step));
    for (int64_t pair = 0, pairs = turns.size(); pair < pairs; pair += numLanes) {
      SmallVector<int64_t> steps(turns.drop_front(pair).take_front(numLanes));
      steps.resize(numLanes);
      Value angles = arith::ConstantOp::create(
          b, DenseElementsAttr::get(b.lanes(b.getI64Type()), ArrayRef(steps)));
      auto [cos, sin] =
          emitCosSinOfTurns(b, arith::MulIOp::create(b, Value(b.broadcast(place)), angles));
      Value mask = b.maskFirst(pairs - pair);
      b.store(cos, kernel.result(), {row, b.index(0), b.index(pair)}, mask);
      b.store(sin, kernel.result(), {row, b.index(1), b.index(pair)}, mask);
    }
  });
}

//===----------------------------------------------------------------------===//
// rope
//===----------------------------------------------------------------------===//

/// (a, b) -> (a cos - b sin, b cos + a sin)
static std::pair<Value, Value> rotate(LaneBuilder &b, Value first, Value second, Value cos,
                                      Value sin) {
  Value minus = arith::NegFOp::create(b, Value(arith::MulFOp::create(b, second, sin)));
  Value plus = arith::MulFOp::create(b, first, sin);
  return {b.fma(first, cos, minus), b.fma(second, cos, plus)};
}

void treadle::emitRope(StageKernel &kernel, RopeOp op) {
  LaneBuilder &b = kernel.builder();
  Value input = kernel.operand(op.getInput()), table = kernel.operand(op.getTable());
  int64_t pairs = cast<ShapedType>(op.getTable().getType()).getDimSize(2);
  int64_t width = cast<ShapedType>(op.getInput().getType()).getDimSize(1) / op.getHeads();

  auto rotateHead = [&](Value row, Value head) {
    Value origin = b.mul(head, b.index(width));
    auto at = [&](Value column) { return b.add(origin, column); };
    b.forLanes(pairs, [&](Value pair, Value mask) {
      Value cos = b.load(table, {row, b.index(0), pair}, mask);
      Value sin = b.load(table, {row, b.index(1), pair}, mask);
      if (op.getInverse())
        sin = arith::NegFOp::create(b, sin);
      if (op.getPairing() == RopePairing::half) {
        Value low = at(pair), high = at(b.add(pair, b.index(pairs)));
        auto [first, second] =
            rotate(b, b.load(input, {row, low}, mask), b.load(input, {row, high}, mask), cos, sin);
        kernel.storeResult(first, row, low, mask);
        kernel.storeResult(second, row, high, mask);
        return;
      }
      // Pairs side by side: two vectors hold the first and second of 16 pairs in turn.
      Value low = at(b.mul(pair, b.index(2))), high = b.add(low, b.index(numLanes));
      int64_t columnsLeft = 2 * (mask ? pairs % numLanes : numLanes);
      Value lowMask = b.maskFirst(columnsLeft);
      bool hasHigh = columnsLeft > numLanes;
      Value highMask = hasHigh ? b.maskFirst(columnsLeft - numLanes) : Value();
      Value lowLanes = b.load(input, {row, low}, lowMask);
      Value highLanes = hasHigh ? b.load(input, {row, high}, highMask) : b.splat(0.0f);
      SmallVector<int64_t> even, odd, front, back;
      for (int64_t lane = 0; lane < numLanes; ++lane) {
        even.push_back(2 * lane);
        odd.push_back(2 * lane + 1);
        front.push_back(lane / 2 + (lane % 2) * numLanes);
        back.push_back(numLanes / 2 + lane / 2 + (lane % 2) * numLanes);
      }
      auto shuffle = [&](Value x, Value y, ArrayRef<int64_t> lanes) -> Value {
        return vector::ShuffleOp::create(b, x, y, lanes);
      };
      auto [first, second] = rotate(b, shuffle(lowLanes, highLanes, even),
                                    shuffle(lowLanes, highLanes, odd), cos, sin);
      kernel.storeResult(shuffle(first, second, front), row, low, lowMask);
      if (hasHigh)
        kernel.storeResult(shuffle(first, second, back), row, high, highMask);
    });
    // Columns behind the pairs pass.
    b.forLanes(width - 2 * pairs, [&](Value column, Value mask) {
      Value target = at(b.add(column, b.index(2 * pairs)));
      kernel.storeResult(b.load(input, {row, target}, mask), row, target, mask);
    });
  };
  b.loop(kernel.begin(0), kernel.end(0), 1, [&](Value row) {
    b.loop(kernel.begin(1), kernel.end(1), 1, [&](Value head) { rotateHead(row, head); });
  });
}

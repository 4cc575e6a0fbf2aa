//===- CopeBias.cpp - cope_bias on lanes ----------------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

//
// A tile is some rows and heads. Keys are taken in blocks of 16 at absolute
// positions, the last block first, so that the gates behind a key are summed when
// its turn comes: within a block by a fixed tree, then the sum of the blocks behind.
// A key that is masked or behind the row has a gate of 0 by select.
//
//===----------------------------------------------------------------------===//

#include "StageKernel.h"
#include "StatePanels.h"

#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace treadle;

namespace {
class CopeBiasEmitter {
public:
  CopeBiasEmitter(StageKernel &kernel, CopeBiasOp op)
      : kernel(kernel), b(kernel.builder()), query(kernel.operand(op.getQuery())),
        table(kernel.operand(op.getTable())), keys(kernel.operand(op.getKeys())),
        mask(kernel.operand(op.getMask())), position(kernel.operand(op.getPosition())),
        valid(kernel.operand(op.getValid())),
        width(op.getKeys().getType().getShape()[1] / op.getHeads()),
        places(cast<ShapedType>(op.getTable().getType()).getDimSize(1) / op.getHeads()),
        capacity(op.getKeys().getType().getShape()[0]) {
    sums = kernel.allocate({kernel.tileSize(0)}, b.getF32Type());
  }

  void emit() {
    b.loop(kernel.begin(1), kernel.end(1), 1, [&](Value head) { emitHead(head); });
  }

private:
  void emitHead(Value head);
  void emitBlock(Value head, Value block, Value lastPosition);
  Value emitGates(Value row, Value head, Value block, Value attended);
  Value sumFromBehind(Value gates);
  Value readTable(Value row, Value head, Value place);

  void forRows(function_ref<void(Value)> body) {
    b.loop(b.index(0), b.sub(kernel.end(0), kernel.begin(0)), 1, body);
  }

  /// The position of a row of the tile; padding stands on the last token.
  Value positionOf(Value row) {
    Value last = b.sub(valid, b.index(1));
    return b.add(position, b.minimum(b.add(kernel.begin(0), row), last));
  }

  StageKernel &kernel;
  LaneBuilder &b;
  Value query, table, keys, mask, position, valid;
  int64_t width, places, capacity;
  Value sums; // [rows] gates of the blocks behind
};
} // namespace

void CopeBiasEmitter::emitHead(Value head) {
  forRows([&](Value row) { memref::StoreOp::create(b, b.f32(0.0f), sums, ValueRange{row}); });
  Value lastRow = b.sub(b.sub(kernel.end(0), kernel.begin(0)), b.index(1));
  Value lastPosition = positionOf(lastRow);
  Value lastBlock = arith::DivUIOp::create(b, lastPosition, b.index(numLanes));
  b.loop(b.index(0), b.add(lastBlock, b.index(1)), 1, [&](Value distance) {
    emitBlock(head, b.mul(b.sub(lastBlock, distance), b.index(numLanes)), lastPosition);
  });
}

/// sigmoid(q . k), 0 where the key does not count.
Value CopeBiasEmitter::emitGates(Value row, Value head, Value block, Value attended) {
  Value queryRow = b.add(kernel.begin(0), row), origin = b.mul(head, b.index(width));
  Value panel = arith::DivUIOp::create(b, block, b.index(numLanes));
  Value causal = b.maskBelow(b.sub(b.add(positionOf(row), b.index(1)), block));
  Value read = kernel.getOptions().maskedKeys ? causal : Value();
  StatePanels state(b, keys, width);
  ValueRange dot =
      b.loop(b.index(0), b.index(width), state.step(), {b.splat(0.0f)},
             [&](Value c, ValueRange sums) -> SmallVector<Value> {
               Value sum = sums[0], column = b.add(origin, c);
               for (auto [i, k] : llvm::enumerate(state.load(panel, column, read))) {
                 SmallVector<Value> place = {queryRow, b.add(column, b.index(i))};
                 sum = b.fma(b.broadcast(memref::LoadOp::create(b, query, place)), k, sum);
               }
               return {sum};
             });
  Value counts = arith::AndIOp::create(b, causal, attended);
  return arith::SelectOp::create(b, counts, emitActivation(b, Activation::sigmoid, dot[0]),
                                 b.splat(0.0f));
}

/// Lane j becomes the sum of lanes j ... 15.
Value CopeBiasEmitter::sumFromBehind(Value gates) {
  for (int64_t distance = 1; distance < numLanes; distance *= 2) {
    SmallVector<int64_t> behind;
    for (int64_t lane = 0; lane < numLanes; ++lane)
      behind.push_back(std::min(lane + distance, numLanes)); // lane 16 is the first 0
    Value moved = vector::ShuffleOp::create(b, gates, b.splat(0.0f), behind);
    gates = arith::AddFOp::create(b, gates, moved);
  }
  return gates;
}

/// z[row, head, place] for whole places.
Value CopeBiasEmitter::readTable(Value row, Value head, Value place) {
  Value indices = arith::FPToSIOp::create(b, b.words(), place);
  return vector::GatherOp::create(b, b.floats(), table,
                                  ValueRange{row, b.mul(head, b.index(places))}, indices,
                                  b.maskBelow(b.index(numLanes)), b.splat(0.0f));
}

void CopeBiasEmitter::emitBlock(Value head, Value block, Value lastPosition) {
  Value present = b.maskBelow(b.sub(b.add(lastPosition, b.index(1)), block));
  VectorType bytes = b.lanes(b.getI8Type());
  Value zero = arith::ConstantOp::create(b, b.getZeroAttr(bytes));
  Value flags = vector::MaskedLoadOp::create(b, bytes, mask, ValueRange{block}, present, zero);
  Value attended = arith::CmpIOp::create(b, arith::CmpIPredicate::ne, flags, zero);

  forRows([&](Value row) {
    Value inBlock = sumFromBehind(emitGates(row, head, block, attended));
    Value behind = memref::LoadOp::create(b, sums, ValueRange{row});
    Value back = arith::AddFOp::create(b, inBlock, Value(b.broadcast(behind)));
    memref::StoreOp::create(b, Value(vector::ExtractOp::create(b, back, ArrayRef<int64_t>{0})),
                            sums, ValueRange{row});
    // A NaN ends at the last place, like all that is too large: the table is never left.
    Value last = b.splat(static_cast<float>(places - 1));
    Value isInside = arith::CmpFOp::create(b, arith::CmpFPredicate::OLT, back, last);
    Value place = arith::SelectOp::create(b, isInside, back, last);
    Value below = math::FloorOp::create(b, place), above = math::CeilOp::create(b, place);
    Value fraction = arith::SubFOp::create(b, place, below);
    Value rest = arith::SubFOp::create(b, b.splat(1.0f), fraction);

    Value target = b.add(kernel.begin(0), row);
    Value near = arith::MulFOp::create(b, readTable(target, head, below), rest);
    Value bias = b.fma(readTable(target, head, above), fraction, near);
    kernel.storeResult(bias, target, b.add(b.mul(head, b.index(capacity)), block), present);
  });
}

void treadle::emitCopeBias(StageKernel &kernel, CopeBiasOp op) {
  CopeBiasEmitter(kernel, op).emit();
}

//===- LaneBuilder.cpp - 16 lanes of f32 at a time ------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "LaneBuilder.h"

using namespace mlir;
using namespace treadle;

//===----------------------------------------------------------------------===//
// Scalars
//===----------------------------------------------------------------------===//

Value LaneBuilder::index(int64_t value) { return arith::ConstantIndexOp::create(*this, value); }
Value LaneBuilder::f32(float value) {
  return arith::ConstantOp::create(*this, getF32FloatAttr(value));
}
Value LaneBuilder::add(Value a, Value b) { return createOrFold<arith::AddIOp>(a, b); }
Value LaneBuilder::sub(Value a, Value b) { return createOrFold<arith::SubIOp>(a, b); }
Value LaneBuilder::mul(Value a, Value b) { return createOrFold<arith::MulIOp>(a, b); }
Value LaneBuilder::minimum(Value a, Value b) { return createOrFold<arith::MinSIOp>(a, b); }

Value LaneBuilder::toFloat(Value number) {
  if (getElementTypeOrSelf(number).isF32())
    return number;
  if (isa<VectorType>(number.getType()))
    return lowBF16(arith::ExtUIOp::create(*this, words(), number));
  Value word = arith::ExtUIOp::create(*this, getI32Type(), number);
  Value shift = arith::ConstantOp::create(*this, getI32IntegerAttr(16));
  return arith::BitcastOp::create(*this, getF32Type(),
                                  Value(arith::ShLIOp::create(*this, word, shift)));
}

//===----------------------------------------------------------------------===//
// Lanes
//===----------------------------------------------------------------------===//

Value LaneBuilder::splat(float value) {
  return arith::ConstantOp::create(*this, DenseElementsAttr::get(floats(), value));
}
Value LaneBuilder::splatWord(int32_t value) {
  return arith::ConstantOp::create(*this, DenseElementsAttr::get(words(), value));
}
Value LaneBuilder::broadcast(Value scalar) {
  return vector::BroadcastOp::create(*this, lanes(scalar.getType()), scalar);
}
Value LaneBuilder::fma(Value a, Value b, Value c) { return vector::FMAOp::create(*this, a, b, c); }

Value LaneBuilder::maskBelow(Value count) {
  return vector::CreateMaskOp::create(*this, lanes(getI1Type()), count);
}
Value LaneBuilder::maskFirst(int64_t count) {
  if (count >= numLanes)
    return {};
  return vector::ConstantMaskOp::create(*this, lanes(getI1Type()), ArrayRef<int64_t>{count});
}

Value LaneBuilder::loadAsIs(Value memref, ValueRange indices, Value mask) {
  VectorType type = lanes(cast<MemRefType>(memref.getType()).getElementType());
  if (!mask)
    return vector::LoadOp::create(*this, type, memref, indices);
  Value zero = arith::ConstantOp::create(*this, getZeroAttr(type));
  return vector::MaskedLoadOp::create(*this, type, memref, indices, mask, zero);
}

Value LaneBuilder::load(Value memref, ValueRange indices, Value mask) {
  Value loaded = loadAsIs(memref, indices, mask);
  return getElementTypeOrSelf(loaded).isInteger(16) ? toFloat(loaded) : loaded;
}

void LaneBuilder::store(Value value, Value memref, ValueRange indices, Value mask) {
  Type element = cast<MemRefType>(memref.getType()).getElementType();
  if (element.isInteger(16) && value.getType() != lanes(element)) {
    Value bits = arith::BitcastOp::create(*this, words(), roundToBF16(value));
    Value high = arith::ShRUIOp::create(*this, bits, splatWord(16));
    value = arith::TruncIOp::create(*this, lanes(element), high);
  }
  if (mask)
    vector::MaskedStoreOp::create(*this, memref, indices, mask, value);
  else
    vector::StoreOp::create(*this, value, memref, indices);
}

Value LaneBuilder::roundToBF16(Value value) {
  bool isScalar = value.getType().isF32();
  Type type = value.getType(), asWords = isScalar ? Type(getI32Type()) : Type(words());
  auto word = [&](uint32_t bits) -> Value {
    auto number = static_cast<int32_t>(bits);
    return isScalar ? Value(arith::ConstantOp::create(*this, getI32IntegerAttr(number)))
                    : splatWord(number);
  };
  // Adding 0x7fff plus the lowest kept bit carries into it exactly when rounding up is right.
  Value bits = arith::BitcastOp::create(*this, asWords, value);
  Value kept = arith::AndIOp::create(*this, arith::ShRUIOp::create(*this, bits, word(16)), word(1));
  Value biased =
      arith::AddIOp::create(*this, bits, arith::AddIOp::create(*this, kept, word(0x7fff)));
  Value rounded = arith::BitcastOp::create(
      *this, type, Value(arith::AndIOp::create(*this, biased, word(0xffff0000))));
  // The sum would turn some NaNs into numbers.
  Value isNaN = arith::CmpFOp::create(*this, arith::CmpFPredicate::UNO, value, value);
  Value quietNaN = arith::BitcastOp::create(*this, type, word(0x7fc00000));
  return arith::SelectOp::create(*this, isNaN, quietNaN, rounded);
}

Value LaneBuilder::lowBF16(Value wordLanes) {
  return arith::BitcastOp::create(*this, floats(),
                                  Value(arith::ShLIOp::create(*this, wordLanes, splatWord(16))));
}
Value LaneBuilder::highBF16(Value wordLanes) {
  return arith::BitcastOp::create(
      *this, floats(),
      Value(arith::AndIOp::create(*this, wordLanes, splatWord(static_cast<int32_t>(0xffff0000u)))));
}

Value LaneBuilder::reduce(Value value, function_ref<Value(Value, Value)> combine) {
  for (int64_t half = numLanes / 2; half > 0; half /= 2) {
    Value low = vector::ExtractStridedSliceOp::create(
        *this, value, ArrayRef<int64_t>{0}, ArrayRef<int64_t>{half}, ArrayRef<int64_t>{1});
    Value high = vector::ExtractStridedSliceOp::create(
        *this, value, ArrayRef<int64_t>{half}, ArrayRef<int64_t>{half}, ArrayRef<int64_t>{1});
    value = combine(low, high);
  }
  return vector::ExtractOp::create(*this, value, ArrayRef<int64_t>{0});
}

Value LaneBuilder::reduceSum(Value value) {
  return reduce(value, [&](Value a, Value b) { return arith::AddFOp::create(*this, a, b); });
}
Value LaneBuilder::reduceMax(Value value) {
  return reduce(value, [&](Value a, Value b) { return arith::MaxNumFOp::create(*this, a, b); });
}

void LaneBuilder::transpose(SmallVectorImpl<Value> &rows) {
  assert(rows.size() == numLanes && "expected a square");
  // log2(16) rounds of exchanging blocks of 8, 4, 2 and 1 lanes between pairs of rows.
  for (int64_t distance = numLanes / 2; distance > 0; distance /= 2) {
    SmallVector<int64_t> low, high;
    for (int64_t lane = 0; lane < numLanes; ++lane) {
      bool isUpper = lane & distance;
      low.push_back(isUpper ? lane - distance + numLanes : lane);
      high.push_back(isUpper ? lane + numLanes : lane + distance);
    }
    for (int64_t row = 0; row < numLanes; ++row) {
      if (row & distance)
        continue;
      Value first = rows[row], second = rows[row + distance];
      rows[row] = vector::ShuffleOp::create(*this, first, second, low);
      rows[row + distance] = vector::ShuffleOp::create(*this, first, second, high);
    }
  }
}

//===----------------------------------------------------------------------===//
// Structure
//===----------------------------------------------------------------------===//

Value LaneBuilder::onceAtStart(function_ref<Value()> body) {
  OpBuilder::InsertionGuard guard(*this);
  setInsertionPointToStart(&start);
  return body();
}

ValueRange LaneBuilder::loop(Value begin, Value end, int64_t step, ValueRange inits,
                             CarryBody body) {
  auto forOp = scf::ForOp::create(*this, begin, end, index(step), inits,
                                  [&](OpBuilder &, Location, Value iv, ValueRange carried) {
                                    scf::YieldOp::create(*this, body(iv, carried));
                                  });
  return forOp.getResults();
}

void LaneBuilder::loop(Value begin, Value end, int64_t step, Body body) {
  loop(begin, end, step, {}, [&](Value iv, ValueRange) -> SmallVector<Value> {
    body(iv);
    return {};
  });
}

ValueRange LaneBuilder::ifElse(Value condition, Branch then, Branch otherwise) {
  auto build = [this](Branch branch) {
    return [this, branch](OpBuilder &, Location) { scf::YieldOp::create(*this, branch()); };
  };
  return scf::IfOp::create(*this, condition, build(then), build(otherwise)).getResults();
}

void LaneBuilder::forBlocks(Value first, int64_t count, int64_t most,
                            function_ref<void(Value, int64_t)> body) {
  int64_t blocks = llvm::divideCeilSigned(count, most);
  int64_t small = count / blocks, numLarge = count % blocks;
  auto run = [&](int64_t begin, int64_t repeats, int64_t size) {
    if (repeats > 0)
      loop(add(first, index(begin)), add(first, index(begin + repeats * size)), size,
           [&](Value block) { body(block, size); });
  };
  run(0, numLarge, small + 1);
  run(numLarge * (small + 1), blocks - numLarge, small);
}

SmallVector<Value>
LaneBuilder::forLanes(int64_t columns, ValueRange inits,
                      function_ref<SmallVector<Value>(Value, Value, ValueRange)> body) {
  int64_t whole = columns / numLanes * numLanes;
  SmallVector<Value> carried(inits);
  if (whole > 0)
    carried = llvm::to_vector(
        loop(index(0), index(whole), numLanes, carried,
             [&](Value column, ValueRange values) { return body(column, {}, values); }));
  if (whole < columns)
    carried = body(index(whole), maskFirst(columns - whole), carried);
  return carried;
}

void LaneBuilder::forLanes(int64_t columns, function_ref<void(Value, Value)> body) {
  forLanes(columns, {}, [&](Value column, Value mask, ValueRange) -> SmallVector<Value> {
    body(column, mask);
    return {};
  });
}

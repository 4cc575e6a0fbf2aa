//===- Multiplier.cpp - Chains of products --------------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

//
// x and the w of a step, by the processor:
//
//               x in memory         w of a step
//   f32         f32                 lanes of f32
//   bf16        f32, rounded        two lanes of f32, the even and the odd
//   bf16, dot   bf16 as i16         lanes of 32-bit words, the odd in the high half
//

#include "Multiplier.h"

#include "mlir/Dialect/X86Vector/X86VectorDialect.h"

using namespace mlir;
using namespace treadle;

Multiplier::Multiplier(StageKernel &kernel, Type element)
    : kernel(kernel), b(kernel.builder()), isBF16(!element.isF32()),
      hasDot(isBF16 && kernel.getOptions().bf16Dot) {}

Value treadle::roundForDot(LaneBuilder &b, Value lanes) {
  Value rounded = x86vector::CvtPackedF32ToBF16Op::create(b, b.lanes(b.getBF16Type()), lanes);
  return vector::BitCastOp::create(b, b.lanes(b.getI16Type()), rounded);
}

Value Multiplier::allocate(ArrayRef<int64_t> shape) {
  return kernel.allocate(shape, hasDot ? Type(b.getI16Type()) : Type(b.getF32Type()));
}

Value Multiplier::store(Value lanes, Value memory, ValueRange place) {
  if (hasDot) {
    Value rounded = roundForDot(b, lanes);
    vector::StoreOp::create(b, rounded, memory, place);
    return b.lowBF16(arith::ExtUIOp::create(b, b.words(), rounded));
  }
  if (isBF16)
    lanes = b.roundToBF16(lanes);
  b.store(lanes, memory, place);
  return lanes;
}

Type Multiplier::wordType() const { return isBF16 ? Type(b.getI32Type()) : Type(b.getF32Type()); }

Value Multiplier::pack(ArrayRef<Value> rows) {
  if (!isBF16)
    return rows[0];
  Value words = arith::ExtUIOp::create(b, b.words(), rows[0]);
  if (rows.size() == 1)
    return words;
  return joinHalves(words, arith::ExtUIOp::create(b, b.words(), rows[1]));
}

/// Words of the low halves of others.
Value Multiplier::joinHalves(Value even, Value odd) {
  return arith::OrIOp::create(b, even, Value(arith::ShLIOp::create(b, odd, b.splatWord(16))));
}

/// The halves of one word where they are included, of the other where not.
Value Multiplier::chooseHalves(ArrayRef<Value> included, uint32_t word, uint32_t otherwise) {
  auto choose = [&](Value condition, uint32_t mask) -> Value {
    auto constant = [&](uint32_t bits) -> Value {
      return arith::ConstantOp::create(b, b.getI32IntegerAttr(static_cast<int32_t>(bits & mask)));
    };
    return arith::SelectOp::create(b, condition, constant(word), constant(otherwise));
  };
  return arith::OrIOp::create(b, choose(included[0], 0x0000ffff), choose(included[1], 0xffff0000));
}

Value Multiplier::blank(Value words, ArrayRef<Value> included) {
  if (!isBF16)
    return arith::SelectOp::create(b, Value(b.broadcast(included[0])), words, b.splat(-0.0f));
  Value kept = b.broadcast(chooseHalves(included, ~0u, 0));
  Value zeros = b.broadcast(chooseHalves(included, 0, 0x80008000));
  return arith::OrIOp::create(b, Value(arith::AndIOp::create(b, words, kept)), zeros);
}

SmallVector<Value> Multiplier::fromWords(Value words) {
  if (!isBF16 || hasDot)
    return {words};
  return {b.lowBF16(words), b.highBF16(words)};
}

SmallVector<Value> Multiplier::fromPanel(StatePanels &panels, Value panel, Value column,
                                         int64_t count, Value mask) {
  Value words = panels.loadWords(panel, column, mask);
  if (panels.step() < count) {
    Value odd = panels.loadWords(panel, b.add(column, b.index(1)), mask);
    words = joinHalves(words, odd);
  }
  return fromWords(words);
}

/// The number at `place` + `offset` on all lanes.
Value Multiplier::numberAt(Value memory, ValueRange place, int64_t offset) {
  SmallVector<Value> at(place);
  at.back() = b.add(at.back(), b.index(offset));
  return b.broadcast(memref::LoadOp::create(b, memory, at));
}

/// The two bf16 at `place` as a word.
Value Multiplier::pairAt(Value memory, ValueRange place) {
  Value pair = vector::LoadOp::create(b, VectorType::get({2}, b.getI16Type()), memory, place);
  Value word = vector::BitCastOp::create(b, VectorType::get({1}, b.getI32Type()), pair);
  return vector::ExtractOp::create(b, word, ArrayRef<int64_t>{0});
}

Value Multiplier::dot(Value pair, Value words, Value sum) {
  auto type = VectorType::get({2 * numLanes}, b.getBF16Type());
  Value x = vector::BitCastOp::create(b, type, Value(b.broadcast(pair)));
  return x86vector::DotBF16Op::create(b, sum, x, Value(vector::BitCastOp::create(b, type, words)));
}

Value Multiplier::multiply(Value memory, ValueRange place, ArrayRef<Value> step, Value sum) {
  if (hasDot)
    return dot(pairAt(memory, place), step[0], sum);
  for (int64_t i = depth() - 1; i >= 0; --i)
    sum = b.fma(numberAt(memory, place, i), step[i], sum);
  return sum;
}

Value Multiplier::multiply(ArrayRef<Value> x, ArrayRef<Value> step, Value sum) {
  assert(!hasDot && "a pair is no two numbers");
  for (int64_t i = depth() - 1; i >= 0; --i)
    sum = b.fma(b.broadcast(x[i]), step[i], sum);
  return sum;
}

Value Multiplier::multiplySome(Value memory, ValueRange place, ArrayRef<Value> step,
                               ArrayRef<Value> included, Value sum) {
  if (!hasDot) {
    for (int64_t i = depth() - 1; i >= 0; --i) {
      Value next = b.fma(numberAt(memory, place, i), step[i], sum);
      sum = arith::SelectOp::create(b, Value(b.broadcast(included[i])), next, sum);
    }
    return sum;
  }
  Value pair = arith::AndIOp::create(b, pairAt(memory, place), chooseHalves(included, ~0u, 0));
  return dot(pair, blank(step[0], included), sum);
}

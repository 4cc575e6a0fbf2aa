//===- Angles.cpp - cos and sin on lanes ----------------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "StageKernel.h"

#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace treadle;

/// Whole quarter turns (mod 4) and the angle that is left, in [-pi/4, pi/4].
struct Reduced {
  Value quarters, angle;
};

static Value splatLong(LaneBuilder &b, uint64_t value) {
  VectorType longs = b.lanes(b.getI64Type());
  return arith::ConstantOp::create(b, DenseElementsAttr::get(longs, APInt(64, value)));
}

/// The top two bits of a turn after rounding give the quarter, the signed rest the angle.
static Reduced reduceTurns(LaneBuilder &b, Value turns) {
  Value rounded = arith::AddIOp::create(b, turns, splatLong(b, uint64_t(1) << 61));
  Value quarters = arith::TruncIOp::create(
      b, b.words(), Value(arith::ShRUIOp::create(b, rounded, splatLong(b, 62))));
  Value rest = arith::SubIOp::create(
      b, turns, Value(arith::AndIOp::create(b, rounded, splatLong(b, uint64_t(3) << 62))));
  // 31 of the rest's 62 bits: a step of 2^-33 turns, far below a unit in the last place of 1.
  Value steps = arith::TruncIOp::create(b, b.words(),
                                        Value(arith::ShRSIOp::create(b, rest, splatLong(b, 31))));
  Value angle = arith::MulFOp::create(b, Value(arith::SIToFPOp::create(b, b.floats(), steps)),
                                      b.splat(2.0 * llvm::numbers::pi / 8589934592.0 /* 2^33 */));
  return {quarters, angle};
}

/// The polynomials of Cephes' sinf and cosf (S. Moshier), which err by less than one unit in the
/// last place on [-pi/4, pi/4].
static CosSin evaluate(LaneBuilder &b, Reduced reduced) {
  auto [quarters, angle] = reduced;
  Value square = arith::MulFOp::create(b, angle, angle);
  auto horner = [&](ArrayRef<float> coefficients) {
    Value sum = b.splat(coefficients.front());
    for (float coefficient : coefficients.drop_front())
      sum = b.fma(sum, square, b.splat(coefficient));
    return sum;
  };
  Value sinTail = horner({-1.9515295891e-4f, 8.3321608736e-3f, -1.6666654611e-1f});
  Value sin = b.fma(arith::MulFOp::create(b, sinTail, square), angle, angle);
  Value cosTail = horner({2.443315711809948e-5f, -1.388731625493765e-3f, 4.166664568298827e-2f});
  Value cos = b.fma(arith::MulFOp::create(b, cosTail, square), square,
                    b.fma(square, b.splat(-0.5f), b.splat(1.0f)));

  // A quarter turn swaps cos and sin; quarters 1 and 2 negate cos, 2 and 3 negate sin.
  auto isSet = [&](Value word, int32_t bit) -> Value {
    Value masked = arith::AndIOp::create(b, word, b.splatWord(bit));
    return arith::CmpIOp::create(b, arith::CmpIPredicate::ne, masked, b.splatWord(0));
  };
  auto negateIf = [&](Value condition, Value value) -> Value {
    return arith::SelectOp::create(b, condition, Value(arith::NegFOp::create(b, value)), value);
  };
  Value swap = isSet(quarters, 1);
  Value next = arith::AddIOp::create(b, quarters, b.splatWord(1));
  Value turnedCos = arith::SelectOp::create(b, swap, sin, cos);
  Value turnedSin = arith::SelectOp::create(b, swap, cos, sin);
  return {negateIf(isSet(next, 2), turnedCos), negateIf(isSet(quarters, 2), turnedSin)};
}

CosSin treadle::emitCosSinOfTurns(LaneBuilder &b, Value turns) {
  return evaluate(b, reduceTurns(b, turns));
}

/// 2^e / 2 pi as a 64-bit fraction of a turn, whole turns taken off, for the exponent e of a
/// float's last bit, by the float's exponent field.
static DenseElementsAttr turnsOfExponents(LaneBuilder &b) {
  // 256 bits of 1 / 2 pi behind the point, lowest word first.
  const uint64_t words[] = {0x7f9458eaf7aef158, 0x36d8a5664f10e410, 0x7f09d5f47d4d3770,
                            0x28be60db9391054a};
  const APInt fraction(256, words);
  SmallVector<APInt> turns;
  for (int64_t field = 0; field < 256; ++field) {
    int64_t exponent = std::max<int64_t>(field, 1) - 150;
    // Rounded to nearest: one bit more, then half of what is one more.
    APInt twice = fraction.lshr(std::min<int64_t>(192 - exponent - 1, 256));
    turns.push_back((twice + 1).lshr(1).trunc(64));
  }
  return DenseElementsAttr::get(RankedTensorType::get({256}, b.getI64Type()), turns);
}

/// An angle m 2^e is m times the turns of 2^e, mod 2^64: whole turns fall off exactly, and of the
/// rest at most 2^24 half steps of 2^-64 turns are lost, whatever the exponent.
CosSin treadle::emitCosSin(StageKernel &kernel, Value radians) {
  LaneBuilder &b = kernel.builder();
  Value table = kernel.constantTable(turnsOfExponents(b));
  VectorType longs = b.lanes(b.getI64Type());
  auto compare = [&](arith::CmpIPredicate predicate, Value word, int32_t other) -> Value {
    return arith::CmpIOp::create(b, predicate, word, b.splatWord(other));
  };

  Value bits = arith::BitcastOp::create(b, b.words(), radians);
  Value magnitude = arith::AndIOp::create(b, bits, b.splatWord(0x7fffffff));
  Value field = arith::ShRUIOp::create(b, magnitude, b.splatWord(23));
  Value isNormal = compare(arith::CmpIPredicate::ne, field, 0);
  Value hidden = arith::SelectOp::create(b, isNormal, b.splatWord(1 << 23), b.splatWord(0));
  Value mantissa = arith::OrIOp::create(
      b, Value(arith::AndIOp::create(b, magnitude, b.splatWord((1 << 23) - 1))), hidden);
  Value allLanes = b.maskBelow(b.index(numLanes));
  Value unit = vector::GatherOp::create(b, longs, table, ValueRange{b.index(0)}, field, allLanes,
                                        splatLong(b, 0));
  Value turns = arith::MulIOp::create(b, Value(arith::ExtUIOp::create(b, longs, mantissa)), unit);
  Value isNegative = compare(arith::CmpIPredicate::slt, bits, 0);
  turns = arith::SelectOp::create(b, isNegative,
                                  Value(arith::SubIOp::create(b, splatLong(b, 0), turns)), turns);

  Reduced reduced = reduceTurns(b, turns);
  // What lies within an eighth of a turn is its own angle: nothing is lost of small ones.
  Value isSmall = compare(arith::CmpIPredicate::slt, magnitude, 0x3f490000 /* of 0.785f */);
  reduced.angle = arith::SelectOp::create(b, isSmall, radians, reduced.angle);
  auto [cos, sin] = evaluate(b, reduced);
  // Infinities have no angle.
  Value isNumber = compare(arith::CmpIPredicate::slt, magnitude, 0x7f800000);
  Value none = arith::SubFOp::create(b, radians, radians);
  return {arith::SelectOp::create(b, isNumber, cos, none),
          arith::SelectOp::create(b, isNumber, sin, none)};
}

//===- Rotary.cpp - Rotary angles -----------------------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "treadle/Model/Blocks.h"

#include <cmath>

using namespace mlir;
using namespace treadle;

SmallVector<int64_t> treadle::turnsOf(ArrayRef<long double> angles) {
  // 64 bits of mantissa where long double has them: a turn is then good to its last bit or two.
  const long double twoPi = 6.283185307179586476925286766559005768L;
  return llvm::map_to_vector(angles, [&](long double angle) {
    return static_cast<int64_t>(std::round(std::ldexp(angle / twoPi, 64)));
  });
}

SmallVector<int64_t> treadle::rotaryTurns(int64_t pairs, double theta,
                                          const std::optional<RopeScaling> &scaling) {
  SmallVector<long double> angles;
  for (int64_t j = 0; j < pairs; ++j) {
    long double angle = std::pow(static_cast<long double>(theta),
                                 -static_cast<long double>(j) / static_cast<long double>(pairs));
    // theta >= 1, and a scaling's factor >= 1, keep a turn per position below 1 / 2 pi, so that it
    // fits.
    angles.push_back(scaling ? scaling->scale(angle) : angle);
  }
  return turnsOf(angles);
}

Value treadle::rotaryTable(const Scope &scope, const Tokens &tokens, int64_t pairs, double theta,
                           const std::optional<RopeScaling> &scaling) {
  return rotaryTable(scope, tokens.ids, ShapedType::kDynamic, tokens.position,
                     rotaryTurns(pairs, theta, scaling));
}

Value treadle::rotaryTable(const Scope &scope, Value like, int64_t rows, Value position,
                           ArrayRef<int64_t> turns, bool reversed) {
  ModuleBuilder &builder = scope.getBuilder();
  OpBuilder &ops = builder.getBuilder();
  auto type =
      RankedTensorType::get({rows, 2, static_cast<int64_t>(turns.size())}, ops.getF32Type());
  return RotaryTableOp::create(ops, builder.getLoc(), type, like, position, turns, reversed);
}

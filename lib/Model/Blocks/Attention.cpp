//===- Attention.cpp - Attention over appended keys and values ------------===//
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

Value treadle::rotaryAttention(const Scope &scope, const Tokens &tokens, Value rotary, Value q,
                               Value k, Value v, const AttentionShape &shape) {
  ModuleBuilder &builder = scope.getBuilder();
  OpBuilder &ops = builder.getBuilder();
  Location loc = builder.getLoc();
  auto rotate = [&](Value x, int64_t heads) -> Value {
    return RopeOp::create(ops, loc, x.getType(), x, rotary, heads, shape.pairing);
  };
  q = rotate(q, shape.heads);
  k = rotate(k, shape.kvHeads);

  int64_t columns = shape.kvHeads * shape.headDim;
  Value keys = scope.appendState("k", columns, builder.getStorageType());
  Value values = scope.appendState("v", columns, builder.getStorageType());
  AppendOp::create(ops, loc, k, keys, tokens.position, tokens.valid);
  AppendOp::create(ops, loc, v, values, tokens.position, tokens.valid);
  double scale = 1.0 / std::sqrt(static_cast<double>(shape.headDim));
  return AttentionOp::create(ops, loc, q.getType(), q, keys, values, tokens.mask, tokens.position,
                             tokens.valid, /*lane_keys=*/Value(), /*lane_values=*/Value(),
                             /*bias=*/Value(), ops.getI64IntegerAttr(shape.heads),
                             ops.getI64IntegerAttr(shape.kvHeads), ops.getF32FloatAttr(scale),
                             /*own=*/UnitAttr());
}

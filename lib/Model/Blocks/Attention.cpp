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
                               Value k, Value v, const AttentionShape &shape,
                               const std::optional<AttentionLane> &lane) {
  ModuleBuilder &builder = scope.getBuilder();
  OpBuilder &ops = builder.getBuilder();
  Location loc = builder.getLoc();
  auto rotate = [&](Value x, int64_t heads) -> Value {
    return RopeOp::create(ops, loc, x.getType(), x, rotary, heads, shape.pairing);
  };
  auto append = [&](Value k, Value v, StringRef prefix) -> std::pair<Value, Value> {
    k = rotate(k, shape.kvHeads);
    int64_t columns = shape.kvHeads * shape.headDim;
    Value keys =
        scope.appendState((prefix + "k").str(), columns, builder.getStorageType(), Packing::panels);
    Value values = scope.appendState((prefix + "v").str(), columns, builder.getStorageType());
    AppendOp::create(ops, loc, k, keys, tokens.row, tokens.valid);
    AppendOp::create(ops, loc, v, values, tokens.row, tokens.valid);
    return {keys, values};
  };
  q = rotate(q, shape.heads);
  auto [keys, values] = append(k, v, "");
  auto [laneKeys, laneValues] =
      lane ? append(lane->k, lane->v, "lane_") : std::pair<Value, Value>();
  double scale = 1.0 / std::sqrt(static_cast<double>(shape.headDim));
  return AttentionOp::create(ops, loc, q.getType(), q, keys, values, tokens.mask, tokens.row,
                             tokens.valid, laneKeys, laneValues, /*bias=*/Value(),
                             ops.getI64IntegerAttr(shape.heads),
                             ops.getI64IntegerAttr(shape.kvHeads), ops.getF32FloatAttr(scale),
                             lane && lane->own ? ops.getUnitAttr() : UnitAttr());
}

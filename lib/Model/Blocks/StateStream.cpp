//===- StateStream.cpp - A sum over tokens, and cells that work on it -----===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "treadle/Model/Blocks.h"

using namespace mlir;
using namespace treadle;

static Value rotate(const Scope &scope, Value x, Value rotary, const StateStream &stream,
                    bool inverse) {
  ModuleBuilder &builder = scope.getBuilder();
  return RopeOp::create(builder.getBuilder(), builder.getLoc(), x.getType(), x, rotary,
                        /*heads=*/1, stream.pairing, inverse);
}

Value treadle::accumulate(const Scope &scope, const Tokens &tokens, Value x, Value rotary,
                          const StateStream &stream) {
  ModuleBuilder &builder = scope.getBuilder();
  OpBuilder &ops = builder.getBuilder();
  Location loc = builder.getLoc();
  x = rotate(scope, x, rotary, stream, /*inverse=*/false);
  Value integral = scope.appendState("integral", stream.width, ops.getF32Type());
  RunningSumOp::create(ops, loc, x, integral, tokens.mask, tokens.position, tokens.valid,
                       stream.accumulation == Accumulation::none);
  // Cells work on each token alone, so they may start from the late sum: nothing else is kept.
  return ReadRowsOp::create(ops, loc, x.getType(), integral, tokens.position, tokens.valid,
                            stream.lag, stream.accumulation == Accumulation::mean);
}

Value treadle::readBack(const Scope &scope, const Tokens &tokens, Value state, Value rotary,
                        const StateStream &stream) {
  ModuleBuilder &builder = scope.getBuilder();
  if (stream.lag > 0) // a cell makes something of zeros, too
    state = BlankStartOp::create(builder.getBuilder(), builder.getLoc(), state.getType(), state,
                                 tokens.position, stream.lag);
  return rotate(scope, state, rotary, stream, /*inverse=*/true);
}

Value treadle::stateCell(const Scope &scope, Value s, StringRef tensor, const StateCell &cell) {
  ModuleBuilder &builder = scope.getBuilder();
  OpBuilder &ops = builder.getBuilder();
  Location loc = builder.getLoc();
  int64_t width = cast<ShapedType>(s.getType()).getDimSize(1) / cell.heads;
  auto named = [&](StringRef part, StringRef last) { return (tensor + part + last).str(); };

  auto norm = [&](Value x, StringRef part) -> Value {
    std::string symbol = ("cell" + part).str();
    Value weight = scope.vector(symbol, named(part, ".weight"), width);
    Value bias =
        cell.normBias ? scope.vector(symbol + ".bias", named(part, ".bias"), width) : Value();
    return LayerNormOp::create(ops, loc, x.getType(), x, weight, bias,
                               ops.getF32FloatAttr(cell.eps), ops.getI64IntegerAttr(cell.heads),
                               ops.getF32FloatAttr(0.0f));
  };
  auto project = [&](Value x, StringRef part, int64_t outputs, int64_t inputs) -> Value {
    std::string symbol = ("cell" + part).str();
    SmallVector<int64_t> shape = {outputs, inputs};
    if (cell.perHead && cell.heads > 1)
      shape.insert(shape.begin(), cell.heads);
    Value weight = scope.matrix(symbol, named(part, ".weight"), shape, ops.getF32Type());
    Value bias = cell.mlpBias ? scope.plain(symbol + ".bias", named(part, ".bias"),
                                            ArrayRef(shape).drop_back())
                              : Value();
    return LinearOp::create(ops, loc, builder.getRowsType(cell.heads * outputs), x, weight, bias,
                            cell.heads);
  };

  Value inner = project(norm(s, ".pre_norm"), ".mlp.0", cell.inner, width);
  inner = ActivateOp::create(ops, loc, inner.getType(), inner, cell.activation);
  Value change = project(inner, ".mlp.2", width, cell.inner);
  Value step = scope.vector("cell.step_size", named("", ".step_size"), cell.heads);
  auto advance = [&](Value by) -> Value {
    return AddScaledOp::create(ops, loc, s.getType(), s, by, step);
  };
  if (cell.normsState)
    return norm(advance(change), ".post_norm");
  return advance(norm(change, ".post_norm"));
}

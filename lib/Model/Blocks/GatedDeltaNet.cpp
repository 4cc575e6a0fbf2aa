//===- GatedDeltaNet.cpp - Linear attention with a memory -----------------===//
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

/// Of the length of queries and keys.
static constexpr double lengthEps = 1e-6;

/// Queries, keys and values side by side, each seen over the last tokens.
static Value convolve(const Scope &scope, const Tokens &tokens, Value channels, StringRef tensor,
                      const GatedDeltaNet &net) {
  ModuleBuilder &builder = scope.getBuilder();
  OpBuilder &ops = builder.getBuilder();
  int64_t columns = cast<ShapedType>(channels.getType()).getDimSize(1);
  Value taps = scope.plain("conv.taps", (tensor + ".conv1d.weight").str(), {columns, net.taps});
  Value ring = scope.state("conv", StateType::get(ops.getContext(), StateKind::ring,
                                                  {net.taps - 1, columns}, ops.getF32Type()));
  return CausalConvOp::create(ops, builder.getLoc(), channels.getType(), channels, taps, ring,
                              tokens.mask, tokens.position, tokens.valid, Activation::silu);
}

Value treadle::gatedDeltaNet(const Scope &scope, const Tokens &tokens, Value x, StringRef tensor,
                             const GatedDeltaNet &net) {
  ModuleBuilder &builder = scope.getBuilder();
  OpBuilder &ops = builder.getBuilder();
  Location loc = builder.getLoc();
  int64_t groups = net.keyHeads, share = net.valueHeads / groups;
  int64_t keys = net.keyDim, values = share * net.valueDim;
  auto named = [&](StringRef name) { return (tensor + "." + name).str(); };

  // Each key head's columns are [q | k | v | z] and [b | a].
  Value qkvz = linear(scope, x, "qkvz", named("in_proj_qkvz"), 2 * groups * (keys + values));
  Value ba = linear(scope, x, "ba", named("in_proj_ba"), 2 * net.valueHeads);
  Value q = sliceColumns(scope, qkvz, groups, 0, keys);
  Value k = sliceColumns(scope, qkvz, groups, keys, keys);
  Value v = sliceColumns(scope, qkvz, groups, 2 * keys, values);
  Value z = sliceColumns(scope, qkvz, groups, 2 * keys + values, values);
  Value b = sliceColumns(scope, ba, groups, 0, share);
  Value a = sliceColumns(scope, ba, groups, share, share);

  int64_t channels = 2 * net.keyWidth() + net.valueWidth();
  Value joined = ConcatOp::create(ops, loc, builder.getRowsType(channels), ValueRange{q, k, v});
  Value mixed = convolve(scope, tokens, joined, tensor, net);
  auto normalised = [&](int64_t offset, double length) -> Value {
    Value part = sliceColumns(scope, mixed, 1, offset, net.keyWidth());
    return L2NormOp::create(ops, loc, part.getType(), part, ops.getF32FloatAttr(lengthEps),
                            ops.getI64IntegerAttr(groups), ops.getF32FloatAttr(length));
  };
  q = normalised(0, 1.0 / std::sqrt(static_cast<double>(keys)));
  k = normalised(net.keyWidth(), 1.0);
  v = sliceColumns(scope, mixed, 1, 2 * net.keyWidth(), net.valueWidth());

  Value beta = ActivateOp::create(ops, loc, b.getType(), b, Activation::sigmoid);
  Value decay = LogDecayOp::create(ops, loc, a.getType(), a,
                                   scope.vector("a_log", named("A_log"), net.valueHeads),
                                   scope.vector("dt_bias", named("dt_bias"), net.valueHeads));
  Value memory = scope.state("delta", StateType::get(ops.getContext(), StateKind::fixed,
                                                     {net.valueHeads, net.keyDim, net.valueDim},
                                                     ops.getF32Type()));
  Value y =
      GatedDeltaRuleOp::create(ops, loc, v.getType(), q, k, v, beta, decay, memory, tokens.mask,
                               tokens.position, tokens.valid, net.valueHeads, net.keyHeads);
  y = rmsNorm(scope, y, "delta.norm", named("norm"), net.eps, 0, net.valueHeads);
  return gateWith(scope, z, y, Activation::silu);
}

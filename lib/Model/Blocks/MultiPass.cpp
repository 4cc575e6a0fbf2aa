//===- MultiPass.cpp - Attention in several passes ------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Rows of different kinds run one after another and attend to those before them:
// what links them are the appended keys and values.
//
//===----------------------------------------------------------------------===//

#include "treadle/Model/Blocks.h"

#include <cmath>

using namespace mlir;
using namespace treadle;

namespace {
/// The keys of one branch: what scores are made of, and what gates see.
struct Keys {
  Value rotated, plain;
};

/// The passes of one kind of rows.
class PassBuilder {
public:
  PassBuilder(const Scope &scope, const Place &place, StringRef symbol, StringRef tensor,
              const MultiPassAttention &attention, StringRef kind)
      : scope(scope), place(place), symbol(symbol), tensor(tensor), kind(kind), a(attention),
        ops(scope.getBuilder().getBuilder()), loc(scope.getBuilder().getLoc()) {}

  Value build(Value x);

private:
  Value buildPass(int64_t p, Value y);
  Value buildIteration(int64_t p, Value y, int64_t inputs, ArrayRef<Keys> keys, Value values);
  Value attend(int64_t p, int64_t branch, Value query, const Keys &keys, Value values);
  Value subtract(int64_t p, Value positive, Value negative);

  /// A projection of rows of this kind, normalised where that is asked for.
  Value project(int64_t p, StringRef what, Value y, int64_t inputs, int64_t width);
  Keys appendKeys(int64_t p, int64_t branch, Value k);
  Value append(const Twine &name, Value rows, Packing packing = Packing::plain);
  Value rotate(int64_t p, Value x);
  Value getBranch(Value x, int64_t branch, int64_t width);

  std::string symbolOf(int64_t p, const Twine &name) const {
    return (symbol + "." + Twine(p) + "." + name).str();
  }
  std::string tensorOf(int64_t p, const Twine &name) const {
    return (tensor + ".attn_modules." + Twine(p) + "." + name).str();
  }
  /// `_1` and `_2` where there are branches.
  std::string branchSuffix(int64_t branch) const {
    return a.differential ? "_" + std::to_string(branch + 1) : "";
  }

  const Scope &scope;
  const Place &place;
  StringRef symbol, tensor, kind;
  const MultiPassAttention &a;
  OpBuilder &ops;
  Location loc;
};
} // namespace

Value PassBuilder::build(Value x) {
  int64_t last = a.passes.size() - 1, branches = a.getBranches();
  Value y = x;
  for (int64_t p = 0; p < last; ++p) {
    y = buildPass(p, y);
    int64_t width = a.passes[p].valueWidth;
    if (a.differential)
      y = headLinear(scope, y, symbolOf(p, "join" + kind),
                     (tensor + ".proj_modules" + kind + "." + Twine(p) + ".weights").str(), a.heads,
                     branches * width, width);
  }
  y = buildPass(last, y);
  if (!a.outputWidth)
    return y;
  std::string outSymbol = (symbol + ".out" + kind).str(),
              outTensor = (tensor + ".proj_out" + kind + ".weights").str();
  int64_t width = branches * a.passes[last].valueWidth;
  return headLinear(scope, y, outSymbol, outTensor, a.heads, width, *a.outputWidth);
}

Value PassBuilder::buildPass(int64_t p, Value y) {
  const AttentionPass &pass = a.passes[p];
  int64_t columns = cast<ShapedType>(y.getType()).getDimSize(1), branches = a.getBranches();
  int64_t inputs = p == 0 ? columns : columns / a.heads;
  if (pass.iterations > 1) {
    y = headLinear(scope, y, symbolOf(p, "hidden" + kind),
                   tensorOf(p, "proj_hidden" + kind + ".weights"), a.heads, inputs,
                   pass.valueWidth);
    inputs = pass.valueWidth;
  }
  Value k = project(p, "k", y, inputs, branches * pass.keyWidth);
  Value v = project(p, "v", y, inputs, branches * pass.valueWidth);
  SmallVector<Keys> keys;
  for (int64_t branch = 0; branch < branches; ++branch)
    keys.push_back(appendKeys(p, branch, getBranch(k, branch, pass.keyWidth)));
  Value values = append(symbolOf(p, "v"), v);
  return scope.getBuilder().buildSteps(pass.iterations, y, [&](Value state) {
    return buildIteration(p, state, inputs, keys, values);
  });
}

Value PassBuilder::buildIteration(int64_t p, Value y, int64_t inputs, ArrayRef<Keys> keys,
                                  Value values) {
  const AttentionPass &pass = a.passes[p];
  Value q = project(p, "q", y, inputs, a.getBranches() * pass.keyWidth);
  SmallVector<Value> results;
  for (auto [branch, pair] : llvm::enumerate(keys))
    results.push_back(attend(p, branch, getBranch(q, branch, pass.keyWidth), pair, values));
  return a.differential ? subtract(p, results[0], results[1]) : results[0];
}

Value PassBuilder::attend(int64_t p, int64_t branch, Value query, const Keys &keys, Value values) {
  ModuleBuilder &builder = scope.getBuilder();
  const AttentionPass &pass = a.passes[p];
  Value bias;
  if (a.contextual) {
    std::string name = "cope_emb" + branchSuffix(branch);
    int64_t positions = builder.getCapacity();
    Value table = headLinear(scope, query, symbolOf(p, name), tensorOf(p, name), a.heads,
                             pass.keyWidth, positions);
    bias = CopeBiasOp::create(ops, loc, builder.getRowsType(a.heads * positions, query), query,
                              table, keys.plain, place.mask, place.row, place.valid,
                              ops.getI64IntegerAttr(a.heads));
  }
  int64_t columns = a.heads * a.getBranches() * pass.valueWidth;
  return AttentionOp::create(ops, loc, builder.getRowsType(columns, query), rotate(p, query),
                             keys.rotated, values, place.mask, place.row, place.valid,
                             /*lane_keys=*/Value(), /*lane_values=*/Value(), bias,
                             ops.getI64IntegerAttr(a.heads), ops.getI64IntegerAttr(a.heads),
                             ops.getF32FloatAttr(pass.scale), /*own=*/UnitAttr());
}

/// (1 - init) norm(positive - lambda negative), init = 0.8 - 0.6 exp(-0.3 layer).
Value PassBuilder::subtract(int64_t p, Value positive, Value negative) {
  auto init = [](int64_t layer) { return 0.8 - 0.6 * std::exp(-0.3 * static_cast<double>(layer)); };
  auto factor = [&](StringRef name) {
    return scope.plain(symbolOf(p, "lambda_" + name), tensorOf(p, "lambda_" + name),
                       {a.heads, a.passes[p].keyWidth});
  };
  Value q1 = factor("q1"), k1 = factor("k1"), q2 = factor("q2"), k2 = factor("k2");
  Value y = DifferentialOp::create(ops, loc, positive.getType(), positive, negative, q1, k1, q2, k2,
                                   scope.pick(init));
  int64_t columns = cast<ShapedType>(y.getType()).getDimSize(1);
  auto normFactor = [&](StringRef name) {
    SmallVector<std::string> tensors;
    for (int64_t head = 0; head < a.heads; ++head)
      tensors.push_back(tensorOf(p, "out_norms." + Twine(head) + "." + name));
    return scope.joined(symbolOf(p, "out_norm." + name), tensors, columns);
  };
  Value weight = normFactor("weight"), bias = normFactor("bias");
  y = LayerNormOp::create(ops, loc, y.getType(), y, weight, bias, ops.getF32FloatAttr(a.eps),
                          ops.getI64IntegerAttr(a.heads), ops.getF32FloatAttr(0.0f));
  Value rest = scope.pick([&](int64_t layer) { return 1.0 - init(layer); });
  return scale(scope, y, rest);
}

Value PassBuilder::project(int64_t p, StringRef what, Value y, int64_t inputs, int64_t width) {
  std::string name = (what + kind).str();
  y = headLinear(scope, y, symbolOf(p, "proj_" + name), tensorOf(p, "proj_" + name + ".weights"),
                 a.heads, inputs, width);
  if (!a.normalize)
    return y;
  return headNorm(scope, y, symbolOf(p, "norm_" + name), tensorOf(p, "norm_" + name), a.eps,
                  a.heads);
}

Keys PassBuilder::appendKeys(int64_t p, int64_t branch, Value k) {
  std::string suffix = branchSuffix(branch);
  Keys keys;
  keys.rotated = append(symbolOf(p, "k" + suffix), rotate(p, k), Packing::panels);
  bool areEqual = !a.contextual || !a.passes[p].rotation;
  keys.plain =
      areEqual ? keys.rotated : append(symbolOf(p, "plain_k" + suffix), k, Packing::panels);
  return keys;
}

Value PassBuilder::append(const Twine &name, Value rows, Packing packing) {
  int64_t columns = cast<ShapedType>(rows.getType()).getDimSize(1);
  Value state =
      scope.appendState(name.str(), columns, scope.getBuilder().getStorageType(), packing);
  AppendOp::create(ops, loc, rows, state, place.row, place.valid);
  return state;
}

Value PassBuilder::rotate(int64_t p, Value x) {
  const std::optional<PassRotation> &rotation = a.passes[p].rotation;
  if (!rotation)
    return x;
  return RopeOp::create(ops, loc, x.getType(), x, rotation->table, a.heads, rotation->pairing);
}

Value PassBuilder::getBranch(Value x, int64_t branch, int64_t width) {
  return a.differential ? sliceColumns(scope, x, a.heads, branch * width, width) : x;
}

Value treadle::multiPassAttention(const Scope &scope, const Place &place, Value x, StringRef symbol,
                                  StringRef tensor, const MultiPassAttention &attention,
                                  StringRef kind) {
  return PassBuilder(scope, place, symbol, tensor, attention, kind).build(x);
}

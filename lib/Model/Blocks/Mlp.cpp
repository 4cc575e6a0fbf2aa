//===- Mlp.cpp - Multi-layer perceptrons ----------------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "treadle/Model/Blocks.h"

using namespace mlir;
using namespace treadle;

/// What is applied to single numbers; swish with a learned slope has an op of its own.
static Activation getActivation(MlpKind kind) {
  switch (kind) {
  case MlpKind::relu:
    return Activation::relu;
  case MlpKind::abs:
    return Activation::abs;
  case MlpKind::gelu:
  case MlpKind::geglu:
  case MlpKind::ffngeglu:
    return Activation::gelu;
  case MlpKind::ffnglu:
    return Activation::sigmoid;
  case MlpKind::swish:
  case MlpKind::swiglu:
  case MlpKind::ffnswiglu:
    return Activation::silu;
  }
  llvm_unreachable("covered switch");
}

namespace {
class MlpBuilder {
public:
  MlpBuilder(const Scope &scope, StringRef symbol, StringRef tensor, const Mlp &shape)
      : scope(scope), symbol(symbol), tensor(tensor), shape(shape),
        ops(scope.getBuilder().getBuilder()), loc(scope.getBuilder().getLoc()) {}

  Value build(Value x) {
    switch (shape.kind) {
    case MlpKind::ffnglu:
    case MlpKind::ffngeglu:
    case MlpKind::ffnswiglu:
      return buildFeedForward(x);
    case MlpKind::swiglu:
    case MlpKind::geglu:
      return buildGated(x);
    default:
      return buildPlain(x);
    }
  }

private:
  /// Output widths of the layers.
  SmallVector<int64_t> getWidths() const {
    if (shape.hasInner)
      return {shape.hidden / 2, shape.hidden / 2, shape.outputs};
    return {shape.hidden, shape.outputs};
  }

  std::string symbolOf(const Twine &name) const { return (symbol + "." + name).str(); }
  std::string tensorOf(const Twine &name) const { return (tensor + "." + name).str(); }

  Value swish(Value x, const Twine &name) {
    return SwishOp::create(ops, loc, x.getType(), x, scope.scalar(symbolOf(name), tensorOf(name)));
  }

  /// x times a matrix that is stored K x N.
  Value multiply(Value x, const Twine &name, int64_t outputs, const Twine &bias = "") {
    int64_t inputs = cast<ShapedType>(x.getType()).getDimSize(1);
    ModuleBuilder &builder = scope.getBuilder();
    Value matrix = scope.matrix(symbolOf(name), tensorOf(name), outputs, inputs,
                                builder.getView({inputs, outputs}, {1, 0}));
    Value offset;
    if (!bias.isTriviallyEmpty())
      offset = scope.vector(symbolOf(bias), tensorOf(bias), outputs);
    return LinearOp::create(ops, loc, builder.getRowsType(outputs, x), x, matrix, offset,
                            /*groups=*/1);
  }

  Value gate(Value active, Value up, Activation activation) {
    return GLUOp::create(ops, loc, up.getType(), active, up, activation);
  }

  Value buildPlain(Value x) {
    SmallVector<int64_t> widths = getWidths();
    for (auto [i, width] : llvm::enumerate(widths)) {
      std::string layer = std::to_string(2 * i);
      x = linear(scope, x, symbolOf(layer), tensorOf(layer), width, /*bias=*/true);
      if (i + 1 == widths.size())
        break;
      x = shape.kind == MlpKind::swish // one slope for all layers
              ? swish(x, "1.beta")
              : Value(ActivateOp::create(ops, loc, x.getType(), x, getActivation(shape.kind)));
    }
    return x;
  }

  Value buildGated(Value x) {
    for (auto [i, width] : llvm::enumerate(getWidths())) {
      std::string layer = std::to_string(i);
      Value active = multiply(x, layer + ".W", width, layer + ".b");
      Value up = multiply(x, layer + ".V", width, layer + ".c");
      if (shape.kind == MlpKind::swiglu)
        x = gate(swish(active, layer + ".swish.beta"), up, Activation::identity);
      else
        x = gate(active, up, getActivation(shape.kind));
    }
    return x;
  }

  Value buildFeedForward(Value x) {
    Value active = multiply(x, "W1", shape.hidden), up = multiply(x, "V", shape.hidden);
    return multiply(gate(active, up, getActivation(shape.kind)), "W2", shape.outputs);
  }

  const Scope &scope;
  StringRef symbol, tensor;
  const Mlp &shape;
  OpBuilder &ops;
  Location loc;
};
} // namespace

Value treadle::mlp(const Scope &scope, Value x, StringRef symbol, StringRef tensor,
                   const Mlp &shape) {
  return MlpBuilder(scope, symbol, tensor, shape).build(x);
}

Value treadle::gatedMLP(const Scope &scope, Value x, StringRef tensor, int64_t inner, bool bias) {
  int64_t width = cast<ShapedType>(x.getType()).getDimSize(1);
  Value gate = linear(scope, x, "gate_proj", (tensor + ".gate_proj").str(), inner, bias);
  Value up = linear(scope, x, "up_proj", (tensor + ".up_proj").str(), inner, bias);
  return linear(scope, siluGate(scope, gate, up), "down_proj", (tensor + ".down_proj").str(), width,
                bias);
}

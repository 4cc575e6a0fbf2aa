//===- Gates.cpp - Gates --------------------------------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "treadle/Model/Blocks.h"

using namespace mlir;
using namespace treadle;

Value treadle::gateWith(const Scope &scope, Value gate, Value x, Activation activation) {
  ModuleBuilder &builder = scope.getBuilder();
  return GLUOp::create(builder.getBuilder(), builder.getLoc(), gate.getType(), gate, x, activation);
}

Value treadle::siluGate(const Scope &scope, Value gate, Value up) {
  return gateWith(scope, gate, up, Activation::silu);
}

Value treadle::polyNorm(const Scope &scope, Value x, StringRef symbol, StringRef tensor,
                        double eps) {
  ModuleBuilder &builder = scope.getBuilder();
  OpBuilder &ops = builder.getBuilder();
  Value weight = scope.vector(symbol, (tensor + ".weight").str(), 3);
  Value bias = scope.scalar((symbol + ".bias").str(), (tensor + ".bias").str());
  return PolyNormOp::create(ops, builder.getLoc(), x.getType(), x, weight, bias,
                            ops.getF32FloatAttr(eps));
}

Value treadle::gpas(const Scope &scope, Value x, StringRef symbol, StringRef tensor) {
  ModuleBuilder &builder = scope.getBuilder();
  return GPASOp::create(builder.getBuilder(), builder.getLoc(), x.getType(), x,
                        scope.scalar(symbol, tensor));
}

Value treadle::gatedMLP(const Scope &scope, Value x, StringRef tensor, int64_t inner, bool bias) {
  int64_t width = cast<ShapedType>(x.getType()).getDimSize(1);
  Value gate = linear(scope, x, "gate_proj", (tensor + ".gate_proj").str(), inner, bias);
  Value up = linear(scope, x, "up_proj", (tensor + ".up_proj").str(), inner, bias);
  return linear(scope, siluGate(scope, gate, up), "down_proj", (tensor + ".down_proj").str(), width,
                bias);
}

Value treadle::gateBlend(const Scope &scope, Value x, Value origin, Value again, StringRef symbol,
                         StringRef tensor) {
  ModuleBuilder &builder = scope.getBuilder();
  return GateBlendOp::create(builder.getBuilder(), builder.getLoc(), x.getType(), x, origin,
                             scope.scalar(symbol, tensor), again);
}

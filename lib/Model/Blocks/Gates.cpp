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

Value treadle::siluGate(const Scope &scope, Value gate, Value up) {
  ModuleBuilder &builder = scope.getBuilder();
  return GLUOp::create(builder.getBuilder(), builder.getLoc(), gate.getType(), gate, up,
                       Activation::silu);
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

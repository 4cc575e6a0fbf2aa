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

Value treadle::gateBlend(const Scope &scope, Value x, Value origin, Value again, StringRef symbol,
                         StringRef tensor) {
  ModuleBuilder &builder = scope.getBuilder();
  return GateBlendOp::create(builder.getBuilder(), builder.getLoc(), x.getType(), x, origin,
                             scope.scalar(symbol, tensor), again);
}

//===- Fan.cpp - Linear maps to waves -------------------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "treadle/Model/Blocks.h"

using namespace mlir;
using namespace treadle;

Value treadle::fanLayer(const Scope &scope, Value x, StringRef symbol, StringRef tensor,
                        const FanLayer &fan) {
  ModuleBuilder &builder = scope.getBuilder();
  Value u = linear(scope, x, symbol, tensor, fan.periodic + fan.plain, fan.bias == FanBias::all);
  Value bias;
  if (fan.bias == FanBias::plain)
    bias = scope.vector((symbol + ".bias").str(), (tensor + ".bias").str(), fan.plain);
  return FanOp::create(builder.getBuilder(), builder.getLoc(), builder.getRowsType(fan.width()), u,
                       bias, builder.getBuilder().getI64IntegerAttr(fan.periodic));
}

//===- Linear.cpp - Linear maps and sums ----------------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "treadle/Model/Blocks.h"

using namespace mlir;
using namespace treadle;

Value treadle::residual(const Scope &scope, Value x, Value y) {
  ModuleBuilder &builder = scope.getBuilder();
  return arith::AddFOp::create(builder.getBuilder(), builder.getLoc(), x, y);
}

Value treadle::lowRankLinear(const Scope &scope, Value x, StringRef symbol, StringRef tensor,
                             int64_t outputs, LowRank factors) {
  ModuleBuilder &builder = scope.getBuilder();
  int64_t inputs = cast<ShapedType>(x.getType()).getDimSize(1);
  Value down =
      scope.matrix((symbol + ".down").str(), (tensor + ".down.weight").str(), factors.rank, inputs);
  Value up =
      scope.matrix((symbol + ".up").str(), (tensor + ".up.weight").str(), outputs, factors.rank);
  return LowRankLinearOp::create(builder.getBuilder(), builder.getLoc(),
                                 builder.getRowsType(outputs), x, down, up,
                                 builder.getBuilder().getF32FloatAttr(factors.scale));
}

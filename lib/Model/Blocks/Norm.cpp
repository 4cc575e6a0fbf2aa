//===- Norm.cpp - Norms ---------------------------------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "treadle/Model/Blocks.h"

using namespace mlir;
using namespace treadle;

Value treadle::rmsNorm(const Scope &scope, Value x, StringRef symbol, StringRef tensor,
                       double eps) {
  ModuleBuilder &builder = scope.getBuilder();
  int64_t columns = cast<ShapedType>(x.getType()).getDimSize(1);
  Value weight = scope.vector(symbol, (tensor + ".weight").str(), columns);
  OpBuilder &ops = builder.getBuilder();
  return RMSNormOp::create(ops, builder.getLoc(), x.getType(), x, weight, ops.getF32FloatAttr(eps),
                           ops.getI64IntegerAttr(1), ops.getF32FloatAttr(0.0f));
}

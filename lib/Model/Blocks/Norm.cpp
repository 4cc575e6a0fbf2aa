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
  return RMSNormOp::create(builder.getBuilder(), builder.getLoc(), x.getType(), x, weight,
                           builder.getBuilder().getF32FloatAttr(eps));
}

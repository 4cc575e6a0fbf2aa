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

Value treadle::rmsNorm(const Scope &scope, Value x, StringRef symbol, StringRef tensor, double eps,
                       double offset, int64_t groups) {
  ModuleBuilder &builder = scope.getBuilder();
  OpBuilder &ops = builder.getBuilder();
  int64_t columns = cast<ShapedType>(x.getType()).getDimSize(1);
  Value weight = scope.vector(symbol, (tensor + ".weight").str(), columns / groups);
  return RMSNormOp::create(ops, builder.getLoc(), x.getType(), x, weight, ops.getF32FloatAttr(eps),
                           ops.getI64IntegerAttr(groups), ops.getF32FloatAttr(offset));
}

Value treadle::layerNorm(const Scope &scope, Value x, StringRef symbol, StringRef tensor,
                         double eps, double offset, int64_t groups) {
  ModuleBuilder &builder = scope.getBuilder();
  OpBuilder &ops = builder.getBuilder();
  int64_t columns = cast<ShapedType>(x.getType()).getDimSize(1);
  Value weight = scope.vector(symbol, (tensor + ".weight").str(), columns / groups);
  Value bias = scope.vector((symbol + ".bias").str(), (tensor + ".bias").str(), columns / groups);
  return LayerNormOp::create(ops, builder.getLoc(), x.getType(), x, weight, bias,
                             ops.getF32FloatAttr(eps), ops.getI64IntegerAttr(groups),
                             ops.getF32FloatAttr(offset));
}

Value treadle::headNorm(const Scope &scope, Value x, StringRef symbol, StringRef tensor, double eps,
                        int64_t heads) {
  ModuleBuilder &builder = scope.getBuilder();
  int64_t columns = cast<ShapedType>(x.getType()).getDimSize(1);
  ViewAttr view = builder.getView({heads, columns / heads}, {0, 1});
  Value weight = scope.vector(symbol, (tensor + ".weight").str(), columns, view);
  Value bias = scope.vector((symbol + ".bias").str(), (tensor + ".bias").str(), columns, view);
  OpBuilder &ops = builder.getBuilder();
  return LayerNormOp::create(ops, builder.getLoc(), x.getType(), x, weight, bias,
                             ops.getF32FloatAttr(eps), ops.getI64IntegerAttr(heads),
                             ops.getF32FloatAttr(0.0f));
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

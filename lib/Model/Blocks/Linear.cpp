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

/// Weight and bias, where there is one.
static std::pair<Value, Value> getMatrix(const Scope &scope, StringRef symbol, StringRef tensor,
                                         int64_t outputs, int64_t inputs, bool bias) {
  Value weight = scope.matrix(symbol, (tensor + ".weight").str(), outputs, inputs);
  return {weight, bias ? scope.vector((symbol + ".bias").str(), (tensor + ".bias").str(), outputs)
                       : Value()};
}

Value treadle::linear(const Scope &scope, Value x, StringRef symbol, StringRef tensor,
                      int64_t outputs, bool bias) {
  ModuleBuilder &builder = scope.getBuilder();
  int64_t inputs = cast<ShapedType>(x.getType()).getDimSize(1);
  auto [weight, offset] = getMatrix(scope, symbol, tensor, outputs, inputs, bias);
  return LinearOp::create(builder.getBuilder(), builder.getLoc(), builder.getRowsType(outputs, x),
                          x, weight, offset);
}

SmallVector<Value> treadle::jointLinear(const Scope &scope, ValueRange inputs, StringRef symbol,
                                        StringRef tensor, int64_t outputs, bool bias) {
  ModuleBuilder &builder = scope.getBuilder();
  int64_t columns = cast<ShapedType>(inputs.front().getType()).getDimSize(1);
  auto [weight, offset] = getMatrix(scope, symbol, tensor, outputs, columns, bias);
  SmallVector<Type> types(inputs.size(), builder.getRowsType(outputs));
  auto product =
      JointLinearOp::create(builder.getBuilder(), builder.getLoc(), types, inputs, weight, offset);
  return llvm::to_vector(ValueRange(product.getOutputs()));
}

Value treadle::scale(const Scope &scope, Value x, Value factor) {
  ModuleBuilder &builder = scope.getBuilder();
  return ScaleOp::create(builder.getBuilder(), builder.getLoc(), x.getType(), x, factor);
}

Value treadle::sliceColumns(const Scope &scope, Value x, int64_t groups, int64_t offset,
                            int64_t size) {
  ModuleBuilder &builder = scope.getBuilder();
  return SliceOp::create(builder.getBuilder(), builder.getLoc(),
                         builder.getRowsType(groups * size, x), x, groups, offset, size);
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
                                 builder.getRowsType(outputs, x), x, down, up,
                                 builder.getBuilder().getF32FloatAttr(factors.scale));
}

Value treadle::headLinear(const Scope &scope, Value x, StringRef symbol, StringRef tensor,
                          int64_t heads, int64_t inputs, int64_t outputs) {
  ModuleBuilder &builder = scope.getBuilder();
  ViewAttr view = builder.getView({1, heads, inputs, outputs}, {0, 1, 3, 2});
  bool isShared = cast<ShapedType>(x.getType()).getDimSize(1) == inputs;
  Value weight = isShared ? scope.matrix(symbol, tensor, heads * outputs, inputs, view)
                          : scope.matrix(symbol, tensor, {heads, outputs, inputs},
                                         builder.getStorageType(), view);
  return LinearOp::create(builder.getBuilder(), builder.getLoc(),
                          builder.getRowsType(heads * outputs, x), x, weight, /*bias=*/Value(),
                          isShared ? 1 : heads);
}

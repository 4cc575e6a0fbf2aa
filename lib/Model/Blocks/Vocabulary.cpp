//===- Vocabulary.cpp - Tokens in, logits out -----------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "treadle/Model/Blocks.h"

using namespace mlir;
using namespace treadle;

Value treadle::embeddingTable(const Scope &scope, StringRef symbol, StringRef tensor,
                              int64_t vocabulary, int64_t hidden, bool isTied) {
  if (isTied)
    return scope.matrix(symbol, tensor, vocabulary, hidden);
  return scope.plain(symbol, tensor, {vocabulary, hidden}, scope.getBuilder().getStorageType());
}

Value treadle::embedding(const Scope &scope, const Tokens &tokens, Value table) {
  ModuleBuilder &builder = scope.getBuilder();
  int64_t hidden = cast<WeightType>(table.getType()).getShape()[1];
  return EmbeddingOp::create(builder.getBuilder(), builder.getLoc(), builder.getRowsType(hidden),
                             tokens.ids, table);
}

Value treadle::languageHead(const Scope &scope, Value x, StringRef symbol, StringRef tensor,
                            int64_t vocabulary) {
  ModuleBuilder &builder = scope.getBuilder();
  int64_t hidden = cast<ShapedType>(x.getType()).getDimSize(1);
  return LinearOp::create(builder.getBuilder(), builder.getLoc(), builder.getRowsType(vocabulary),
                          x, scope.matrix(symbol, tensor, vocabulary, hidden));
}

Value treadle::padLogits(const Scope &scope, Value x, int64_t vocabulary) {
  if (cast<ShapedType>(x.getType()).getDimSize(1) == vocabulary)
    return x;
  ModuleBuilder &builder = scope.getBuilder();
  return PadLogitsOp::create(builder.getBuilder(), builder.getLoc(), x.getType(), x,
                             builder.getBuilder().getI64IntegerAttr(vocabulary));
}

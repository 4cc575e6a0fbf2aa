//===- Ngram.cpp - What the last few tokens add to a row ------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "treadle/Model/Blocks.h"

using namespace mlir;
using namespace treadle;

/// The ids of the open period. The runtime writes them.
static Value getIds(const Scope &scope) {
  Type word = scope.getBuilder().getBuilder().getI32Type();
  return scope.tokenState("ids", word);
}

/// The last ids before the open period. A window of one token sees none of them; one is kept all
/// the same.
static Value getHistory(const Scope &scope, const Ngrams &ngrams) {
  FixedState history;
  history.shape = {std::max<int64_t>(ngrams.history(), 1)};
  history.element = scope.getBuilder().getBuilder().getI32Type();
  history.byTurn = true;
  history.fill = ngrams.startId;
  return scope.fixedState("history", history);
}

Value treadle::ngramLayers(const Scope &scope, const Tokens &tokens, Value x, Value table,
                           const Ngrams &ngrams) {
  ModuleBuilder &builder = scope.getBuilder();
  OpBuilder &ops = builder.getBuilder();
  Location loc = builder.getLoc();
  int64_t hidden = cast<ShapedType>(x.getType()).getDimSize(1);

  auto buildLayer = [&](int64_t i, int64_t window) -> Value {
    Value grams = NgramEmbeddingOp::create(
        ops, loc, builder.getRowsType(window * hidden), table, getIds(scope), tokens.mask,
        getHistory(scope, ngrams), tokens.position, tokens.valid, window, builder.getPeriod().lead);
    std::string name = "ngrams." + std::to_string(i);
    if (!ngrams.isDense) {
      std::string layer = "ngram_embs." + std::to_string(i);
      Value down =
          linear(scope, grams, name + ".down", layer + ".ngram_down_proj", hidden / window);
      return linear(scope, down, name + ".up", layer + ".ngram_up_proj", hidden);
    }
    std::string layer = "convs." + std::to_string(i);
    Value taps = scope.matrix(name, layer + ".weight", hidden, window * hidden,
                              builder.getView({hidden, hidden, window}, {0, 2, 1}));
    Value bias = scope.vector(name + ".bias", layer + ".bias", hidden);
    return LinearOp::create(ops, loc, x.getType(), grams, taps, bias, /*groups=*/1);
  };
  for (auto [i, window] : llvm::enumerate(ngrams.windows))
    x = residual(scope, x, buildLayer(i, window));
  return x;
}

void treadle::carryNgrams(const Scope &scope, const Turn &turn, const Ngrams &ngrams) {
  if (ngrams.windows.empty())
    return;
  ModuleBuilder &builder = scope.getBuilder();
  CarryIdsOp::create(builder.getBuilder(), builder.getLoc(), getIds(scope), turn.mask,
                     getHistory(scope, ngrams), turn.count, builder.getPeriod().lead);
}

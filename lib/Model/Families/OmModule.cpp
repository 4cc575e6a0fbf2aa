//===- OmModule.cpp - The module of an Om ---------------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A segment is a period: `open` runs the read rows of all layers, `forward` its
// tokens, `close` the write rows. What they know of each other are the keys and
// values of all passes; what a segment knows of those before it are its states.
//
//===----------------------------------------------------------------------===//

#include "Om.h"

#include <map>

using namespace mlir;
using namespace treadle;
using namespace treadle::om;

static constexpr double eps = 1e-5;

namespace {
class OmBuilder {
public:
  OmBuilder(ModuleBuilder &builder, const Config &config) : builder(builder), c(config) {}

  void build();

private:
  /// The attention's options, with tables of angles for rows that stand at `position`.
  MultiPassAttention getAttention(const Scope &scope, Value like, int64_t rows, Value position,
                                  bool reversed);
  /// Suffix of the tensors of read or write rows.
  StringRef getStateKind(StringRef suffix) const { return c.sharesState ? "_state" : suffix; }
  Value getState(const Scope &layer) const;

  Value buildForward(const Scope &scope, const Tokens &tokens);
  Value buildLayer(const Scope &layer, const Tokens &tokens, const MultiPassAttention &attention,
                   Value x, int64_t multiplier);
  /// All layers; what they carry are states.
  void buildStateLayers(const Scope &scope, function_ref<void(const Scope &)> body);
  void buildOpen(const Scope &scope, const Turn &turn);
  void buildClose(const Scope &scope, const Turn &turn);
  Value buildHead(const Scope &scope, Value x);

  ModuleBuilder &builder;
  const Config &c;
};
} // namespace

void om::build(ModuleBuilder &builder, const Config &config) { OmBuilder(builder, config).build(); }

void OmBuilder::build() {
  builder.setPeriod({c.stateRows, c.segment, c.stateRows});
  builder.buildForward(c.hidden(), [&](const Scope &scope, const Tokens &tokens) {
    return buildForward(scope, tokens);
  });
  builder.buildOpen([&](const Scope &scope, const Turn &turn) { buildOpen(scope, turn); });
  builder.buildClose([&](const Scope &scope, const Turn &turn) { buildClose(scope, turn); });
  builder.buildHead(c.hidden(), c.paddedVocabulary,
                    [&](const Scope &scope, Value x) { return buildHead(scope, x); });
}

MultiPassAttention OmBuilder::getAttention(const Scope &scope, Value like, int64_t rows,
                                           Value position, bool reversed) {
  OpBuilder &ops = builder.getBuilder();
  std::map<Rotary, Value> tables;
  auto getTable = [&](const Rotary &rotary) {
    Value &table = tables[rotary];
    if (table)
      return table;
    Value first = position;
    if (rotary.isOm) // counts from 1
      first = arith::AddIOp::create(ops, builder.getLoc(), position,
                                    arith::ConstantIndexOp::create(ops, builder.getLoc(), 1));
    table = rotaryTable(scope, like, rows, first, rotary.getTurns(), reversed);
    return table;
  };

  MultiPassAttention attention{c.heads, {}, eps, c.normalize, c.contextual, c.differential, {}};
  for (int64_t pass = 0; pass < c.numPasses(); ++pass) {
    AttentionPass shape{c.keyWidth(pass), c.dimsValue[pass], c.scale(pass), c.iterations[pass], {}};
    if (const std::optional<Rotary> &rotary = c.rotary[pass])
      shape.rotation = PassRotation{getTable(*rotary),
                                    rotary->isOm ? RopePairing::interleaved : RopePairing::half};
    attention.passes.push_back(shape);
  }
  if (c.hasOutProjection())
    attention.outputWidth = c.rank;
  return attention;
}

Value OmBuilder::getState(const Scope &layer) const {
  FixedState state;
  state.shape = {c.stateRows, c.dim};
  state.element = builder.getBuilder().getF32Type();
  state.byTurn = true;
  state.initial = "attn.init_state";
  return layer.fixedState("state", state);
}

//===----------------------------------------------------------------------===//
// Tokens
//===----------------------------------------------------------------------===//

Value OmBuilder::buildForward(const Scope &scope, const Tokens &tokens) {
  Value table = embeddingTable(scope, "embedding", embeddingName, c.paddedVocabulary, c.dim,
                               /*isTied=*/false);
  Value x = embedding(scope, tokens, table);
  x = ngramLayers(scope, tokens, x, table, c.ngrams());
  MultiPassAttention attention =
      getAttention(scope, tokens.ids, ShapedType::kDynamic, tokens.row, /*reversed=*/false);

  // The last layer may be wider than the others, and then stands alone.
  int64_t equal = c.multiplier == 1 ? c.layers : c.layers - 1;
  x = builder.buildFirstLayers(
      scope, "layer", "layers", c.layers, equal, x,
      [&](const Scope &layer, Value h) { return buildLayer(layer, tokens, attention, h, 1); });
  if (equal == c.layers)
    return x;
  return builder.buildLayer(scope, "layer", "layers", c.layers, equal, x,
                            [&](const Scope &layer, Value h) {
                              return buildLayer(layer, tokens, attention, h, c.multiplier);
                            });
}

/// y = norm(attention(x) + x), then norm(mlp(y) + y); a layer that widens the rows leaves out the
/// second sum.
Value OmBuilder::buildLayer(const Scope &layer, const Tokens &tokens,
                            const MultiPassAttention &attention, Value x, int64_t multiplier) {
  Value heads = multiPassAttention(layer, tokens, x, "attn", "attn.attn", attention, /*kind=*/"");
  x = residual(layer, linear(layer, heads, "attn.proj_out", "attn.proj_out", c.dim), x);
  if (!c.skipsNorm)
    x = layerNorm(layer, x, "attn_norm", "attn_norm", eps);

  Scope own =
      c.multiplier == 1 ? layer : layer.narrow(multiplier == 1 ? "layer" : "last", c.layers - 1);
  Mlp shape{c.activation, c.dimHidden * multiplier, c.dim * multiplier, c.hasInner};
  Value y = mlp(own, x, "mlp", "mlp", shape);
  if (multiplier == 1)
    y = residual(own, y, x);
  return layerNorm(own, y, "mlp_norm", "mlp_norm", eps);
}

Value OmBuilder::buildHead(const Scope &scope, Value x) {
  x = linear(scope, x, "proj_out", "proj_out", c.paddedVocabulary, c.hasHeadBias);
  return padLogits(scope, x, c.vocabulary);
}

//===----------------------------------------------------------------------===//
// Turns
//===----------------------------------------------------------------------===//

void OmBuilder::buildStateLayers(const Scope &scope, function_ref<void(const Scope &)> body) {
  builder.buildLayers(scope, "layer", "layers", c.layers, /*carried=*/ValueRange(),
                      [&](const Scope &layer, ValueRange) {
                        body(layer);
                        return SmallVector<Value>{};
                      });
}

/// The read rows of all layers: they depend on the states alone. Only their keys and values are of
/// use, so that the last pass's queries and what follows fall away.
void OmBuilder::buildOpen(const Scope &scope, const Turn &turn) {
  MultiPassAttention attention =
      getAttention(scope, /*like=*/Value(), c.stateRows, turn.row, /*reversed=*/false);
  buildStateLayers(scope, [&](const Scope &layer) {
    multiPassAttention(layer, turn, readState(layer, getState(layer)), "attn", "attn.attn",
                       attention, getStateKind("_state_start"));
  });
}

/// The write rows of all layers, from the same old states.
void OmBuilder::buildClose(const Scope &scope, const Turn &turn) {
  MultiPassAttention attention =
      getAttention(scope, /*like=*/Value(), c.stateRows, turn.row, c.writesReversed);
  buildStateLayers(scope, [&](const Scope &layer) {
    Value state = getState(layer);
    Value heads = multiPassAttention(layer, turn, readState(layer, state), "attn", "attn.attn",
                                     attention, getStateKind("_state_end"));
    Value x = linear(layer, heads, "attn.proj_out_state", "attn.proj_out_state", c.dim);
    if (c.hasStateNorm)
      x = layerNorm(layer, x, "state_norm", "state_norm", eps);
    writeState(layer, x, state);
  });
  carryNgrams(scope, turn, c.ngrams());
}

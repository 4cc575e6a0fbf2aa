//===- NeoLLMModule.cpp - The entry points of a NeoLLM --------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Layers of gated delta nets, with one of full attention among every few; both read
// their input through a FAN layer. Norms are scaled down with depth (LNS), the
// residual stream by learned factors (GPAS).
//
//===----------------------------------------------------------------------===//

#include "NeoLLM.h"

#include <cmath>

using namespace mlir;
using namespace treadle;
using namespace treadle::neollm;

/// Of PolyNorm.
static constexpr double polyNormEps = 1e-6;

static Value normalise(const Scope &scope, const Config &c, Value x, llvm::StringRef symbol,
                       llvm::StringRef tensor) {
  return c.hasNormBias ? layerNorm(scope, x, symbol, tensor, c.eps, c.offset)
                       : rmsNorm(scope, x, symbol, tensor, c.eps, c.offset);
}

static Value buildFullAttention(const Scope &scope, const Config &c, const Tokens &tokens,
                                Value rotary, Value f) {
  int64_t queries = c.attention.heads * c.attention.headDim,
          keys = c.attention.kvHeads * c.attention.headDim;
  Value q = linear(scope, f, "q_proj", "self_attn.q_proj", c.hasOutputGate ? 2 * queries : queries);
  Value k = linear(scope, f, "k_proj", "self_attn.k_proj", keys);
  Value v = linear(scope, f, "v_proj", "self_attn.v_proj", keys);
  Value gate;
  if (c.hasOutputGate) { // each head's queries, then its gates
    gate = sliceColumns(scope, q, c.attention.heads, c.attention.headDim, c.attention.headDim);
    q = sliceColumns(scope, q, c.attention.heads, 0, c.attention.headDim);
  }
  q = rmsNorm(scope, q, "q_norm", "self_attn.q_norm", c.eps, c.offset, c.attention.heads);
  k = rmsNorm(scope, k, "k_norm", "self_attn.k_norm", c.eps, c.offset, c.attention.kvHeads);
  Value y = rotaryAttention(scope, tokens, rotary, q, k, v, c.attention);
  if (gate)
    y = gateWith(scope, gate, y, Activation::sigmoid);
  return linear(scope, y, "o_proj", "self_attn.o_proj", c.hidden);
}

static Value buildLayer(const Scope &scope, const Config &c, const Tokens &tokens, Value rotary,
                        bool isFull, Value x) {
  // LNS: the deeper the layer, the less of its input.
  Value depth =
      scope.pick([](int64_t layer) { return 1 / std::sqrt(static_cast<double>(layer + 1)); });
  auto shrink = [&](Value y, llvm::StringRef name) {
    return gpas(scope, y, c.hasTwoGPAS ? name : "gpas",
                ((c.hasTwoGPAS ? name : "gpas") + ".alpha").str());
  };
  auto read = [&](llvm::StringRef mixer, Value h) {
    return fanLayer(scope, h, "fan", (mixer + ".fan_layer.input_linear").str(), c.fan);
  };

  Value h = scale(scope, normalise(scope, c, x, "norm1", "input_layernorm"), depth);
  Value y;
  if (isFull) {
    y = buildFullAttention(scope, c, tokens, rotary, read("self_attn", h));
  } else {
    Value f = c.hasLinearFan ? read("linear_attn", h) : h;
    y = linear(scope, gatedDeltaNet(scope, tokens, f, "linear_attn", c.net), "out",
               "linear_attn.out_proj", c.hidden);
  }
  x = shrink(residual(scope, x, y), "gpas_attn");

  h = scale(scope, normalise(scope, c, x, "norm2", "post_attention_layernorm"), depth);
  Value gate = linear(scope, h, "gate", "mlp.gate_proj", c.inner);
  Value up = linear(scope, h, "up", "mlp.up_proj", c.inner);
  gate = polyNorm(scope, gate, "act", "mlp.act_fn", polyNormEps);
  y = linear(scope, gateWith(scope, gate, up, Activation::identity), "down", "mlp.down_proj",
             c.hidden);
  return shrink(residual(scope, x, y), "gpas_mlp");
}

void neollm::build(ModuleBuilder &builder, const Config &c) {
  builder.buildForward(c.hidden, [&](const Scope &scope, const Tokens &tokens) {
    Value x = decoderEmbedding(scope, tokens, c);
    Value rotary;
    if (llvm::is_contained(c.layerTypes, fullType))
      rotary = rotaryTable(scope, tokens, c.rotated / 2, c.theta);
    SmallVector<llvm::StringRef> kinds;
    for (llvm::StringRef type : c.layerTypes)
      kinds.push_back(type == fullType ? "full" : "linear");
    x = builder.buildLayers(scope, kinds, decoderLayersName, x,
                            [&](const Scope &layer, llvm::StringRef kind, ValueRange h) {
                              return SmallVector<Value>{
                                  buildLayer(layer, c, tokens, rotary, kind == "full", h[0])};
                            })[0];
    return normalise(scope, c, x, "norm", "model.norm");
  });
  buildDecoderHead(builder, c);
}

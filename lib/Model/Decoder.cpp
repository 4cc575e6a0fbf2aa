//===- Decoder.cpp - The dense decoder that many models build on ----------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "treadle/Model/Decoder.h"

#include "treadle/Model/NamePattern.h"

#include <set>

using namespace mlir;
using namespace treadle;

static constexpr llvm::StringLiteral embeddingName = "model.embed_tokens.weight";
static constexpr llvm::StringLiteral headName = "lm_head.weight";

//===----------------------------------------------------------------------===//
// Config
//===----------------------------------------------------------------------===//

std::vector<Field>
treadle::getDecoderFields(llvm::ArrayRef<std::pair<llvm::StringRef, ConfigValue>> defaults) {
  std::vector<Field> fields = {
      Field::integer("vocab_size", 1, 1 << 24, "tokens of the vocabulary").require(),
      Field::integer("hidden_size", 1, 1 << 16, "width of a hidden row").require(),
      Field::integer("intermediate_size", 1, 1 << 20, "inner width of the MLP").require(),
      Field::integer("num_hidden_layers", 1, 512, "layers").require(),
      Field::integer("num_attention_heads", 1, 1 << 12, "query heads").require(),
      Field::integer("num_key_value_heads", 1, 1 << 12,
                     "key and value heads; default num_attention_heads"),
      Field::integer("head_dim", 2, 1 << 14,
                     "width of a head; default hidden_size / num_attention_heads"),
      Field::integer("max_position_embeddings", 1, 1 << 24, "positions of a window").require(),
      Field::choice("hidden_act", {"silu"}, "activation of the MLP's gate"),
      Field::number("rms_norm_eps", 1e-20, 1, "added to a mean of squares").otherwise(1e-6),
      Field::number("rope_theta", 1, 1e12, "base of the rotary angles").otherwise(10000.0),
      getRopeScalingField(),
      Field::flag("attention_bias", "whether q, k, v and o have biases").otherwise(false),
      Field::flag("mlp_bias", "whether the MLP's projections have biases").otherwise(false),
      Field::flag("tie_word_embeddings", "whether the head is the embedding's matrix")
          .otherwise(false),
      Field::ids("eos_token_id", "ids that end a text"),
  };
  for (Field &field : fields)
    for (const auto &[key, value] : defaults)
      if (field.key == key) {
        field.required = false;
        field.fallback = value;
      }
  return fields;
}

llvm::Error treadle::completeDecoder(ModelConfig &config, std::optional<RopeScaling> scaling) {
  ConfigValues &values = config.values;
  int64_t hidden = values.integer("hidden_size"), heads = values.integer("num_attention_heads");
  if (!values.has("num_key_value_heads"))
    values.set("num_key_value_heads", heads);
  if (int64_t kvHeads = values.integer("num_key_value_heads"); heads % kvHeads)
    return config.error("num_key_value_heads", llvm::Twine(kvHeads) +
                                                   " does not divide num_attention_heads " +
                                                   llvm::Twine(heads));
  if (!values.has("head_dim")) {
    if (hidden % (2 * heads))
      return config.error("num_attention_heads", "expected an even head width, got hidden_size " +
                                                     llvm::Twine(hidden) + " over " +
                                                     llvm::Twine(heads) + " heads");
    values.set("head_dim", hidden / heads);
  }
  if (int64_t width = values.integer("head_dim"); width % 2)
    return config.error("head_dim", "expected an even width, got " + llvm::Twine(width));

  int64_t vocabulary = values.integer("vocab_size");
  if (!values.has("eos_token_id"))
    values.set("eos_token_id", vocabulary > 2 ? std::vector<int64_t>{2} : std::vector<int64_t>{});
  if (llvm::Error error = checkIds(config, "eos_token_id", vocabulary))
    return error;
  return completeRopeScaling(config, scaling);
}

Decoder::Decoder(const ConfigValues &values)
    : vocabulary(values.integer("vocab_size")), hidden(values.integer("hidden_size")),
      inner(values.integer("intermediate_size")), layers(values.integer("num_hidden_layers")),
      context(values.integer("max_position_embeddings")),
      attention{values.integer("num_attention_heads"), values.integer("num_key_value_heads"),
                values.integer("head_dim"), RopePairing::half},
      eps(values.number("rms_norm_eps")), theta(values.number("rope_theta")),
      scaling(getRopeScaling(values)), attentionBias(values.flag("attention_bias")),
      mlpBias(values.flag("mlp_bias")), isTied(values.flag("tie_word_embeddings")),
      eos(values.ids("eos_token_id").begin(), values.ids("eos_token_id").end()) {}

ModelFacts Decoder::getFacts() const {
  ModelFacts facts;
  facts.vocabulary = vocabulary;
  facts.hidden = hidden;
  facts.capacity = context;
  facts.eos = eos;
  return facts;
}

llvm::json::Object Decoder::getInfo() const {
  return llvm::json::Object{{"heads", attention.heads},
                            {"kv_heads", attention.kvHeads},
                            {"head_dim", attention.headDim},
                            {"layers", layers}};
}

//===----------------------------------------------------------------------===//
// Tensors
//===----------------------------------------------------------------------===//

std::string treadle::getDecoderName(llvm::StringRef name) {
  for (llvm::StringRef pattern : {
           "lm_head weight",
           "model embed_tokens|norm weight",
           "model layers # input_layernorm|post_attention_layernorm weight",
           "model layers # self_attn q_proj|k_proj|v_proj|o_proj weight|bias",
           "model layers # mlp gate_proj|up_proj|down_proj weight|bias",
       })
    if (std::string canonical = matchName(pattern, name); !canonical.empty())
      return canonical;
  return {};
}

std::vector<std::pair<std::string, std::string>> treadle::getDecoderCopies() {
  return {{headName.str(), embeddingName.str()}};
}

/// The rows of a stored matrix, or nothing.
static std::optional<int64_t> getOutputs(const NamedTensors &tensors, llvm::StringRef name) {
  const Tensor *tensor = tensors.find((decoderLayersName + ".0." + name).str());
  return tensor && tensor->shape.size() == 2 ? std::optional(tensor->shape[0]) : std::nullopt;
}

const Tensor *treadle::inferDecoderBasics(const NamedTensors &tensors, const ConfigValues &given,
                                          ConfigValues &found) {
  inferTying(tensors, given, "tie_word_embeddings", getDecoderCopies()[0], found);
  found.set("attention_bias",
            tensors.findAny("model layers # self_attn q_proj|k_proj|v_proj|o_proj bias") !=
                nullptr);
  found.set("mlp_bias",
            tensors.findAny("model layers # mlp gate_proj|up_proj|down_proj bias") != nullptr);
  const Tensor *table = tensors.find(embeddingName);
  if (table && table->shape.size() == 2) {
    found.set("vocab_size", table->shape[0]);
    found.set("hidden_size", table->shape[1]);
  }
  return table;
}

void treadle::inferDecoder(const NamedTensors &tensors, const ConfigValues &given,
                           ConfigValues &found) {
  inferDecoderBasics(tensors, given, found);
  std::set<llvm::StringRef> layers;
  for (const auto &[name, tensor] : tensors.byName)
    if (llvm::StringRef rest = name;
        rest.consume_front(decoderLayersName) && rest.consume_front("."))
      layers.insert(rest.take_until([](char c) { return c == '.'; }));
  if (!layers.empty()) {
    found.set("num_hidden_layers", static_cast<int64_t>(layers.size()));
  }

  if (std::optional<int64_t> inner = getOutputs(tensors, "mlp.gate_proj.weight"))
    found.set("intermediate_size", *inner);
  std::optional<int64_t> q = getOutputs(tensors, "self_attn.q_proj.weight"),
                         k = getOutputs(tensors, "self_attn.k_proj.weight");
  if (!q || !k || !given.has("num_attention_heads"))
    return;
  int64_t heads = given.integer("num_attention_heads");
  if (*q % heads || *q == 0 || *k % (*q / heads))
    return;
  found.set("head_dim", *q / heads);
  found.set("num_key_value_heads", *k / (*q / heads));
}

//===----------------------------------------------------------------------===//
// Forward
//===----------------------------------------------------------------------===//

Value treadle::decoderEmbedding(const Scope &scope, const Tokens &tokens, const Decoder &c) {
  return embedding(
      scope, tokens,
      embeddingTable(scope, "embedding", embeddingName, c.vocabulary, c.hidden, c.isTied));
}

Value treadle::decoderRotary(const Scope &scope, const Tokens &tokens, const Decoder &c) {
  return rotaryTable(scope, tokens, c.attention.headDim / 2, c.theta, c.scaling);
}

Value treadle::decoderLayer(const Scope &scope, const Tokens &tokens, Value rotary, Value x,
                            const Decoder &c, const std::optional<DecoderLane> &lane) {
  auto norm = [&](Value rows) { return rmsNorm(scope, rows, "norm1", "input_layernorm", c.eps); };
  SmallVector<Value> rows = {norm(x)};
  if (lane)
    rows.push_back(norm(lane->rows));
  // Keys and values of all rows, read from one pass over the weights; q of x alone.
  auto project = [&](StringRef symbol, int64_t heads, ArrayRef<Value> of) {
    std::string tensor = ("self_attn." + symbol).str();
    int64_t outputs = heads * c.attention.headDim;
    if (of.size() > 1)
      return jointLinear(scope, of, symbol, tensor, outputs, c.attentionBias);
    return SmallVector<Value>{linear(scope, of[0], symbol, tensor, outputs, c.attentionBias)};
  };
  Value q = project("q_proj", c.attention.heads, rows[0])[0];
  SmallVector<Value> k = project("k_proj", c.attention.kvHeads, rows);
  SmallVector<Value> v = project("v_proj", c.attention.kvHeads, rows);
  std::optional<AttentionLane> second;
  if (lane)
    second = AttentionLane{k[1], v[1], lane->own};
  Value attended = rotaryAttention(scope, tokens, rotary, q, k[0], v[0], c.attention, second);
  x = residual(scope, x,
               linear(scope, attended, "o_proj", "self_attn.o_proj", c.hidden, c.attentionBias));

  Value y = rmsNorm(scope, x, "norm2", "post_attention_layernorm", c.eps);
  return residual(scope, x, gatedMLP(scope, y, "mlp", c.inner, c.mlpBias));
}

Value treadle::decoderNorm(const Scope &scope, Value x, const Decoder &c) {
  return rmsNorm(scope, x, "final_norm", "model.norm", c.eps);
}

void treadle::buildDecoderHead(ModuleBuilder &builder, const Decoder &c) {
  builder.buildHead(c.hidden, c.vocabulary, [&](const Scope &scope, Value hidden) {
    return c.isTied ? languageHead(scope, hidden, "embedding", embeddingName, c.vocabulary)
                    : languageHead(scope, hidden, "lm_head", headName, c.vocabulary);
  });
}

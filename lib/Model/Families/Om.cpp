//===- Om.cpp - Om, a model that carries rows from segment to segment -----===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A text is cut into segments. In each layer the rows of a segment attend, in
// several passes, to a learned state in front of them, and rows behind them write
// the state of the next segment. See docs/Families/om.md. Here is the config;
// OmTensors.cpp knows the names of its tensors, OmModule.cpp builds the module.
//
//===----------------------------------------------------------------------===//

#include "Om.h"

#include <cmath>

using namespace mlir;
using namespace treadle;
using namespace treadle::om;

static const std::pair<llvm::StringLiteral, MlpKind> activations[] = {
    {"gelu", MlpKind::gelu},     {"relu", MlpKind::relu},         {"abs", MlpKind::abs},
    {"swish", MlpKind::swish},   {"swiglu", MlpKind::swiglu},     {"geglu", MlpKind::geglu},
    {"ffnglu", MlpKind::ffnglu}, {"ffngeglu", MlpKind::ffngeglu}, {"ffnswiglu", MlpKind::ffnswiglu},
};

namespace {
class Om : public Family {
public:
  llvm::StringRef getName() const override { return "om"; }
  std::vector<Field> getFields() const override;
  std::string getCanonicalName(llvm::StringRef name, const TensorSource &) const override {
    return om::getCanonicalName(name);
  }
  std::vector<StoredForm> getStoredForms(llvm::StringRef name) const override {
    return om::getStoredForms(name);
  }
  bool isRedundant(llvm::StringRef name) const override { return om::isRedundant(name); }
  void infer(const NamedTensors &tensors, const ConfigValues &given,
             ConfigValues &found) const override {
    om::infer(tensors, given, found);
  }
  llvm::Error complete(ModelConfig &config) const override;
  ModelFacts getFacts(const ModelConfig &config) const override;
  llvm::json::Object getInfo(const ModelConfig &config) const override;
  void build(ModuleBuilder &builder, const ModelConfig &config) const override {
    om::build(builder, Config(config));
  }
};
} // namespace

std::unique_ptr<Family> treadle::createOm() { return std::make_unique<Om>(); }

std::vector<Field> Om::getFields() const {
  std::vector<std::string> names;
  for (const auto &[name, kind] : activations)
    names.push_back(name.str());
  return {
      Field::integer("num_layers", 1, 512, "layers").require(),
      Field::integer("vocab_size", 1, 1 << 24, "tokens of the vocabulary").require(),
      Field::integer("vocab_adj", 1, 1 << 24,
                     "columns of the logits; default vocab_size up to a multiple of 8"),
      Field::integer("dim_input", 1, 1 << 16, "width of a row").require(),
      Field::integer("dim_hidden", 1, 1 << 20, "inner width of the MLP").require(),
      Field::integers("dims_key", 1, 1 << 16, "width of a head's queries and keys in each pass")
          .require(),
      Field::integers("dims_value", 1, 1 << 16, "width of a head's values in each pass").require(),
      Field::integer("num_heads", 1, 1 << 12, "heads; each reads whole rows").require(),
      Field::choice("activation", names, "nonlinearity of the MLP").require(),
      Field::integer("segment_len", 1, 1 << 20, "tokens of a segment").require(),
      Field::integer("state_len", 1, 1 << 16, "rows that a segment leaves to the next").require(),
      Field::flag("attn_normalize", "whether queries, keys and values are normalised")
          .otherwise(false),
      Field::flag("cope", "whether scores have contextual positions").otherwise(false),
      Field::objects(
          "position_embedders",
          {Field::choice("style", {"om", "neox"}, "which columns turn, and how far"),
           Field::integer("dim", 1, 1 << 16, "the pass's dims_key"),
           Field::integer("seq_len", 1, 1 << 24, "rows that a table would have"),
           Field::integer("num_dims", 1, 64, "of no meaning here"),
           Field::number("dim_embedding_pct", 1e-6, 1, "share of columns that turn").otherwise(0.5),
           Field::number("base", 1, 1e12, "base of the angles").otherwise(10000.0)},
          "rotation of each pass, or null"),
      Field::numbers("betas", 1e-6, 1e6, "factor of the scores of each pass; null: 1 / sqrt(width)")
          .called("scaling_factors"),
      Field::integers("num_iters", 1, 256, "times that each pass's result is its query again"),
      Field::flag("diff_attn", "whether two attentions are subtracted").otherwise(false),
      Field::integer("attn_proj_rank", -1, 1 << 16,
                     "width of a head's result; default dim_input / num_heads, as -1 says too")
          .leftOpenBy(int64_t(-1)),
      Field::integers("init_convs", 1, 64, "tokens that each n-gram layer sees")
          .called("init_ngrams")
          .otherwise(std::vector<int64_t>{}),
      Field::choice("init_conv_mode", {"lowrank", "conv"}, "two thin matrices or one"),
      Field::integer("final_mlp_multiplier", 1, 64, "factor of the last MLP's widths")
          .otherwise(int64_t(1)),
      Field::flag("mlp_1221", "whether the MLP has three layers").otherwise(false),
      Field::choice("state_proj", {"separate", "shared"},
                    "whether read and write rows have projections of their own"),
      Field::flag("state_norm", "whether a new state is normalised").otherwise(true),
      Field::flag("proj_out_bias", "whether logits have a bias").otherwise(false),
      Field::choice("write_pos", {"forward", "reversed"}, "order of the write rows' positions"),
      Field::flag("diff_skip_attn_norm", "whether diff_attn has no norm behind the attention")
          .otherwise(true),
      Field::integer("pad_token_id", 0, (1 << 24) - 1,
                     "what stands before the first token; default vocab_size - 1"),
      Field::ids("eos_token_id", "ids that end a text; default none"),
      Field::inert("attn_logit_dropout", "training only"),
      Field::inert("layer_num", "bookkeeping"),
      Field::inert("stacked_attn", "how tensors are stored; they tell it"),
  };
}

//===----------------------------------------------------------------------===//
// Checks
//===----------------------------------------------------------------------===//

std::string om::embedderKey(int64_t pass, llvm::StringRef member) {
  std::string key = "position_embedders/" + std::to_string(pass);
  return member.empty() ? key : key + "/" + member.str();
}

static llvm::Error checkPasses(ModelConfig &config) {
  ConfigValues &values = config.values;
  size_t passes = values.integers("dims_value").size();
  if (passes == 0)
    return config.error("dims_value", "expected at least one pass, got none");
  auto expected = [&](llvm::StringRef key, size_t count) -> llvm::Error {
    if (count == passes)
      return llvm::Error::success();
    return config.error(key, "expected one for each of " + llvm::Twine(passes) +
                                 " passes of dims_value, got " + llvm::Twine(count));
  };
  if (!values.has("betas"))
    values.set("betas", OpenNumbers(passes));
  if (!values.has("num_iters"))
    values.set("num_iters", std::vector<int64_t>(passes, 1));
  if (!values.has("position_embedders"))
    values.set("position_embedders", static_cast<int64_t>(passes));
  for (auto [key, count] :
       {std::pair("dims_key", values.integers("dims_key").size()),
        std::pair("betas", values.numbers("betas").size()),
        std::pair("num_iters", values.integers("num_iters").size()),
        std::pair("position_embedders", size_t(values.integer("position_embedders")))})
    if (llvm::Error error = expected(key, count))
      return error;
  if (values.flag("diff_attn") &&
      llvm::any_of(values.integers("num_iters"), [](int64_t count) { return count > 1; }))
    return config.error("num_iters", "expected 1 in every pass with diff_attn");
  return llvm::Error::success();
}

/// Keeps every size of the module within bounds that no product of them leaves.
static llvm::Error checkColumns(const ModelConfig &config) {
  constexpr int64_t maxColumns = 1 << 20;
  const ConfigValues &values = config.values;
  int64_t width = values.integer("attn_proj_rank");
  for (llvm::StringRef key : {"dims_key", "dims_value"})
    width = std::max(width, *llvm::max_element(values.integers(key)));
  int64_t columns = values.integer("num_heads") * width * (values.flag("diff_attn") ? 2 : 1);
  if (columns > maxColumns)
    return config.error("num_heads", "expected at most " + llvm::Twine(maxColumns) +
                                         " columns of all heads, got " + llvm::Twine(columns));
  return llvm::Error::success();
}

static llvm::Error checkEmbedders(ModelConfig &config) {
  ConfigValues &values = config.values;
  int64_t rows = values.integer("segment_len") + 2 * values.integer("state_len");
  for (auto [pass, width] : llvm::enumerate(values.integers("dims_key"))) {
    if (!values.has(embedderKey(pass)))
      continue;
    auto get = [&](llvm::StringRef member, int64_t otherwise) {
      std::string key = embedderKey(pass, member);
      return values.has(key) ? values.integer(key) : otherwise;
    };
    if (int64_t dim = get("dim", width); dim != width)
      return config.error(embedderKey(pass, "dim"), "expected " + llvm::Twine(width) +
                                                        ", the pass's dims_key, got " +
                                                        llvm::Twine(dim));
    if (int64_t rotated = Rotary(config, pass, width).rotated; rotated % 2)
      return config.error(embedderKey(pass), "expected an even number of columns to turn, got " +
                                                 llvm::Twine(rotated));
    if (int64_t count = get("seq_len", rows); count < rows)
      return config.error(embedderKey(pass, "seq_len"),
                          "expected at least " + llvm::Twine(rows) +
                              ", segment_len and twice state_len, got " + llvm::Twine(count));
  }
  return llvm::Error::success();
}

static llvm::Error checkMlp(const ModelConfig &config) {
  const ConfigValues &values = config.values;
  llvm::StringRef activation = values.choice("activation");
  if (!values.flag("mlp_1221"))
    return llvm::Error::success();
  if (activation.starts_with("ffn"))
    return config.error("mlp_1221", "expected false with " + activation);
  if (int64_t hidden = values.integer("dim_hidden"); hidden % 2)
    return config.error("dim_hidden",
                        "expected an even number with mlp_1221, got " + llvm::Twine(hidden));
  return llvm::Error::success();
}

static llvm::Error checkVocabulary(ModelConfig &config) {
  ConfigValues &values = config.values;
  int64_t vocabulary = values.integer("vocab_size");
  if (!values.has("vocab_adj"))
    values.set("vocab_adj", static_cast<int64_t>(llvm::alignTo(vocabulary, 8)));
  if (int64_t padded = values.integer("vocab_adj"); padded < vocabulary)
    return config.error("vocab_size", "expected at most the " + llvm::Twine(padded) + " rows of " +
                                          embeddingName + ", got " + llvm::Twine(vocabulary));
  if (!values.has("pad_token_id"))
    values.set("pad_token_id", vocabulary - 1);
  if (!values.has("eos_token_id"))
    values.set("eos_token_id", std::vector<int64_t>{});
  if (llvm::Error error = checkIds(config, "eos_token_id", vocabulary))
    return error;
  return checkIds(config, "pad_token_id", vocabulary);
}

llvm::Error Om::complete(ModelConfig &config) const {
  ConfigValues &values = config.values;
  int64_t dim = values.integer("dim_input"), heads = values.integer("num_heads");
  if (!values.has("attn_proj_rank"))
    values.set("attn_proj_rank", dim / heads);
  if (int64_t rank = values.integer("attn_proj_rank"); rank < 1)
    return config.error("attn_proj_rank", "expected at least 1, got " + llvm::Twine(rank));
  bool isLowRank = values.choice("init_conv_mode") == "lowrank";
  for (int64_t window : values.integers("init_convs"))
    if (isLowRank && window > dim)
      return config.error("init_convs", "expected at most dim_input " + llvm::Twine(dim) +
                                            ", got " + llvm::Twine(window));
  if (llvm::Error error = checkPasses(config))
    return error;
  if (llvm::Error error = checkColumns(config))
    return error;
  if (llvm::Error error = checkEmbedders(config))
    return error;
  if (llvm::Error error = checkMlp(config))
    return error;
  return checkVocabulary(config);
}

//===----------------------------------------------------------------------===//
// The config, typed
//===----------------------------------------------------------------------===//

Rotary::Rotary(const ModelConfig &config, int64_t pass, int64_t width) {
  const ConfigValues &values = config.values;
  isOm = values.choice(embedderKey(pass, "style")) == "om";
  base = values.number(embedderKey(pass, "base"));
  double share = values.number(embedderKey(pass, "dim_embedding_pct"));
  rotated = isOm ? static_cast<int64_t>(std::ceil(static_cast<double>(width) * share)) : width;
}

SmallVector<int64_t> Rotary::getTurns() const {
  SmallVector<long double> angles;
  for (int64_t j = 0; j < rotated / 2; ++j) {
    // Published so: without a division by the number of columns.
    long double exponent =
        isOm ? -2.0L * static_cast<long double>(j + 1)
             : -2.0L * static_cast<long double>(j) / static_cast<long double>(rotated);
    angles.push_back(std::pow(static_cast<long double>(base), exponent));
  }
  return turnsOf(angles);
}

Config::Config(const ModelConfig &config)
    : layers(config.values.integer("num_layers")), vocabulary(config.values.integer("vocab_size")),
      paddedVocabulary(config.values.integer("vocab_adj")), dim(config.values.integer("dim_input")),
      dimHidden(config.values.integer("dim_hidden")), heads(config.values.integer("num_heads")),
      segment(config.values.integer("segment_len")), stateRows(config.values.integer("state_len")),
      rank(config.values.integer("attn_proj_rank")),
      multiplier(config.values.integer("final_mlp_multiplier")),
      padId(config.values.integer("pad_token_id")), dimsKey(config.values.integers("dims_key")),
      dimsValue(config.values.integers("dims_value")),
      iterations(config.values.integers("num_iters")),
      windows(config.values.integers("init_convs")), scales(config.values.numbers("betas")),
      normalize(config.values.flag("attn_normalize")), contextual(config.values.flag("cope")),
      differential(config.values.flag("diff_attn")),
      isDense(config.values.choice("init_conv_mode") == "conv"),
      hasInner(config.values.flag("mlp_1221")),
      sharesState(config.values.choice("state_proj") == "shared"),
      hasStateNorm(config.values.flag("state_norm")),
      hasHeadBias(config.values.flag("proj_out_bias")),
      writesReversed(config.values.choice("write_pos") == "reversed"),
      skipsNorm(differential && config.values.flag("diff_skip_attn_norm")) {
  for (const auto &[name, kind] : activations)
    if (name == config.values.choice("activation"))
      activation = kind;
  for (int64_t pass = 0; pass < numPasses(); ++pass) {
    bool turns = config.values.has(embedderKey(pass)) && !isHopfield(pass);
    rotary.push_back(turns ? std::optional(Rotary(config, pass, dimsKey[pass])) : std::nullopt);
  }
}

double Config::scale(int64_t pass) const {
  return scales[pass].value_or(1.0 / std::sqrt(static_cast<double>(keyWidth(pass))));
}

//===----------------------------------------------------------------------===//
// Facts
//===----------------------------------------------------------------------===//

ModelFacts Om::getFacts(const ModelConfig &config) const {
  Config c(config);
  ModelFacts facts;
  facts.vocabulary = c.paddedVocabulary;
  facts.tokens = c.vocabulary;
  facts.hidden = c.hidden();
  facts.period = c.segment;
  facts.eos.assign(config.values.ids("eos_token_id").begin(),
                   config.values.ids("eos_token_id").end());
  return facts;
}

llvm::json::Object Om::getInfo(const ModelConfig &config) const {
  Config c(config);
  llvm::json::Array keys(c.dimsKey), values(c.dimsValue);
  return llvm::json::Object{{"layers", c.layers},
                            {"heads", c.heads},
                            {"key_widths", std::move(keys)},
                            {"value_widths", std::move(values)},
                            {"segment", c.segment},
                            {"state_rows", c.stateRows},
                            {"context_ids", c.ngrams().history()}};
}

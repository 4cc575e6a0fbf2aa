//===- NeoLLM.cpp - NeoLLM, waves and gated delta nets --------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Layers of gated delta nets, with one of full attention among every few; both read
// their input through a FAN layer. Norms are scaled down with depth (LNS), the
// residual stream by learned factors (GPAS). See docs/Families/neollm.md.
//
//===----------------------------------------------------------------------===//

#include "NeoLLM.h"

using namespace treadle;
using namespace treadle::neollm;

namespace {
class NeoLLM : public Family {
public:
  llvm::StringRef getName() const override { return "neollm"; }
  std::vector<Field> getFields() const override;
  std::string getCanonicalName(llvm::StringRef name, const TensorSource &) const override {
    return neollm::getCanonicalName(name);
  }
  std::vector<std::pair<std::string, std::string>> getCopies() const override {
    return getDecoderCopies();
  }
  void infer(const NamedTensors &tensors, const ConfigValues &given,
             ConfigValues &found) const override {
    neollm::infer(tensors, given, found);
  }
  llvm::Error complete(ModelConfig &config) const override;
  ModelFacts getFacts(const ModelConfig &config) const override {
    return Decoder(config.values).getFacts();
  }
  llvm::json::Object getInfo(const ModelConfig &config) const override;
  void build(ModuleBuilder &builder, const ModelConfig &config) const override {
    neollm::build(builder, Config(config));
  }
};
} // namespace

std::unique_ptr<Family> treadle::createNeoLLM() { return std::make_unique<NeoLLM>(); }

//===----------------------------------------------------------------------===//
// Config
//===----------------------------------------------------------------------===//

std::vector<Field> NeoLLM::getFields() const {
  std::vector<Field> fields =
      getDecoderFields({{"max_position_embeddings", int64_t(512)}, {"tie_word_embeddings", true}});
  for (Field &field : fields)
    if (field.key == "rope_scaling")
      field = Field::object(
          "rope_scaling", {Field::choice("rope_type", {"default"}, "no other is known").require()},
          "rotary angles are not scaled");
    else if (field.key == "hidden_act")
      field = Field::inert("hidden_act", "the MLP has PolyNorm, the convolution SiLU");
  for (Field field : {
           Field::someOf(
               "layer_types", {linearType.str(), fullType.str()},
               "the kind of each layer; default three linear ones and a full one, repeated"),
           Field::integer("linear_conv_kernel_dim", 2, 16, "tokens that the convolution sees")
               .otherwise(int64_t(4)),
           Field::integer("linear_num_key_heads", 1, 1 << 12, "key heads of a delta net")
               .otherwise(int64_t(8)),
           Field::integer("linear_key_head_dim", 1, 1 << 10, "width of such a head")
               .otherwise(int64_t(32)),
           Field::integer("linear_num_value_heads", 1, 1 << 12, "value heads of a delta net")
               .otherwise(int64_t(16)),
           Field::integer("linear_value_head_dim", 1, 1 << 10, "width of such a head")
               .otherwise(int64_t(32)),
           Field::number("partial_rotary_factor", 1e-6, 1, "share of a head's columns that rotate")
               .otherwise(0.25),
           Field::number("fan_ratio", 1e-6, 0.5, "share of a FAN layer's columns that are cosines")
               .otherwise(defaultFanRatio),
           Field::choice("fan_mode", {"paper", "extend"},
                         "FAN layers as wide as a hidden row, or by fan_ratio wider"),
           Field::choice("fan_bias", {"all", "plain", "none"},
                         "columns of a FAN layer with a bias"),
           Field::flag("linear_attn_fan", "whether delta nets read through a FAN layer")
               .otherwise(true),
           Field::flag("attn_output_gate", "whether full attention has an output gate")
               .otherwise(false),
           Field::integer("gpas_per_layer", 1, 2, "GPAS factors of a layer").otherwise(int64_t(2)),
           Field::flag("norm_zero_centered", "whether norm weights are stored as distances from 1")
               .otherwise(true),
           Field::flag("norm_bias", "whether norms take off the mean and add a bias")
               .otherwise(false),
       })
    fields.push_back(std::move(field));
  return fields;
}

/// Defaults that depend on other fields.
static void addDefaults(ConfigValues &values) {
  int64_t heads = values.integer("num_attention_heads");
  if (!values.has("num_key_value_heads"))
    values.set("num_key_value_heads", heads);
  if (!values.has("head_dim"))
    values.set("head_dim", std::max<int64_t>(1, values.integer("hidden_size") / heads));
  if (!values.has("layer_types")) {
    std::vector<std::string> types;
    for (int64_t i = 0; i < values.integer("num_hidden_layers"); ++i)
      types.push_back((i % 4 == 3 ? fullType : linearType).str());
    values.set("layer_types", std::move(types));
  }
  if (!values.has("eos_token_id"))
    values.set("eos_token_id", std::vector<int64_t>());
}

llvm::Error NeoLLM::complete(ModelConfig &config) const {
  ConfigValues &values = config.values;
  addDefaults(values);
  for (llvm::StringRef key : {"attention_bias", "mlp_bias"})
    if (values.flag(key))
      return config.error(key, "expected false: no projection with a bias is known");
  int64_t layers = values.integer("num_hidden_layers");
  if (int64_t count = values.someOf("layer_types").size(); count != layers)
    return config.error("layer_types", "expected one for each of " + llvm::Twine(layers) +
                                           " layers, got " + llvm::Twine(count));
  const std::pair<llvm::StringRef, llvm::StringRef> divisors[] = {
      {"num_key_value_heads", "num_attention_heads"},
      {"linear_num_key_heads", "linear_num_value_heads"}};
  for (auto [few, many] : divisors)
    if (values.integer(many) % values.integer(few))
      return config.error(few, llvm::Twine(values.integer(few)) + " does not divide " + many + " " +
                                   llvm::Twine(values.integer(many)));
  if (llvm::Error error = completeRopeScaling(config))
    return error;
  Config c(config);
  if (c.rotated < 2 || c.rotated % 2)
    return config.error("partial_rotary_factor",
                        "expected an even number of rotated columns, got " +
                            llvm::Twine(c.rotated) + " of " + llvm::Twine(c.attention.headDim));
  if (c.fan.periodic < 1 || c.fan.plain < 1)
    return config.error(
        "fan_ratio", "expected periodic and other columns, got " + llvm::Twine(c.fan.periodic) +
                         " and " + llvm::Twine(c.fan.plain) + " of " + llvm::Twine(c.fan.width()));
  return checkIds(config, "eos_token_id", c.vocabulary);
}

llvm::json::Object NeoLLM::getInfo(const ModelConfig &config) const {
  Config c(config);
  llvm::json::Object info = c.getInfo();
  info["hidden_size"] = c.hidden;
  info["layers"] = llvm::json::Object{{"linear", llvm::count(c.layerTypes, linearType)},
                                      {"full", llvm::count(c.layerTypes, fullType)}};
  info["fan"] = llvm::json::Object{{"width", c.fan.width()}, {"periodic", c.fan.periodic}};
  return info;
}

//===----------------------------------------------------------------------===//
// Typed config
//===----------------------------------------------------------------------===//

int64_t neollm::fanWidth(int64_t hidden, bool isPaper, double ratio) {
  return isPaper ? hidden : hidden + static_cast<int64_t>(static_cast<double>(hidden) * ratio);
}

int64_t neollm::periodicOf(int64_t width, double ratio) {
  return static_cast<int64_t>(static_cast<double>(width) * ratio);
}

Config::Config(const ModelConfig &config)
    : Decoder(config.values), offset(config.values.flag("norm_zero_centered") ? 1 : 0),
      hasOutputGate(config.values.flag("attn_output_gate")),
      hasLinearFan(config.values.flag("linear_attn_fan")),
      hasNormBias(config.values.flag("norm_bias")),
      hasTwoGPAS(config.values.integer("gpas_per_layer") == 2),
      net{config.values.integer("linear_num_key_heads"),
          config.values.integer("linear_key_head_dim"),
          config.values.integer("linear_num_value_heads"),
          config.values.integer("linear_value_head_dim"),
          config.values.integer("linear_conv_kernel_dim"),
          eps} {
  for (const std::string &type : config.values.someOf("layer_types"))
    layerTypes.push_back(type == fullType ? fullType : linearType);
  double ratio = config.values.number("fan_ratio");
  int64_t width = fanWidth(hidden, config.values.choice("fan_mode") == "paper", ratio);
  fan.periodic = periodicOf(width, ratio);
  fan.plain = width - 2 * fan.periodic;
  fan.bias = llvm::StringSwitch<FanBias>(config.values.choice("fan_bias"))
                 .Case("all", FanBias::all)
                 .Case("plain", FanBias::plain)
                 .Default(FanBias::none);
  rotated = static_cast<int64_t>(static_cast<double>(attention.headDim) *
                                 config.values.number("partial_rotary_factor"));
}

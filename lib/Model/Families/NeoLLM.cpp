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

#include "treadle/Model/Decoder.h"
#include "treadle/Model/NamePattern.h"

#include <cmath>

using namespace mlir;
using namespace treadle;

static constexpr llvm::StringLiteral linearType = "linear_attention";
static constexpr llvm::StringLiteral fullType = "full_attention";

/// Of PolyNorm.
static constexpr double polyNormEps = 1e-6;
static constexpr double defaultFanRatio = 0.125;

/// Columns that come out of a FAN layer.
static int64_t fanWidth(int64_t hidden, bool isPaper, double ratio) {
  return isPaper ? hidden : hidden + static_cast<int64_t>(static_cast<double>(hidden) * ratio);
}

static int64_t periodicOf(int64_t width, double ratio) {
  return static_cast<int64_t>(static_cast<double>(width) * ratio);
}

namespace {
/// The config, typed.
struct Config : Decoder {
  explicit Config(const ModelConfig &config)
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

  double offset; ///< of norm weights
  bool hasOutputGate, hasLinearFan, hasNormBias, hasTwoGPAS;
  GatedDeltaNet net;
  FanLayer fan;
  int64_t rotated; ///< columns of a head
  llvm::SmallVector<llvm::StringRef> layerTypes;
};

class NeoLLM : public Family {
public:
  llvm::StringRef getName() const override { return "neollm"; }
  std::vector<Field> getFields() const override;
  std::string getCanonicalName(llvm::StringRef name, const TensorSource &source) const override;
  std::vector<std::pair<std::string, std::string>> getCopies() const override {
    return getDecoderCopies();
  }
  void infer(const NamedTensors &tensors, const ConfigValues &given,
             ConfigValues &found) const override;
  llvm::Error complete(ModelConfig &config) const override;
  ModelFacts getFacts(const ModelConfig &config) const override {
    return Decoder(config.values).getFacts();
  }
  llvm::json::Object getInfo(const ModelConfig &config) const override;
  void build(ModuleBuilder &builder, const ModelConfig &config) const override;
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
// Tensors
//===----------------------------------------------------------------------===//

std::string NeoLLM::getCanonicalName(llvm::StringRef name, const TensorSource &) const {
  if (std::string canonical = getDecoderName(name); !canonical.empty())
    return canonical;
  for (llvm::StringRef pattern :
       {"model norm bias", "model layers # input_layernorm|post_attention_layernorm bias",
        "model layers # gpas_attn|gpas_mlp|gpas=gpas_block alpha=gate",
        "model layers # mlp act_fn weight|bias",
        "model layers # linear_attn|self_attn fan_layer input_linear weight|bias",
        "model layers # linear_attn in_proj_qkvz|in_proj_ba|conv1d|norm|out_proj weight",
        "model layers # linear_attn dt_bias|A_log",
        "model layers # self_attn q_norm|k_norm weight"})
    if (std::string canonical = matchName(pattern, name); !canonical.empty())
      return canonical;
  return {};
}

namespace {
/// What the stored shapes say of the config. Tensors that are missing say nothing: binding
/// reports them.
class Inference {
public:
  Inference(const NamedTensors &tensors, const ConfigValues &given, ConfigValues &found)
      : tensors(tensors), given(given), found(found) {}

  void run();

private:
  bool inferLayers();
  void inferFull();
  void inferLinear();
  void inferFan();
  std::string getFanBias() const;

  /// The shape of a tensor of a layer where it has that rank, else nothing.
  llvm::ArrayRef<int64_t> shapeOf(int64_t layer, const llvm::Twine &name, size_t rank) const {
    const Tensor *tensor =
        tensors.find((decoderLayersName + "." + llvm::Twine(layer) + "." + name).str());
    bool fits = tensor && tensor->shape.size() == rank;
    return fits ? llvm::ArrayRef<int64_t>(tensor->shape) : llvm::ArrayRef<int64_t>();
  }

  const NamedTensors &tensors;
  const ConfigValues &given;
  ConfigValues &found;
  int64_t firstFull = -1, firstLinear = -1;
  int64_t hidden = 0;
};
} // namespace

void Inference::run() {
  const Tensor *table = inferDecoderBasics(tensors, given, found);
  found.set("norm_bias",
            tensors.find("model.norm.bias") ||
                tensors.findAny("model layers # input_layernorm|post_attention_layernorm bias"));
  if (!inferLayers() || !table || table->shape.size() != 2)
    return;
  hidden = table->shape[1];
  if (llvm::ArrayRef<int64_t> gate = shapeOf(0, "mlp.gate_proj.weight", 2); !gate.empty())
    found.set("intermediate_size", gate[0]);
  bool isShared = tensors.findAny("model layers # gpas alpha") &&
                  !tensors.findAny("model layers # gpas_attn|gpas_mlp alpha");
  found.set("gpas_per_layer", int64_t(isShared ? 1 : 2));
  if (firstFull >= 0)
    inferFull();
  if (firstLinear >= 0)
    inferLinear();
  inferFan();
}

/// The kind of each layer, by the mixer that it has; fails unless they are numbered from 0 on.
bool Inference::inferLayers() {
  std::map<int64_t, llvm::StringRef> types;
  for (const auto &[name, tensor] : tensors.byName) {
    llvm::StringRef rest = name;
    int64_t number;
    if (!rest.consume_front(decoderLayersName) || !rest.consume_front(".") ||
        rest.consumeInteger(10, number))
      continue;
    if (rest.starts_with(".self_attn."))
      types[number] = fullType;
    else if (rest.starts_with(".linear_attn."))
      types[number] = linearType;
  }
  std::vector<std::string> list;
  for (auto [number, type] : types) {
    int64_t &first = type == fullType ? firstFull : firstLinear;
    if (number != static_cast<int64_t>(list.size()))
      return false;
    if (first < 0)
      first = number;
    list.push_back(type.str());
  }
  if (list.empty())
    return false;
  found.set("num_hidden_layers", static_cast<int64_t>(list.size()));
  found.set("layer_types", std::move(list));
  return true;
}

void Inference::inferFull() {
  auto norm = shapeOf(firstFull, "self_attn.q_norm.weight", 1);
  auto q = shapeOf(firstFull, "self_attn.q_proj.weight", 2);
  auto k = shapeOf(firstFull, "self_attn.k_proj.weight", 2);
  auto o = shapeOf(firstFull, "self_attn.o_proj.weight", 2);
  if (norm.empty() || norm[0] == 0 || q.empty() || k.empty() || o.empty())
    return;
  found.set("head_dim", norm[0]);
  found.set("num_attention_heads", o[1] / norm[0]);
  found.set("num_key_value_heads", k[0] / norm[0]);
  found.set("attn_output_gate", q[0] == 2 * o[1]);
}

void Inference::inferLinear() {
  found.set("linear_attn_fan",
            tensors.findAny("model layers # linear_attn fan_layer input_linear weight|bias") !=
                nullptr);
  auto rates = shapeOf(firstLinear, "linear_attn.A_log", 1);
  auto norm = shapeOf(firstLinear, "linear_attn.norm.weight", 1);
  // Of three dimensions as PyTorch has it, or of two.
  auto taps = shapeOf(firstLinear, "linear_attn.conv1d.weight", 3);
  if (taps.empty())
    taps = shapeOf(firstLinear, "linear_attn.conv1d.weight", 2);
  if (rates.empty() || norm.empty() || taps.empty())
    return;
  found.set("linear_num_value_heads", rates[0]);
  found.set("linear_value_head_dim", norm[0]);
  found.set("linear_conv_kernel_dim", taps.back());
  // How the key width divides into heads is the config's to say.
  int64_t keys = (taps[0] - rates[0] * norm[0]) / 2, heads = 8;
  if (given.has("linear_num_key_heads"))
    heads = given.integer("linear_num_key_heads");
  else if (given.has("linear_key_head_dim"))
    heads = keys / given.integer("linear_key_head_dim");
  if (keys <= 0 || heads <= 0 || keys % heads != 0)
    return;
  found.set("linear_num_key_heads", heads);
  found.set("linear_key_head_dim", keys / heads);
}

/// Of the first bias that is stored: whether it is as long as its matrix has rows.
std::string Inference::getFanBias() const {
  const Tensor *bias =
      tensors.findAny("model layers # linear_attn|self_attn fan_layer input_linear bias");
  if (!bias)
    return "none";
  const Tensor *matrix = nullptr;
  for (const auto &[name, tensor] : tensors.byName)
    if (tensor == bias)
      matrix = tensors.find(llvm::StringRef(name).drop_back(4).str() + "weight");
  bool isPlain = matrix && !matrix->shape.empty() && bias->getNumElements() < matrix->shape[0];
  return isPlain ? "plain" : "all";
}

/// From the first FAN layer and a projection that reads it.
void Inference::inferFan() {
  if (tensors.findAny("model layers # linear_attn|self_attn fan_layer input_linear weight|bias"))
    found.set("fan_bias", getFanBias());
  for (auto [layer, mixer, projection] : {std::tuple(firstFull, "self_attn", "q_proj"),
                                          std::tuple(firstLinear, "linear_attn", "in_proj_qkvz")}) {
    std::string name = (llvm::Twine(mixer) + ".fan_layer.input_linear").str();
    auto in = shapeOf(layer, name + ".weight", 2);
    auto out = shapeOf(layer, llvm::Twine(mixer) + "." + projection + ".weight", 2);
    if (in.empty() || out.empty())
      continue;
    int64_t width = out[1], periodic = width - in[0];
    bool isPaper = width == hidden;
    found.set("fan_mode", std::string(isPaper ? "paper" : "extend"));
    double ratio = given.has("fan_ratio") ? given.number("fan_ratio") : defaultFanRatio;
    if (fanWidth(hidden, isPaper, ratio) == width && periodicOf(width, ratio) == periodic)
      return;
    // The middle of those that give these columns.
    auto share = [](int64_t part, int64_t whole) {
      return static_cast<double>(part) / static_cast<double>(whole);
    };
    double least = share(periodic, width), most = share(periodic + 1, width);
    if (!isPaper) {
      least = std::max(least, share(width - hidden, hidden));
      most = std::min(most, share(width - hidden + 1, hidden));
    }
    found.set("fan_ratio", (least + most) / 2);
    return;
  }
}

void NeoLLM::infer(const NamedTensors &tensors, const ConfigValues &given,
                   ConfigValues &found) const {
  Inference(tensors, given, found).run();
}

//===----------------------------------------------------------------------===//
// Forward
//===----------------------------------------------------------------------===//

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

void NeoLLM::build(ModuleBuilder &builder, const ModelConfig &config) const {
  Config c(config);
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

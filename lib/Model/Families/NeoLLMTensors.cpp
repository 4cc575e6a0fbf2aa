//===- NeoLLMTensors.cpp - Names of the tensors of a NeoLLM ---------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "NeoLLM.h"
#include "treadle/Model/NamePattern.h"

using namespace treadle;
using namespace treadle::neollm;

std::string neollm::getCanonicalName(llvm::StringRef name) {
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

void neollm::infer(const NamedTensors &tensors, const ConfigValues &given, ConfigValues &found) {
  Inference(tensors, given, found).run();
}

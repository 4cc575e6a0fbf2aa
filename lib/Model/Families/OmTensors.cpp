//===- OmTensors.cpp - Names of the tensors of an Om ----------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Two layouts are known: one tensor for all heads, whose names are the canonical
// ones, or `attn_heads.<h>` with matrices the other way round.
//
//===----------------------------------------------------------------------===//

#include "Om.h"
#include "treadle/Model/NamePattern.h"
#include "llvm/ADT/StringExtras.h"

using namespace treadle;
using namespace treadle::om;

static constexpr llvm::StringLiteral kinds[] = {"", "_state", "_state_start", "_state_end"};
static constexpr llvm::StringLiteral kindlessNorms[] = {"norm_q", "norm_k", "norm_v"};

/// `proj_q|proj_q_state|...|proj_k|...`: names with the suffix of every kind of rows.
static std::string ofEveryKind(llvm::ArrayRef<llvm::StringLiteral> names) {
  std::string steps;
  for (llvm::StringRef name : names)
    for (llvm::StringRef kind : kinds)
      steps += (steps.empty() ? "" : "|") + name.str() + kind.str();
  return steps;
}

/// One pattern per shape of name.
static std::vector<std::string> makePatterns() {
  const std::string maps = ofEveryKind({"proj_q", "proj_k", "proj_v", "proj_hidden"}),
                    norms = ofEveryKind(kindlessNorms), joins = ofEveryKind({"proj_modules"}),
                    outs = ofEveryKind({"proj_out"});
  const std::string plain =
      "cope_emb|cope_emb_1|cope_emb_2|lambda_q1|lambda_q2|lambda_k1|lambda_k2";
  std::vector<std::string> patterns = {
      "embedder weight",
      "proj_out weight|bias",
      "ngram_embs # ngram_down_proj|ngram_up_proj weight",
      "convs # weight|bias",
      "layers # attn init_state",
      "layers # attn proj_out|proj_out_state weight",
      "layers # attn_norm|mlp_norm|state_norm weight|bias",
      "layers # mlp 0|2|4 weight|bias",
      "layers # mlp 1|3 beta",
      "layers # mlp 0|1|2 W|V|b|c",
      "layers # mlp 0|1|2 swish beta",
      "layers # mlp W1|W2|V",
      "layers # attn attn attn_modules # out_norms # weight|bias",
      "layers # attn attn attn_modules # position_embedder thetas|ixs_sin|ixs_sin_neg",
  };
  for (auto [layout, weights] :
       {std::pair(std::string("layers # attn attn "), "weights"),
        std::pair(std::string("layers # attn attn attn_heads # "), "weight")}) {
    patterns.push_back(layout + "attn_modules # " + maps + " " + weights);
    patterns.push_back(layout + "attn_modules # " + norms + " weight|bias");
    patterns.push_back(layout + "attn_modules # " + plain);
    patterns.push_back(layout + joins + " # " + weights);
    patterns.push_back(layout + outs + " " + weights);
  }
  return patterns;
}

std::string om::getCanonicalName(llvm::StringRef name) {
  static const std::vector<std::string> patterns = makePatterns();
  for (const std::string &pattern : patterns)
    if (std::string canonical = matchName(pattern, name); !canonical.empty())
      return canonical;
  // A head's own norm of the difference of its branches has the number of the head.
  if (matchName("layers # attn attn attn_heads # attn_modules # out_norm weight|bias", name)
          .empty())
    return {};
  llvm::SmallVector<llvm::StringRef> steps;
  name.split(steps, '.');
  return (llvm::Twine("layers.") + steps[1] + ".attn.attn.attn_modules." + steps[7] +
          ".out_norms." + steps[5] + "." + steps[9])
      .str();
}

/// `layers.<l>.attn.attn.` of a name that goes on behind it, or an empty string.
static llvm::StringRef getAttention(llvm::StringRef name) {
  size_t end = name.find(".attn.attn.");
  return name.starts_with("layers.") && end != llvm::StringRef::npos
             ? name.take_front(end + llvm::StringRef(".attn.attn.").size())
             : llvm::StringRef();
}

std::vector<StoredForm> om::getStoredForms(llvm::StringRef name) {
  llvm::StringRef attention = getAttention(name);
  if (attention.empty() || name.contains(".out_norms."))
    return {};
  llvm::StringRef rest = name.drop_front(attention.size());
  std::string perHead = attention.str() + "attn_heads.#.";
  if (rest.consume_back(".weights"))
    return {{perHead + rest.str() + ".weight", 1, /*isTransposed=*/true}};
  if (rest.contains(".cope_emb"))
    return {{perHead + rest.str(), 1}};
  std::vector<StoredForm> forms = {{perHead + rest.str(), 0}};
  // A norm that does not say whose it is serves all kinds of rows.
  for (llvm::StringRef norm : kindlessNorms)
    if (size_t place = rest.find((norm + "_state").str()); place != llvm::StringRef::npos) {
      std::string kindless =
          (rest.take_front(place) + norm + rest.drop_front(rest.rfind('.'))).str();
      forms.push_back({attention.str() + kindless});
      forms.push_back({perHead + kindless, 0});
    }
  return forms;
}

bool om::isRedundant(llvm::StringRef name) {
  // What angles are made of, and a second copy of the one slope of an MLP of three layers.
  return name.contains(".position_embedder.") || name.ends_with(".mlp.3.beta");
}

//===----------------------------------------------------------------------===//
// What the shapes settle
//===----------------------------------------------------------------------===//

namespace {
/// What a checkpoint holds, whatever its layout.
class Shapes {
public:
  explicit Shapes(const NamedTensors &tensors) : tensors(tensors) {}

  /// The shape of a tensor of that rank, or nothing.
  std::optional<llvm::SmallVector<int64_t>> find(llvm::StringRef name, size_t rank) const {
    std::optional<llvm::SmallVector<int64_t>> shape =
        findShape(tensors, name, om::getStoredForms(name));
    return shape && shape->size() == rank ? shape : std::nullopt;
  }
  bool has(llvm::StringRef name) const {
    return findShape(tensors, name, om::getStoredForms(name)).has_value();
  }

  /// Whether any attention has a tensor of that pattern.
  bool hasAny(llvm::StringRef pattern) const {
    return tensors.findAny(("layers # attn attn attn_modules # " + pattern).str()) ||
           tensors.findAny(("layers # attn attn attn_heads # attn_modules # " + pattern).str());
  }

  /// One more than the largest number in the place of `#` in the beginning of a name.
  int64_t count(llvm::StringRef beginning) const {
    auto [prefix, suffix] = beginning.split('#');
    int64_t count = 0;
    for (const auto &[name, tensor] : tensors.byName) {
      llvm::StringRef rest = name;
      unsigned number;
      if (rest.consume_front(prefix) && !rest.consumeInteger(10, number) &&
          rest.starts_with(suffix))
        count = std::max<int64_t>(count, int64_t(number) + 1);
    }
    return count;
  }

private:
  const NamedTensors &tensors;
};
} // namespace

/// Inner width of the first layer's MLP.
static std::optional<int64_t> findHidden(const Shapes &shapes, bool hasInner) {
  for (auto [name, axis] : {std::pair("0.weight", 0), std::pair("0.W", 1), std::pair("W1", 1)})
    if (auto shape = shapes.find((llvm::Twine("layers.0.mlp.") + name).str(), 2))
      return (*shape)[axis] * (hasInner ? 2 : 1);
  return std::nullopt;
}

/// Widths of the heads and their number, by the first layer's matrices.
static void inferHeads(const Shapes &shapes, bool isDifferential, ConfigValues &found) {
  const std::string attention = "layers.0.attn.attn.";
  int64_t passes = std::max(shapes.count(attention + "attn_modules.#."),
                            shapes.count(attention + "attn_heads.0.attn_modules.#."));
  int64_t branches = isDifferential ? 2 : 1, heads = 0;
  std::vector<int64_t> keys, values;
  bool isHopfield = false;
  for (int64_t pass = 0; pass < passes; ++pass) {
    std::string module = attention + "attn_modules." + std::to_string(pass) + ".proj_";
    auto key = shapes.find(module + "k.weights", 4), value = shapes.find(module + "v.weights", 4);
    if (!key || !value)
      return;
    heads = (*key)[1];
    keys.push_back((*key)[3] / branches);
    values.push_back((*value)[3] / branches);
    isHopfield |= shapes.has(module + "hidden.weights");
  }
  if (!passes)
    return;
  found.set("num_heads", heads);
  found.set("dims_value", values);
  if (!isHopfield) // whose keys are as wide as its values, whatever dims_key says
    found.set("dims_key", keys);
  auto out = shapes.find("layers.0.attn.proj_out.weight", 2);
  if (out && heads > 0 && (*out)[1] % heads == 0)
    found.set("attn_proj_rank", (*out)[1] / heads);
}

void om::infer(const NamedTensors &tensors, const ConfigValues &given, ConfigValues &found) {
  Shapes shapes(tensors);
  const std::string layer = "layers.0.";
  int64_t layers = shapes.count("layers.#.");
  if (!layers)
    return;
  bool isDifferential = shapes.hasAny("lambda_q1|lambda_q2|lambda_k1|lambda_k2");
  bool hasInner =
      tensors.findAny("layers # mlp 4 weight|bias") || tensors.findAny("layers # mlp 2 W|V|b|c");
  found.set("num_layers", layers);
  found.set("diff_attn", isDifferential);
  found.set("cope", shapes.hasAny("cope_emb|cope_emb_1|cope_emb_2"));
  found.set("attn_normalize", shapes.hasAny(ofEveryKind(kindlessNorms) + " weight|bias"));
  found.set("state_proj",
            std::string(shapes.hasAny("proj_q_state|proj_k_state|proj_v_state weights=weight")
                            ? "shared"
                            : "separate"));
  found.set("state_norm", tensors.findAny("layers # state_norm weight|bias") != nullptr);
  found.set("proj_out_bias", shapes.has("proj_out.bias"));
  found.set("mlp_1221", hasInner);
  for (size_t rank : {3, 2}) // with a 1 in front, or without
    if (auto state = shapes.find(layer + "attn.init_state", rank))
      found.set("state_len", (*state)[rank - 2]);
  inferHeads(shapes, isDifferential, found);
  auto table = shapes.find(embeddingName, 2), head = shapes.find(headName, 2);
  int64_t multiplier = 1;
  if (table && (*table)[1] > 0) {
    int64_t width = (*table)[1];
    found.set("vocab_adj", (*table)[0]);
    found.set("dim_input", width);
    if (head)
      found.set("final_mlp_multiplier", multiplier = (*head)[1] / width);
    std::vector<int64_t> windows;
    auto collect = [&](llvm::StringRef prefix, llvm::StringRef suffix, size_t rank, auto window) {
      size_t before = windows.size();
      while (auto shape = shapes.find((prefix + llvm::Twine(windows.size()) + suffix).str(), rank))
        windows.push_back(window(*shape));
      return windows.size() > before;
    };
    if (collect("convs.", ".weight", 3, [](auto &shape) { return shape[2]; }))
      found.set("init_conv_mode", std::string("conv"));
    else if (collect("ngram_embs.", ".ngram_down_proj.weight", 2,
                     [&](auto &shape) { return shape[1] / width; }))
      found.set("init_conv_mode", std::string("lowrank"));
    found.set("init_convs", windows);
  }
  if (std::optional<int64_t> hidden = findHidden(shapes, hasInner))
    found.set("dim_hidden", *hidden / (layers == 1 ? std::max<int64_t>(multiplier, 1) : 1));
}

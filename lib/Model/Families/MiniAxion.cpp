//===- MiniAxion.cpp - MiniAxion, the nano reasoning model ----------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Blocks of low-rank attention and a low-rank gated MLP; the middle ones are run
// several times ("thinking"), each pass blended with their input. See
// docs/Families/miniaxion.md.
//
//===----------------------------------------------------------------------===//

#include "treadle/Model/Blocks.h"
#include "treadle/Model/Family.h"
#include "treadle/Model/NamePattern.h"

#include <set>

using namespace mlir;
using namespace treadle;

static constexpr llvm::StringLiteral embeddingName = "token_embedding.weight";
static constexpr llvm::StringLiteral headName = "output_head.weight";
static constexpr llvm::StringLiteral gateName = "think_gate";

namespace {
/// The config, typed.
struct Config {
  explicit Config(const ModelConfig &config)
      : dModel(config.values.integer("d_model")), vocabSize(config.values.integer("vocab_size")),
        dFF(config.values.integer("d_ff")), heads(config.values.integer("n_heads")),
        kvHeads(config.values.integer("n_kv_heads")), layers(config.values.integer("n_layers")),
        sharedLayers(config.values.integer("n_shared_layers")),
        factors{config.values.integer("lora_rank"), config.values.number("lora_scale")},
        eps(config.values.number("rms_norm_eps")), theta(config.values.number("rope_theta")),
        pairing(config.values.choice("rope_pairing") == "half" ? RopePairing::half
                                                               : RopePairing::interleaved),
        blendsPerLayer(config.values.choice("think_blend") == "layer"),
        thinks(config.values.flag("use_thinking_tokens")),
        isTied(config.values.flag("weight_tying")) {}

  int64_t headDim() const { return dModel / heads; }
  int64_t entryLayers() const { return (layers - sharedLayers) / 2; }
  int64_t exitLayers() const { return layers - sharedLayers - entryLayers(); }

  int64_t dModel, vocabSize, dFF, heads, kvHeads, layers, sharedLayers;
  LowRank factors;
  double eps, theta;
  RopePairing pairing;
  bool blendsPerLayer, thinks, isTied;
};

class MiniAxion : public Family {
public:
  llvm::StringRef getName() const override { return "miniaxion"; }
  std::vector<Field> getFields() const override;
  std::string getCanonicalName(llvm::StringRef name, const TensorSource &source) const override;
  bool mayBeTransposed(llvm::StringRef name) const override;
  std::vector<std::pair<std::string, std::string>> getCopies() const override {
    return {{headName.str(), embeddingName.str()}};
  }
  void infer(const NamedTensors &tensors, const ConfigValues &given,
             ConfigValues &found) const override;
  llvm::Error complete(ModelConfig &config) const override;
  ModelFacts getFacts(const ModelConfig &config) const override;
  llvm::json::Object getInfo(const ModelConfig &config) const override;
  void build(ModuleBuilder &builder, const ModelConfig &config) const override;
};
} // namespace

std::unique_ptr<Family> treadle::createMiniAxion() { return std::make_unique<MiniAxion>(); }

//===----------------------------------------------------------------------===//
// Config
//===----------------------------------------------------------------------===//

std::vector<Field> MiniAxion::getFields() const {
  return {
      Field::integer("vocab_size", 1, 1 << 24, "tokens of the vocabulary").require(),
      Field::integer("d_model", 2, 1 << 16, "width of a hidden row").require(),
      Field::integer("n_heads", 1, 1 << 12, "query heads").require(),
      Field::integer("n_kv_heads", 1, 1 << 12, "key and value heads; default n_heads / 2"),
      Field::integer("n_layers", 1, 512, "blocks: entry, shared and exit").require(),
      Field::integer("n_shared_layers", 1, 512, "blocks that every pass runs")
          .otherwise(int64_t(2)),
      Field::integer("d_ff", 1, 1 << 20, "inner width of the MLP").require(),
      Field::integer("lora_rank", 1, 1 << 16, "rank of every projection").otherwise(int64_t(16)),
      Field::number("lora_scale", 1e-6, 1e6, "factor of every projection").otherwise(1.0),
      Field::integer("max_seq_len", 1, 1 << 24, "positions of a window").require(),
      Field::number("rms_norm_eps", 1e-20, 1, "added to a mean of squares").otherwise(1e-6),
      Field::number("rope_theta", 1, 1e12, "base of the rotary angles").otherwise(10000.0),
      Field::choice("rope_pairing", {"half", "interleaved"}, "which columns rotate together"),
      Field::flag("weight_tying", "whether the head is the embedding's matrix").otherwise(true),
      Field::flag("use_thinking_tokens", "whether passes are blended by think_gate")
          .otherwise(true),
      Field::integer("n_thinking_steps", 0, 256, "passes that loops=\"config\" asks for")
          .otherwise(int64_t(2)),
      Field::choice("think_blend", {"pass", "layer"}, "blend after a pass or after each block"),
      Field::ids("eos_token_id", "ids that end a text; default 2"),
  };
}

llvm::Error MiniAxion::complete(ModelConfig &config) const {
  ConfigValues &values = config.values;
  int64_t dModel = values.integer("d_model"), heads = values.integer("n_heads"),
          vocabulary = values.integer("vocab_size");
  if (dModel % (2 * heads))
    return config.error("n_heads", "expected an even head width, got d_model " +
                                       llvm::Twine(dModel) + " over " + llvm::Twine(heads) +
                                       " heads");
  if (!values.has("n_kv_heads"))
    values.set("n_kv_heads", std::max<int64_t>(1, heads / 2));
  if (int64_t kvHeads = values.integer("n_kv_heads"); heads % kvHeads)
    return config.error("n_kv_heads",
                        llvm::Twine(kvHeads) + " does not divide n_heads " + llvm::Twine(heads));
  int64_t layers = values.integer("n_layers"), shared = values.integer("n_shared_layers");
  if (shared > layers)
    return config.error("n_shared_layers", "expected at most n_layers " + llvm::Twine(layers) +
                                               ", got " + llvm::Twine(shared));
  if (!values.has("eos_token_id"))
    values.set("eos_token_id", vocabulary > 2 ? std::vector<int64_t>{2} : std::vector<int64_t>{});
  return checkIds(config, "eos_token_id", vocabulary);
}

ModelFacts MiniAxion::getFacts(const ModelConfig &config) const {
  Config c(config);
  ModelFacts facts;
  facts.vocabulary = c.vocabSize;
  facts.hidden = c.dModel;
  facts.capacity = config.values.integer("max_seq_len");
  facts.hasLoop = c.thinks;
  if (c.thinks)
    facts.loops = std::max<int64_t>(1, config.values.integer("n_thinking_steps"));
  facts.eos.assign(config.values.ids("eos_token_id").begin(),
                   config.values.ids("eos_token_id").end());
  return facts;
}

llvm::json::Object MiniAxion::getInfo(const ModelConfig &config) const {
  Config c(config);
  return llvm::json::Object{{"d_model", c.dModel},
                            {"heads", c.heads},
                            {"kv_heads", c.kvHeads},
                            {"head_dim", c.headDim()},
                            {"layers", llvm::json::Object{{"entry", c.entryLayers()},
                                                          {"shared", c.sharedLayers},
                                                          {"exit", c.exitLayers()}}},
                            {"rank", c.factors.rank}};
}

//===----------------------------------------------------------------------===//
// Tensors
//===----------------------------------------------------------------------===//

/// Where step `index` of a dotted name begins.
static size_t findStep(llvm::StringRef name, int index) {
  size_t place = 0;
  while (index--)
    place = name.find('.', place) + 1;
  return place;
}

/// The MLP's names w1, w2, w3 have two orders. The odd one of the three sizes is
/// the way down; of the other two the lower number is the gate.
static llvm::StringRef resolveNumbered(llvm::StringRef name, size_t digit,
                                       const TensorSource &source) {
  int64_t sizes[3];
  for (int i = 0; i < 3; ++i) {
    std::string sibling = name.str();
    sibling[digit] = '1' + i;
    const Tensor *tensor = source.find(sibling);
    sizes[i] = tensor ? tensor->getNumElements() : 0;
  }
  int down = 1; // Llama's: gate, down, up
  for (int i = 0; i < 3; ++i)
    if (sizes[(i + 1) % 3] == sizes[(i + 2) % 3] && sizes[i] != sizes[(i + 1) % 3])
      down = i;
  int number = name[digit] - '1';
  if (number == down)
    return "down_proj";
  return number == (down == 0 ? 1 : 0) ? "gate_proj" : "up_proj";
}

std::string MiniAxion::getCanonicalName(llvm::StringRef name, const TensorSource &source) const {
  for (llvm::StringRef known : {embeddingName, headName, gateName})
    if (name == known)
      return name.str();
  const std::string block = "entry_layers|shared_layers|exit_layers # ";
  const std::string factor = " down=A=a=lora_A=0|up=B=b=lora_B=1 (weight)";
  for (const std::string &pattern :
       {std::string("final_norm weight"),
        block + "norm1=attn_norm=ln1=input_norm|norm2=ffn_norm=ln2=post_norm weight",
        block +
            "attn=attention=self_attn "
            "q_proj=q=wq|k_proj=k=wk|v_proj=v=wv|o_proj=o=wo=out=out_proj" +
            factor,
        block + "ffn=mlp=feed_forward gate_proj=gate|up_proj=up|down_proj=down" + factor})
    if (std::string canonical = matchName(pattern, name); !canonical.empty())
      return canonical;
  std::string numbered = matchName(block + "ffn=mlp=feed_forward w1|w2|w3" + factor, name);
  if (numbered.empty())
    return {};
  llvm::StringRef projection = resolveNumbered(name, findStep(name, 3) + 1, source);
  return numbered.replace(findStep(numbered, 3), 2, projection.str());
}

bool MiniAxion::mayBeTransposed(llvm::StringRef name) const {
  return name.ends_with(".down.weight") || name.ends_with(".up.weight");
}

/// Rank and output width of a pair of factors, either way round.
static bool inferFactors(const NamedTensors &tensors, const std::string &name, int64_t inputs,
                         int64_t &rank, int64_t &outputs) {
  const Tensor *down = tensors.find(name + ".down.weight"), *up = tensors.find(name + ".up.weight");
  if (!down || !up || down->shape.size() != 2 || up->shape.size() != 2)
    return false;
  if (down->shape[1] == inputs && down->shape[0] == up->shape[1]) {
    rank = down->shape[0];
    outputs = up->shape[0];
    return true;
  }
  rank = down->shape[1];
  outputs = up->shape[1];
  return down->shape[0] == inputs && down->shape[1] == up->shape[0];
}

void MiniAxion::infer(const NamedTensors &tensors, const ConfigValues &given,
                      ConfigValues &found) const {
  const Tensor *table = tensors.find(embeddingName);
  found.set("use_thinking_tokens", tensors.find(gateName) != nullptr);
  inferTying(tensors, given, "weight_tying", getCopies()[0], found);

  std::set<std::string> blocks;
  for (const auto &[name, tensor] : tensors.byName)
    if (llvm::StringRef(name).contains("_layers."))
      blocks.insert(name.substr(0, name.find('.', name.find('.') + 1)));
  int64_t shared =
      llvm::count_if(blocks, [](llvm::StringRef block) { return block.starts_with("shared"); });
  if (shared) {
    found.set("n_layers", static_cast<int64_t>(blocks.size()));
    found.set("n_shared_layers", shared);
  }

  if (!table || table->shape.size() != 2)
    return;
  int64_t dModel = table->shape[1], rank, width;
  found.set("vocab_size", table->shape[0]);
  found.set("d_model", dModel);
  if (inferFactors(tensors, "shared_layers.0.ffn.gate_proj", dModel, rank, width)) {
    found.set("d_ff", width);
    found.set("lora_rank", rank);
  }
  if (given.has("n_heads") &&
      inferFactors(tensors, "shared_layers.0.attn.k_proj", dModel, rank, width))
    if (int64_t headDim = dModel / given.integer("n_heads"); headDim && width % headDim == 0)
      found.set("n_kv_heads", width / headDim);
}

//===----------------------------------------------------------------------===//
// Forward
//===----------------------------------------------------------------------===//

/// x + attn(norm1(x)), then x + mlp(norm2(x)).
static Value buildBlock(const Scope &scope, const Config &c, const Tokens &tokens, Value rotary,
                        Value x) {
  auto project = [&](Value y, llvm::StringRef symbol, llvm::StringRef tensor, int64_t outputs) {
    return lowRankLinear(scope, y, symbol, tensor, outputs, c.factors);
  };

  Value y = rmsNorm(scope, x, "norm1", "norm1", c.eps);
  Value q = project(y, "q", "attn.q_proj", c.dModel);
  Value k = project(y, "k", "attn.k_proj", c.kvHeads * c.headDim());
  Value v = project(y, "v", "attn.v_proj", c.kvHeads * c.headDim());
  Value attended =
      rotaryAttention(scope, tokens, rotary, q, k, v, {c.heads, c.kvHeads, c.headDim(), c.pairing});
  x = residual(scope, x, project(attended, "o", "attn.o_proj", c.dModel));

  y = rmsNorm(scope, x, "norm2", "norm2", c.eps);
  Value gate = project(y, "gate", "ffn.gate_proj", c.dFF);
  Value up = project(y, "up", "ffn.up_proj", c.dFF);
  return residual(scope, x, project(siluGate(scope, gate, up), "down", "ffn.down_proj", c.dModel));
}

void MiniAxion::build(ModuleBuilder &builder, const ModelConfig &config) const {
  Config c(config);
  builder.buildForward(c.dModel, [&](const Scope &scope, const Tokens &tokens) {
    Value x = embedding(
        scope, tokens,
        embeddingTable(scope, "embedding", embeddingName, c.vocabSize, c.dModel, c.isTied));
    Value rotary = rotaryTable(scope, tokens, c.headDim() / 2, c.theta);
    auto block = [&](const Scope &layer, Value h) {
      return buildBlock(layer, c, tokens, rotary, h);
    };

    x = builder.buildLayers(scope, "entry", "entry_layers", c.entryLayers(), x, block);

    if (c.thinks) {
      Value origin = x;
      x = builder.buildPasses(scope, tokens.loops, x, [&](const Scope &pass, Value h, Value again) {
        auto blend = [&](Value y) { return gateBlend(scope, y, origin, again, "gate", gateName); };
        h = builder.buildLayers(pass, "shared", "shared_layers", c.sharedLayers, h,
                                [&](const Scope &layer, Value y) {
                                  y = block(layer, y);
                                  return c.blendsPerLayer ? blend(y) : y;
                                });
        return c.blendsPerLayer ? h : blend(h);
      });
    } else {
      x = builder.buildLayers(scope, "shared", "shared_layers", c.sharedLayers, x, block);
    }

    x = builder.buildLayers(scope, "exit", "exit_layers", c.exitLayers(), x, block);
    return rmsNorm(scope, x, "final_norm", "final_norm", c.eps);
  });
  builder.buildHead(c.dModel, c.vocabSize, [&](const Scope &scope, Value hidden) {
    return c.isTied ? languageHead(scope, hidden, "embedding", embeddingName, c.vocabSize)
                    : languageHead(scope, hidden, "output_head", headName, c.vocabSize);
  });
}

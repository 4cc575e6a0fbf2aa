//===- NanoHammer.cpp - NanoHammer, a decoder beside a state stream -------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A running sum of rotated token vectors passes through a cell in every layer;
// what comes out becomes one more key and value of each token. See
// docs/Families/nanohammer.md.
//
//===----------------------------------------------------------------------===//

#include "treadle/Model/Decoder.h"
#include "treadle/Model/NamePattern.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/raw_ostream.h"

#include <cmath>

using namespace mlir;
using namespace treadle;

static constexpr llvm::StringLiteral cellName = "model.layers.0.state_cell";
static constexpr llvm::StringLiteral tokenToStateName = "model.token_to_state";
static constexpr llvm::StringLiteral anglesName = "model.holographic_rope.inv_freq";

namespace {
/// The config, typed.
struct Config {
  explicit Config(const ConfigValues &values);

  Decoder decoder;
  StateStream stream;
  StateCell cell;
  double theta;
  bool own, tokenToStateBias, projectionBias;
};

class NanoHammer : public Family {
public:
  llvm::StringRef getName() const override { return "nanohammer"; }
  std::vector<Field> getFields() const override;
  std::string getCanonicalName(llvm::StringRef name, const TensorSource &) const override;
  std::vector<std::pair<std::string, std::string>> getCopies() const override {
    return getDecoderCopies();
  }
  std::vector<StoredForm> getStoredForms(llvm::StringRef name) const override;
  void infer(const NamedTensors &tensors, const ConfigValues &given,
             ConfigValues &found) const override;
  llvm::Error complete(ModelConfig &config) const override;
  bool isRedundant(llvm::StringRef name) const override { return name == anglesName; }
  llvm::Error checkRedundant(const ModelConfig &config, const NamedTensors &tensors) const override;
  ModelFacts getFacts(const ModelConfig &config) const override {
    return Decoder(config.values).getFacts();
  }
  llvm::json::Object getInfo(const ModelConfig &config) const override;
  void build(ModuleBuilder &builder, const ModelConfig &config) const override;
};
} // namespace

std::unique_ptr<Family> treadle::createNanoHammer() { return std::make_unique<NanoHammer>(); }

//===----------------------------------------------------------------------===//
// Config
//===----------------------------------------------------------------------===//

std::vector<Field> NanoHammer::getFields() const {
  // A config that says nothing is the published one.
  std::vector<Field> fields = getDecoderFields({
      {"vocab_size", int64_t(128256)},
      {"hidden_size", int64_t(2048)},
      {"intermediate_size", int64_t(8192)},
      {"num_hidden_layers", int64_t(16)},
      {"num_attention_heads", int64_t(32)},
      {"num_key_value_heads", int64_t(8)},
      {"max_position_embeddings", int64_t(131072)},
      {"rms_norm_eps", 1e-5},
      {"rope_theta", 500000.0},
  });
  for (Field field : {
           Field::integer("state_hidden_size", 2, 1 << 16, "width of a state")
               .otherwise(int64_t(512)),
           Field::integer("num_state_heads", 1, 1 << 12, "parts of a state that cells work on")
               .otherwise(int64_t(16)),
           Field::number("state_rope_theta", 1, 1e12, "base of the angles of a state's rotation")
               .otherwise(10000.0),
           Field::number("state_norm_eps", 1e-20, 1, "added to a variance in a cell")
               .otherwise(1e-5),
           Field::integer("state_mlp_ratio", 1, 256, "inner width of a cell's MLP, in head widths")
               .otherwise(int64_t(2)),
           Field::choice("state_mlp_sharing", {"shared", "per_head"},
                         "whether the heads of a cell share one MLP"),
           Field::choice("state_accumulate", {"sum", "mean", "none"},
                         "what a state holds of the tokens so far"),
           Field::choice("state_pairing", {"interleaved", "half"},
                         "which columns of a state rotate together"),
           Field::integer("state_lag", 0, 1, "tokens by which a token reads the state late")
               .otherwise(int64_t(1)),
           Field::choice("state_post_norm", {"update", "state"}, "what a cell's second norm is of"),
           Field::choice("state_visibility", {"past", "own"},
                         "which tokens' states a token attends to"),
           Field::choice("state_act", {"silu", "gelu"}, "activation of a cell's MLP"),
           Field::flag("state_norm_bias", "whether a cell's norms have biases").otherwise(true),
           Field::flag("state_mlp_bias", "whether a cell's MLP has biases").otherwise(true),
           Field::flag("token_to_state_bias", "whether the way into the state has a bias")
               .otherwise(false),
           Field::flag("state_projection_bias", "whether the ways out of the state have biases")
               .otherwise(false),
       })
    fields.push_back(std::move(field));
  return fields;
}

llvm::Error NanoHammer::complete(ModelConfig &config) const {
  ConfigValues &values = config.values;
  int64_t size = values.integer("state_hidden_size"), heads = values.integer("num_state_heads");
  if (size % 2)
    return config.error("state_hidden_size", "expected an even size, got " + llvm::Twine(size));
  if (size % heads)
    return config.error("num_state_heads", llvm::Twine(heads) +
                                               " does not divide state_hidden_size " +
                                               llvm::Twine(size));
  if (!values.has("eos_token_id")) {
    std::vector<int64_t> ids = {128001, 128008, 128009};
    llvm::erase_if(ids, [&](int64_t id) { return id >= values.integer("vocab_size"); });
    values.set("eos_token_id", ids);
  }
  return completeDecoder(config, RopeScaling{32, 1, 4, 8192});
}

static Accumulation getAccumulation(llvm::StringRef name) {
  if (name == "sum")
    return Accumulation::sum;
  return name == "mean" ? Accumulation::mean : Accumulation::none;
}

Config::Config(const ConfigValues &values)
    : decoder(values), theta(values.number("state_rope_theta")),
      own(values.choice("state_visibility") == "own"),
      tokenToStateBias(values.flag("token_to_state_bias")),
      projectionBias(values.flag("state_projection_bias")) {
  stream.width = values.integer("state_hidden_size");
  stream.accumulation = getAccumulation(values.choice("state_accumulate"));
  stream.pairing =
      values.choice("state_pairing") == "half" ? RopePairing::half : RopePairing::interleaved;
  stream.lag = values.integer("state_lag");

  cell.heads = values.integer("num_state_heads");
  cell.inner = values.integer("state_mlp_ratio") * (stream.width / cell.heads);
  cell.eps = values.number("state_norm_eps");
  cell.activation = values.choice("state_act") == "gelu" ? Activation::gelu : Activation::silu;
  cell.perHead = values.choice("state_mlp_sharing") == "per_head";
  cell.normsState = values.choice("state_post_norm") == "state";
  cell.normBias = values.flag("state_norm_bias");
  cell.mlpBias = values.flag("state_mlp_bias");
}

llvm::json::Object NanoHammer::getInfo(const ModelConfig &config) const {
  Config c(config.values);
  llvm::json::Object info = c.decoder.getInfo();
  info["state_size"] = c.stream.width;
  info["state_heads"] = c.cell.heads;
  return info;
}

//===----------------------------------------------------------------------===//
// Tensors
//===----------------------------------------------------------------------===//

std::string NanoHammer::getCanonicalName(llvm::StringRef name, const TensorSource &) const {
  if (std::string canonical = getDecoderName(name); !canonical.empty())
    return canonical;
  for (llvm::StringRef pattern : {
           "model token_to_state weight|bias",
           "model holographic_rope inv_freq",
           "model layers # state_cell pre_norm|post_norm weight|bias",
           "model layers # state_cell step_size",
           "model layers # state_cell mlp 0|2=3 weight|bias",
           "model layers # state_cell mlps # 0|2=3 weight|bias",
           "model layers # state_projection weight|bias",
       })
    if (std::string canonical = matchName(pattern, name); !canonical.empty())
      return canonical;
  // A wrapper around the projection adds a level.
  for (llvm::StringRef last : {"weight", "bias"}) {
    std::string wrapped = ("model layers # state_projection proj " + last).str();
    if (!matchName(wrapped, name).empty())
      return name.drop_back(last.size() + 5).str() + last.str();
  }
  return {};
}

/// `….mlp.0.weight` may be stored as `….mlps.<head>.0.weight`.
std::vector<StoredForm> NanoHammer::getStoredForms(llvm::StringRef name) const {
  auto [front, back] = name.split(".state_cell.mlp.");
  if (back.empty())
    return {};
  return {{(front + ".state_cell.mlps.#." + back).str(), /*axis=*/0}};
}

void NanoHammer::infer(const NamedTensors &tensors, const ConfigValues &given,
                       ConfigValues &found) const {
  ConfigValues known = given;
  if (!known.has("num_attention_heads"))
    known.set("num_attention_heads", int64_t(32));
  inferDecoder(tensors, known, found);

  auto isStored = [&](llvm::StringRef pattern) {
    return tensors.findAny(("model layers # state_cell " + pattern).str()) != nullptr;
  };
  if (const Tensor *in = tensors.findAny("model token_to_state weight"); in && !in->shape.empty())
    found.set("state_hidden_size", in->shape[0]);
  found.set("token_to_state_bias", tensors.findAny("model token_to_state bias") != nullptr);
  if (const Tensor *step = tensors.find((cellName + ".step_size").str()))
    found.set("num_state_heads", step->getNumElements());
  found.set("state_norm_bias", isStored("pre_norm|post_norm bias"));
  found.set("state_projection_bias",
            tensors.findAny("model layers # state_projection bias") != nullptr);
  found.set("state_mlp_bias", isStored("mlp 0|2 bias") || isStored("mlps # 0|2 bias"));

  std::string name = (cellName + ".mlp.0.weight").str();
  std::optional<llvm::SmallVector<int64_t>> first = findShape(tensors, name, getStoredForms(name));
  if (!first || first->size() < 2)
    return;
  found.set("state_mlp_sharing", std::string(first->size() > 2 ? "per_head" : "shared"));
  int64_t outputs = first->end()[-2], inputs = first->back();
  if (inputs && outputs % inputs == 0)
    found.set("state_mlp_ratio", outputs / inputs);
}

/// The angles of the state's rotation, which some checkpoints keep.
llvm::Error NanoHammer::checkRedundant(const ModelConfig &config,
                                       const NamedTensors &tensors) const {
  const Tensor *angles = tensors.find(anglesName);
  if (!angles)
    return llvm::Error::success();
  Config c(config.values);
  int64_t count = angles->getNumElements(), pairs = c.stream.width / 2;
  std::string place = (angles->file + ": " + angles->name).str();
  if (count != pairs && count == pairs / c.cell.heads)
    return config.error("state_pairing", place + " has " + llvm::Twine(count) +
                                             " angles, those of a head; expected the " +
                                             llvm::Twine(pairs) +
                                             " of a whole state, as it rotates here");
  if (count != pairs)
    return config.error("state_hidden_size", "expected " + llvm::Twine(2 * count) + " as " + place +
                                                 " has angles for, got " +
                                                 llvm::Twine(c.stream.width));
  if (!angles->type->readable)
    return makeError(place + ": expected dtype F32, F16, BF16 or F64, got " + angles->type->name);
  std::vector<float> found(count);
  angles->read(0, 1, found);
  // As exact as the number of bits that are stored.
  double tolerance = angles->type->bytes > 2 ? 1e-4 : 1.0 / 128;
  for (int64_t j = 0; j < count; ++j) {
    double expected = std::pow(c.theta, -static_cast<double>(j) / static_cast<double>(pairs));
    if (!(std::fabs(found[j] - expected) <= tolerance * expected)) {
      std::string message;
      llvm::raw_string_ostream(message)
          << "gives angle " << j << " as "
          << llvm::format("%g, got %g in ", expected, static_cast<double>(found[j])) << place;
      return config.error("state_rope_theta", message);
    }
  }
  return llvm::Error::success();
}

//===----------------------------------------------------------------------===//
// Forward
//===----------------------------------------------------------------------===//

void NanoHammer::build(ModuleBuilder &builder, const ModelConfig &config) const {
  Config c(config.values);
  builder.buildForward(c.decoder.hidden, [&](const Scope &scope, const Tokens &tokens) {
    Value x = decoderEmbedding(scope, tokens, c.decoder);
    Value rotary = decoderRotary(scope, tokens, c.decoder);
    Value turns = rotaryTable(scope, tokens, c.stream.width / 2, c.theta);
    Value state =
        linear(scope, x, "token_to_state", tokenToStateName, c.stream.width, c.tokenToStateBias);
    state = accumulate(scope, tokens, state, turns, c.stream);

    auto layer = [&](const Scope &layer, ValueRange carried) -> SmallVector<Value> {
      Value s = stateCell(layer, carried[1], "state_cell", c.cell);
      Value rows = readBack(layer, tokens, s, turns, c.stream);
      rows = linear(layer, rows, "state_projection", "state_projection", c.decoder.hidden,
                    c.projectionBias);
      return {decoderLayer(layer, tokens, rotary, carried[0], c.decoder, DecoderLane{rows, c.own}),
              s};
    };
    x = builder.buildLayers(scope, "layer", "model.layers", c.decoder.layers, {x, state}, layer)[0];
    return decoderNorm(scope, x, c.decoder);
  });
  buildDecoderHead(builder, c.decoder);
}

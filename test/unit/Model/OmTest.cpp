//===- OmTest.cpp - The config, the tensors and the module of an Om -------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "TinyModel.h"
#include "treadle/Dialect/Treadle/IR/Treadle.h"
#include "gtest/gtest.h"

using namespace mlir;
using namespace treadle;
using namespace treadle::test;

namespace {

using Tensors = std::map<std::string, StoredTensor>;

/// Members of a config, and those put in their place or added.
std::string config(std::map<std::string, std::string> members = {}) {
  std::map<std::string, std::string> all = {
      {"model_type", "\"om\""}, {"vocab_size", "7"},  {"num_layers", "2"},
      {"dim_input", "8"},       {"dim_hidden", "12"}, {"dims_key", "[4, 6]"},
      {"dims_value", "[4, 3]"}, {"num_heads", "2"},   {"activation", "\"gelu\""},
      {"segment_len", "5"},     {"state_len", "3"},   {"attn_proj_rank", "5"},
      {"init_convs", "[2, 3]"},
  };
  for (auto &[key, value] : members)
    all[key] = value;
  std::string text;
  for (auto &[key, value] : all)
    if (!value.empty())
      text += (text.empty() ? "{\"" : ", \"") + key + "\": " + value;
  return text + "}";
}

template <typename Op> int64_t countOps(ModuleOp module) {
  int64_t count = 0;
  module.walk([&](Op) { ++count; });
  return count;
}

/// Tensors in the shapes in which the model stores them.
Tensors makeTensors(TinyModel &model, const std::string &text) {
  Tensors tensors;
  OwningOpRef<ModuleOp> module = model.build(text);
  for (auto weight : module->getOps<WeightOp>())
    for (auto name : weight.getSources().getAsValueRange<StringAttr>()) {
      SmallVector<int64_t> shape = getSourceView(weight).shape;
      std::vector<float> values(llvm::product_of(shape));
      for (auto [i, value] : llvm::enumerate(values))
        value = 0.125f * tensors.size() + 0.0009765625f * i;
      tensors[name.str()] = makeF32(name, std::vector<int64_t>(shape.begin(), shape.end()), values);
    }
  return tensors;
}

/// A tensor of that shape.
StoredTensor zeros(const std::string &name, std::vector<int64_t> shape) {
  return makeF32(name, shape, std::vector<float>(llvm::product_of(shape)));
}

TEST(Om, HasThePublishedParameters) {
  TinyModel model;
  ModelConfig published =
      llvm::cantFail(readConfig(TREADLE_SOURCE_DIR "/models/om/356m.json", model.families));
  OwningOpRef<ModuleOp> module = llvm::cantFail(buildModel(model.context, published));
  EXPECT_EQ(countParameters(*module), 356610048);
  published.values.set("state_proj", std::string("shared"));
  published.values.set("vocab_adj", int64_t(50259));
  module = llvm::cantFail(buildModel(model.context, published));
  EXPECT_EQ(countParameters(*module), 298403840); // as the published code stores it
}

TEST(Om, KeepsEveryLoopALoop) {
  TinyModel model;
  auto loops = [&](const std::string &text) { return countOps<LoopOp>(*model.build(text)); };
  EXPECT_EQ(loops(config({{"num_layers", "2"}})), 3); // forward, open, close
  EXPECT_EQ(loops(config({{"num_layers", "40"}})), 3);
  EXPECT_EQ(countOps<AttentionOp>(*model.build(config({{"num_layers", "40"}}))), 6);
  // The last layer is wider than the others.
  EXPECT_EQ(countOps<AttentionOp>(*model.build(config({{"final_mlp_multiplier", "2"}}))), 8);
  // A pass that runs several times.
  EXPECT_EQ(loops(config({{"num_iters", "[1, 4]"}})), 6);
}

TEST(Om, DeclaresItsPeriod) {
  TinyModel model;
  OwningOpRef<ModuleOp> module = model.build(config({{"final_mlp_multiplier", "2"}}));
  auto attr = module->getOperation()->getAttrOfType<ModelAttr>("treadle.model");
  EXPECT_EQ(attr.getPeriod(), 5);
  EXPECT_EQ(attr.getVocabulary(), 8);
  EXPECT_EQ(attr.getHidden(), 16);
  auto keys = module->lookupSymbol<StateOp>("layer.attn.1.k");
  EXPECT_EQ(keys.getType().getShape(), (ArrayRef<int64_t>{3 + 5 + 3, 12}));
  EXPECT_EQ(keys.getLead(), 3u);
  EXPECT_EQ(keys.getSlots(), ArrayRef<int64_t>{2}); // of all layers, wide or not
  auto state = module->lookupSymbol<StateOp>("layer.state");
  EXPECT_TRUE(state.getByTurn());
  EXPECT_EQ(state.getInitial(), StringRef("layer.state.initial"));
  EXPECT_EQ(module->lookupSymbol<StateOp>("ids").getType().getShape(), ArrayRef<int64_t>{5});
  auto history = module->lookupSymbol<StateOp>("history");
  EXPECT_EQ(history.getType().getShape(), ArrayRef<int64_t>{2});
  EXPECT_EQ(history.getFill(), 6u);
  EXPECT_EQ(module->lookupSymbol<WeightOp>("layer.mlp.0").getSlots(), ArrayRef<int64_t>{1});
  EXPECT_TRUE(module->lookupSymbol<WeightOp>("last.mlp.0").getSlots().empty());
}

TEST(Om, TakesAliasesAndOpenValues) {
  TinyModel model;
  ModelConfig found = llvm::cantFail(
      model.parse(config({{"init_convs", ""},
                          {"init_ngrams", "[2]"},
                          {"scaling_factors", "[null, 0.5]"},
                          {"attn_proj_rank", "-1"},
                          {"position_embedders", "[{\"dim\": 4, \"seq_len\": 640}, null]"}})));
  EXPECT_EQ(found.values.integers("init_convs"), ArrayRef<int64_t>{2});
  EXPECT_EQ(found.values.numbers("betas"), (OpenNumbers{std::nullopt, 0.5}));
  EXPECT_EQ(found.values.integer("attn_proj_rank"), 4);
  EXPECT_EQ(found.values.choice("position_embedders/0/style"), "om");
  EXPECT_FALSE(found.values.has("position_embedders/1"));
  llvm::json::Object json = found.toJson();
  EXPECT_EQ(llvm::json::Value(json.getArray("position_embedders")->back()),
            llvm::json::Value(nullptr));
  EXPECT_EQ(*json.get("betas"), llvm::json::Value(llvm::json::Array{nullptr, 0.5}));
}

//===----------------------------------------------------------------------===//
// Malformed configs
//===----------------------------------------------------------------------===//

TEST(Om, RefusesFieldsThatDoNotFit) {
  using Members = std::map<std::string, std::string>;
  TinyModel model;
  const std::pair<Members, const char *> malformed[] = {
      {{{"dims_key", "[4]"}}, "/dims_key: expected one for each of 2 passes of dims_value, got 1"},
      {{{"dims_value", "[]"}}, "/dims_value: expected at least one pass, got none"},
      {{{"dims_key", "[4, 0]"}}, "/dims_key/1: expected an integer in 1 ... 65536, got 0"},
      {{{"dims_key", "4"}},
       "/dims_key: expected a list of at most 64 integers in 1 ... 65536, got 4"},
      {{{"betas", "[1.0]"}}, "/betas: expected one for each of 2 passes of dims_value, got 1"},
      {{{"betas", "[0, 1]"}}, "/betas/0: expected a number in 1e-06 ... 1000000 or null, got 0"},
      {{{"betas", "[1, 1]"}, {"scaling_factors", "[1, 1]"}},
       "/scaling_factors: expected either betas or scaling_factors, got both"},
      {{{"num_iters", "[1, 2]"}, {"diff_attn", "true"}},
       "/num_iters: expected 1 in every pass with diff_attn"},
      {{{"attn_proj_rank", "0"}}, "/attn_proj_rank: expected at least 1, got 0"},
      {{{"attn_proj_rank", "-1"}, {"num_heads", "9"}},
       "/attn_proj_rank: expected at least 1, got 0"},
      {{{"num_heads", "4096"}, {"dims_value", "[4, 300]"}},
       "/num_heads: expected at most 1048576 columns of all heads, got 1228800"},
      {{{"init_convs", "[9]"}}, "/init_convs: expected at most dim_input 8, got 9"},
      {{{"activation", "\"tanh\""}},
       "/activation: expected \"gelu\" or \"relu\" or \"abs\" or \"swish\" or \"swiglu\" or "
       "\"geglu\" "
       "or \"ffnglu\" or \"ffngeglu\" or \"ffnswiglu\", got \"tanh\""},
      {{{"mlp_1221", "true"}, {"activation", "\"ffnglu\""}},
       "/mlp_1221: expected false with ffnglu"},
      {{{"mlp_1221", "true"}, {"dim_hidden", "13"}},
       "/dim_hidden: expected an even number with mlp_1221, got 13"},
      {{{"vocab_adj", "6"}}, "/vocab_size: expected at most the 6 rows of embedder.weight, got 7"},
      {{{"pad_token_id", "7"}}, "/pad_token_id: expected ids below vocab_size 7, got 7"},
      {{{"eos_token_id", "[1, 9]"}}, "/eos_token_id: expected ids below vocab_size 7, got 9"},
      {{{"position_embedders", "[null]"}},
       "/position_embedders: expected one for each of 2 passes of dims_value, got 1"},
      {{{"position_embedders", "[null, 3]"}},
       "/position_embedders/1: expected an object or null, got 3"},
      {{{"position_embedders", "[null, {\"dim\": 5}]"}},
       "/position_embedders/1/dim: expected 6, the pass's dims_key, got 5"},
      {{{"position_embedders", "[{\"seq_len\": 10}, null]"}},
       "/position_embedders/0/seq_len: expected at least 11, segment_len and twice state_len, got "
       "10"},
      {{{"position_embedders", "[null, {}]"}},
       "/position_embedders/1: expected an even number of columns to turn, got 3"},
      {{{"position_embedders", "[null, {\"base\": 0.5}]"}},
       "/position_embedders/1/base: expected a number in 1 ... 1000000000000, got 0.5"},
      {{{"position_embedders", "[null, {\"style\": \"half\"}]"}},
       "/position_embedders/1/style: expected \"om\" or \"neox\", got \"half\""},
      {{{"position_embedders", "[null, {\"length\": 3}]"}},
       "/position_embedders/1/length: expected a known key, the nearest is style; correct it or "
       "pass --allow-unknown-keys"},
  };
  for (const auto &[members, message] : malformed)
    EXPECT_EQ(toText(model.parse(config(members))), std::string("c.json: ") + message);
}

TEST(Om, RefusesSizesOutOfBounds) {
  TinyModel model;
  auto build = [&](const std::string &text) {
    return toText(buildModel(model.context, llvm::cantFail(model.parse(text))));
  };
  EXPECT_EQ(build(config({{"dim_input", "65536"},
                          {"dim_hidden", "1048576"},
                          {"final_mlp_multiplier", "64"},
                          {"num_layers", "512"},
                          {"init_convs", "[]"},
                          {"vocab_size", "16777216"}}))
                .substr(0, 61),
            "c.json: expected a model of at most 1000000000000 parameters,");
  EXPECT_EQ(build(config({{"segment_len", "1048576"},
                          {"num_layers", "512"},
                          {"num_heads", "1024"},
                          {"dims_key", "[4, 1024]"},
                          {"dims_value", "[4, 3]"}}))
                .substr(0, 55),
            "c.json: expected at most 70368744177664 bytes of states");
}

//===----------------------------------------------------------------------===//
// Tensors
//===----------------------------------------------------------------------===//

/// Every option that has tensors of its own, and no others.
const std::map<std::string, std::string> everything = {{"attn_normalize", "true"},
                                                       {"cope", "true"},
                                                       {"diff_attn", "true"},
                                                       {"mlp_1221", "true"},
                                                       {"proj_out_bias", "true"},
                                                       {"final_mlp_multiplier", "2"},
                                                       {"diff_skip_attn_norm", "false"},
                                                       {"activation", "\"swiglu\""}};

/// The tensors of all heads cut into those of each, as older checkpoints have them.
Tensors cutIntoHeads(const Tensors &tensors) {
  Tensors cut;
  for (const auto &[name, tensor] : tensors) {
    size_t end = name.find(".attn.attn.");
    if (end == std::string::npos) {
      cut[name] = tensor;
      continue;
    }
    std::string layer = name.substr(0, end + 11), rest = name.substr(end + 11);
    if (size_t norm = rest.find("out_norms."); norm != std::string::npos) {
      std::string moved = layer + "attn_heads." + rest[norm + 10] + "." + rest.substr(0, norm) +
                          "out_norm" + rest.substr(norm + 11);
      cut[moved] = tensor;
      cut[moved].name = moved;
      continue;
    }
    bool isMap = StringRef(rest).ends_with(".weights");
    if (isMap)
      rest.pop_back();
    std::vector<int64_t> shape(tensor.shape);
    int64_t heads = shape[shape[0] == 1 ? 1 : 0];
    shape.erase(shape.begin(), shape.begin() + (shape[0] == 1 ? 2 : 1));
    size_t bytes = tensor.bytes.size() / heads;
    for (int64_t head = 0; head < heads; ++head) {
      StoredTensor part{layer + "attn_heads." + std::to_string(head) + "." + rest, tensor.type,
                        shape, tensor.bytes.substr(head * bytes, bytes)};
      if (isMap) {
        part.shape = {shape[1], shape[0]};
        for (int64_t i = 0; i < shape[0]; ++i)
          for (int64_t j = 0; j < shape[1]; ++j)
            std::copy_n(&tensor.bytes[head * bytes + 4 * (i * shape[1] + j)], 4,
                        &part.bytes[4 * (j * shape[0] + i)]);
      }
      cut[part.name] = part;
    }
  }
  return cut;
}

std::string pack(TinyModel &model, const TensorSource &source) {
  std::string bytes;
  llvm::raw_string_ostream stream(bytes);
  llvm::buffer_ostream os(stream);
  llvm::cantFail(packWeights(*model.module, source, "id", os));
  return os.str().str();
}

TEST(Om, ReadsHeadsThatAreStoredApart) {
  for (const auto &members :
       {everything, {{"num_iters", "[3, 1]"}, {"cope", "true"}, {"state_proj", "\"shared\""}}}) {
    TinyModel model;
    std::string text = config(members);
    Tensors tensors = makeTensors(model, text);
    ASSERT_EQ(model.bind(tensors, text), "success");
    std::string whole = pack(model, model.store(tensors));
    Tensors cut = cutIntoHeads(tensors);
    ASSERT_GT(cut.size(), tensors.size());
    // The shapes settle all but what is left here.
    std::map<std::string, std::string> least = {
        {"num_layers", ""}, {"dim_input", ""},  {"dims_value", ""},     {"state_len", ""},
        {"num_heads", ""},  {"init_convs", ""}, {"attn_proj_rank", ""}, {"dim_hidden", ""}};
    for (const char *key : {"activation", "num_iters", "diff_skip_attn_norm"})
      if (auto it = members.find(key); it != members.end())
        least.insert(*it);
    for (const Tensors &stored : {cut, tensors}) {
      // Required keys come from the weights.
      ASSERT_EQ(model.bind(stored, config(least)), "success");
      EXPECT_TRUE(pack(model, model.store(stored)) == whole);
    }
    EXPECT_TRUE(model.warnings.empty());
  }
}

TEST(Om, LetsANormServeAllKindsOfRows) {
  TinyModel model;
  std::string text = config({{"attn_normalize", "true"}});
  Tensors tensors = makeTensors(model, text);
  for (auto it = tensors.begin(); it != tensors.end();)
    it = StringRef(it->first).contains("norm_") && StringRef(it->first).contains("_state_")
             ? tensors.erase(it)
             : std::next(it);
  EXPECT_EQ(model.bind(tensors, text), "success");
  auto source = [&](StringRef symbol) {
    return cast<StringAttr>(model.module->lookupSymbol<WeightOp>(symbol).getSources()[0]).str();
  };
  EXPECT_EQ(source("layer.attn.0.norm_q_state_end"),
            "layers.0.attn.attn.attn_modules.0.norm_q.weight");
}

TEST(Om, SaysNothingOfTensorsThatRepeatOthers) {
  TinyModel model;
  std::string text = config({{"mlp_1221", "true"}, {"activation", "\"swish\""}});
  Tensors tensors = makeTensors(model, text);
  for (const char *name :
       {"layers.0.attn.attn.attn_modules.0.position_embedder.thetas", "layers.1.mlp.3.beta"})
    tensors[name] = zeros(name, {1});
  EXPECT_EQ(model.bind(tensors, text), "success");
  EXPECT_TRUE(model.warnings.empty());
}

TEST(Om, RefusesTensorsThatDoNotFit) {
  TinyModel model;
  std::string text = config();
  auto bindWith = [&](const std::string &name, std::vector<int64_t> shape, std::string text) {
    Tensors tensors = makeTensors(model, config());
    tensors[name] = zeros(name, std::move(shape));
    return model.bind(tensors, text);
  };
  EXPECT_EQ(bindWith("layers.0.attn.init_state", {1, 4, 8}, text),
            "c.json: /state_len: expected 4 as w.safetensors has it, got 3");
  EXPECT_EQ(bindWith("layers.1.attn.init_state", {1, 4, 8}, text),
            "w.safetensors: layers.1.attn.init_state: expected shape [3, 8], got [1, 4, 8]");
  EXPECT_EQ(
      bindWith("layers.0.attn.attn.attn_modules.0.proj_v.weights", {1, 2, 8, 0}, text),
      "c.json: /dims_value: expected a list of at most 64 integers in 1 ... 65536, got [0, 3] "
      "in w.safetensors");
  EXPECT_EQ(bindWith("embedder.weight", {6, 8}, text),
            "c.json: /vocab_size: expected at most the 6 rows of embedder.weight, got 7");
  EXPECT_EQ(bindWith("layers.0.attn.attn.attn_modules.0.norm_q.weight", {2, 4}, text),
            "w.safetensors: layers.0.attn.attn.attn_modules.0.norm_k.weight: expected a tensor of "
            "shape [2, 4], got none");
  Tensors tensors = makeTensors(model, text);
  tensors.erase("layers.1.attn.attn.attn_modules.1.proj_k_state_end.weights");
  EXPECT_EQ(model.bind(tensors, text),
            "w.safetensors: layers.1.attn.attn.attn_modules.1.proj_k_state_end.weights: expected a "
            "tensor of shape [1, 2, 4, 6], got none");
}

} // namespace

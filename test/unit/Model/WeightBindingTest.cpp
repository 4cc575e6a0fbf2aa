//===- WeightBindingTest.cpp - Names, shapes and types of stored tensors --===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "TinyModel.h"
#include "treadle/Dialect/Treadle/IR/Treadle.h"
#include "treadle/Model/NamePattern.h"
#include "gtest/gtest.h"

using namespace mlir;
using namespace treadle;
using namespace treadle::test;

namespace {

using Tensors = std::map<std::string, StoredTensor>;

/// `tinyConfig` with another member.
std::string with(const char *member) {
  return std::string(tinyConfig).substr(0, strlen(tinyConfig) - 1) + ", " + member + "}";
}

/// Stores a tensor under another name.
void rename(Tensors &tensors, const std::string &from, const std::string &to) {
  StoredTensor tensor = tensors.at(from);
  tensors.erase(from);
  tensor.name = to;
  tensors[to] = std::move(tensor);
}

/// Replaces every occurrence of `from` in the names.
void renameAll(Tensors &tensors, const std::string &from, const std::string &to) {
  Tensors old = tensors;
  for (const auto &[name, tensor] : old)
    if (size_t at = name.find(from); at != std::string::npos)
      rename(tensors, name, std::string(name).replace(at, from.size(), to));
}

/// The shape turned round, with the same bytes.
void turn(StoredTensor &tensor) { std::swap(tensor.shape[0], tensor.shape[1]); }

/// The only source of a weight without slots, or of its first slot.
std::string getSource(ModuleOp module, StringRef symbol) {
  auto weight = module.lookupSymbol<WeightOp>(symbol);
  return cast<StringAttr>(weight.getSources()[0]).str();
}

TEST(NamePattern, MatchesStepsAliasesAndNumbers) {
  const char *pattern = "a|b # q=wq|k=wk (weight)";
  EXPECT_EQ(matchName(pattern, "a.3.wq.weight"), "a.3.q.weight");
  EXPECT_EQ(matchName(pattern, "b.10.k"), "b.10.k.weight");
  EXPECT_EQ(matchName(pattern, "a.03.q"), "");
  EXPECT_EQ(matchName(pattern, "a..q"), "");
  EXPECT_EQ(matchName(pattern, "c.3.q"), "");
  EXPECT_EQ(matchName(pattern, "a.3.v"), "");
  EXPECT_EQ(matchName(pattern, "a.3.q.bias"), "");
  EXPECT_EQ(matchName(pattern, "a.3.q.weight.x"), "");
  EXPECT_EQ(matchName(pattern, ""), "");
}

TEST(WeightBinding, TakesCanonicalNames) {
  TinyModel model;
  EXPECT_EQ(model.bind(model.makeTensors()), "success");
  EXPECT_EQ(getSource(*model.module, "shared.q.down"), "shared_layers.0.attn.q_proj.down.weight");
  EXPECT_FALSE(model.module->lookupSymbol<WeightOp>("shared.q.down").getView());
  EXPECT_TRUE(model.warnings.empty());
}

TEST(WeightBinding, TakesAliases) {
  TinyModel model;
  Tensors tensors = model.makeTensors();
  for (auto [from, to] : {std::pair("norm1", "input_norm"),
                          {"norm2", "ln2"},
                          {"attn.", "self_attn."},
                          {"ffn.", "feed_forward."},
                          {"q_proj", "wq"},
                          {"k_proj", "k"},
                          {"v_proj", "wv"},
                          {"o_proj", "out_proj"},
                          {"gate_proj", "gate"},
                          {"up_proj", "up"},
                          {"down_proj", "down"}})
    renameAll(tensors, from, to);
  renameAll(tensors, "wq.down.weight", "wq.lora_A.weight");
  renameAll(tensors, "wq.up.weight", "wq.1");
  EXPECT_EQ(model.bind(tensors), "success");
  EXPECT_EQ(getSource(*model.module, "shared.q.down"),
            "shared_layers.0.self_attn.wq.lora_A.weight");
  EXPECT_EQ(getSource(*model.module, "exit.q.up"), "exit_layers.0.self_attn.wq.1");
  EXPECT_EQ(getSource(*model.module, "exit.down.up"), "exit_layers.0.feed_forward.down.up.weight");
  EXPECT_TRUE(model.warnings.empty());
}

TEST(WeightBinding, TellsTheNumberedProjectionsByShape) {
  TinyModel model;
  Tensors llama = model.makeTensors();
  renameAll(llama, "gate_proj", "w1");
  renameAll(llama, "down_proj", "w2");
  renameAll(llama, "up_proj", "w3");
  EXPECT_EQ(model.bind(llama), "success");
  EXPECT_EQ(getSource(*model.module, "shared.up.up"), "shared_layers.0.ffn.w3.up.weight");

  Tensors inOrder = model.makeTensors();
  renameAll(inOrder, "gate_proj", "w1");
  renameAll(inOrder, "up_proj", "w2");
  renameAll(inOrder, "down_proj", "w3");
  EXPECT_EQ(model.bind(inOrder), "success");
  EXPECT_EQ(getSource(*model.module, "shared.up.up"), "shared_layers.0.ffn.w2.up.weight");
  EXPECT_EQ(getSource(*model.module, "shared.down.down"), "shared_layers.0.ffn.w3.down.weight");
  EXPECT_EQ(getSource(*model.module, "shared.gate.up"), "shared_layers.0.ffn.w1.up.weight");
}

TEST(WeightBinding, KnowsTransposedFactorsByShape) {
  TinyModel model;
  Tensors tensors = model.makeTensors();
  for (auto &[name, tensor] : tensors)
    if (name.find("_proj.") != std::string::npos)
      turn(tensor);
  EXPECT_EQ(model.bind(tensors), "success");
  EXPECT_TRUE(model.module->lookupSymbol<WeightOp>("shared.q.down").getView());
  EXPECT_TRUE(model.module->lookupSymbol<WeightOp>("exit.gate.up").getView());
  EXPECT_FALSE(model.module->lookupSymbol<WeightOp>("embedding").getView());
}

TEST(WeightBinding, InfersAbsentFields) {
  TinyModel model;
  TensorSource source = model.store(model.makeTensors());
  const char *sparse = R"({"model_type": "miniaxion", "n_heads": 2, "max_seq_len": 16,
                           "lora_rank": null})";
  llvm::Expected<ModelConfig> config = model.parse(sparse, &source);
  ASSERT_EQ(toText(config.takeError()), "success");
  EXPECT_EQ(config->values.integer("vocab_size"), 7);
  EXPECT_EQ(config->values.integer("d_model"), 8);
  EXPECT_EQ(config->values.integer("n_kv_heads"), 1);
  EXPECT_EQ(config->values.integer("n_layers"), 2);
  EXPECT_EQ(config->values.integer("n_shared_layers"), 1);
  EXPECT_EQ(config->values.integer("d_ff"), 10);
  EXPECT_EQ(config->values.integer("lora_rank"), 3);
  EXPECT_TRUE(config->values.flag("weight_tying"));
  EXPECT_TRUE(config->values.flag("use_thinking_tokens"));
}

TEST(WeightBinding, TakesATiedHeadStoredTwice) {
  TinyModel model;
  Tensors tensors = model.makeTensors();
  tensors["output_head.weight"] = tensors.at("token_embedding.weight");
  tensors["output_head.weight"].name = "output_head.weight";
  EXPECT_EQ(model.bind(tensors), "success");
  EXPECT_FALSE(model.module->lookupSymbol("output_head"));
  EXPECT_TRUE(model.warnings.empty());
  EXPECT_EQ(model.bind(tensors, with(R"("weight_tying": true)")), "success");
  EXPECT_EQ(model.bind(tensors, with(R"("weight_tying": false)")), "success");
  EXPECT_TRUE(model.module->lookupSymbol("output_head"));
}

TEST(WeightBinding, UntiesAHeadOfOtherNumbers) {
  TinyModel model;
  Tensors tensors = model.makeTensors();
  StoredTensor head = tensors.at("token_embedding.weight");
  head.name = "output_head.weight";
  head.bytes[4 * 9 + 2] ^= 1;
  tensors[head.name] = head;
  EXPECT_EQ(model.bind(tensors), "success");
  EXPECT_TRUE(model.module->lookupSymbol("output_head"));
  EXPECT_EQ(model.bind(tensors, with(R"("weight_tying": true)")),
            "w.safetensors: output_head.weight: expected the numbers of token_embedding.weight, "
            "which the config ties it to, got others from element 9 on");
}

TEST(WeightBinding, TakesAScalarStoredAsAVector) {
  TinyModel model;
  Tensors tensors = model.makeTensors();
  tensors.at("think_gate").shape = {1};
  EXPECT_EQ(model.bind(tensors), "success");
}

TEST(WeightBinding, WarnsOfExtraTensorsOnce) {
  TinyModel model;
  Tensors tensors = model.makeTensors();
  for (const char *name : {"rope.inv_freq", "shared_layers.0.attn.mask"})
    tensors[name] = makeF32(name, {1}, 1.0f);
  EXPECT_EQ(model.bind(tensors), "success");
  EXPECT_EQ(model.warnings, std::vector<std::string>{"w.safetensors: the model does not use "
                                                     "rope.inv_freq, shared_layers.0.attn.mask"});
  for (int i = 0; i < 10; ++i)
    tensors["x" + std::to_string(i)] = makeF32("x" + std::to_string(i), {1}, 1.0f);
  EXPECT_EQ(model.bind(tensors), "success");
  EXPECT_EQ(model.warnings.back(), "w.safetensors: the model does not use rope.inv_freq, "
                                   "shared_layers.0.attn.mask, x0, x1, x2, x3, x4, x5 and 4 more");
}

//===----------------------------------------------------------------------===//
// Weights that do not fit
//===----------------------------------------------------------------------===//

TEST(WrongWeights, MissingTensor) {
  TinyModel model;
  Tensors tensors = model.makeTensors();
  tensors.erase("final_norm.weight");
  EXPECT_EQ(model.bind(tensors),
            "w.safetensors: final_norm.weight: expected a tensor of shape [8], got none");
}

TEST(WrongWeights, WrongShape) {
  TinyModel model;
  Tensors tensors = model.makeTensors();
  tensors.at("shared_layers.0.norm1.weight").shape = {2, 4};
  EXPECT_EQ(model.bind(tensors),
            "w.safetensors: shared_layers.0.norm1.weight: expected shape [8], got [2, 4]");
}

TEST(WrongWeights, OneFactorTurnedRound) {
  TinyModel model;
  Tensors tensors = model.makeTensors();
  turn(tensors.at("exit_layers.0.attn.v_proj.up.weight"));
  EXPECT_EQ(
      model.bind(tensors),
      "w.safetensors: exit_layers.0.attn.v_proj.up.weight: expected shape [4, 3], got [3, 4]");
}

TEST(WrongWeights, EmbeddingTurnedRound) {
  TinyModel model;
  Tensors tensors = model.makeTensors();
  turn(tensors.at("token_embedding.weight"));
  EXPECT_EQ(model.bind(tensors), "c.json: /vocab_size: expected 8 as w.safetensors has it, got 7");
}

TEST(WrongWeights, SizesThatNoConfigMayHave) {
  TinyModel model;
  const char *sparse = R"({"model_type": "miniaxion", "n_heads": 2, "max_seq_len": 16})";
  Tensors tensors = model.makeTensors();
  tensors["token_embedding.weight"] = {"token_embedding.weight", "F32", {7, 0}, ""};
  EXPECT_EQ(model.bind(tensors, sparse),
            "c.json: /d_model: expected an integer in 2 ... 65536, got 0 in w.safetensors");
  tensors["token_embedding.weight"].shape = {0, 8};
  EXPECT_EQ(model.bind(tensors, sparse),
            "c.json: /vocab_size: expected an integer in 1 ... 16777216, got 0 in w.safetensors");
}

TEST(WrongWeights, TypeThatHoldsNoNumbers) {
  TinyModel model;
  Tensors tensors = model.makeTensors();
  tensors.at("final_norm.weight").type = "I32";
  EXPECT_EQ(model.bind(tensors), "w.safetensors: final_norm.weight: expected dtype F32, F16, BF16 "
                                 "or F64, got I32");
}

TEST(WrongWeights, TwoTensorsForOneName) {
  TinyModel model;
  Tensors tensors = model.makeTensors();
  tensors["shared_layers.0.ln1.weight"] =
      makeF32("shared_layers.0.ln1.weight", {8}, std::vector<float>(8));
  EXPECT_EQ(model.bind(tensors),
            "w.safetensors: shared_layers.0.norm1.weight: expected one tensor for "
            "shared_layers.0.norm1.weight, got shared_layers.0.ln1.weight too");
}

TEST(WrongWeights, OfAnotherConfig) {
  TinyModel model;
  Tensors tensors = model.makeTensors();
  struct {
    const char *from, *to, *message;
  } cases[] = {
      {R"("d_ff": 10)", R"("d_ff": 12)", "/d_ff: expected 10 as w.safetensors has it, got 12"},
      {R"("lora_rank": 3)", R"("lora_rank": 4)",
       "/lora_rank: expected 3 as w.safetensors has it, got 4"},
      {R"("n_kv_heads": 1)", R"("n_kv_heads": 2)",
       "/n_kv_heads: expected 1 as w.safetensors has it, got 2"},
      {R"("n_layers": 2)", R"("n_layers": 3)",
       "/n_layers: expected 2 as w.safetensors has it, got 3"},
      {R"("d_ff": 10)", R"("d_ff": 10, "use_thinking_tokens": false)",
       "/use_thinking_tokens: expected true as w.safetensors has it, got false"},
  };
  for (auto &[from, to, message] : cases) {
    std::string config = tinyConfig;
    config.replace(config.find(from), strlen(from), to);
    EXPECT_EQ(model.bind(tensors, config), std::string("c.json: ") + message);
  }
}

//===----------------------------------------------------------------------===//
// One tensor of a kind speaks for all of them
//===----------------------------------------------------------------------===//

struct Lonely {
  const char *name;
  std::string (*config)(const char *member);
  const char *member;              ///< what makes the model have such tensors
  std::vector<const char *> kinds; ///< parts of their names
  const char *stored;              ///< the one that is there
  const char *missing;             ///< the first that is not
};

class LonelyTensor : public testing::TestWithParam<Lonely> {};

TEST_P(LonelyTensor, AsksForTheOthersOfItsKind) {
  TinyModel model;
  Tensors tensors = model.makeTensors(GetParam().config(GetParam().member));
  ASSERT_TRUE(tensors.count(GetParam().stored));
  for (auto it = tensors.begin(); it != tensors.end();) {
    auto isOfKind = [&](const char *kind) { return StringRef(it->first).contains(kind); };
    bool isLeftOut = it->first != GetParam().stored && llvm::any_of(GetParam().kinds, isOfKind);
    it = isLeftOut ? tensors.erase(it) : std::next(it);
  }
  std::string error = model.bind(tensors, GetParam().config("\"use_cache\": true"));
  EXPECT_TRUE(StringRef(error).starts_with(std::string("w.safetensors: ") + GetParam().missing +
                                           ": expected a tensor of shape"))
      << error;
  EXPECT_TRUE(model.warnings.empty());
}

std::string llama(const char *members) {
  return std::string(R"({"model_type": "llama", "vocab_size": 7, "hidden_size": 8,
    "intermediate_size": 10, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 1, "max_position_embeddings": 16, )") +
         members + "}";
}

std::string nanohammer(const char *members) {
  return std::string(R"({"model_type": "nanohammer", "vocab_size": 7, "hidden_size": 8,
    "intermediate_size": 10, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 1, "max_position_embeddings": 16, "state_hidden_size": 12,
    "num_state_heads": 3, "rope_scaling": null, )") +
         members + "}";
}

std::string neollm(const char *members) {
  return std::string(R"({"model_type": "neollm", "vocab_size": 19, "hidden_size": 16,
    "intermediate_size": 20, "num_hidden_layers": 3, "num_attention_heads": 2,
    "num_key_value_heads": 1, "head_dim": 8, "linear_num_key_heads": 2, "linear_key_head_dim": 4,
    "linear_num_value_heads": 4, "linear_value_head_dim": 6, "max_position_embeddings": 32,
    "layer_types": ["linear_attention", "linear_attention", "full_attention"], )") +
         members + "}";
}

const Lonely lonely[] = {
    {"AttentionBias",
     llama,
     "\"attention_bias\": true",
     {"proj.bias"},
     "model.layers.1.self_attn.v_proj.bias",
     "model.layers.0.self_attn.q_proj.bias"},
    {"MlpBias",
     llama,
     "\"mlp_bias\": true",
     {"proj.bias"},
     "model.layers.1.mlp.down_proj.bias",
     "model.layers.0.mlp.gate_proj.bias"},
    {"StateNormBias",
     nanohammer,
     "\"state_norm_bias\": true, \"state_mlp_bias\": false",
     {"norm.bias"},
     "model.layers.1.state_cell.post_norm.bias",
     "model.layers.0.state_cell.pre_norm.bias"},
    {"StateMlpBias",
     nanohammer,
     "\"state_mlp_bias\": true",
     {"mlp.0.bias", "mlp.2.bias"},
     "model.layers.1.state_cell.mlp.2.bias",
     "model.layers.0.state_cell.mlp.0.bias"},
    {"StateProjectionBias",
     nanohammer,
     "\"state_projection_bias\": true",
     {"projection.bias"},
     "model.layers.1.state_projection.bias",
     "model.layers.0.state_projection.bias"},
    {"NormBias",
     neollm,
     "\"norm_bias\": true",
     {"norm.bias"},
     "model.layers.1.input_layernorm.bias",
     "model.layers.0.input_layernorm.bias"},
    {"FanBias",
     neollm,
     "\"fan_bias\": \"plain\"",
     {"input_linear.bias"},
     "model.layers.0.linear_attn.fan_layer.input_linear.bias",
     "model.layers.1.linear_attn.fan_layer.input_linear.bias"},
    {"Fan",
     neollm,
     "\"fan_bias\": \"none\"",
     {"linear_attn.fan_layer"},
     "model.layers.1.linear_attn.fan_layer.input_linear.weight",
     "model.layers.0.linear_attn.fan_layer.input_linear.weight"},
};

INSTANTIATE_TEST_SUITE_P(, LonelyTensor, testing::ValuesIn(lonely),
                         [](const auto &info) { return std::string(info.param.name); });

} // namespace

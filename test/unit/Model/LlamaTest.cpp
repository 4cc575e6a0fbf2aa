//===- LlamaTest.cpp - The config and the module of a dense decoder -------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "TinyModel.h"
#include "treadle/Dialect/Treadle/IR/Treadle.h"
#include "treadle/Model/Blocks.h"
#include "gtest/gtest.h"

using namespace mlir;
using namespace treadle;
using namespace treadle::test;

namespace {

const char *const tiny = R"({"model_type": "llama", "vocab_size": 7, "hidden_size": 8,
"intermediate_size": 10, "num_hidden_layers": 2, "num_attention_heads": 2,
"num_key_value_heads": 1, "max_position_embeddings": 16)";

/// The tiny config with further members.
std::string with(const std::string &members) {
  return tiny + (members.empty() ? "}" : ", " + members + "}");
}

std::string scaling(const std::string &members) {
  return with("\"rope_scaling\": {" + members + "}");
}

const char *const numbers = R"("factor": 8, "low_freq_factor": 1, "high_freq_factor": 4,
"original_max_position_embeddings": 64)";

TEST(Llama, HasThePublishedParameters) {
  TinyModel model;
  ModelConfig config =
      llvm::cantFail(readConfig(TREADLE_SOURCE_DIR "/models/llama/1b.json", model.families));
  OwningOpRef<ModuleOp> module = llvm::cantFail(buildModel(model.context, config));
  EXPECT_EQ(countParameters(*module), 1235814400);
  EXPECT_EQ(llvm::range_size(module->getOps<WeightOp>()), 1 + 9 + 1); // whatever the depth
  config.values.set("tie_word_embeddings", false);
  module = llvm::cantFail(buildModel(model.context, config));
  EXPECT_EQ(countParameters(*module), 1498482688);
}

TEST(Llama, AppliesDefaults) {
  TinyModel model;
  ModelConfig config = llvm::cantFail(model.parse(with("")));
  EXPECT_EQ(config.values.integer("head_dim"), 4);
  EXPECT_EQ(config.values.number("rms_norm_eps"), 1e-6);
  EXPECT_EQ(config.values.number("rope_theta"), 10000);
  EXPECT_FALSE(config.values.flag("tie_word_embeddings"));
  EXPECT_FALSE(config.values.flag("attention_bias"));
  EXPECT_FALSE(getRopeScaling(config.values));
  EXPECT_EQ(config.values.ids("eos_token_id"), ArrayRef<int64_t>{2});
}

TEST(Llama, ReadsTheScalingOfAngles) {
  TinyModel model;
  auto read = [&](const std::string &config) {
    return getRopeScaling(llvm::cantFail(model.parse(config)).values);
  };
  EXPECT_FALSE(read(with("\"rope_scaling\": null")));
  EXPECT_FALSE(read(scaling("\"rope_type\": \"default\"")));
  std::optional<RopeScaling> found =
      read(scaling(std::string("\"rope_type\": \"llama3\", ") + numbers));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->factor, 8);
  EXPECT_EQ(found->firstContext, 64);
  const double turn = 6.283185307179586 / 64;
  EXPECT_EQ(double(found->scale(4.01 * turn)), 4.01 * turn);
  EXPECT_EQ(double(found->scale(0.99 * turn)), 0.99 * turn / 8);
  EXPECT_NEAR(double(found->scale(2.5 * turn)), 2.5 * turn * (0.5 / 8 + 0.5), 1e-15);
}

TEST(Llama, SaysItsConfigAsItWasWritten) {
  TinyModel model;
  ModelConfig config =
      llvm::cantFail(model.parse(scaling(std::string("\"rope_type\": \"llama3\", ") + numbers)));
  llvm::json::Object json = config.toJson();
  const llvm::json::Object *inner = json.getObject("rope_scaling");
  ASSERT_TRUE(inner);
  EXPECT_EQ(inner->getNumber("factor"), 8);
  EXPECT_EQ(inner->getString("rope_type"), llvm::StringRef("llama3"));
  json = llvm::cantFail(model.parse(with(""))).toJson();
  EXPECT_EQ(*json.get("rope_scaling"), llvm::json::Value(nullptr));
}

TEST(Llama, KeepsUnknownMembersWhereAllowed) {
  TinyModel model;
  ConfigOptions options;
  options.allowUnknownKeys = true;
  ModelConfig config = llvm::cantFail(parseConfig(
      scaling("\"rope_type\": \"default\", \"novelty\": 3"), "c.json", model.families, options));
  EXPECT_EQ(config.metadata.getInteger("rope_scaling/novelty"), 3);
}

TEST(Llama, TakesShapesForWhatTheConfigDoesNotSay) {
  TinyModel model;
  std::string biased = with(R"("attention_bias": true, "mlp_bias": true, "head_dim": 6)");
  auto tensors = model.makeTensors(biased);
  EXPECT_EQ(model.bind(tensors, R"({"model_type": "llama", "vocab_size": null, "hidden_size": null,
    "intermediate_size": null, "num_hidden_layers": null, "num_attention_heads": 2,
    "max_position_embeddings": 16})"),
            "success");
  EXPECT_TRUE(model.module->lookupSymbol("layer.q_proj.bias"));
  EXPECT_EQ(model.module->lookupSymbol<WeightOp>("layer.down_proj.bias").getType().getShape(),
            ArrayRef<int64_t>{8});
  EXPECT_EQ(model.module->lookupSymbol<WeightOp>("layer.o_proj").getType().getShape(),
            (ArrayRef<int64_t>{8, 12}));
  EXPECT_EQ(model.bind(tensors, with("\"head_dim\": 4")),
            "c.json: /head_dim: expected 6 as w.safetensors has it, got 4");
  EXPECT_EQ(model.bind(tensors, with("\"mlp_bias\": false")),
            "c.json: /mlp_bias: expected true as w.safetensors has it, got false");
}

TEST(Llama, TiesTheHeadWhereNoneIsStoredOrItRepeatsTheEmbedding) {
  TinyModel model;
  auto tensors = model.makeTensors(with(""));
  EXPECT_EQ(model.bind(tensors, with("")), "success");
  EXPECT_TRUE(model.module->lookupSymbol("lm_head"));
  EXPECT_EQ(model.bind(tensors, with("\"tie_word_embeddings\": true")),
            "w.safetensors: lm_head.weight: expected the numbers of model.embed_tokens.weight, "
            "which the config ties it to, got others from element 0 on");
  tensors.at("lm_head.weight").bytes = tensors.at("model.embed_tokens.weight").bytes;
  EXPECT_EQ(model.bind(tensors, with("")), "success");
  EXPECT_FALSE(model.module->lookupSymbol("lm_head"));
  EXPECT_EQ(model.bind(tensors, with("\"tie_word_embeddings\": false")), "success");
  EXPECT_TRUE(model.module->lookupSymbol("lm_head"));
  tensors.erase("lm_head.weight");
  EXPECT_EQ(model.bind(tensors, with("")), "success");
  EXPECT_FALSE(model.module->lookupSymbol("lm_head"));
  EXPECT_EQ(model.bind(tensors, with("\"tie_word_embeddings\": false")),
            "c.json: /tie_word_embeddings: expected true as w.safetensors has it, got false");
}

//===----------------------------------------------------------------------===//
// Malformed configs
//===----------------------------------------------------------------------===//

struct Malformed {
  const char *name;
  std::string text;
  std::string message; ///< behind `c.json: `
};

class MalformedLlama : public testing::TestWithParam<Malformed> {};

TEST_P(MalformedLlama, IsRefused) {
  TinyModel model;
  EXPECT_EQ(toText(model.parse(GetParam().text)), "c.json: " + GetParam().message);
}

const Malformed malformed[] = {
    {"OtherActivation", with("\"hidden_act\": \"gelu\""),
     "/hidden_act: expected \"silu\", got \"gelu\""},
    {"OddHeadWidth", with("\"head_dim\": 5"), "/head_dim: expected an even width, got 5"},
    {"HeadsThatDoNotDivide",
     R"({"model_type": "llama", "vocab_size": 7, "hidden_size": 8, "intermediate_size": 10,
         "num_hidden_layers": 2, "num_attention_heads": 3, "max_position_embeddings": 16})",
     "/num_attention_heads: expected an even head width, got hidden_size 8 over 3 heads"},
    {"KeyValueHeadsThatDoNotDivide",
     R"({"model_type": "llama", "vocab_size": 7, "hidden_size": 8, "intermediate_size": 10,
         "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 4,
         "max_position_embeddings": 16})",
     "/num_key_value_heads: 4 does not divide num_attention_heads 2"},
    {"IdBeyondTheVocabulary", with("\"eos_token_id\": [2, 7]"),
     "/eos_token_id: expected ids below vocab_size 7, got 7"},
    // Members of an object
    {"TextForAnObject", with("\"rope_scaling\": \"llama3\""),
     "/rope_scaling: expected an object or null, got \"llama3\""},
    {"NoType", scaling(numbers),
     "/rope_scaling/rope_type: expected \"llama3\" or \"default\", got none"},
    {"OtherType", scaling("\"rope_type\": \"yarn\""),
     "/rope_scaling/rope_type: expected \"llama3\" or \"default\", got \"yarn\""},
    {"MissingNumber", scaling("\"rope_type\": \"llama3\", \"factor\": 8"),
     "/rope_scaling/low_freq_factor: expected a number, got none"},
    {"SmallFactor", scaling("\"rope_type\": \"llama3\", \"factor\": 0.5"),
     "/rope_scaling/factor: expected a number in 1 ... 1000000, got 0.5"},
    {"UnknownMember", scaling("\"rope_type\": \"llama3\", \"facto\": 8"),
     "/rope_scaling/facto: expected a known key, the nearest is factor; correct it or pass "
     "--allow-unknown-keys"},
    {"MemberThatNeedsEscapes", scaling("\"a/b\": 8"),
     "/rope_scaling/a~1b: expected a known key, the nearest is factor; correct it or pass "
     "--allow-unknown-keys"},
    {"LowAboveHigh",
     scaling(R"("rope_type": "llama3", "factor": 8, "low_freq_factor": 4, "high_freq_factor": 4,
               "original_max_position_embeddings": 64)"),
     "/rope_scaling/high_freq_factor: expected more than low_freq_factor 4, got 4"},
};

INSTANTIATE_TEST_SUITE_P(, MalformedLlama, testing::ValuesIn(malformed),
                         [](const auto &info) { return std::string(info.param.name); });

} // namespace

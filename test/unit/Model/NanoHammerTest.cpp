//===- NanoHammerTest.cpp - The config, tensors and module of a NanoHammer ===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "TinyModel.h"
#include "treadle/Dialect/Treadle/IR/Treadle.h"
#include "treadle/Model/Decoder.h"
#include "gtest/gtest.h"

#include <cmath>

using namespace mlir;
using namespace treadle;
using namespace treadle::test;

namespace {

using Tensors = std::map<std::string, StoredTensor>;

const char *const tiny = R"({"model_type": "nanohammer", "vocab_size": 7, "hidden_size": 8,
"intermediate_size": 10, "num_hidden_layers": 2, "num_attention_heads": 2,
"num_key_value_heads": 1, "max_position_embeddings": 16, "state_hidden_size": 12,
"num_state_heads": 3)";

/// The tiny config with further members.
std::string with(const std::string &members) {
  return tiny + (members.empty() ? "}" : ", " + members + "}");
}

/// What a checkpoint alone cannot say.
const char *const bare = R"({"model_type": "nanohammer", "num_attention_heads": 2,
"max_position_embeddings": 16})";

void rename(Tensors &tensors, const std::string &from, const std::string &to) {
  StoredTensor tensor = tensors.at(from);
  tensors.erase(from);
  tensor.name = to;
  tensors[to] = std::move(tensor);
}

std::string cell(int layer, const std::string &part) {
  return "model.layers." + std::to_string(layer) + ".state_cell." + part;
}

/// Stores a stack head by head.
void split(Tensors &tensors, int layer, const std::string &part) {
  StoredTensor stack = tensors.at(cell(layer, "mlp." + part));
  tensors.erase(stack.name);
  size_t heads = stack.shape[0], bytes = stack.bytes.size() / heads;
  for (size_t head = 0; head < heads; ++head) {
    std::string name = cell(layer, "mlps." + std::to_string(head) + "." + part);
    tensors[name] = {name, "F32", std::vector<int64_t>(stack.shape.begin() + 1, stack.shape.end()),
                     stack.bytes.substr(head * bytes, bytes)};
  }
}

void splitAll(Tensors &tensors) {
  for (int layer : {0, 1})
    for (const char *part : {"0.weight", "0.bias", "2.weight", "2.bias"})
      split(tensors, layer, part);
}

ArrayRef<int64_t> getShape(ModuleOp module, StringRef symbol) {
  return module.lookupSymbol<WeightOp>(symbol).getType().getShape();
}

TEST(NanoHammer, HasThePublishedParameters) {
  TinyModel model;
  ModelConfig config =
      llvm::cantFail(readConfig(TREADLE_SOURCE_DIR "/models/nanohammer/1.5b.json", model.families));
  OwningOpRef<ModuleOp> module = llvm::cantFail(buildModel(model.context, config));
  EXPECT_EQ(countParameters(*module), 1516377856);
  size_t tensors = 0;
  for (auto weight : module->getOps<WeightOp>())
    tensors += weight.getSources().size();
  EXPECT_EQ(tensors, 308u);
}

TEST(NanoHammer, IsThePublishedOneWhereTheConfigSaysNothing) {
  TinyModel model;
  ModelConfig published =
      llvm::cantFail(readConfig(TREADLE_SOURCE_DIR "/models/nanohammer/1.5b.json", model.families));
  ModelConfig config = llvm::cantFail(model.parse(R"({"model_type": "nanohammer"})"));
  llvm::json::Object expected = published.toJson(), found = config.toJson();
  for (const char *inert : {"architectures", "bos_token_id"})
    expected.erase(inert);
  EXPECT_EQ(llvm::json::Value(std::move(found)), llvm::json::Value(std::move(expected)));
  config = llvm::cantFail(model.parse(R"({"model_type": "nanohammer", "rope_scaling": null})"));
  EXPECT_FALSE(getRopeScaling(config.values));
}

TEST(NanoHammer, KeepsTheIntegralAndTwoLanes) {
  TinyModel model;
  ModelOptions options;
  options.storage = Storage::bf16;
  OwningOpRef<ModuleOp> module = model.build(with(""), options);
  EXPECT_EQ(module->lookupSymbol<StateOp>("integral").getType().getShape(),
            (ArrayRef<int64_t>{16, 12}));
  EXPECT_TRUE(module->lookupSymbol<StateOp>("integral").getType().getElementType().isF32());
  for (const char *symbol : {"layer.k", "layer.v", "layer.lane_k", "layer.lane_v"})
    EXPECT_TRUE(module->lookupSymbol<StateOp>(symbol).getType().getElementType().isBF16());
  // A cell's matrices keep their bits.
  EXPECT_TRUE(
      module->lookupSymbol<WeightOp>("layer.cell.mlp.0").getType().getElementType().isF32());
  EXPECT_TRUE(
      module->lookupSymbol<WeightOp>("layer.state_projection").getType().getElementType().isBF16());
}

TEST(NanoHammer, TakesShapesForWhatTheConfigDoesNotSay) {
  TinyModel model;
  std::string config = with(R"("state_mlp_ratio": 3, "state_mlp_sharing": "per_head",
    "state_norm_bias": false, "state_mlp_bias": false, "token_to_state_bias": true,
    "state_projection_bias": true)");
  Tensors tensors = model.makeTensors(config);
  EXPECT_EQ(model.bind(tensors, bare), "success");
  EXPECT_TRUE(model.warnings.empty());
  EXPECT_EQ(getShape(*model.module, "layer.cell.mlp.0"), (ArrayRef<int64_t>{3, 12, 4}));
  EXPECT_FALSE(model.module->lookupSymbol("layer.cell.mlp.0.bias"));
  EXPECT_FALSE(model.module->lookupSymbol("layer.cell.pre_norm.bias"));
  EXPECT_TRUE(model.module->lookupSymbol("token_to_state.bias"));
  EXPECT_TRUE(model.module->lookupSymbol("layer.state_projection.bias"));
  EXPECT_EQ(model.bind(tensors, with("\"state_mlp_sharing\": \"shared\"")),
            "c.json: /state_mlp_sharing: expected \"per_head\" as w.safetensors has it, got "
            "\"shared\"");
  EXPECT_EQ(model.bind(tensors, with("\"state_mlp_ratio\": 2")),
            "c.json: /state_mlp_ratio: expected 3 as w.safetensors has it, got 2");
}

TEST(NanoHammer, TakesOtherNamesAndShapes) {
  TinyModel model;
  Tensors tensors = model.makeTensors(with(""));
  for (int layer : {0, 1}) {
    std::string projection = "model.layers." + std::to_string(layer) + ".state_projection.";
    rename(tensors, projection + "weight", projection + "proj.weight");
    for (const char *last : {"weight", "bias"}) // a dropout stands in between
      rename(tensors, cell(layer, std::string("mlp.2.") + last),
             cell(layer, std::string("mlp.3.") + last));
    tensors.at(cell(layer, "step_size")).shape = {1, 1, 3, 1};
  }
  EXPECT_EQ(model.bind(tensors, bare), "success");
  EXPECT_TRUE(model.warnings.empty());
  EXPECT_EQ(getShape(*model.module, "layer.cell.step_size"), ArrayRef<int64_t>{3});
}

TEST(NanoHammer, TakesAnMLPForEachHead) {
  TinyModel model;
  Tensors tensors = model.makeTensors(with("\"state_mlp_sharing\": \"per_head\""));
  splitAll(tensors);
  EXPECT_EQ(model.bind(tensors, bare), "success");
  EXPECT_TRUE(model.warnings.empty());
  auto weight = model.module->lookupSymbol<WeightOp>("layer.cell.mlp.0");
  EXPECT_EQ(weight.getType().getShape(), (ArrayRef<int64_t>{3, 8, 4}));
  EXPECT_EQ(weight.getSources().size(), 6u);
  EXPECT_EQ(cast<StringAttr>(weight.getSources()[4]).getValue(), cell(1, "mlps.1.0.weight"));
}

TEST(NanoHammer, NamesWhatIsWrongWithPartsOfATensor) {
  TinyModel model;
  Tensors whole = model.makeTensors(with("\"state_mlp_sharing\": \"per_head\""));

  Tensors tensors = whole;
  splitAll(tensors);
  tensors.erase(cell(1, "mlps.2.2.bias"));
  EXPECT_EQ(
      model.bind(tensors, bare),
      "w.safetensors: model.layers.1.state_cell.mlps.2.2.bias: expected a tensor of shape [4], "
      "got none");

  tensors = whole;
  split(tensors, 1, "0.weight");
  EXPECT_EQ(
      model.bind(tensors, bare),
      "w.safetensors: model.layers.1.state_cell.mlp.0.weight: expected a tensor of shape [3, 8, "
      "4], got none");

  tensors = whole;
  splitAll(tensors);
  tensors.at(cell(0, "mlps.1.0.weight")).shape = {4, 8};
  EXPECT_EQ(model.bind(tensors, bare),
            "w.safetensors: model.layers.0.state_cell.mlps.1.0.weight: expected shape [8, 4], "
            "got [4, 8]");

  tensors = whole;
  tensors.erase(cell(0, "step_size"));
  EXPECT_EQ(model.bind(tensors, with("")),
            "w.safetensors: model.layers.0.state_cell.step_size: expected a "
            "tensor of shape [3], got none");
}

TEST(NanoHammer, ComparesABufferOfAngles) {
  TinyModel model;
  Tensors tensors = model.makeTensors(with(""));
  std::string name = "model.holographic_rope.inv_freq";
  auto bindWith = [&](std::vector<float> angles) {
    tensors[name] = makeF32(name, {int64_t(angles.size())}, angles);
    return model.bind(tensors, with(""));
  };
  std::vector<float> angles;
  for (int j = 0; j < 6; ++j)
    angles.push_back(static_cast<float>(std::pow(10000.0, -j / 6.0)));
  EXPECT_EQ(bindWith(angles), "success");
  EXPECT_TRUE(model.warnings.empty());
  // With a half of each 32 bits, as a cast to bf16 leaves it.
  StoredTensor &cut = tensors[name];
  std::string halves;
  for (size_t i = 0; i < cut.bytes.size(); i += 4)
    halves += cut.bytes.substr(i + 2, 2);
  cut = {name, "BF16", {6}, halves};
  EXPECT_EQ(model.bind(tensors, with("")), "success");

  angles[3] *= 1.001f;
  EXPECT_EQ(bindWith(angles), "c.json: /state_rope_theta: gives angle 3 as 0.01, got 0.01001 in "
                              "w.safetensors: model.holographic_rope.inv_freq");
  EXPECT_EQ(bindWith({1, 0.5f}),
            "c.json: /state_pairing: w.safetensors: model.holographic_rope.inv_freq has 2 angles, "
            "those of a head; expected the 6 of a whole state, as it rotates here");
  EXPECT_EQ(bindWith({1, 0.5f, 0.2f, 0.1f}),
            "c.json: /state_hidden_size: expected 8 as w.safetensors: "
            "model.holographic_rope.inv_freq has angles for, got 12");
  tensors[name] = {name, "I32", {6}, std::string(24, 0)};
  EXPECT_EQ(model.bind(tensors, with("")),
            "w.safetensors: model.holographic_rope.inv_freq: expected dtype F32, F16, BF16 or F64, "
            "got I32");
}

//===----------------------------------------------------------------------===//
// Malformed configs
//===----------------------------------------------------------------------===//

struct Malformed {
  const char *name;
  const char *members;
  const char *message; ///< behind `c.json: `
};

class MalformedNanoHammer : public testing::TestWithParam<Malformed> {};

TEST_P(MalformedNanoHammer, IsRefused) {
  TinyModel model;
  std::string config = std::string("{\"model_type\": \"nanohammer\", ") + GetParam().members + "}";
  EXPECT_EQ(toText(model.parse(config)), std::string("c.json: ") + GetParam().message);
}

const Malformed malformed[] = {
    {"OddState", "\"state_hidden_size\": 511",
     "/state_hidden_size: expected an even size, got 511"},
    {"StateHeadsThatDoNotDivide", "\"num_state_heads\": 3",
     "/num_state_heads: 3 does not divide state_hidden_size 512"},
    {"NoStateHeads", "\"num_state_heads\": 0",
     "/num_state_heads: expected an integer in 1 ... 4096, got 0"},
    {"LongLag", "\"state_lag\": 2", "/state_lag: expected an integer in 0 ... 1, got 2"},
    {"SmallTheta", "\"state_rope_theta\": 0.5",
     "/state_rope_theta: expected a number in 1 ... 1000000000000, got 0.5"},
    {"ZeroEps", "\"state_norm_eps\": 0",
     "/state_norm_eps: expected a number in 1e-20 ... 1, got 0"},
    {"HugeRatio", "\"state_mlp_ratio\": 100000",
     "/state_mlp_ratio: expected an integer in 1 ... 256, got 100000"},
    {"Sharing", "\"state_mlp_sharing\": \"mixed\"",
     "/state_mlp_sharing: expected \"shared\" or \"per_head\", got \"mixed\""},
    {"Accumulate", "\"state_accumulate\": \"last\"",
     "/state_accumulate: expected \"sum\" or \"mean\" or \"none\", got \"last\""},
    {"Pairing", "\"state_pairing\": \"per_head\"",
     "/state_pairing: expected \"interleaved\" or \"half\", got \"per_head\""},
    {"PostNorm", "\"state_post_norm\": true",
     "/state_post_norm: expected \"update\" or \"state\", got true"},
    {"Visibility", "\"state_visibility\": \"all\"",
     "/state_visibility: expected \"past\" or \"own\", got \"all\""},
    {"Act", "\"state_act\": \"relu\"", "/state_act: expected \"silu\" or \"gelu\", got \"relu\""},
    {"Bias", "\"state_mlp_bias\": 1", "/state_mlp_bias: expected true or false, got 1"},
};

INSTANTIATE_TEST_SUITE_P(, MalformedNanoHammer, testing::ValuesIn(malformed),
                         [](const auto &info) { return std::string(info.param.name); });

} // namespace

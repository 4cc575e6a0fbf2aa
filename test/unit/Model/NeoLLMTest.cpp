//===- NeoLLMTest.cpp - NeoLLM's module, its sizes and its errors ---------===//
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

const char *const published = R"({"model_type": "neollm", "vocab_size": 151665,
"hidden_size": 512, "intermediate_size": 1024, "num_hidden_layers": 12, "num_attention_heads": 8,
"num_key_value_heads": 2})";

const char *const tiny = R"({"model_type": "neollm", "vocab_size": 19, "hidden_size": 16,
"intermediate_size": 20, "num_hidden_layers": 2, "num_attention_heads": 2,
"num_key_value_heads": 1, "head_dim": 8, "linear_num_key_heads": 2, "linear_key_head_dim": 4,
"linear_num_value_heads": 4, "linear_value_head_dim": 6, "max_position_embeddings": 32,
"layer_types": ["linear_attention", "full_attention"]})";

/// `config` with a member replaced, or added; without one for null.
std::string with(StringRef key, StringRef value, StringRef config = tiny) {
  auto object = llvm::cantFail(llvm::json::parse(config));
  llvm::json::Value parsed = llvm::cantFail(llvm::json::parse(value));
  if (parsed.kind() == llvm::json::Value::Null)
    object.getAsObject()->erase(key);
  else
    (*object.getAsObject())[key] = parsed;
  return llvm::formatv("{0}", object).str();
}

int64_t countOfPublished(StringRef key = "vocab_size", StringRef value = "151665",
                         StringRef config = published) {
  TinyModel model;
  OwningOpRef<ModuleOp> module = model.build(with(key, value, config));
  return countParameters(*module);
}

/// Loops of the module, each as `max(...)` with what is in it; a full layer is F, a linear one L.
std::string outline(Block &block) {
  std::string text;
  for (Operation &op : block) {
    if (auto loop = dyn_cast<LoopOp>(op))
      text += std::to_string(loop.getMax()) + "(" + outline(*loop.getBody()) + ")";
    else if (isa<AttentionOp>(op))
      text += "F";
    else if (isa<GatedDeltaRuleOp>(op))
      text += "L";
  }
  return text;
}

std::string outlineOf(std::string config) {
  TinyModel model;
  OwningOpRef<ModuleOp> module = model.build(config);
  return outline(module->lookupSymbol<func::FuncOp>("forward").getBody().front());
}

std::string outlineOfTypes(StringRef types) {
  std::string list;
  for (char type : types)
    list += (list.empty() ? "" : ", ") +
            std::string(type == 'F' ? "\"full_attention\"" : "\"linear_attention\"");
  std::string config = with("num_hidden_layers", std::to_string(types.size()));
  return outlineOf(with("layer_types", "[" + list + "]", config));
}

std::string errorOf(StringRef key, StringRef value) {
  TinyModel model;
  llvm::Expected<ModelConfig> config = model.parse(with(key, value));
  return config ? "success" : toText(config.takeError());
}

TEST(NeoLLM, HasThePublishedParameters) {
  EXPECT_EQ(countOfPublished(), 110886152);
  EXPECT_EQ(countOfPublished("attn_output_gate", "true"), 111672584);
  EXPECT_EQ(countOfPublished("fan_mode", "\"extend\""), 112281512);
  EXPECT_EQ(countOfPublished("fan_mode", "\"extend\"", with("attn_output_gate", "true", published)),
            113166248);
  EXPECT_EQ(countOfPublished("norm_bias", "true"), 110886152 + 12800);
}

TEST(NeoLLM, SaysWhatItIs) {
  TinyModel model;
  OwningOpRef<ModuleOp> module = model.build(with("eos_token_id", "[7, 8]", published));
  auto attr = (*module)->getAttrOfType<ModelAttr>("treadle.model");
  EXPECT_EQ(attr.getFamily(), "neollm");
  EXPECT_EQ(attr.getCapacity(), 512);
  EXPECT_EQ(attr.getMaxLoops(), 1);
  EXPECT_EQ(attr.getEos().asArrayRef(), (ArrayRef<int64_t>{7, 8}));
  auto info = llvm::cantFail(llvm::json::parse(attr.getInfo()));
  EXPECT_EQ(info.getAsObject()->getObject("layers")->getInteger("linear"), 9);
  EXPECT_EQ(info.getAsObject()->getObject("fan")->getInteger("periodic"), 64);
  EXPECT_EQ(info.getAsObject()->getObject("config")->getArray("layer_types")->size(), 12u);
}

TEST(NeoLLM, RollsLayersIntoLoopsOfWhatRepeats) {
  EXPECT_EQ(outlineOf(published), "3(3(L)F)");
  EXPECT_EQ(outlineOf(with("num_hidden_layers", "9", published)), "2(3(L)F)1(L)");
  EXPECT_EQ(outlineOf(with("num_hidden_layers", "10", published)), "2(3(L)F)2(L)");
  EXPECT_EQ(outlineOfTypes("LLLLLL"), "6(L)");
  EXPECT_EQ(outlineOfTypes("FLFLLF"), "2(FL)1(L)1(F)");
  EXPECT_EQ(outlineOfTypes("LFFLFF"), "2(L2(F))");
  EXPECT_EQ(outlineOfTypes("LF"), "1(L)1(F)");
}

TEST(NeoLLM, NumbersLayersAsTheirTensorsAre) {
  TinyModel model;
  OwningOpRef<ModuleOp> module = model.build(published);
  auto linear = module->lookupSymbol<WeightOp>("linear.qkvz");
  EXPECT_EQ(linear.getSlots(), (ArrayRef<int64_t>{3, 3}));
  auto name = [&](WeightOp weight, unsigned slot) {
    return cast<StringAttr>(weight.getSources()[slot]).getValue();
  };
  EXPECT_EQ(name(linear, 2), "model.layers.2.linear_attn.in_proj_qkvz.weight");
  EXPECT_EQ(name(linear, 3), "model.layers.4.linear_attn.in_proj_qkvz.weight");
  EXPECT_EQ(name(linear, 8), "model.layers.10.linear_attn.in_proj_qkvz.weight");
  auto full = module->lookupSymbol<WeightOp>("full.q_proj");
  EXPECT_EQ(full.getSlots(), ArrayRef<int64_t>{3});
  EXPECT_EQ(name(full, 2), "model.layers.11.self_attn.q_proj.weight");
  EXPECT_EQ(module->lookupSymbol<StateOp>("linear.delta").getType().getShape(),
            (ArrayRef<int64_t>{16, 32, 32}));
  EXPECT_EQ(module->lookupSymbol<StateOp>("linear.conv").getSlots(), (ArrayRef<int64_t>{3, 3}));

  // 1 / sqrt(i + 1) of these layers.
  std::vector<DenseElementsAttr> depths;
  module->walk([&](PickOp op) { depths.push_back(op.getValues()); });
  ASSERT_EQ(depths.size(), 2u);
  EXPECT_EQ(depths[0].getValues<float>()[3], static_cast<float>(1 / std::sqrt(5.0)));
  EXPECT_EQ(depths[1].getValues<float>()[2], static_cast<float>(1 / std::sqrt(12.0)));

  // A second place of a kind has symbols of its own.
  module = model.build(with("num_hidden_layers", "9", published));
  auto last = module->lookupSymbol<WeightOp>("linear1.qkvz");
  EXPECT_EQ(name(last, 0), "model.layers.8.linear_attn.in_proj_qkvz.weight");
}

TEST(NeoLLM, InfersWhatTheShapesSettle) {
  const std::tuple<StringRef, StringRef, StringRef> values[] = {
      {"fan_mode", "\"extend\"", "\"paper\""},
      {"fan_bias", "\"plain\"", "\"all\""},
      {"fan_bias", "\"none\"", "\"plain\""},
      {"fan_ratio", "0.3", "0.125"},
      {"linear_attn_fan", "false", "true"},
      {"attn_output_gate", "true", "false"},
      {"gpas_per_layer", "1", "2"},
      {"norm_bias", "true", "false"},
      {"intermediate_size", "24", "20"},
      {"head_dim", "16", "8"},
      {"num_key_value_heads", "2", "1"},
      {"linear_value_head_dim", "5", "6"},
      {"linear_conv_kernel_dim", "3", "4"},
      {"layer_types", "[\"full_attention\", \"linear_attention\"]",
       "[\"linear_attention\", \"full_attention\"]"}};
  for (auto [key, value, wrong] : values) {
    TinyModel model;
    std::map<std::string, StoredTensor> tensors = model.makeTensors(with(key, value));
    EXPECT_EQ(model.bind(tensors, with(key, "null")), "success") << key.str();
    EXPECT_EQ(model.bind(tensors, with(key, value)), "success") << key.str();
    std::string error = model.bind(tensors, with(key, wrong));
    EXPECT_TRUE(StringRef(error).starts_with(("c.json: /" + key + ": expected").str())) << error;
  }
}

TEST(NeoLLM, ReadsTensorsAsPyTorchStoresThem) {
  TinyModel model;
  std::map<std::string, StoredTensor> tensors = model.makeTensors(tiny);
  for (auto &[name, tensor] : tensors) {
    if (StringRef(name).ends_with("conv1d.weight"))
      tensor.shape.insert(tensor.shape.begin() + 1, 1);
    if (StringRef(name).ends_with("alpha") || StringRef(name).ends_with("act_fn.bias"))
      tensor.shape = {1};
  }
  EXPECT_EQ(model.bind(tensors, tiny), "success");
  EXPECT_TRUE(model.warnings.empty());
}

TEST(NeoLLM, ReadsOneGPASScalarIntoBothPlaces) {
  TinyModel model;
  std::map<std::string, StoredTensor> tensors = model.makeTensors(with("gpas_per_layer", "1"));
  StoredTensor moved = tensors["model.layers.1.gpas.alpha"];
  tensors.erase("model.layers.1.gpas.alpha");
  moved.name = "model.layers.1.gpas_block.gate";
  tensors["model.layers.1.gpas_block.gate"] = moved;
  EXPECT_EQ(model.bind(tensors, tiny), "success");
  auto weight = model.module->lookupSymbol<WeightOp>("full.gpas");
  EXPECT_EQ(std::distance(weight.getSources().begin(), weight.getSources().end()), 1);
  EXPECT_EQ(cast<StringAttr>(weight.getSources()[0]).getValue(), "model.layers.1.gpas_block.gate");
}

TEST(NeoLLM, NamesWhatIsMissingOrOfTheWrongShape) {
  TinyModel model;
  const std::map<std::string, StoredTensor> good = model.makeTensors(tiny);
  auto without = [&](const std::string &name) {
    std::map<std::string, StoredTensor> tensors = good;
    tensors.erase(name);
    return model.bind(tensors, tiny);
  };
  EXPECT_EQ(without("model.layers.0.linear_attn.dt_bias"),
            "w.safetensors: model.layers.0.linear_attn.dt_bias: expected a tensor of shape [4], "
            "got none");
  EXPECT_EQ(without("model.layers.1.mlp.act_fn.weight"),
            "w.safetensors: model.layers.1.mlp.act_fn.weight: expected a tensor of shape [3], got "
            "none");
  EXPECT_EQ(
      without("model.layers.1.gpas_mlp.alpha"),
      "w.safetensors: model.layers.1.gpas_mlp.alpha: expected a tensor of shape [] or [1], got "
      "none");
  // Without its mixer a layer is not counted.
  std::map<std::string, StoredTensor> tensors;
  for (const auto &[name, tensor] : good)
    if (!StringRef(name).starts_with("model.layers.1.self_attn"))
      tensors[name] = tensor;
  EXPECT_EQ(model.bind(tensors, tiny),
            "c.json: /num_hidden_layers: expected 1 as w.safetensors has it, "
            "got 2");

  tensors = good;
  StoredTensor &narrow = tensors["model.layers.0.linear_attn.in_proj_ba.weight"];
  narrow = makeF32(narrow.name, {8, 15}, std::vector<float>(120));
  EXPECT_EQ(model.bind(tensors, tiny),
            "w.safetensors: model.layers.0.linear_attn.in_proj_ba.weight: "
            "expected shape [8, 16], got [8, 15]");
}

TEST(NeoLLM, RefusesBiasesOfProjections) {
  TinyModel model;
  for (std::string name : {"self_attn.k_proj", "mlp.up_proj"}) {
    std::map<std::string, StoredTensor> tensors = model.makeTensors(tiny);
    std::string bias = "model.layers.1." + name + ".bias";
    tensors[bias] = makeF32(bias, {8}, std::vector<float>(8));
    EXPECT_EQ(model.bind(tensors, tiny),
              "c.json: /" + std::string(name[0] == 's' ? "attention" : "mlp") +
                  "_bias: expected false: no projection with a bias is known");
  }
}

TEST(NeoLLM, RefusesBadValues) {
  EXPECT_EQ(errorOf("layer_types", "[\"linear_attention\"]"),
            "c.json: /layer_types: expected one for each of 2 layers, got 1");
  EXPECT_EQ(errorOf("layer_types", "[\"sliding\", \"full_attention\"]"),
            "c.json: /layer_types/0: expected \"linear_attention\" or \"full_attention\", got "
            "\"sliding\"");
  EXPECT_EQ(errorOf("layer_types", "[]"),
            "c.json: /layer_types: expected a list of 1 to 512 of \"linear_attention\" or "
            "\"full_attention\", got a list of 0");
  EXPECT_EQ(errorOf("layer_types", "\"full_attention\""),
            "c.json: /layer_types: expected a list of 1 to 512 of \"linear_attention\" or "
            "\"full_attention\", got \"full_attention\"");
  EXPECT_EQ(errorOf("num_key_value_heads", "3"),
            "c.json: /num_key_value_heads: 3 does not divide num_attention_heads 2");
  EXPECT_EQ(errorOf("linear_num_key_heads", "3"),
            "c.json: /linear_num_key_heads: 3 does not divide linear_num_value_heads 4");
  EXPECT_EQ(errorOf("linear_conv_kernel_dim", "1"),
            "c.json: /linear_conv_kernel_dim: expected an integer in 2 ... 16, got 1");
  EXPECT_EQ(errorOf("partial_rotary_factor", "0.4"),
            "c.json: /partial_rotary_factor: expected an even number of rotated columns, got 3 of "
            "8");
  EXPECT_EQ(errorOf("fan_ratio", "0.01"),
            "c.json: /fan_ratio: expected periodic and other columns, got 0 and 16 of 16");
  EXPECT_EQ(errorOf("fan_ratio", "0.5"),
            "c.json: /fan_ratio: expected periodic and other columns, got 8 and 0 of 16");
  EXPECT_EQ(errorOf("fan_bias", "true"),
            "c.json: /fan_bias: expected \"all\" or \"plain\" or \"none\", got true");
  EXPECT_EQ(errorOf("gpas_per_layer", "3"),
            "c.json: /gpas_per_layer: expected an integer in 1 ... 2, got 3");
  EXPECT_EQ(errorOf("attention_bias", "true"),
            "c.json: /attention_bias: expected false: no projection with a bias is known");
  EXPECT_EQ(errorOf("rope_scaling", "{}"),
            "c.json: /rope_scaling/rope_type: expected \"default\", got none");
  EXPECT_EQ(errorOf("rope_scaling", "\"none\""),
            "c.json: /rope_scaling: expected an object or null, got \"none\"");
  EXPECT_EQ(errorOf("rope_scaling", "{\"rope_type\": \"llama3\"}"),
            "c.json: /rope_scaling/rope_type: expected \"default\", got \"llama3\"");
  EXPECT_EQ(errorOf("rope_scaling", "{\"rope_type\": \"default\"}"), "success");
  EXPECT_EQ(errorOf("mlp_bias", "true"),
            "c.json: /mlp_bias: expected false: no projection with a bias is known");
  EXPECT_EQ(errorOf("eos_token_id", "19"),
            "c.json: /eos_token_id: expected ids below vocab_size 19, got 19");
  EXPECT_EQ(errorOf("hidden_act", "\"xielu\""), "success");
}

} // namespace

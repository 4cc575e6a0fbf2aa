//===- MiniAxionTest.cpp - The module of a MiniAxion ----------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "TinyModel.h"
#include "mlir/IR/Verifier.h"
#include "treadle/Dialect/Treadle/IR/Layout.h"
#include "treadle/Model/Blocks.h"
#include "gtest/gtest.h"

using namespace mlir;
using namespace treadle;
using namespace treadle::test;

namespace {

const char *const published = R"({"model_type": "miniaxion", "d_model": 256, "n_heads": 8,
"n_kv_heads": 4, "n_layers": 6, "n_shared_layers": 2, "d_ff": 512, "lora_rank": 16,
"vocab_size": 2048, "max_seq_len": 512, "dropout": 0.05, "weight_tying": true,
"use_thinking_tokens": true, "n_thinking_steps": 2})";

/// `config` with the value of `key` replaced.
std::string with(StringRef key, StringRef value, std::string config = published) {
  size_t begin = config.find(("\"" + key + "\": ").str()) + key.size() + 4;
  return config.replace(begin, config.find_first_of(",}", begin) - begin, value.str());
}

template <typename Op> int64_t countOps(ModuleOp module) {
  int64_t count = 0;
  module.walk([&](Op) { ++count; });
  return count;
}

ModelAttr getModel(ModuleOp module) { return module->getAttrOfType<ModelAttr>("treadle.model"); }

TEST(MiniAxion, HasThePublishedParameters) {
  TinyModel model;
  OwningOpRef<ModuleOp> module = model.build(published);
  EXPECT_EQ(countParameters(*module), 920833);
  // Norms, six times two projections and three, as slots of one symbol per group.
  EXPECT_EQ(countOps<WeightOp>(*module), 1 + 3 * 16 + 2);
}

TEST(MiniAxion, SaysWhatItIs) {
  TinyModel model;
  OwningOpRef<ModuleOp> module = model.build(published);
  ModelAttr attr = getModel(*module);
  EXPECT_EQ(attr.getFamily(), "miniaxion");
  EXPECT_EQ(attr.getVocabulary(), 2048);
  EXPECT_EQ(attr.getHidden(), 256);
  EXPECT_EQ(attr.getCapacity(), 512);
  EXPECT_EQ(attr.getMaxLoops(), 4);
  EXPECT_EQ(attr.getConfigLoops(), 2);
  auto info = llvm::cantFail(llvm::json::parse(attr.getInfo()));
  EXPECT_EQ(info.getAsObject()->getInteger("parameters"), 920833);
  EXPECT_EQ(info.getAsObject()->getInteger("rank"), 16);
  EXPECT_EQ(info.getAsObject()->getObject("layers")->getInteger("entry"), 2);
  EXPECT_EQ(info.getAsObject()->getObject("config")->getNumber("dropout"), 0.05);
  EXPECT_TRUE(attr.getInfo().contains(R"("rms_norm_eps":1e-06)"));
}

TEST(MiniAxion, KeepsEveryLoopALoop) {
  TinyModel model;
  OwningOpRef<ModuleOp> module = model.build(published);
  EXPECT_EQ(countOps<LoopOp>(*module), 4);      // entry, passes, shared, exit
  EXPECT_EQ(countOps<AttentionOp>(*module), 3); // one per group, whatever the depth
  auto keys = module->lookupSymbol<StateOp>("shared.k");
  EXPECT_EQ(keys.getSlots(), (ArrayRef<int64_t>{4, 2}));
  EXPECT_EQ(keys.getLoopSlot(), 0);
  EXPECT_EQ(module->lookupSymbol<StateOp>("entry.v").getSlots(), ArrayRef<int64_t>{2});
}

TEST(MiniAxion, LeavesOutEmptyGroupsAndThePassLoopWithoutThinking) {
  TinyModel model;
  OwningOpRef<ModuleOp> module = model.build(with("use_thinking_tokens", "false"));
  EXPECT_EQ(countOps<LoopOp>(*module), 3);
  EXPECT_EQ(countOps<GateBlendOp>(*module), 0);
  EXPECT_FALSE(module->lookupSymbol("gate"));
  EXPECT_EQ(getModel(*module).getMaxLoops(), 1);
  EXPECT_EQ(getModel(*module).getConfigLoops(), 1);
  EXPECT_EQ(module->lookupSymbol<StateOp>("shared.k").getSlots(), ArrayRef<int64_t>{2});

  module = model.build(with("n_layers", "2"));
  EXPECT_EQ(countOps<LoopOp>(*module), 2);
  EXPECT_FALSE(module->lookupSymbol("entry.k"));
}

TEST(MiniAxion, BlendsAfterAPassOrAfterEachBlock) {
  TinyModel model;
  auto depthOfBlend = [&](const std::string &blend) {
    OwningOpRef<ModuleOp> module =
        model.build(with("dropout", "0, \"think_blend\": \"" + blend + "\""));
    int depth = 0;
    module->walk([&](GateBlendOp op) {
      for (auto loop = op->getParentOfType<LoopOp>(); loop; loop = loop->getParentOfType<LoopOp>())
        ++depth;
    });
    return depth;
  };
  EXPECT_EQ(depthOfBlend("pass"), 1);
  EXPECT_EQ(depthOfBlend("layer"), 2);
}

TEST(MiniAxion, StoresMatricesAndStatesAsAsked) {
  TinyModel model;
  ModelOptions options;
  options.storage = Storage::bf16;
  options.maxContext = 64;
  options.maxLoops = 2;
  OwningOpRef<ModuleOp> module = model.build(published, options);
  EXPECT_TRUE(module->lookupSymbol<WeightOp>("embedding").getType().getElementType().isBF16());
  EXPECT_TRUE(module->lookupSymbol<WeightOp>("final_norm").getType().getElementType().isF32());
  StateType keys = module->lookupSymbol<StateOp>("shared.k").getType();
  EXPECT_TRUE(keys.getElementType().isBF16());
  EXPECT_EQ(keys.getShape(), (ArrayRef<int64_t>{64, 128}));
  EXPECT_EQ(module->lookupSymbol<StateOp>("shared.k").getSlots(), (ArrayRef<int64_t>{2, 2}));
  EXPECT_EQ(getModel(*module).getConfigCapacity(), 512);
}

TEST(MiniAxion, HasItsOwnHeadWhereUntied) {
  TinyModel model;
  OwningOpRef<ModuleOp> module = model.build(with("weight_tying", "false"));
  EXPECT_EQ(countParameters(*module), 920833 + 2048 * 256);
  EXPECT_TRUE(module->lookupSymbol("output_head"));
}

TEST(MiniAxion, BoundsTheDefaultContext) {
  TinyModel model;
  OwningOpRef<ModuleOp> module = model.build(with("max_seq_len", "100000"));
  EXPECT_EQ(getModel(*module).getCapacity(), 4096);
  EXPECT_TRUE(model.warnings.empty());
  ModelOptions options;
  options.maxContext = 513;
  module = model.build(published, options);
  EXPECT_EQ(model.warnings, std::vector<std::string>{
                                "--max-context: 513 is more than the 512 positions of c.json"});
}

TEST(MiniAxion, RefusesOptionsAndSizesOutOfBounds) {
  TinyModel model;
  auto build = [&](const std::string &config, ModelOptions options) {
    return toText(
        buildModel(model.context, llvm::cantFail(model.parse(config)), options, model.warn));
  };
  ModelOptions negative, huge, loops;
  negative.maxContext = -1;
  huge.maxContext = int64_t(1) << 40;
  loops.maxLoops = 0;
  EXPECT_EQ(build(published, negative), "--max-context: expected 1 ... 16777216, got -1");
  EXPECT_EQ(build(published, huge), "--max-context: expected 1 ... 16777216, got 1099511627776");
  EXPECT_EQ(build(published, loops), "--max-loops: expected 1 ... 256, got 0");
  EXPECT_EQ(build(with("vocab_size", "16777216", with("d_model", "65536")), {}),
            "c.json: expected a model of at most 1000000000000 parameters, got 1099575541761");
  huge.maxContext = 1 << 24;
  huge.maxLoops = 256;
  EXPECT_EQ(build(with("n_layers", "60", with("n_shared_layers", "60")), huge),
            "c.json: expected at most 70368744177664 bytes of states per session, got "
            "263882807443456; lower --max-context or --max-loops");
}

TEST(MiniAxion, TurnsAsTheFormulaSays) {
  SmallVector<int64_t> turns = rotaryTurns(2, 10000);
  EXPECT_NEAR(turns[0] - 2935890503282001226, 0, 1); // 2^64 / 2 pi = ...226.496
  EXPECT_EQ(turns[1], 29358905032820012);
}

} // namespace

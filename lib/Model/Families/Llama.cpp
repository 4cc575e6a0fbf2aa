//===- Llama.cpp - Llama, the dense decoder as it is ----------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Grouped rotary attention and a gated MLP, layer after layer. See
// docs/Families/llama.md.
//
//===----------------------------------------------------------------------===//

#include "treadle/Model/Decoder.h"

using namespace mlir;
using namespace treadle;

namespace {
class Llama : public Family {
public:
  llvm::StringRef getName() const override { return "llama"; }

  std::vector<Field> getFields() const override { return getDecoderFields(); }

  llvm::Error complete(ModelConfig &config) const override { return completeDecoder(config); }

  std::string getCanonicalName(llvm::StringRef name, const TensorSource &) const override {
    return getDecoderName(name);
  }

  std::vector<std::pair<std::string, std::string>> getCopies() const override {
    return getDecoderCopies();
  }

  void infer(const NamedTensors &tensors, const ConfigValues &given,
             ConfigValues &found) const override {
    inferDecoder(tensors, given, found);
  }

  ModelFacts getFacts(const ModelConfig &config) const override {
    return Decoder(config.values).getFacts();
  }

  llvm::json::Object getInfo(const ModelConfig &config) const override {
    return Decoder(config.values).getInfo();
  }

  void build(ModuleBuilder &builder, const ModelConfig &config) const override {
    Decoder c(config.values);
    builder.buildForward(c.hidden, [&](const Scope &scope, const Tokens &tokens) {
      Value x = decoderEmbedding(scope, tokens, c);
      Value rotary = decoderRotary(scope, tokens, c);
      x = builder.buildLayers(
          scope, "layer", "model.layers", c.layers, x,
          [&](const Scope &layer, Value h) { return decoderLayer(layer, tokens, rotary, h, c); });
      return decoderNorm(scope, x, c);
    });
    buildDecoderHead(builder, c);
  }
};
} // namespace

std::unique_ptr<Family> treadle::createLlama() { return std::make_unique<Llama>(); }

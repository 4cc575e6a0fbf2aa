//===- TinyModel.cpp - A model small enough to write by hand --------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "TinyModel.h"

#include "treadle/Dialect/Treadle/IR/Treadle.h"

using namespace mlir;
using namespace treadle;
using namespace treadle::test;

const char *const treadle::test::tinyConfig = R"({"model_type": "miniaxion", "vocab_size": 7,
"d_model": 8, "n_heads": 2, "n_kv_heads": 1, "n_layers": 2, "n_shared_layers": 1, "d_ff": 10,
"lora_rank": 3, "max_seq_len": 16})";

OwningOpRef<ModuleOp> TinyModel::build(llvm::StringRef config, ModelOptions options) {
  return llvm::cantFail(buildModel(context, llvm::cantFail(parse(config)), options, warn));
}

std::map<std::string, StoredTensor> TinyModel::makeTensors(llvm::StringRef config) {
  std::map<std::string, StoredTensor> tensors;
  OwningOpRef<ModuleOp> built = build(config);
  for (auto weight : built->getOps<WeightOp>())
    for (auto name : weight.getSources().getAsValueRange<StringAttr>()) {
      std::vector<float> values(llvm::product_of(weight.getType().getShape()));
      for (auto [i, value] : llvm::enumerate(values))
        value = 0.125f * tensors.size() + 0.0009765625f * i;
      tensors[name.str()] = makeF32(name, weight.getType().getShape().vec(), values);
    }
  return tensors;
}

TensorSource TinyModel::store(const std::map<std::string, StoredTensor> &tensors) {
  std::vector<StoredTensor> list;
  for (const auto &[name, tensor] : tensors)
    list.push_back(tensor);
  return llvm::cantFail(TensorSource::open(directory.write("w.safetensors", makeFile(list))));
}

std::string TinyModel::bind(const std::map<std::string, StoredTensor> &tensors,
                            llvm::StringRef config) {
  TensorSource source = store(tensors);
  llvm::Expected<ModelConfig> parsed = parse(config, &source);
  if (!parsed)
    return directory.strip(toText(parsed.takeError()));
  module = llvm::cantFail(buildModel(context, *parsed, {}, warn));
  return directory.strip(toText(bindWeights(*module, *parsed->family, source, warn)));
}

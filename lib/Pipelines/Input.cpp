//===- Input.cpp - Where a compilation begins -----------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Input.h"

#include "mlir/Parser/Parser.h"
#include "treadle/Dialect/Treadle/IR/Treadle.h"
#include "treadle/Model/Model.h"
#include "llvm/Support/Path.h"

using namespace mlir;
using namespace treadle;
using llvm::Error;
using llvm::Expected;

Expected<std::optional<TensorSource>> treadle::openWeights(const CompileOptions &options) {
  if (options.weights.empty())
    return std::nullopt;
  Expected<TensorSource> source = TensorSource::open(options.weights);
  if (!source)
    return source.takeError();
  return std::optional<TensorSource>(std::move(*source));
}

Expected<ModelConfig> treadle::readModelConfig(const CompileOptions &options,
                                               const FamilyRegistry &families,
                                               const TensorSource *weights) {
  ConfigOptions configOptions;
  configOptions.family = options.family;
  configOptions.allowUnknownKeys = options.allowUnknownKeys;
  return readConfig(options.config, families, configOptions, weights);
}

ModelOptions treadle::getModelOptions(const CompileOptions &options) {
  ModelOptions modelOptions;
  modelOptions.storage = options.dtype == "bf16" ? Storage::bf16 : Storage::f32;
  modelOptions.maxContext = options.maxContext;
  modelOptions.maxLoops = options.maxLoops;
  return modelOptions;
}

Expected<OwningOpRef<ModuleOp>> treadle::buildModelPhase(MLIRContext &context,
                                                         const ModelConfig &config,
                                                         const CompileOptions &options,
                                                         const TensorSource *weights,
                                                         WarningHandler warn) {
  Expected<OwningOpRef<ModuleOp>> module =
      buildModel(context, config, getModelOptions(options), warn);
  if (!module || !weights)
    return module;
  if (Error error = bindWeights(**module, *config.family, *weights, warn))
    return std::move(error);
  return module;
}

Expected<OwningOpRef<ModuleOp>> treadle::parseModule(MLIRContext &context, StringRef file) {
  OwningOpRef<ModuleOp> module = parseSourceFile<ModuleOp>(file, ParserConfig(&context));
  if (!module)
    return makeError(file + ": expected MLIR text");
  return std::move(module);
}

std::string treadle::getModelName(StringRef config) {
  config = config.rtrim('/');
  StringRef name = llvm::sys::path::stem(config);
  StringRef parent = llvm::sys::path::filename(llvm::sys::path::parent_path(config));
  return (name == "config" && !parent.empty() ? parent : name).str();
}

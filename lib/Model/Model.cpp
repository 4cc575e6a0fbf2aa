//===- Model.cpp - From a config to the model phase -----------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "treadle/Model/Model.h"

#include "mlir/IR/Verifier.h"
#include "treadle/Dialect/Treadle/IR/Layout.h"
#include "treadle/Model/ModuleBuilder.h"
#include "llvm/Support/MathExtras.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace treadle;

static constexpr int64_t defaultMaxContext = 4096;

// Bounds far beyond any use, which keep every product of sizes within 63 bits.
static constexpr int64_t maxPositions = int64_t(1) << 24;
static constexpr int64_t maxPasses = 256;
static constexpr int64_t maxParameters = 1'000'000'000'000;
static constexpr int64_t maxStateBytes = int64_t(1) << 46;

int64_t treadle::countParameters(ModuleOp module) {
  int64_t count = 0;
  for (auto weight : module.getOps<WeightOp>())
    count += llvm::product_of(weight.getType().getShape()) * llvm::product_of(weight.getSlots());
  return count;
}

static llvm::Error checkOption(llvm::StringRef name, int64_t value, int64_t max) {
  if (value >= 1 && value <= max)
    return llvm::Error::success();
  return makeError(name + ": expected 1 ... " + llvm::Twine(max) + ", got " + llvm::Twine(value));
}

llvm::Error treadle::checkModelOptions(const ModelOptions &options) {
  if (options.maxContext)
    if (llvm::Error error = checkOption("--max-context", *options.maxContext, maxPositions))
      return error;
  return checkOption("--max-loops", options.maxLoops, maxPasses);
}

/// The family's own facts, the config and the size, for `--info`.
static std::string describeModel(ModuleOp module, const ModelConfig &config,
                                 const ModelFacts &facts) {
  llvm::json::Object info = config.family->getInfo(config);
  info["config"] = config.toJson();
  info["parameters"] = countParameters(module);
  std::string text;
  llvm::raw_string_ostream os(text);
  printJson(std::move(info), os);
  return text;
}

static llvm::Error checkSizes(ModuleOp module, const ModelConfig &config) {
  int64_t parameters = countParameters(module);
  if (parameters > maxParameters)
    return makeError(config.file + ": expected a model of at most " + llvm::Twine(maxParameters) +
                     " parameters, got " + llvm::Twine(parameters));
  int64_t stateBytes = layoutStates(module).bytes;
  if (stateBytes > maxStateBytes)
    return makeError(config.file + ": expected at most " + llvm::Twine(maxStateBytes) +
                     " bytes of states per session, got " + llvm::Twine(stateBytes) +
                     "; lower --max-context or --max-loops");
  return llvm::Error::success();
}

llvm::Expected<OwningOpRef<ModuleOp>> treadle::buildModel(MLIRContext &context,
                                                          const ModelConfig &config,
                                                          const ModelOptions &options,
                                                          WarningHandler warn) {
  ModelFacts facts = config.family->getFacts(config);
  int64_t capacity = options.maxContext.value_or(std::min(facts.capacity, defaultMaxContext));
  if (facts.period) // A sequence is without end, whatever --max-context says.
    capacity = 0;
  if (llvm::Error error = checkModelOptions(options))
    return std::move(error);
  if (capacity > facts.capacity && warn)
    warn("--max-context: " + llvm::Twine(capacity) + " is more than the " +
         llvm::Twine(facts.capacity) + " positions of " + config.file);
  int64_t maxLoops = facts.hasLoop ? options.maxLoops : 1;

  context.loadDialect<TreadleDialect, arith::ArithDialect, func::FuncDialect>();
  OwningOpRef<ModuleOp> module = ModuleOp::create(UnknownLoc::get(&context));
  ModuleBuilder builder(*module, options, capacity, maxLoops);
  config.family->build(builder, config);
  if (llvm::Error error = checkSizes(*module, config))
    return std::move(error);

  (*module)->setAttr("treadle.model",
                     ModelAttr::get(&context, config.family->getName(), facts.vocabulary,
                                    facts.hidden, capacity, facts.period ? 0 : facts.capacity,
                                    maxLoops, facts.loops,
                                    DenseI64ArrayAttr::get(&context, facts.eos),
                                    describeModel(*module, config, facts), facts.period,
                                    facts.tokens.value_or(0)));
  if (failed(verify(*module)))
    return makeError(config.file + ": the module of this model does not verify; report this");
  return std::move(module);
}

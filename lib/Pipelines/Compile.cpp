//===- Compile.cpp - The compiler as one function -------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "treadle/Pipelines/Compile.h"

#include "Binary.h"
#include "GPUCode.h"
#include "Input.h"
#include "OutputFile.h"
#include "PhasePasses.h"
#include "TrafficReport.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/MLIRContext.h"
#include "treadle/InitAll.h"
#include "treadle/Pipelines/Hooks.h"
#include "treadle/Support/Error.h"
#include "treadle/Target/NVPTX/Passes.h"
#include "treadle/Target/NVPTX/Toolkit.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/Path.h"

using namespace mlir;
using namespace treadle;
using llvm::Error;
using llvm::Expected;

StringRef treadle::getVersion() { return TREADLE_VERSION; }

//===----------------------------------------------------------------------===//
// Diagnostics
//===----------------------------------------------------------------------===//

/// `file:line:column: message` on one line.
static std::string format(Diagnostic &diagnostic) {
  std::string text;
  llvm::raw_string_ostream os(text);
  if (auto place = diagnostic.getLocation()->findInstanceOf<FileLineColLoc>())
    os << place.getFilename().getValue() << ':' << place.getLine() << ':' << place.getColumn()
       << ": ";
  os << diagnostic;
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

namespace {
/// Keeps the first error of a context and hands on its warnings.
class DiagnosticCollector {
public:
  DiagnosticCollector(MLIRContext &context, const CompileListener &listener)
      : handler(&context, [this, &listener](Diagnostic &diagnostic) {
          if (diagnostic.getSeverity() == DiagnosticSeverity::Error && firstError.empty())
            firstError = format(diagnostic);
          if (diagnostic.getSeverity() == DiagnosticSeverity::Warning && listener.warn)
            listener.warn(format(diagnostic));
        }) {}

  /// The more telling of an error and what MLIR said before it.
  Error refine(Error error) {
    if (!error || firstError.empty())
      return error;
    llvm::consumeError(std::move(error));
    return makeError(firstError);
  }

private:
  std::string firstError;
  ScopedDiagnosticHandler handler;
};

//===----------------------------------------------------------------------===//
// Compilation
//===----------------------------------------------------------------------===//

class Compilation {
public:
  Compilation(const CompileOptions &options, const CompileListener &listener)
      : options(options), listener(listener), context(MLIRContext::Threading::DISABLED),
        diagnostics(context, listener),
        last(options.report.empty() ? *findPhase(options.to) : Phase::stages) {
    DialectRegistry registry;
    registerAllDialects(registry);
    context.appendDialectRegistry(registry);
    context.printOpOnDiagnostic(false);
    registerAllFamilies(families);
  }

  /// The phases, in order.
  Error run() { return diagnostics.refine(runPhases()); }

private:
  Error runPhases();
  Error prepare();
  std::vector<std::string> getInputFiles() const;
  std::vector<std::string> getOutputFiles() const;
  Error checkOutputFiles() const;
  Error begin();
  Error runPasses(Phase phase);
  Error makeGPUKernels();
  Error finishConfig(const ModelConfig &config);
  Error finishModule();
  Error finishPhase(Phase phase, StringRef text, StringRef extension);
  Error deliver(StringRef text);
  Error printReport();
  void report(StringRef step, double done) const {
    if (listener.progress)
      listener.progress(step, done);
  }
  BinaryInput getBinaryInput() {
    return {*module, gpuModule ? *gpuModule : ModuleOp(), assembler, options,
            target,  weights ? &*weights : nullptr,       listener};
  }
  const TensorSource *getWeights() const { return weights ? &*weights : nullptr; }

  const CompileOptions &options;
  const CompileListener &listener;
  MLIRContext context;
  DiagnosticCollector diagnostics;
  const Phase last;

  FamilyRegistry families;
  HookRegistry hooks;
  CPUTarget target;
  std::optional<TensorSource> weights;
  /// The phase that `module` stands at the end of, once it is there.
  Phase current = Phase::config;
  OwningOpRef<ModuleOp> module;
  /// What the kernels phase makes for GPUs of the same stages, and what assembles it.
  OwningOpRef<ModuleOp> gpuModule;
  std::string assembler;
};
} // namespace

/// Everything that can fail before any work: target, plugins, files.
Error Compilation::prepare() {
  if (Error error = resolveCPUTarget(options.cpu, options.triple).moveInto(target))
    return error;
  if (needsAssembler(options) && last == Phase::binary && !options.pack)
    if (Error error = findAssembler().moveInto(assembler))
      return error;
  for (StringRef plugin : options.plugins)
    if (Error error = loadPlugin(plugin, hooks))
      return error;
  if (!options.dumpPhases.empty())
    if (std::error_code code = llvm::sys::fs::create_directories(options.dumpPhases))
      return makeError("--dump-phases: " + options.dumpPhases + ": " + code.message());
  if (Error error = openWeights(options).moveInto(weights))
    return error;
  return checkOutputFiles();
}

std::vector<std::string> Compilation::getInputFiles() const {
  SmallString<128> config(options.config);
  if (llvm::sys::fs::is_directory(config))
    llvm::sys::path::append(config, "config.json");
  std::vector<std::string> files = {config.str().str()};
  if (!options.golden.empty())
    files.push_back(options.golden);
  if (weights)
    for (const Tensor &tensor : weights->getTensors())
      if (files.back() != tensor.file)
        files.push_back(tensor.file.str());
  return files;
}

/// Every file that may be written.
std::vector<std::string> Compilation::getOutputFiles() const {
  std::vector<std::string> files;
  if (last == Phase::binary) {
    if (!options.pack)
      files.push_back(getLibraryFile(options));
    files.push_back(getWeightsFile(options));
  } else if (!options.out.empty()) {
    files.push_back(options.out);
  }
  if (options.dumpPhases.empty())
    return files;
  for (Phase phase : allPhases) {
    StringRef extension = phase == Phase::config ? "json" : phase == Phase::binary ? "ll" : "mlir";
    files.push_back(getDumpFile(options, (getPhaseName(phase) + "." + extension).str()));
  }
  if (hasGPU(options))
    for (const std::string &name : getGPUDumps(options))
      files.push_back(getDumpFile(options, name));
  return files;
}

/// What is read is never replaced: it may be the only copy of a model's weights.
Error Compilation::checkOutputFiles() const {
  std::vector<std::string> inputs = getInputFiles();
  for (const std::string &output : getOutputFiles())
    for (const std::string &input : inputs)
      if (llvm::sys::fs::equivalent(output, input))
        return makeError(output + ": expected a file to write that is not read as well");
  return Error::success();
}

/// Makes the first module: from IR, or from a config through `config` and `model`.
Error Compilation::begin() {
  if (!options.from.empty()) {
    current = *findPhase(options.from);
    return parseModule(context, options.config).moveInto(module);
  }
  Expected<ModelConfig> config = readModelConfig(options, families, getWeights());
  if (!config)
    return config.takeError();
  if (Error error = finishConfig(*config))
    return error;
  if (last == Phase::config)
    return Error::success();
  auto warn = [&](const llvm::Twine &text) {
    if (listener.warn)
      listener.warn(text.str());
  };
  if (Error error = buildModelPhase(context, *config, options, getWeights(), warn).moveInto(module))
    return error;
  current = Phase::model;
  return runPasses(Phase::model);
}

Error Compilation::runPasses(Phase phase) {
  PassManager passes(&context);
  buildPhase(phase, options, target, hooks, passes);
  if (failed(passes.run(*module)))
    return makeError("cannot make phase " + getPhaseName(phase));
  return Error::success();
}

/// Stages become GPU kernels on a copy of the module: the CPU's are made of the same ones.
Error Compilation::makeGPUKernels() {
  gpuModule = module->clone();
  PassManager passes(&context);
  buildStagesToGPUPipeline(passes, options.recurrenceForm == "chunked");
  if (failed(passes.run(*gpuModule)))
    return makeError("cannot make GPU kernels");
  // A session's arena serves both.
  for (auto entry : module->getOps<func::FuncOp>())
    if (auto ours = gpuModule->lookupSymbol<func::FuncOp>(entry.getName()))
      if (Attribute bytes = ours->getAttr("treadle.arena_bytes"))
        entry->setAttr("treadle.arena_bytes", bytes);
  if (options.dumpPhases.empty())
    return Error::success();
  std::string text;
  llvm::raw_string_ostream(text) << *gpuModule << "\n";
  return writeOutputFile(getDumpFile(options, gpuKernelsDump), text);
}

/// Dumps the text of a phase, and delivers it if the phase is the last.
Error Compilation::finishPhase(Phase phase, StringRef text, StringRef extension) {
  if (!options.dumpPhases.empty()) {
    std::string file = getDumpFile(options, (getPhaseName(phase) + "." + extension).str());
    if (Error error = writeOutputFile(file, text))
      return error;
  }
  return phase == last && options.report.empty() ? deliver(text) : Error::success();
}

/// To where `options` want what is no library.
Error Compilation::deliver(StringRef text) {
  if (!options.out.empty())
    return writeOutputFile(options.out, text);
  if (listener.text)
    *listener.text << text;
  return Error::success();
}

Error Compilation::finishConfig(const ModelConfig &config) {
  std::string text;
  llvm::raw_string_ostream(text) << llvm::formatv("{0:2}\n", llvm::json::Value(config.toJson()));
  return finishPhase(Phase::config, text, "json");
}

Error Compilation::finishModule() {
  if (current != last && options.dumpPhases.empty())
    return Error::success();
  std::string text;
  llvm::raw_string_ostream(text) << *module << "\n";
  return finishPhase(current, text, "mlir");
}

Error Compilation::printReport() {
  Expected<ModelAttr> model = getModelAttr(*module);
  if (!model)
    return model.takeError();
  Expected<std::vector<EntryPoint>> entries = getEntryPoints(*module);
  if (!entries)
    return entries.takeError();
  int64_t room = model->getPeriod() ? model->getPeriod() : model->getCapacity();
  int64_t before = options.reportContext.value_or(room / 2);
  if (before < 0 || before >= room)
    return makeError("--report-context: expected 0 ... " + Twine(room - 1) + ", got " +
                     Twine(before));
  return deliver(printTrafficReport(*module, *entries, before));
}

Error Compilation::runPhases() {
  report("reading", 0);
  if (Error error = prepare())
    return error;
  if (Error error = begin())
    return error;
  if (last == Phase::config)
    return Error::success();
  if (options.pack)
    return emitWeights(getBinaryInput());
  if (Error error = finishModule())
    return error;
  while (current < std::min(last, Phase::kernels)) {
    current = Phase(int(current) + 1);
    report(getPhaseName(current), 0.02 * int(current));
    if (current == Phase::kernels && hasGPU(options))
      if (Error error = makeGPUKernels())
        return error;
    if (Error error = runPasses(current))
      return error;
    if (Error error = finishModule())
      return error;
  }
  if (!options.report.empty())
    if (Error error = printReport())
      return error;
  if (last == Phase::binary)
    if (Error error = emitLibrary(getBinaryInput()))
      return error;
  report("done", 1);
  return Error::success();
}

Error treadle::compile(const CompileOptions &options, const CompileListener &listener) {
  if (Error error = checkOptions(options))
    return error;
  return Compilation(options, listener).run();
}

//===- Options.cpp - What to compile, for what, to where ------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "treadle/Pipelines/Options.h"

#include "Input.h"
#include "treadle/Support/Error.h"
#include "treadle/Target/CPU/CPUTarget.h"
#include "treadle/Target/NVPTX/EmitPTX.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Path.h"

using namespace llvm;
using namespace treadle;

/// An option whose value is one of a few words.
static Error checkWord(StringRef option, StringRef value, ArrayRef<StringRef> words) {
  if (is_contained(words, value))
    return Error::success();
  return makeError("--" + option + ": expected " + join(words, ", ") + "; got '" + value + "'");
}

static Error checkTargets(const CompileOptions &options) {
  if (options.targets.empty())
    return makeError("--target: expected at least one target");
  for (StringRef target : options.targets)
    if (Error error = checkWord("target", target, {"cpu", "cuda"}))
      return error;
  if (!is_contained(options.targets, "cpu"))
    return makeError("--target: 'cuda' goes with 'cpu', on which every library runs; use "
                     "--target=cpu,cuda");
  return Error::success();
}

static Error checkGPUs(const CompileOptions &options) {
  if (!hasGPU(options))
    return options.gpus.empty() ? Error::success() : makeError("--gpu: needs --target=cpu,cuda");
  for (StringRef gpu : options.gpus) {
    if (count(options.gpus, gpu) > 1)
      return makeError("--gpu: expected different levels, got '" + gpu + "' twice");
    if (Error error = checkGPU(gpu))
      return error;
  }
  if (options.from == getPhaseName(Phase::kernels))
    return makeError("--from=kernels: has no stages, of which GPU kernels are made");
  return Error::success();
}

static Error checkRows(ArrayRef<int64_t> rows) {
  if (!is_contained(rows, 1))
    return makeError("--rows: expected 1 among the row counts, for decoding");
  for (int64_t count : rows)
    if (count < 1 || count > 4096 || llvm::count(rows, count) > 1)
      return makeError("--rows: expected different row counts from 1 to 4096, got " + Twine(count));
  return Error::success();
}

static Error checkSymbolPrefix(StringRef prefix) {
  bool isName = all_of(prefix, [](char c) { return isAlnum(c) || c == '_'; }) &&
                !(prefix.size() && isDigit(prefix.front()));
  if (isName)
    return Error::success();
  return makeError("--symbol-prefix: expected a C identifier, got '" + prefix + "'");
}

static Error checkPhases(const CompileOptions &options) {
  std::optional<Phase> to = findPhase(options.to);
  if (!to)
    return makeError("--to: expected config, model, program, stages, kernels or binary; got '" +
                     options.to + "'");
  if (options.pack && *to != Phase::binary)
    return makeError("--pack: does not go with --to=" + options.to);
  if (options.from.empty()) {
    if (StringRef(options.config).ends_with(".mlir"))
      return makeError(options.config +
                       ": IR needs --from=PHASE, the phase it stands at the end of");
    return Error::success();
  }
  std::optional<Phase> from = findPhase(options.from);
  if (!from || *from == Phase::config || *from == Phase::binary)
    return makeError("--from: expected model, program, stages or kernels; got '" + options.from +
                     "'");
  if (*from > *to)
    return makeError("--from=" + options.from + " lies behind --to=" + options.to);
  return Error::success();
}

static Error checkReport(const CompileOptions &options) {
  if (options.report.empty())
    return options.reportContext ? makeError("--report-context: needs --report=gpu")
                                 : Error::success();
  if (Error error = checkWord("report", options.report, {"gpu"}))
    return error;
  if (options.to != getPhaseName(Phase::binary) || options.pack)
    return makeError("--report: is all that is printed, and does not go with --to or --pack");
  if (options.from == getPhaseName(Phase::kernels))
    return makeError("--report: needs stages, which --from=kernels has no more");
  return Error::success();
}

Error treadle::checkOptions(const CompileOptions &options) {
  if (options.config.empty())
    return makeError("expected a config file or a checkpoint directory");
  if (options.dtype == "int8" || options.dtype == "int4")
    return makeError("--dtype: " + options.dtype + " is not supported yet; use f32 or bf16");
  if (Error error = checkWord("dtype", options.dtype, {"f32", "bf16"}))
    return error;
  if (Error error = checkTargets(options))
    return error;
  if (Error error = checkModelOptions(getModelOptions(options)))
    return error;
  if (Error error = checkRows(options.rows))
    return error;
  if (Error error =
          checkWord("recurrence-form", options.recurrenceForm, {"auto", "sequential", "chunked"}))
    return error;
  if (!options.weightsMode.empty())
    if (Error error = checkWord("weights-mode", options.weightsMode, {"embed", "external"}))
      return error;
  if (options.weightsMode == "embed" && options.weights.empty())
    return makeError("--weights-mode=embed: needs --weights");
  if (options.pack && options.weights.empty())
    return makeError("--pack: needs --weights");
  if (options.pack && options.weightsMode == "embed")
    return makeError("--pack: writes external weights and does not go with --weights-mode=embed");
  if (!options.sanitize.empty())
    if (Error error = checkWord("sanitize", options.sanitize, {"address"}))
      return error;
  if (Error error = checkSymbolPrefix(options.symbolPrefix))
    return error;
  if (Error error = checkPhases(options))
    return error;
  if (Error error = checkReport(options))
    return error;
  if (Error error = checkGPUs(options))
    return error;
  // Last, since names of CPUs are many and the likeliest to be wrong on another machine.
  return resolveCPUTarget(options.cpu, options.triple).takeError();
}

bool treadle::hasGPU(const CompileOptions &options) {
  return is_contained(options.targets, "cuda");
}

std::string treadle::getDumpFile(const CompileOptions &options, StringRef name) {
  SmallString<128> path(options.dumpPhases);
  sys::path::append(path, name);
  return path.str().str();
}

std::string treadle::getLibraryFile(const CompileOptions &options) {
  if (!options.out.empty())
    return options.out;
  StringRef config = StringRef(options.config).rtrim('/');
  return (sys::path::stem(config) + ".so").str();
}

std::string treadle::getWeightsFile(const CompileOptions &options) {
  std::string library = getLibraryFile(options);
  SmallString<128> file(library);
  StringRef extension = sys::path::extension(library);
  if (options.pack && extension == ".weights")
    return library;
  if (extension == ".so")
    sys::path::replace_extension(file, "weights");
  else
    file += ".weights";
  return std::string(file);
}

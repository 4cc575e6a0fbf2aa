//===- Compiler.cpp - The compiler as a library ---------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "treadle-c/compiler.h"

#include "treadle/Pipelines/Compile.h"
#include "treadle/Support/Error.h"
#include "llvm/ADT/StringExtras.h"
#include <cstring>
#include <exception>
#include <new>

using namespace treadle;
using llvm::Error;
using llvm::StringRef;

struct treadle_compiler {
  CompileOptions options;
  bool hasOptions = false;
  treadle_compile_warning_fn warning = nullptr;
  treadle_compile_progress_fn progress = nullptr;
  void *user = nullptr;
  std::string message;
  std::string text;
};

/// Runs `body`, which returns an error, and leaves its line on the handle.
template <typename Body>
static treadle_compile_status guard(treadle_compiler *compiler, treadle_compile_status failure,
                                    Body body) {
  if (!compiler)
    return TREADLE_COMPILE_INVALID_ARGUMENT;
  try {
    compiler->message.clear();
    Error error = body();
    if (!error)
      return TREADLE_COMPILE_OK;
    compiler->message = toString(std::move(error));
  } catch (const std::exception &exception) {
    compiler->message = exception.what();
  }
  return failure;
}

//===----------------------------------------------------------------------===//
// Options
//===----------------------------------------------------------------------===//

static void setWords(const char *from, std::vector<std::string> &to) {
  if (!from)
    return;
  to.clear();
  for (StringRef part : llvm::split(StringRef(from), ','))
    to.push_back(part.str());
}

static Error setRows(const char *from, std::vector<int64_t> &to) {
  if (!from)
    return Error::success();
  to.clear();
  for (StringRef part : llvm::split(StringRef(from), ','))
    if (part.getAsInteger(10, to.emplace_back()))
      return makeError("rows: expected whole numbers, got '" + quote(part) + "'");
  return Error::success();
}

namespace {
/// An option that is text. NULL leaves its default; an empty one is no value, but what is left of a
/// variable that was never set.
struct Text {
  StringRef name;
  const char *from;
  std::string &to;
};
} // namespace

/// The options that the caller knows; the others are zero.
static Error readOptions(const treadle_compile_options *given, CompileOptions &options) {
  size_t smallest = offsetof(treadle_compile_options, config) + sizeof(given->config);
  if (!given || given->struct_size < smallest)
    return makeError("expected options with their struct_size");
  treadle_compile_options from{};
  std::memcpy(&from, given, std::min(given->struct_size, sizeof from));

  const Text texts[] = {
      {"config", from.config, options.config},
      {"weights", from.weights, options.weights},
      {"out", from.out, options.out},
      {"family", from.family, options.family},
      {"golden", from.golden, options.golden},
      {"dtype", from.dtype, options.dtype},
      {"cpu", from.cpu, options.cpu},
      {"triple", from.triple, options.triple},
      {"recurrence_form", from.recurrence_form, options.recurrenceForm},
      {"weights_mode", from.weights_mode, options.weightsMode},
      {"symbol_prefix", from.symbol_prefix, options.symbolPrefix},
      {"from", from.from, options.from},
      {"to", from.to, options.to},
      {"dump_phases", from.dump_phases, options.dumpPhases},
      {"sanitize", from.sanitize, options.sanitize},
  };
  for (const Text &text : texts) {
    if (text.from && !*text.from)
      return makeError(text.name + ": expected a value, got an empty text");
    if (text.from)
      text.to = text.from;
  }
  setWords(from.target, options.targets);
  setWords(from.gpu, options.gpus);
  setWords(from.plugins, options.plugins);
  if (from.max_context)
    options.maxContext = from.max_context;
  if (from.max_loops)
    options.maxLoops = from.max_loops;
  options.allowUnknownKeys = from.allow_unknown_keys != 0;
  options.pack = from.pack != 0;
  if (Error error = setRows(from.rows, options.rows))
    return error;
  return checkOptions(options);
}

//===----------------------------------------------------------------------===//
// Functions
//===----------------------------------------------------------------------===//

const char *treadle_compiler_version(void) { return getVersion().data(); }

treadle_compiler *treadle_compiler_create(void) { return new (std::nothrow) treadle_compiler; }

void treadle_compiler_destroy(treadle_compiler *compiler) { delete compiler; }

treadle_compile_status treadle_compiler_set_options(treadle_compiler *compiler,
                                                    const treadle_compile_options *options) {
  return guard(compiler, TREADLE_COMPILE_INVALID_ARGUMENT, [&]() -> Error {
    CompileOptions read;
    if (Error error = readOptions(options, read))
      return error;
    compiler->options = std::move(read);
    compiler->hasOptions = true;
    return Error::success();
  });
}

treadle_compile_status treadle_compiler_set_callbacks(treadle_compiler *compiler,
                                                      treadle_compile_warning_fn warning,
                                                      treadle_compile_progress_fn progress,
                                                      void *user) {
  return guard(compiler, TREADLE_COMPILE_INVALID_ARGUMENT, [&] {
    compiler->warning = warning;
    compiler->progress = progress;
    compiler->user = user;
    return Error::success();
  });
}

treadle_compile_status treadle_compiler_run(treadle_compiler *compiler) {
  if (compiler && !compiler->hasOptions)
    return guard(compiler, TREADLE_COMPILE_INVALID_ARGUMENT,
                 [] { return makeError("expected options before the run"); });
  return guard(compiler, TREADLE_COMPILE_FAILED, [&]() -> Error {
    compiler->text.clear();
    llvm::raw_string_ostream text(compiler->text);
    CompileListener listener;
    listener.text = &text;
    if (compiler->warning)
      listener.warn = [&](StringRef line) {
        compiler->warning(compiler->user, line.str().c_str());
      };
    if (compiler->progress)
      listener.progress = [&](StringRef step, double done) {
        compiler->progress(compiler->user, step.str().c_str(), done);
      };
    return compile(compiler->options, listener);
  });
}

const char *treadle_compiler_get_message(const treadle_compiler *compiler) {
  return compiler ? compiler->message.c_str() : "expected a compiler, got NULL";
}

const char *treadle_compiler_get_text(const treadle_compiler *compiler) {
  return compiler ? compiler->text.c_str() : "";
}

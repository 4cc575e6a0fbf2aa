//===- treadle-compile.cpp - Compile a model into a library ---------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "CommandLine.h"
#include "ProgressBar.h"
#include "treadle/Pipelines/Compile.h"
#include "treadle/Support/Error.h"
#include "llvm/Support/InitLLVM.h"
#include <csignal>

using namespace llvm;
using namespace treadle;

/// Exit codes: 0 done, 1 the compilation failed, 2 the command line is wrong.
enum ExitCode { exitDone = 0, exitFailed = 1, exitUsage = 2 };

static ExitCode fail(Error error, ExitCode code) {
  errs() << "treadle-compile: error: " << toString(std::move(error)) << "\n";
  return code;
}

int main(int argc, char **argv) {
  InitLLVM initialize(argc, argv);
  // A file that grows too large is an error of writing.
  std::signal(SIGXFSZ, SIG_IGN);
  Expected<CommandLine> line = parseCommandLine(ArrayRef(argv + 1, argc - 1));
  if (!line)
    return fail(line.takeError(), exitUsage);
  if (line->help) {
    printHelp(outs());
    return exitDone;
  }
  if (line->version) {
    outs() << "treadle-compile " << getVersion() << "\n";
    return exitDone;
  }
  if (Error error = checkOptions(line->compile))
    return fail(std::move(error), exitUsage);

  ProgressBar bar(line->progress && errs().is_displayed());
  CompileListener listener;
  listener.text = &outs();
  listener.progress = [&](StringRef step, double done) { bar.update(step, done); };
  listener.warn = [&](StringRef text) {
    bar.clear();
    errs() << "treadle-compile: warning: " << text << "\n";
  };
  Error error = compile(line->compile, listener);
  bar.clear();
  outs().flush();
  if (std::error_code code = outs().error()) {
    // A stream that ends with an error that nobody has seen ends the process.
    outs().clear_error();
    consumeError(std::move(error));
    error = makeError("cannot write to standard output: " + code.message());
  }
  return error ? fail(std::move(error), exitFailed) : exitDone;
}

//===- treadle-run.cpp - Run, check and measure a compiled model ----------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Actions.h"

#include <cstdio>

using namespace treadle::run;

static int run(const Options &options) {
  Library library(options);
  switch (options.action) {
  case Action::Info:
    return printInfo(library);
  case Action::Verify:
    return verify(library, options);
  case Action::SelfTest:
    return selfTest(library, options);
  case Action::Bench:
    return bench(library, options);
  case Action::Profile:
    return profile(library, options);
  case Action::Generate:
    return generate(library, options);
  }
  return 1;
}

int main(int argc, char **argv) {
  Parsed parsed = parseOptions(argc, argv);
  const int exitCode = parsed.options ? run(*parsed.options) : parsed.exitCode;
  // A full disk shows when the last of the output is written.
  if (std::fflush(stdout) || std::ferror(stdout))
    exitWithError("cannot write to standard output");
  return exitCode;
}

//===- CommandLine.h - The flags of treadle-compile -------------*- C++ -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_TOOLS_TREADLE_COMPILE_COMMANDLINE_H
#define TREADLE_TOOLS_TREADLE_COMPILE_COMMANDLINE_H

#include "treadle/Pipelines/Options.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/Support/raw_ostream.h"

namespace treadle {

struct CommandLine {
  CompileOptions compile;
  /// A bar on a terminal; `--progress=off` asks for none.
  bool progress = true;
  bool help = false;
  bool version = false;
};

/// Reads the arguments behind the program's name. The error is one line; for an
/// unknown flag it names the nearest one.
llvm::Expected<CommandLine> parseCommandLine(llvm::ArrayRef<const char *> arguments);

void printHelp(llvm::raw_ostream &os);

} // namespace treadle

#endif // TREADLE_TOOLS_TREADLE_COMPILE_COMMANDLINE_H

//===- Compile.h - The compiler as one function -----------------*- C++ -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_PIPELINES_COMPILE_H
#define TREADLE_PIPELINES_COMPILE_H

#include "treadle/Pipelines/Options.h"
#include "llvm/Support/raw_ostream.h"
#include <functional>

namespace treadle {

/// How a compilation speaks to its caller. Each may be empty.
struct CompileListener {
  /// One line that the user should see.
  std::function<void(llvm::StringRef)> warn;
  /// The step at hand, and how much of the whole is done, 0 to 1, never falling.
  std::function<void(llvm::StringRef step, double done)> progress;
  /// Takes the text of `--to` where no `out` is given.
  llvm::raw_ostream *text = nullptr;
};

/// Runs the phases that `options` ask for and writes what they make, each file
/// under a temporary name first; a failure leaves no file behind. The error is
/// one line. Any number of compilations may run at once in a process.
llvm::Error compile(const CompileOptions &options, const CompileListener &listener = {});

/// The version of this compiler, `0.1.0`.
llvm::StringRef getVersion();

} // namespace treadle

#endif // TREADLE_PIPELINES_COMPILE_H

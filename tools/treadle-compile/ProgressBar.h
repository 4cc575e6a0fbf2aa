//===- ProgressBar.h - A bar for steps that take long -----------*- C++ -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_TOOLS_TREADLE_COMPILE_PROGRESSBAR_H
#define TREADLE_TOOLS_TREADLE_COMPILE_PROGRESSBAR_H

#include "llvm/ADT/StringRef.h"
#include <chrono>

namespace treadle {

/// A line on the terminal that appears after a second and goes away at the end.
class ProgressBar {
public:
  explicit ProgressBar(bool enabled) : enabled(enabled) {}
  ~ProgressBar() { clear(); }

  /// `done` is 0 to 1.
  void update(llvm::StringRef step, double done);

  /// Takes the line away, before other text is printed.
  void clear();

private:
  using Clock = std::chrono::steady_clock;

  bool enabled;
  bool visible = false;
  Clock::time_point start = Clock::now();
  Clock::time_point drawn;
};

} // namespace treadle

#endif // TREADLE_TOOLS_TREADLE_COMPILE_PROGRESSBAR_H

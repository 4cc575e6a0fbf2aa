//===- ProgressBar.cpp - A bar for steps that take long -------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ProgressBar.h"

#include "llvm/Support/Format.h"
#include "llvm/Support/raw_ostream.h"

using namespace llvm;
using namespace treadle;

void ProgressBar::update(StringRef step, double done) {
  using namespace std::chrono_literals;
  constexpr int width = 30;
  Clock::time_point now = Clock::now();
  if (!enabled || now - start < 1s || (visible && now - drawn < 100ms))
    return;
  int filled = int(done * width);
  errs() << "\r\033[K[" << std::string(filled, '#') << std::string(width - filled, ' ') << "] "
         << format("%3d%% ", int(done * 100)) << step;
  visible = true;
  drawn = now;
}

void ProgressBar::clear() {
  if (visible)
    errs() << "\r\033[K";
  visible = false;
}

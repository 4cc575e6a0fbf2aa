//===- Waiting.cpp - A line for what takes long ---------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Waiting.h"

#include <chrono>
#include <cstdio>
#include <unistd.h>

using namespace treadle::run;

Waiting::Waiting(bool enabled, std::string what) : what(std::move(what)) {
  if (enabled && isatty(STDERR_FILENO))
    thread = std::thread([this] { run(); });
}

Waiting::~Waiting() {
  if (!thread.joinable())
    return;
  {
    std::lock_guard<std::mutex> lock(mutex);
    ended = true;
  }
  end.notify_one();
  thread.join();
}

void Waiting::run() {
  std::unique_lock<std::mutex> lock(mutex);
  for (int seconds = 1;; ++seconds) {
    if (end.wait_for(lock, std::chrono::seconds(1), [this] { return ended; })) {
      if (seconds > 1)
        std::fprintf(stderr, "\r\033[K");
      return;
    }
    std::fprintf(stderr, "\r\033[K%s, %d s", what.c_str(), seconds);
    if (done >= 0)
      std::fprintf(stderr, ", %.0f %% done", 100 * done);
  }
}

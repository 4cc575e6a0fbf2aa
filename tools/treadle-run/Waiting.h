//===- Waiting.h - A line for what takes long ----------------- -*- C++ -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_RUN_WAITING_H
#define TREADLE_RUN_WAITING_H

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

namespace treadle::run {

/// A line on the terminal that appears after a second, counts them, and goes away
/// with the object. A call into a library says nothing until it is done, so a
/// thread of its own writes the line; it sleeps otherwise.
class Waiting {
public:
  /// `what` is as in "verifying 2.4 GB of weights".
  Waiting(bool enabled, std::string what);
  ~Waiting();
  Waiting(const Waiting &) = delete;
  Waiting &operator=(const Waiting &) = delete;

  /// How much is done, 0 to 1, where that is known.
  void update(double part) { done = part; }

private:
  void run();

  const std::string what;
  std::atomic<double> done{-1};
  std::mutex mutex;
  std::condition_variable end;
  bool ended = false;
  std::thread thread;
};

} // namespace treadle::run

#endif // TREADLE_RUN_WAITING_H

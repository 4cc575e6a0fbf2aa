//===- Parallel.h - The same work on several threads ----------- -*- C++ -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_RUN_PARALLEL_H
#define TREADLE_RUN_PARALLEL_H

#include "Statistics.h"

#include <atomic>
#include <thread>
#include <vector>

namespace treadle::run {

/// Calls work(0) ... work(threads - 1), each on a thread of its own, the caller's among them.
/// Returns the seconds from when all of them stand ready until the last is done.
template <typename Work>
double secondsOnThreads(unsigned threads, const Work &work) {
  std::atomic<unsigned> ready{0}, done{0};
  std::atomic<bool> go{false};
  std::vector<std::thread> others;
  for (unsigned i = 1; i < threads; ++i)
    others.emplace_back([&, i] {
      ++ready;
      while (!go)
        std::this_thread::yield();
      work(i);
      ++done;
    });
  while (ready + 1 < threads)
    std::this_thread::yield();
  double start = now();
  go = true;
  work(0u);
  while (done + 1 < threads)
    std::this_thread::yield();
  double elapsed = now() - start;
  for (std::thread &other : others)
    other.join();
  return elapsed;
}

} // namespace treadle::run

#endif // TREADLE_RUN_PARALLEL_H

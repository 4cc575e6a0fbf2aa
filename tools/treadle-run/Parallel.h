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

#include <algorithm>
#include <atomic>
#include <chrono>
#include <sched.h>
#include <thread>
#include <vector>

namespace treadle::run {

/// Keeps the calling thread on one of the processors that it may use while it lives. The
/// kernel leaves threads that are new, or yield to each other, on one processor for
/// milliseconds though another is idle.
class OnProcessor {
public:
  explicit OnProcessor(unsigned index) {
    CPU_ZERO(&allowed);
    sched_getaffinity(0, sizeof(allowed), &allowed);
    int left = static_cast<int>(index) % std::max(CPU_COUNT(&allowed), 1);
    for (int processor = 0; processor < CPU_SETSIZE; ++processor)
      if (CPU_ISSET(processor, &allowed) && left-- == 0) {
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(processor, &one);
        sched_setaffinity(0, sizeof(one), &one);
      }
  }
  ~OnProcessor() { sched_setaffinity(0, sizeof(allowed), &allowed); }
  OnProcessor(const OnProcessor &) = delete;
  OnProcessor &operator=(const OnProcessor &) = delete;

private:
  cpu_set_t allowed;
};

/// Calls work(0) ... work(threads - 1), each on a thread and, as far as they go, a processor
/// of its own, the caller's among them. Returns the seconds from when all of them stand ready
/// until the last is done.
template <typename Work>
double secondsOnThreads(unsigned threads, const Work &work) {
  // A team that waits for its next call looks for it for some 300 us, then sleeps.
  if (threads > 1)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  std::atomic<unsigned> ready{0}, done{0};
  std::atomic<bool> go{false};
  std::vector<std::thread> others;
  for (unsigned i = 1; i < threads; ++i)
    others.emplace_back([&, i] {
      OnProcessor own(i);
      ++ready;
      while (!go)
        std::this_thread::yield();
      work(i);
      ++done;
    });
  OnProcessor own(0);
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

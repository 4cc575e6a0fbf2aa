//===- Measure.cpp - Timing a session's work ------------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Measure.h"

#include <algorithm>
#include <cstring>
#include <fstream>

using namespace treadle::run;

size_t treadle::run::bandwidthBytes(double bytes) {
  const double largest = 1 << 30;
  return static_cast<size_t>(std::min(bytes, largest));
}

//===----------------------------------------------------------------------===//
// TokenWork
//===----------------------------------------------------------------------===//

static std::vector<int32_t> makeIds(const Library &library, uint64_t count) {
  std::vector<int32_t> ids(count);
  uint32_t random = 1;
  for (int32_t &id : ids) {
    random = random * 1664525 + 1013904223; // Numerical Recipes
    id = static_cast<int32_t>((random >> 8) % library.info().token_count);
  }
  return ids;
}

TokenWork::TokenWork(const Library &library, Session &session, Kind kind,
                     uint64_t first, uint64_t tokens)
    : session(session), kind(kind), logits(library.info().vocab_size) {
  std::vector<int32_t> all = makeIds(library, first + tokens);
  ids.assign(all.begin() + static_cast<std::ptrdiff_t>(first), all.end());
  session.reset();
  if (first) {
    session.forward(all.data(), first, TREADLE_LOGITS_NONE, nullptr, 0);
    mark = session.checkpoint();
  }
  const std::vector<uint64_t> before =
      session.counters(library.info().entry_count);
  double start = now();
  work([] {});
  secondsOfRound = now() - start;
  noteCalls(library, before);
}

/// Which entry points were called since `before` is the runtime's choice (Forward.c).
void TokenWork::noteCalls(const Library &library,
                          const std::vector<uint64_t> &before) {
  const std::vector<treadle_entry_info> entries = library.entries();
  const std::vector<uint64_t> after = session.counters(entries.size());
  for (size_t i = 0; i < entries.size(); ++i)
    if (after[i] != before[i]) {
      mostThreads =
          std::max(mostThreads, static_cast<unsigned>(entries[i].threads));
      mostScratch = std::max(mostScratch, entries[i].arena_bytes);
    }
}

void TokenWork::rewind() {
  if (mark.empty())
    session.reset();
  else
    session.rollback(mark);
}

template <typename Each> void TokenWork::work(const Each &each) {
  const size_t step = kind == Prefill ? ids.size() : 1;
  for (size_t i = 0; i < ids.size(); i += step) {
    session.forward(ids.data() + i, step, TREADLE_LOGITS_LAST, logits.data(),
                    logits.size());
    each();
  }
}

void TokenWork::warmUp() {
  const double longest = 0.1;
  if (secondsOfRound > longest)
    return;
  rewind();
  work([] {});
}

double TokenWork::sample() {
  const double least = 2e-3;
  double elapsed = 0;
  roundsOfSample = 0;
  for (; elapsed < least; ++roundsOfSample) {
    rewind();
    double start = now();
    work([] {});
    elapsed += now() - start;
  }
  return elapsed / static_cast<double>(roundsOfSample);
}

uint64_t TokenWork::hashLogits() {
  uint64_t hash = UINT64_C(0xcbf29ce484222325);
  rewind();
  work([&] {
    for (float logit : logits) {
      unsigned char bytes[sizeof(logit)];
      std::memcpy(bytes, &logit, sizeof(logit));
      for (unsigned char byte : bytes)
        hash = (hash ^ byte) * UINT64_C(0x100000001b3);
    }
  });
  return hash;
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

uint64_t treadle::run::peakMemory() {
  std::ifstream status("/proc/self/status");
  const std::string key = "VmHWM:";
  for (std::string word; status >> word;)
    if (uint64_t kilobytes; word == key && status >> kilobytes)
      return kilobytes * 1024;
  return 0;
}

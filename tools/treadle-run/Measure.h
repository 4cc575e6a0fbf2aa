//===- Measure.h - Timing a session's work --------------------- -*- C++ -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_RUN_MEASURE_H
#define TREADLE_RUN_MEASURE_H

#include "Library.h"
#include "Statistics.h"

#include <string>
#include <vector>

namespace treadle::run {

/// A model of gigabytes is measured less often: no further round begins after so
/// many seconds, unless there have been too few for a median.
constexpr double longestSeconds = 60;
enum { fewestRepeats = 5 };

/// A ceiling that spreads wider than this says nothing (another load on the machine).
constexpr double widestSpread = 0.15;

/// What read bandwidth is measured over: as much as the work reads, unless that is far
/// beyond every cache.
size_t bandwidthBytes(double bytes);

/// Decodes tokens one by one from a position, or runs them from an empty session in
/// one call, as often as is asked. Which ids these are makes no difference.
class TokenWork {
public:
  enum Kind { Decode, Prefill };

  /// Runs everything once, so that pages are touched and threads awake.
  TokenWork(const Library &library, Session &session, Kind kind, uint64_t first,
            uint64_t tokens);

  /// Runs everything once, not timed, where that is short: what else was measured has
  /// taken the caches, and a token would be charged for what it finds there otherwise.
  /// Long work has them back after its first tokens.
  void warmUp();

  /// Seconds of the work, which is repeated until the clock can tell; going back to
  /// the first position is not counted.
  double sample();

  /// FNV-1a over the bits of the logits of every decoded token, of prefill the last:
  /// equal on equal hardware.
  uint64_t hashLogits();

  uint64_t tokens() const { return ids.size(); }

  /// Threads that its calls run on at most, and scratch memory that they need.
  unsigned threads() const { return mostThreads; }
  uint64_t scratchBytes() const { return mostScratch; }

  /// How often the last sample ran everything.
  size_t rounds() const { return roundsOfSample; }

private:
  void rewind();
  void noteCalls(const Library &library, const std::vector<uint64_t> &before);
  /// `each` is called behind each row of logits.
  template <typename Each> void work(const Each &each);

  Session &session;
  Kind kind;
  std::vector<int32_t> ids;
  std::vector<float> logits;
  std::vector<unsigned char> mark; ///< of the first position; empty: none
  unsigned mostThreads = 1;
  uint64_t mostScratch = 0;
  double secondsOfRound = 0;
  size_t roundsOfSample = 0;
};

/// The most memory that this process has had, in bytes; 0 where the system does not say.
uint64_t peakMemory();

} // namespace treadle::run

#endif // TREADLE_RUN_MEASURE_H

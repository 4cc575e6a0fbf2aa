//===- StageTimes.h - Where the time of work goes ------------- -*- C++ -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_RUN_STAGETIMES_H
#define TREADLE_RUN_STAGETIMES_H

#include "Library.h"
#include "Measure.h"
#include "Traffic.h"

namespace treadle::run {

/// What one run of a stage needs: an element of "stages" of the library's fact "work"
/// (lib/Pipelines/WorkFacts.h).
struct StageNeeds {
  std::string name;
  double weightBytes, stateBytes; ///< of a run
  double rowBytes;                ///< of each row
  double keyBytes;                ///< of each key that it attends to
  double flops;                   ///< of each row
  double keyFlops;                ///< of each row and key
};

/// The distinct stages of a library, and which of them an entry point runs.
class StageTable {
public:
  /// Exits with an error where the library does not say.
  explicit StageTable(const Library &library);

  const std::vector<StageNeeds> &stages() const { return needs; }
  size_t indexOf(size_t entry, int32_t stage) const {
    return indices.at(entry).at(static_cast<size_t>(stage));
  }

private:
  std::vector<StageNeeds> needs;
  std::vector<std::vector<size_t>> indices;
};

/// What all runs of a stage in some work took and need; of stages that do not run, nothing.
struct StageTotal {
  double calls = 0;
  double bytes = 0; ///< of weights and states
  double activationBytes =
      0;            ///< and of append rows that are not attended to, and tables
  double flops = 0; ///< of matrices and attention
  std::vector<double> seconds; ///< of each sample, with the waits
  std::vector<double> waits;   ///< for other threads, right behind
};

/// Takes the times between the marks that a session makes while it does some work.
class StageTimes {
public:
  StageTimes(const Library &library, const StageTable &table,
             const Traffic &traffic, TokenWork::Kind kind, uint64_t first,
             uint64_t tokens);

  /// One sample of the work on that session, with marks.
  void sample(Session &session, TokenWork &work);

  const std::vector<StageTotal> &totals() const { return stages; }
  /// Seconds of the samples, stages and all else.
  const std::vector<double> &seconds() const { return elapsed; }

private:
  struct Mark {
    double time;
    size_t entry;
    int32_t stage;
  };
  /// The tokens of one call of an entry point.
  struct Call {
    double rows = 0;
    double keys = 0;  ///< rows of append states that it attends to
    double pairs = 0; ///< of a row and a key
  };
  static void note(void *context, size_t entry, int32_t stage);
  void digest(size_t rounds);
  Call nextCall(size_t entry);
  void addNeeds(size_t stage, const Call &call, double share);

  const StageTable &table;
  const std::vector<treadle_entry_info> entries;
  const uint64_t period, first, tokens;
  const double lead;
  const TokenWork::Kind kind;
  const double markSeconds; ///< what a mark takes, part of what it begins
  uint64_t done = 0;        ///< tokens of the present round
  std::vector<Mark> marks;
  std::vector<StageTotal> stages;
  std::vector<double> elapsed;
};

} // namespace treadle::run

#endif // TREADLE_RUN_STAGETIMES_H

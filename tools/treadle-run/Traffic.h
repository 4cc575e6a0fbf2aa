//===- Traffic.h - Bytes and operations that work needs -------- -*- C++ -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What work is measured by. Bytes: each needed weight once, of an embedding that is
// not the head as well one row, live rows of keys and values, fixed states read and
// written. Operations: matrices and attention, the head for the rows asked for. What
// a library does beyond that, it does in vain.
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_RUN_TRAFFIC_H
#define TREADLE_RUN_TRAFFIC_H

#include "Library.h"

#include <set>
#include <string>

namespace treadle::run {

/// What one entry point needs.
struct EntryCounts {
  double weightBytes = 0;  ///< of a call
  double flops = 0;        ///< operations of matrices, a row
  double loopFlops = 0;    ///< more of these for each pass of the loop
  double keyFlops = 0;     ///< operations of attention, a row and key
  double loopKeyFlops = 0; ///< more of these for each pass of the loop
};

/// What the entry points need: "work" among the library's facts, an object of the fields
/// below, in snake case (lib/Pipelines/WorkFacts.h).
struct Counts {
  /// A library that does not say needs all its weights for each token, attends to all its
  /// append states, and does unknown operations.
  explicit Counts(const Library &library);

  double tokenWeightBytes = 0; ///< of a row and its logits
  bool operations = false;     ///< are these known?
  EntryCounts forward, head, open, close;
  /// Append states that attention reads whole. Of others a token reads a row and
  /// writes one.
  std::set<std::string> attended;
};

/// Bytes and operations of tokens at `first` ... `first + tokens - 1`, each run alone
/// with its logits, or all together with the logits of the last.
class Traffic {
public:
  Traffic(const Library &library, const Counts &counts, int32_t loops)
      : library(library), counts(counts), loops(loops) {}

  /// Mean bytes of states for each token.
  double stateBytes(uint64_t first, uint64_t tokens) const;

  /// All bytes of the turns that run on the way. A period that begins at `first` has
  /// been opened by them only if `first` is 0.
  double turnBytes(uint64_t first, uint64_t tokens) const;

  /// Operations of `tokens` tokens from an empty session in one call.
  double prefillFlops(uint64_t tokens) const;

  /// Rows of append states in front of the tokens'.
  double lead() const;

  /// The first position for `tokens` tokens at `context` or, where a turn would
  /// run among them, right before it.
  uint64_t placeFor(uint64_t context, uint64_t tokens) const;

private:
  double rowsOf(treadle_entry_kind kind) const;

  const Library &library;
  const Counts &counts;
  int32_t loops;
};

} // namespace treadle::run

#endif // TREADLE_RUN_TRAFFIC_H

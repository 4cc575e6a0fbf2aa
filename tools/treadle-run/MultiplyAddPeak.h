//===- MultiplyAddPeak.h - Fused multiply-adds per second ------*- C++ -*--===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_RUN_MULTIPLYADDPEAK_H
#define TREADLE_RUN_MULTIPLYADDPEAK_H

#include "Statistics.h"

#include <cstddef>
#include <vector>

namespace treadle::run {

/// What a kernel multiplies with: f32 fused multiply-adds, or for bf16 weights, where the
/// processor has it, the dot product of pairs (vdpbf16ps).
enum class MultiplyAdd { f32, bf16Pairs };

/// The multiply-adds that threads can do, on the widest vectors that the processor has:
/// enough independent chains to fill the pipelines, no memory.
class MultiplyAddPeak {
public:
  explicit MultiplyAddPeak(MultiplyAdd kind = MultiplyAdd::f32,
                           unsigned threads = 1)
      : kind(kind), threads(threads) {}

  /// `bf16Pairs` where this processor has it, f32 elsewhere.
  static MultiplyAdd kindForBF16();

  /// Takes one sample, of some milliseconds.
  void sample();

  /// Floating-point operations per second; a multiply-add counts two.
  Summary flopsPerSecond() const { return summarize(samples); }

private:
  MultiplyAdd kind;
  unsigned threads;
  size_t rounds = 1; ///< that took long enough last time
  std::vector<double> samples;
};

} // namespace treadle::run

#endif // TREADLE_RUN_MULTIPLYADDPEAK_H

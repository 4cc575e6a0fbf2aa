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

#include <vector>

namespace treadle::run {

/// The f32 fused multiply-adds that one thread can do, on the widest vectors that the
/// processor has: enough independent chains to fill the pipelines, no memory.
class MultiplyAddPeak {
public:
  /// Takes one sample.
  void sample();

  /// Floating-point operations per second; a multiply-add counts two.
  Summary flopsPerSecond() const { return summarize(samples); }

private:
  std::vector<double> samples;
};

} // namespace treadle::run

#endif // TREADLE_RUN_MULTIPLYADDPEAK_H

//===- Statistics.h - Medians and spreads --------------------- -*- C++ -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_RUN_STATISTICS_H
#define TREADLE_RUN_STATISTICS_H

#include <chrono>
#include <vector>

namespace treadle::run {

/// `spread` is (90th percentile - 10th percentile) / median.
struct Summary {
  double median;
  double spread;
};

/// `samples` is not empty.
Summary summarize(std::vector<double> samples);

/// Seconds since some fixed time.
inline double now() {
  return std::chrono::duration<double>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

} // namespace treadle::run

#endif // TREADLE_RUN_STATISTICS_H

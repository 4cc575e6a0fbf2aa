//===- ReadBandwidth.h - How fast this machine reads ---------- -*- C++ -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_RUN_READBANDWIDTH_H
#define TREADLE_RUN_READBANDWIDTH_H

#include "Statistics.h"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace treadle::run {

/// Reads a buffer with one, two, four and eight streams side by side: which of them
/// is fastest differs by machine and by whether the buffer is in cache, and the best
/// is the ceiling that a model's reading of its weights is measured by. Several threads
/// read a part of the buffer each.
class ReadBandwidth {
public:
  /// A buffer of at most `bytes`, but 4 KiB at least, and 1 KiB for each thread.
  explicit ReadBandwidth(size_t bytes, unsigned threads = 1);

  /// Takes one sample of each kernel, in bytes per second.
  void sample();

  struct Ceiling {
    unsigned streams;
    Summary bytesPerSecond;
  };
  /// The kernel of the best median.
  Ceiling ceiling() const;

  size_t size() const { return buffer.size() * sizeof(buffer[0]); }

private:
  const unsigned threads;
  std::vector<uint64_t> buffer;
  std::vector<double> samples[4];
  size_t rounds[4] = {1, 1, 1,
                      1}; ///< that took long enough for the clock last time
};

} // namespace treadle::run

#endif // TREADLE_RUN_READBANDWIDTH_H

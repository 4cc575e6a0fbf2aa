//===- CopyBandwidth.h - How fast a GPU's memory is ------------ -*- C++ -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_RUN_COPYBANDWIDTH_H
#define TREADLE_RUN_COPYBANDWIDTH_H

#include "Statistics.h"

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace treadle::run {

/// Copies within the memory of a CUDA device, which needs no kernel of ours: what a model
/// reads there is measured by the bytes that a copy reads and writes.
class CopyBandwidth {
public:
  /// `device` and `driver` as in Options. Exits with an error where there is no such device,
  /// or too little memory for two buffers of `bytes`.
  CopyBandwidth(const std::string &device, const std::string &driver,
                size_t bytes);
  ~CopyBandwidth();

  /// Takes a sample, in bytes read and written per second.
  void sample();

  Summary bytesPerSecond() const { return summarize(samples); }
  size_t size() const { return bytes; }

private:
  struct Device;

  const size_t bytes;
  std::unique_ptr<Device> device;
  std::vector<double> samples;
  size_t rounds = 1; ///< that took long enough for the clock last time
};

} // namespace treadle::run

#endif // TREADLE_RUN_COPYBANDWIDTH_H

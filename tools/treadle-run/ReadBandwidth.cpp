//===- ReadBandwidth.cpp - How fast this machine reads --------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ReadBandwidth.h"
#include "Parallel.h"

#include <algorithm>
#include <cstring>

using namespace treadle::run;

Summary treadle::run::summarize(std::vector<double> samples) {
  std::sort(samples.begin(), samples.end());
  size_t last = samples.size() - 1;
  double median = (samples[last / 2] + samples[(last + 1) / 2]) / 2;
  double width = samples[(last * 9 + 5) / 10] - samples[(last + 5) / 10];
  return {median, width / median};
}

//===----------------------------------------------------------------------===//
// Kernels
//===----------------------------------------------------------------------===//

template <unsigned Lanes> struct VectorOf {
  typedef uint64_t Type __attribute__((vector_size(8 * Lanes)));
};

/// Two vectors of 8 * Lanes bytes a step from each stream. Adding integers costs
/// less than any load, and the sum keeps the loads from being removed.
template <unsigned Streams, unsigned Lanes>
static inline __attribute__((always_inline)) uint64_t
readStreams(const uint64_t *buffer, size_t words) {
  using Vector = typename VectorOf<Lanes>::Type;
  Vector sums[2 * Streams] = {};
  size_t length = words / Streams / (2 * Lanes) * (2 * Lanes);
  for (size_t i = 0; i < length; i += 2 * Lanes)
    for (unsigned s = 0; s < Streams; ++s) {
      Vector pair[2];
      std::memcpy(pair, buffer + s * length + i, sizeof(pair));
      sums[2 * s] += pair[0];
      sums[2 * s + 1] += pair[1];
    }
  uint64_t parts[2 * Streams * Lanes], total = 0;
  std::memcpy(parts, sums, sizeof(parts));
  for (uint64_t part : parts)
    total += part;
  return total;
}

template <unsigned Lanes>
static inline __attribute__((always_inline)) uint64_t
readWith(unsigned kernel, const uint64_t *buffer, size_t words) {
  switch (kernel) {
  case 0:
    return readStreams<1, Lanes>(buffer, words);
  case 1:
    return readStreams<2, Lanes>(buffer, words);
  case 2:
    return readStreams<4, Lanes>(buffer, words);
  default:
    return readStreams<8, Lanes>(buffer, words);
  }
}

#ifdef __x86_64__
__attribute__((target("avx512f"))) static uint64_t
readAvx512(unsigned kernel, const uint64_t *buffer, size_t words) {
  return readWith<8>(kernel, buffer, words);
}

__attribute__((target("avx2"))) static uint64_t
readAvx2(unsigned kernel, const uint64_t *buffer, size_t words) {
  return readWith<4>(kernel, buffer, words);
}
#endif

/// With the widest vectors that the processor has.
static uint64_t readBuffer(unsigned kernel, const uint64_t *buffer,
                           size_t words) {
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx512f"))
    return readAvx512(kernel, buffer, words);
  if (__builtin_cpu_supports("avx2"))
    return readAvx2(kernel, buffer, words);
#endif
  return readWith<2>(kernel, buffer, words);
}

//===----------------------------------------------------------------------===//
// Samples
//===----------------------------------------------------------------------===//

/// What every kernel reads whole: two of the widest vectors from each of eight streams. What
/// is left over would be counted and not read.
static constexpr size_t wholeWords = 8 * 2 * 8;

static size_t wordsOfThread(size_t bytes, unsigned threads) {
  size_t words = std::max<size_t>(bytes, 4096) / sizeof(uint64_t) / threads;
  return std::max(words / wholeWords, size_t(1)) * wholeWords;
}

ReadBandwidth::ReadBandwidth(size_t bytes, unsigned threads)
    : threads(threads), buffer(wordsOfThread(bytes, threads) * threads, 1) {}

void ReadBandwidth::sample() {
  // Long enough for the clock, short enough to stay interleaved with the work.
  const double least = 2e-3;
  const size_t words = buffer.size() / threads;
  for (unsigned kernel = 0; kernel < 4; ++kernel) {
    std::atomic<uint64_t> sink{0};
    auto read = [&](unsigned thread) {
      uint64_t sum = 0;
      for (size_t i = 0; i < rounds[kernel]; ++i) {
        sum += readBuffer(kernel, buffer.data() + thread * words, words);
        asm volatile("" ::: "memory"); // the next round reads anew
      }
      sink += sum;
    };
    double elapsed = secondsOnThreads(threads, read);
    for (; elapsed < least; elapsed = secondsOnThreads(threads, read))
      rounds[kernel] *= 2;
    double bytes = static_cast<double>(rounds[kernel] * words * threads *
                                       sizeof(uint64_t));
    samples[kernel].push_back(bytes / elapsed);
  }
}

ReadBandwidth::Ceiling ReadBandwidth::ceiling() const {
  Ceiling best = {0, {0, 0}};
  for (unsigned kernel = 0; kernel < 4; ++kernel)
    if (Summary summary = summarize(samples[kernel]);
        summary.median > best.bytesPerSecond.median)
      best = {1u << kernel, summary};
  return best;
}

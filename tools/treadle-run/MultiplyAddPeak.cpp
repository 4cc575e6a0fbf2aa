//===- MultiplyAddPeak.cpp - Fused multiply-adds per second ---------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "MultiplyAddPeak.h"
#include "Parallel.h"

#ifdef __x86_64__
#include <immintrin.h>
#endif

using namespace treadle::run;

/// More chains than latency x throughput of any current core needs, fewer than its registers.
enum { chains = 12, roundsPerSample = 100000 };

template <unsigned Lanes> struct FloatsOf {
  typedef float Type __attribute__((vector_size(4 * Lanes)));
};

/// Returns the operations that it did; `sink` keeps the sums from being removed. Compilers make one
/// fused instruction of a product and a sum in one expression.
template <unsigned Lanes>
static inline __attribute__((always_inline)) double
multiplyAdd(volatile float &sink) {
  using Vector = typename FloatsOf<Lanes>::Type;
  Vector sums[chains] = {}, factor = {}, step = {};
  factor += 0.5f;
  step += 1.0f;
  for (int chain = 0; chain < chains; ++chain)
    sums[chain][0] =
        static_cast<float>(chain); // all different, or they would be one
  for (size_t round = 0; round < roundsPerSample; ++round)
#pragma GCC unroll 12
    for (int chain = 0; chain < chains; ++chain)
      sums[chain] = sums[chain] * factor + step;
  float total = 0;
  for (Vector sum : sums)
    total += sum[0];
  sink = total;
  return 2.0 * Lanes * chains * roundsPerSample;
}

#ifdef __x86_64__
__attribute__((target("avx512f"))) static double
multiplyAddAvx512(volatile float &sink) {
  return multiplyAdd<16>(sink);
}
__attribute__((target("avx2,fma"))) static double
multiplyAddAvx2(volatile float &sink) {
  return multiplyAdd<8>(sink);
}
#endif

#ifdef __x86_64__
__attribute__((target("avx512f,avx512bw,avx512bf16"))) static double
multiplyPairs(volatile float &sink) {
  __m512 sums[chains];
  for (int chain = 0; chain < chains; ++chain)
    sums[chain] = _mm512_set1_ps(static_cast<float>(chain));
  const __m512bh factor = (__m512bh)_mm512_set1_epi16(0x3f00); // 0.5
  const __m512bh step = (__m512bh)_mm512_set1_epi16(0x3f80);   // 1.0
  for (size_t round = 0; round < roundsPerSample; ++round)
#pragma GCC unroll 12
    for (int chain = 0; chain < chains; ++chain)
      sums[chain] = _mm512_dpbf16_ps(sums[chain], factor, step);
  float total = 0;
  for (__m512 sum : sums)
    total += sum[0];
  sink = total;
  return 2.0 * 32 * chains * roundsPerSample;
}
#endif

static double multiplyAddWidest(volatile float &sink) {
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx512f"))
    return multiplyAddAvx512(sink);
  return multiplyAddAvx2(sink);
#else
  return multiplyAdd<4>(sink);
#endif
}

MultiplyAdd MultiplyAddPeak::kindForBF16() {
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx512bf16"))
    return MultiplyAdd::bf16Pairs;
#endif
  return MultiplyAdd::f32;
}

void MultiplyAddPeak::sample() {
  // So that another load shows, as in ReadBandwidth.
  const double least = 2e-3;
  std::atomic<double> operations{0};
  auto multiply = [&](unsigned) {
    volatile float sink = 0;
    for (size_t i = 0; i < rounds; ++i)
#ifdef __x86_64__
      operations = kind == MultiplyAdd::bf16Pairs ? multiplyPairs(sink)
                                                  : multiplyAddWidest(sink);
#else
      operations = multiplyAddWidest(sink);
#endif
  };
  double elapsed = secondsOnThreads(threads, multiply);
  for (; elapsed < least; elapsed = secondsOnThreads(threads, multiply))
    rounds *= 2;
  // Each call of each thread does as many.
  samples.push_back(operations * static_cast<double>(rounds) * threads /
                    elapsed);
}

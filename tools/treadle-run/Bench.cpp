//===- Bench.cpp - Tokens and bytes per second ----------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Actions.h"
#include "CopyBandwidth.h"
#include "Facts.h"
#include "Measure.h"
#include "MultiplyAddPeak.h"
#include "ReadBandwidth.h"
#include "Traffic.h"
#include "Waiting.h"

#include <algorithm>
#include <cstdio>
#include <optional>

using namespace treadle::run;

namespace {

enum { repeats = 15, decodeTokens = 64, prefillTokens = 512 };

/// What the machine does at best, where the model runs: the CPU with as many threads, or a
/// CUDA device, of which only the memory is measured.
class Ceilings {
public:
  Ceilings(const Library &library, const Options &options, size_t bytes,
           const TokenWork &decode, const TokenWork &prefill) {
    if (!options.device.empty() && options.device != "cpu") {
      copies.emplace(options.device, options.driver, bytes);
      return;
    }
    reads.emplace(bytes, decode.threads());
    peak.emplace(storesBF16(library) ? MultiplyAddPeak::kindForBF16()
                                     : MultiplyAdd::f32,
                 prefill.threads());
  }

  bool onDevice() const { return copies.has_value(); }
  void sampleBandwidth() { onDevice() ? copies->sample() : reads->sample(); }
  void samplePeak() {
    if (peak)
      peak->sample();
  }
  Summary bytesPerSecond() const {
    return onDevice() ? copies->bytesPerSecond()
                      : reads->ceiling().bytesPerSecond;
  }
  Summary flopsPerSecond() const { return peak->flopsPerSecond(); }

  /// How the bandwidth was measured.
  std::string describe() const {
    if (onDevice())
      return formatBytes(static_cast<double>(copies->size())) +
             ", copied within the device's memory, read and written";
    unsigned streams = reads->ceiling().streams;
    return formatBytes(static_cast<double>(reads->size())) +
           ", best of 4 kernels: " + std::to_string(streams) + " stream" +
           (streams == 1 ? "" : "s");
  }

private:
  std::optional<CopyBandwidth> copies;
  std::optional<ReadBandwidth> reads;
  std::optional<MultiplyAddPeak> peak;
};

/// Samples of one kind, in seconds.
struct Timings {
  std::vector<double> decode, prefill;
};

} // namespace

//===----------------------------------------------------------------------===//
// Report
//===----------------------------------------------------------------------===//

static void printRate(const char *name, const std::vector<double> &seconds,
                      size_t tokens) {
  Summary summary = summarize(seconds);
  double rate = static_cast<double>(tokens) / summary.median;
  char slow[32];
  std::snprintf(slow, sizeof(slow), "%.1f", rate);
  std::printf(
      "%-12s %s tokens/s  (%zu tokens, median of %zu, spread %.1f %%)\n", name,
      rate < 100 ? slow : groupDigits(static_cast<uint64_t>(rate)).c_str(),
      tokens, seconds.size(), summary.spread * 100);
}

static void printShare(double rate, const Summary &ceiling) {
  if (ceiling.spread > widestSpread)
    std::printf(
        "%-12s void: the ceiling spreads by more than %.0f %%; run again "
        "on a quiet machine\n",
        "share", widestSpread * 100);
  else
    std::printf("%-12s %.1f %% of the ceiling\n", "share",
                100 * rate / ceiling.median);
}

static void printBandwidth(const Counts &counts, const Traffic &traffic,
                           const Timings &timings, uint64_t tokens,
                           const Ceilings &ceilings) {
  const auto count = static_cast<double>(tokens);
  double states = traffic.stateBytes(0, tokens);
  double turns = traffic.turnBytes(0, tokens) / count;
  double rate = (counts.tokenWeightBytes + states + turns) * count /
                summarize(timings.decode).median;
  Summary ceiling = ceilings.bytesPerSecond();
  std::string ofTurns =
      turns > 0 ? " + " + formatBytes(turns) + " of turns" : "";
  std::printf("%-12s %.2f GB/s  (%s of weights + %s of states%s a token)\n",
              "reads", rate / 1e9, formatBytes(counts.tokenWeightBytes).c_str(),
              formatBytes(states).c_str(), ofTurns.c_str());
  std::printf("%-12s %.2f GB/s  (%s, spread %.1f %%)\n", "ceiling",
              ceiling.median / 1e9, ceilings.describe().c_str(),
              ceiling.spread * 100);
  printShare(rate, ceiling);
}

static void printOperations(double flops, const Timings &timings,
                            const Ceilings &ceilings) {
  double rate = flops / summarize(timings.prefill).median;
  std::printf("%-12s %.1f GFLOP/s  (%.3g GFLOP in matrices and attention)\n",
              "computes", rate / 1e9, flops / 1e9);
  if (ceilings.onDevice())
    return;
  Summary ceiling = ceilings.flopsPerSecond();
  std::printf("%-12s %.1f GFLOP/s  (multiply-adds, spread %.1f %%)\n",
              "ceiling", ceiling.median / 1e9, ceiling.spread * 100);
  printShare(rate, ceiling);
}

int treadle::run::bench(Library &library, const Options &options) {
  double start = now();
  library.open();
  {
    Session first(library, options);
  }
  double open = now() - start;

  Session session(library, options);
  treadle_session_info info = session.info();
  uint64_t context =
      info.context ? static_cast<uint64_t>(info.context) : UINT64_MAX;
  const Counts counts(library);
  const Traffic traffic(library, counts, info.loops);
  std::optional<Waiting> waiting;
  waiting.emplace(options.progress, "measuring");
  TokenWork prefill(library, session, TokenWork::Prefill, 0,
                    std::min<uint64_t>(prefillTokens, context));
  TokenWork decode(library, session, TokenWork::Decode, 0,
                   std::min<uint64_t>(decodeTokens, context));
  const uint64_t memory = peakMemory(); // without what the ceilings read
  Ceilings ceilings(library, options, bandwidthBytes(counts.tokenWeightBytes),
                    decode, prefill);

  // Work and ceilings take turns, so that both see the same machine.
  Timings timings;
  double begin = now();
  for (int i = 0;
       i < repeats && (i < fewestRepeats || now() - begin < longestSeconds);
       ++i) {
    waiting->update(static_cast<double>(i) / repeats);
    ceilings.sampleBandwidth();
    decode.warmUp();
    timings.decode.push_back(decode.sample());
    ceilings.samplePeak();
    prefill.warmUp();
    timings.prefill.push_back(prefill.sample());
  }
  waiting.reset();
  std::string where = options.device;
  if (!ceilings.onDevice())
    where = "threads: " + std::to_string(decode.threads()) + " to decode, " +
            std::to_string(prefill.threads()) + " to prefill";
  std::printf("%s, %d loop%s, %s\n", library.info().name, info.loops,
              info.loops == 1 ? "" : "s", where.c_str());
  printRate("decode", timings.decode, decode.tokens());
  printBandwidth(counts, traffic, timings, decode.tokens(), ceilings);
  printRate("prefill", timings.prefill, prefill.tokens());
  if (counts.operations)
    printOperations(traffic.prefillFlops(prefill.tokens()), timings, ceilings);
  std::printf(
      "%-12s %.3f ms  (model and session, before the first page is touched)\n",
      "open", open * 1e3);
  std::printf("%-12s %s  (weights in use included)\n", "peak memory",
              formatBytes(static_cast<double>(memory)).c_str());
  std::printf("%-12s %016llx\n", "logits hash",
              static_cast<unsigned long long>(decode.hashLogits()));
  return 0;
}

//===- Profile.cpp - A line for each stage --------------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Actions.h"
#include "Facts.h"
#include "Measure.h"
#include "MultiplyAddPeak.h"
#include "ReadBandwidth.h"
#include "StageTimes.h"
#include "Waiting.h"

#include <algorithm>
#include <cstdio>
#include <numeric>

using namespace treadle::run;

namespace {

enum { repeats = 15, decodeTokens = 16, prefillTokens = 512 };

/// What the machine does at best, on the threads of the work.
struct Ceilings {
  Ceilings(size_t weights, size_t activations, MultiplyAdd kind,
           unsigned threads)
      : weights(weights, threads), activations(activations, threads),
        products(kind, threads) {}

  void sample() {
    weights.sample();
    activations.sample();
    products.sample();
  }

  ReadBandwidth weights;     ///< a buffer as large as what a token reads
  ReadBandwidth activations; ///< one as large as scratch memory
  MultiplyAddPeak products;  ///< of matrices and of attention
};

/// The seconds that a stage would take at the ceilings.
struct Least {
  double memory, arithmetic;
};

} // namespace

static double median(const std::vector<double> &samples) {
  return summarize(samples).median;
}

static Least leastSeconds(const StageTotal &stage, const Ceilings &ceilings) {
  auto bandwidth = [](const ReadBandwidth &read) {
    return read.ceiling().bytesPerSecond.median;
  };
  return {stage.bytes / bandwidth(ceilings.weights) +
              stage.activationBytes / bandwidth(ceilings.activations),
          stage.flops / ceilings.products.flopsPerSecond().median};
}

//===----------------------------------------------------------------------===//
// Report
//===----------------------------------------------------------------------===//

/// 1073741824 as "1.07 G".
static std::string formatCount(double count) {
  const char *const units[] = {"", " k", " M", " G", " T"};
  size_t unit = 0;
  for (; count >= 1000 && unit < 4; ++unit)
    count /= 1000;
  char text[32];
  std::snprintf(text, sizeof(text), unit ? "%.3g%s" : "%.0f%s", count,
                units[unit]);
  return text;
}

static const char header[] =
    "   calls        us   share    wait     bytes       FLOP    GB/s  GFLOP/s "
    "ceiling  bound by    stage\n";

/// `perUnit` is 1 / the tokens that times and needs are shared by, `total` the seconds of
/// all of them.
static void printStage(const StageNeeds &needs, const StageTotal &stage,
                       const Ceilings &ceilings, double perUnit, double total) {
  const double seconds = median(stage.seconds);
  const double bytes = stage.bytes + stage.activationBytes;
  const Least least = leastSeconds(stage, ceilings);
  const double share = std::max(least.memory, least.arithmetic) / seconds;
  const double wait = median(stage.waits) / total;
  // Tiles of few rows may all be other threads': this one has passed by.
  const bool isOfOthers = share > 10;
  const char *bound = isOfOthers                        ? "others"
                      : wait > seconds / total / 2      ? "waiting"
                      : share < 0.5                     ? "overhead"
                      : least.memory < least.arithmetic ? "arithmetic"
                                                        : "memory";
  char rates[40] = "      -        -       -";
  if (!isOfOthers)
    std::snprintf(rates, sizeof(rates), "%7.1f %8.1f %5.0f %%",
                  bytes / seconds / 1e9, stage.flops / seconds / 1e9,
                  100 * share);
  std::printf("%8.6g %9.1f %5.1f %% %5.1f %% %9s %10s %s  %-11s %s\n",
              stage.calls * perUnit, seconds * perUnit * 1e6,
              100 * seconds / total, 100 * wait,
              formatBytes(bytes * perUnit).c_str(),
              formatCount(stage.flops * perUnit).c_str(), rates, bound,
              needs.name.c_str());
}

/// What stands together is of one sample, the median one.
static void printTotal(const StageTimes &times, double perUnit,
                       double unmarked) {
  const std::vector<double> &seconds = times.seconds();
  std::vector<size_t> order(seconds.size());
  std::iota(order.begin(), order.end(), size_t(0));
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return seconds[a] < seconds[b]; });
  const size_t sample = order[order.size() / 2];
  double inStages = 0, waiting = 0, bytes = 0, flops = 0;
  for (const StageTotal &stage : times.totals()) {
    inStages += stage.seconds[sample] - stage.waits[sample];
    waiting += stage.waits[sample];
    bytes += stage.bytes + stage.activationBytes;
    flops += stage.flops;
  }
  const double unit = perUnit * 1e6, total = seconds[sample];
  std::printf("%-12s %.1f us = %.1f in stages + %.1f waiting for other threads "
              "+ %.1f elsewhere; without marks %.1f us\n",
              "total", total * unit, inStages * unit, waiting * unit,
              (total - inStages - waiting) * unit, unmarked * unit);
  std::printf("%-12s %s and %sFLOP\n", "needs",
              formatBytes(bytes * perUnit).c_str(),
              (formatCount(flops * perUnit) + " ").c_str());
}

static void printCeilings(const Ceilings &ceilings) {
  auto printSpread = [](const Summary &summary) {
    std::printf("spread %.1f %%%s)\n", summary.spread * 100,
                summary.spread > widestSpread
                    ? ": void, run again on a quiet machine"
                    : "");
  };
  auto print = [&](const char *what, const ReadBandwidth &read) {
    Summary summary = read.ceiling().bytesPerSecond;
    std::printf("%-12s %.1f GB/s for %s  (%s, ", "ceiling",
                summary.median / 1e9, what,
                formatBytes(static_cast<double>(read.size())).c_str());
    printSpread(summary);
  };
  print("weights and states", ceilings.weights);
  print("activations", ceilings.activations);
  Summary peak = ceilings.products.flopsPerSecond();
  std::printf("%-12s %.1f GFLOP/s for matrices and attention  (", "ceiling",
              peak.median / 1e9);
  printSpread(peak);
}

//===----------------------------------------------------------------------===//
// Action
//===----------------------------------------------------------------------===//

int treadle::run::profile(Library &library, const Options &options) {
  library.open();
  const StageTable table(library);
  Session session(library, options);
  const treadle_session_info info = session.info();
  const uint64_t context =
      info.context ? static_cast<uint64_t>(info.context) : UINT64_MAX;
  const Counts counts(library);
  const Traffic traffic(library, counts, info.loops);
  const bool decoding = options.work == Work::Decode;
  const TokenWork::Kind kind =
      decoding ? TokenWork::Decode : TokenWork::Prefill;
  const uint64_t tokens = options.count.value_or(
      std::min<uint64_t>(decoding ? decodeTokens : prefillTokens, context));
  // Without a limit of the model's, that of a count of ids in memory.
  const uint64_t most = std::min<uint64_t>(context, 1 << 24);
  if (tokens > most || options.behind > most - tokens)
    exitWithError(groupDigits(tokens) + " tokens behind " +
                  groupDigits(options.behind) + " others: expected " +
                  groupDigits(most) + " at most, together");
  const uint64_t first = traffic.placeFor(options.behind, tokens);

  std::optional<Waiting> waiting;
  waiting.emplace(options.progress, "profiling");
  TokenWork work(library, session, kind, first, tokens);
  const unsigned threads = work.threads();
  Ceilings ceilings(
      bandwidthBytes(counts.tokenWeightBytes), work.scratchBytes(),
      storesBF16(library) ? MultiplyAddPeak::kindForBF16() : MultiplyAdd::f32,
      threads);
  StageTimes times(library, table, traffic, kind, first, tokens);
  std::vector<double> unmarked;
  double begin = now();
  for (int i = 0;
       i < repeats && (i < fewestRepeats || now() - begin < longestSeconds);
       ++i) {
    waiting->update(static_cast<double>(i) / repeats);
    ceilings.sample();
    work.warmUp();
    unmarked.push_back(work.sample());
    times.sample(session, work);
  }
  waiting.reset();

  std::string behind =
      decoding ? " behind " + groupDigits(first) + " others" : "";
  std::printf("%s, %d loop%s, %u thread%s: %s of %s token%s%s, %s, median of "
              "%zu\n",
              library.info().name, info.loops, info.loops == 1 ? "" : "s",
              threads, threads == 1 ? "" : "s", decoding ? "decode" : "prefill",
              groupDigits(tokens).c_str(), tokens == 1 ? "" : "s",
              behind.c_str(), decoding ? "a token" : "all of them",
              unmarked.size());
  const std::vector<StageTotal> &stages = times.totals();
  std::vector<size_t> order;
  for (size_t i = 0; i < stages.size(); ++i)
    if (stages[i].calls > 0)
      order.push_back(i);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return median(stages[a].seconds) > median(stages[b].seconds);
  });
  const double perUnit = decoding ? 1 / static_cast<double>(tokens) : 1;
  const double total = median(times.seconds());
  std::fputs(header, stdout);
  for (size_t i : order)
    printStage(table.stages()[i], stages[i], ceilings, perUnit, total);
  printTotal(times, perUnit, median(unmarked));
  printCeilings(ceilings);
  return 0;
}

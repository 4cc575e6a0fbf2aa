//===- ModelBench.cpp - One kind of work of a library, against its ceiling ===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// usage: model-bench WORK.json LIB.so --bench [option of treadle-run]...
//        model-bench ceilings THREADS
//
// WORK.json says what is measured:
//
//   {"kind": "decode" | "prefill" | "open", "context": 16, "tokens": 16, "repeats": 15}
//
// and one JSON object comes back: samples of the work, taken in turn with those of its
// ceiling, the median and spread ((p90 - p10) / median) of both, what a second's work
// needs in bytes or operations, peak memory and the hash of the logits. One work is one
// process, so that each has a peak of its own, and opening is measured from dlopen on.
// `ceilings` prints those of the machine: reading what no cache holds, multiply-adds.
//
//===----------------------------------------------------------------------===//

#include "Facts.h"
#include "Measure.h"
#include "MultiplyAddPeak.h"
#include "ReadBandwidth.h"
#include "Traffic.h"

#include <cstdio>
#include <cstdlib>
#include <fstream>

using namespace treadle::run;
using Json = nlohmann::ordered_json;

static Json describe(const Summary &summary, double unit = 1) {
  return {{"median", summary.median / unit}, {"spread", summary.spread}};
}

static const char *nameOf(MultiplyAdd kind) {
  return kind == MultiplyAdd::bf16Pairs ? "vdpbf16ps" : "fma";
}

//===----------------------------------------------------------------------===//
// Work
//===----------------------------------------------------------------------===//

/// Work and ceiling in turn; returns the seconds of the work.
template <typename Ceiling>
static std::vector<double> takeTurns(TokenWork &work, Ceiling &ceiling, int repeats) {
  std::vector<double> seconds;
  double begin = now();
  for (int i = 0; i < repeats && (i < fewestRepeats || now() - begin < longestSeconds); ++i) {
    ceiling.sample();
    work.warmUp();
    seconds.push_back(work.sample());
  }
  return seconds;
}

static Json measureTokens(Library &library, const Options &options, const nlohmann::json &wanted) {
  const bool decoding = wanted["kind"] == "decode";
  const auto tokens = wanted["tokens"].get<uint64_t>();
  const int repeats = wanted["repeats"].get<int>();
  library.open();
  Session session(library, options);
  const int32_t loops = session.info().loops;
  const Counts counts(library);
  const Traffic traffic(library, counts, loops);
  const uint64_t first = decoding ? traffic.placeFor(wanted["context"].get<uint64_t>(), tokens) : 0;
  TokenWork work(library, session, decoding ? TokenWork::Decode : TokenWork::Prefill, first,
                 tokens);
  const unsigned threads = work.threads();

  Json result = {{"name", library.info().name}, {"loops", loops}, {"threads", threads}};
  result["first"] = first;
  result["tokens"] = tokens;
  result["peak_memory"] = peakMemory(); // without what the ceiling reads
  std::vector<double> seconds;
  double needed;
  Json ceiling;
  if (decoding) {
    double states = traffic.stateBytes(first, tokens);
    double turns = traffic.turnBytes(first, tokens) / static_cast<double>(tokens);
    double bytes = counts.tokenWeightBytes + states + turns;
    ReadBandwidth bandwidth(bandwidthBytes(counts.tokenWeightBytes), threads);
    seconds = takeTurns(work, bandwidth, repeats);
    ReadBandwidth::Ceiling best = bandwidth.ceiling();
    ceiling = describe(best.bytesPerSecond, 1e9);
    ceiling["kernel"] = "reads of " + std::to_string(best.streams) + " streams";
    ceiling["bytes"] = bandwidth.size();
    result["bytes_per_token"] = {
        {"weights", counts.tokenWeightBytes}, {"states", states}, {"turns", turns}};
    needed = bytes * static_cast<double>(tokens);
    result["unit"] = "GB/s";
  } else {
    MultiplyAdd kind = storesBF16(library) ? MultiplyAddPeak::kindForBF16() : MultiplyAdd::f32;
    MultiplyAddPeak peak(kind, threads);
    seconds = takeTurns(work, peak, repeats);
    ceiling = describe(peak.flopsPerSecond(), 1e9);
    ceiling["kernel"] = nameOf(kind);
    needed = traffic.prefillFlops(tokens);
    result["flops"] = needed;
    result["unit"] = "GFLOP/s";
  }
  Summary summary = summarize(seconds);
  result["tokens_per_second"] = static_cast<double>(tokens) / summary.median;
  result["rate"] = needed / 1e9 / summary.median;
  result["spread"] = summary.spread;
  result["ceiling"] = ceiling;
  result["share"] = result["rate"].get<double>() / ceiling["median"].get<double>();
  result["void"] = ceiling["spread"].get<double>() > widestSpread;
  char hash[20];
  std::snprintf(hash, sizeof(hash), "%016llx", static_cast<unsigned long long>(work.hashLogits()));
  result["logits_hash"] = hash;
  result["seconds"] = seconds;
  return result;
}

/// One sample: what has been opened once in a process opens faster.
static Json measureOpen(const Options &options) {
  double start = now();
  Library library(options);
  library.open();
  Session session(library, options);
  double seconds = now() - start;
  return {{"name", library.info().name}, {"seconds", {seconds}}, {"peak_memory", peakMemory()}};
}

//===----------------------------------------------------------------------===//
// Ceilings
//===----------------------------------------------------------------------===//

static Json measureCeilings(unsigned threads) {
  enum { repeats = 9 };
  ReadBandwidth bandwidth(bandwidthBytes(1e18), threads);
  MultiplyAddPeak f32(MultiplyAdd::f32, threads);
  MultiplyAddPeak bf16(MultiplyAddPeak::kindForBF16(), threads);
  for (int i = 0; i < repeats; ++i) {
    bandwidth.sample();
    f32.sample();
    bf16.sample();
  }
  return {{"threads", threads},
          {"read GB/s", describe(bandwidth.ceiling().bytesPerSecond, 1e9)},
          {"f32 GFLOP/s", describe(f32.flopsPerSecond(), 1e9)},
          {"bf16 GFLOP/s", describe(bf16.flopsPerSecond(), 1e9)}};
}

int main(int argc, char **argv) {
  if (argc == 3 && std::string(argv[1]) == "ceilings") {
    const int threads = std::atoi(argv[2]);
    if (threads < 1)
      exitWithError("ceilings expects a number of threads");
    std::printf("%s\n", measureCeilings(static_cast<unsigned>(threads)).dump(2).c_str());
    return 0;
  }
  if (argc < 3)
    exitWithError("usage: model-bench WORK.json LIB.so --bench [option]...");
  std::ifstream file(argv[1]);
  auto wanted = nlohmann::json::parse(file, nullptr, false);
  if (!wanted.is_object())
    exitWithError(std::string("no object in ") + argv[1]);
  Parsed parsed = parseOptions(argc - 1, argv + 1);
  if (!parsed.options)
    return parsed.exitCode;
  Json result;
  if (wanted["kind"] == "open") {
    result = measureOpen(*parsed.options);
  } else {
    Library library(*parsed.options);
    result = measureTokens(library, *parsed.options, wanted);
  }
  std::printf("%s\n", result.dump(2).c_str());
}

//===- Bench.cpp - Tokens and bytes per second ----------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Actions.h"
#include "ReadBandwidth.h"
#include "Waiting.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>

using namespace treadle::run;

namespace {

enum { repeats = 15, decodeTokens = 64, prefillTokens = 128 };

/// A model of gigabytes is measured less often: no further round begins after so
/// many seconds, unless there have been too few for a median.
constexpr double longestSeconds = 60;
enum { fewestRepeats = 5 };

/// A ceiling that spreads wider than this says nothing (another load on the machine).
constexpr double widestSpread = 0.15;

/// A buffer of the weights' size, unless that is far beyond every cache.
constexpr uint64_t largestBuffer = UINT64_C(1) << 30;

/// Samples of one kind, in seconds.
struct Timings {
  std::vector<double> open, decode, prefill;
};

} // namespace

//===----------------------------------------------------------------------===//
// Work
//===----------------------------------------------------------------------===//

/// Any ids do: what a token costs does not depend on which it is.
static std::vector<int32_t> makeIds(const Library &library, size_t count) {
  std::vector<int32_t> ids(count);
  uint32_t random = 1;
  for (int32_t &id : ids) {
    random = random * 1664525 + 1013904223; // Numerical Recipes
    id = static_cast<int32_t>((random >> 8) % library.info().vocab_size);
  }
  return ids;
}

/// Decodes the ids one by one from an empty session.
static void decode(Session &session, const std::vector<int32_t> &ids,
                   std::vector<float> &logits) {
  session.reset();
  for (int32_t id : ids)
    session.forward(&id, 1, TREADLE_LOGITS_LAST, logits.data(), logits.size());
}

static void prefill(Session &session, const std::vector<int32_t> &ids,
                    std::vector<float> &logits) {
  session.reset();
  session.forward(ids.data(), ids.size(), TREADLE_LOGITS_LAST, logits.data(),
                  logits.size());
}

/// Seconds of one call of `work`, which is repeated until the clock can tell.
template <typename Work> static double timeOf(const Work &work) {
  const double least = 2e-3;
  size_t rounds = 0;
  double start = now(), elapsed;
  do {
    work();
    ++rounds;
    elapsed = now() - start;
  } while (elapsed < least);
  return elapsed / static_cast<double>(rounds);
}

/// FNV-1a over the bits of the logits of every token: equal on equal hardware.
static uint64_t hashLogits(Session &session, const std::vector<int32_t> &ids,
                           std::vector<float> &logits) {
  uint64_t hash = UINT64_C(0xcbf29ce484222325);
  session.reset();
  for (int32_t id : ids) {
    session.forward(&id, 1, TREADLE_LOGITS_LAST, logits.data(), logits.size());
    for (float logit : logits) {
      unsigned char bytes[sizeof(logit)];
      std::memcpy(bytes, &logit, sizeof(logit));
      for (unsigned char byte : bytes)
        hash = (hash ^ byte) * UINT64_C(0x100000001b3);
    }
  }
  return hash;
}

//===----------------------------------------------------------------------===//
// Bytes
//===----------------------------------------------------------------------===//

/// Weights that one token needs. The compiler knows: an embedding that is not the
/// head as well is one row only.
static uint64_t weightBytes(const Library &library) {
  auto facts = nlohmann::json::parse(library.info().json, nullptr, false);
  if (facts.is_object() && facts.contains("weight_bytes_per_token") &&
      facts["weight_bytes_per_token"].is_number_unsigned())
    return facts["weight_bytes_per_token"].get<uint64_t>();
  return library.info().weights_bytes;
}

/// Mean over tokens 0 ... tokens - 1: the rows that each sees; fixed and ring states
/// are read and written, unless they are left to turns.
static double statesBytes(const Library &library, uint64_t tokens,
                          int32_t loops) {
  uint64_t period = library.info().period, seen = 0;
  for (uint64_t i = 0; i < tokens; ++i)
    seen += (period ? i % period : i) + 1;
  double bytes = 0;
  for (const treadle_state_info &state : library.states()) {
    double row = static_cast<double>(stateBytes(state, 1, loops));
    if (state.kind == TREADLE_STATE_APPEND)
      bytes += row * (static_cast<double>(state.lead) +
                      static_cast<double>(seen) / static_cast<double>(tokens));
    else if (!state.by_turn)
      bytes += row * 2 * static_cast<double>(state.rows);
  }
  return bytes;
}

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

static void printBandwidth(const Library &library, const Timings &timings,
                           size_t tokens, int32_t loops,
                           const ReadBandwidth &bandwidth) {
  double weights = static_cast<double>(weightBytes(library));
  double states = statesBytes(library, tokens, loops);
  double rate = (weights + states) * static_cast<double>(tokens) /
                summarize(timings.decode).median;
  ReadBandwidth::Ceiling ceiling = bandwidth.ceiling();
  std::printf("%-12s %.2f GB/s  (%s of weights + %s of states a token)\n",
              "reads", rate / 1e9, formatBytes(weights).c_str(),
              formatBytes(states).c_str());
  std::printf("%-12s %.2f GB/s  (%s, best of 4 kernels: %u stream%s, spread "
              "%.1f %%)\n",
              "ceiling", ceiling.bytesPerSecond.median / 1e9,
              formatBytes(static_cast<double>(bandwidth.size())).c_str(),
              ceiling.streams, ceiling.streams == 1 ? "" : "s",
              ceiling.bytesPerSecond.spread * 100);
  if (ceiling.bytesPerSecond.spread > widestSpread)
    std::printf(
        "%-12s void: the ceiling spreads by more than %.0f %%; run again "
        "on a quiet machine\n",
        "share", widestSpread * 100);
  else
    std::printf("%-12s %.1f %% of the ceiling\n", "share",
                100 * rate / ceiling.bytesPerSecond.median);
}

int treadle::run::bench(Library &library, const Options &options) {
  Timings timings;
  double start = now();
  library.open();
  {
    Session first(library, options);
  }
  timings.open.push_back(now() - start);

  Session session(library, options);
  treadle_session_info info = session.info();
  uint64_t context =
      info.context ? static_cast<uint64_t>(info.context) : UINT64_MAX;
  auto decodeIds = makeIds(library, std::min<uint64_t>(decodeTokens, context));
  auto prefillIds =
      makeIds(library, std::min<uint64_t>(prefillTokens, context));
  std::vector<float> logits(library.info().vocab_size);
  ReadBandwidth bandwidth(std::min(weightBytes(library), largestBuffer));

  // Work and ceiling take turns, so that both see the same machine.
  decode(session, decodeIds, logits);
  std::optional<Waiting> waiting;
  waiting.emplace(options.progress, "measuring");
  double begin = now();
  for (int i = 0;
       i < repeats && (i < fewestRepeats || now() - begin < longestSeconds);
       ++i) {
    waiting->update(static_cast<double>(i) / repeats);
    bandwidth.sample();
    timings.decode.push_back(
        timeOf([&] { decode(session, decodeIds, logits); }));
    timings.prefill.push_back(
        timeOf([&] { prefill(session, prefillIds, logits); }));
  }
  waiting.reset();
  std::printf("%s, %d loop%s, 1 thread\n", library.info().name, info.loops,
              info.loops == 1 ? "" : "s");
  printRate("decode", timings.decode, decodeIds.size());
  printBandwidth(library, timings, decodeIds.size(), info.loops, bandwidth);
  printRate("prefill", timings.prefill, prefillIds.size());
  std::printf("%-12s %.3f ms  (model and session, before the first page is "
              "touched)\n",
              "open", timings.open[0] * 1e3);
  std::printf(
      "%-12s %016llx\n", "logits hash",
      static_cast<unsigned long long>(hashLogits(session, decodeIds, logits)));
  return 0;
}

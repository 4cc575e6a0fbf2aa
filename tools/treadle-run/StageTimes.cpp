//===- StageTimes.cpp - Where the time of work goes -----------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "StageTimes.h"
#include "Facts.h"

#include <algorithm>

using namespace treadle::run;

//===----------------------------------------------------------------------===//
// StageTable
//===----------------------------------------------------------------------===//

StageTable::StageTable(const Library &library) {
  const nlohmann::json facts = factsOf(library);
  const nlohmann::json work = facts.value("work", nlohmann::json::object());
  auto known = [&](const char *key) {
    auto found = work.is_object() ? work.find(key) : work.end();
    if (found == work.end() || !found->is_array())
      exitWithError(
          "the library does not say what its stages need; compile the "
          "model anew");
    return *found;
  };
  for (const nlohmann::json &stage : known("stages"))
    needs.push_back({stage.value("name", ""), numberIn(stage, "weight_bytes"),
                     numberIn(stage, "state_bytes"),
                     numberIn(stage, "row_bytes"), numberIn(stage, "key_bytes"),
                     numberIn(stage, "flops"), numberIn(stage, "key_flops")});
  for (const nlohmann::json &entry : known("entry_stages"))
    indices.push_back(entry.get<std::vector<size_t>>());
}

//===----------------------------------------------------------------------===//
// Marks
//===----------------------------------------------------------------------===//

/// The time between two marks with nothing in between.
static double measureMark() {
  std::vector<double> samples;
  for (int i = 0; i < 1000; ++i) {
    double start = now();
    samples.push_back(now() - start);
  }
  return summarize(samples).median;
}

StageTimes::StageTimes(const Library &library, const StageTable &table,
                       const Traffic &traffic, TokenWork::Kind kind,
                       uint64_t first, uint64_t tokens)
    : table(table), entries(library.entries()), period(library.info().period),
      first(first), tokens(tokens), lead(traffic.lead()), kind(kind),
      markSeconds(measureMark()), stages(table.stages().size()) {}

void StageTimes::note(void *context, size_t entry, int32_t stage) {
  static_cast<StageTimes *>(context)->marks.push_back({now(), entry, stage});
}

void StageTimes::sample(Session &session, TokenWork &work) {
  marks.clear();
  session.profile(note, this);
  elapsed.push_back(work.sample());
  session.profile(nullptr, nullptr);
  digest(work.rounds());
}

void StageTimes::digest(size_t rounds) {
  for (StageTotal &stage : stages) {
    stage.seconds.push_back(0);
    stage.waits.push_back(0);
  }
  const double share = 1 / static_cast<double>(rounds);
  const bool isFirst = elapsed.size() == 1; // all samples do the same
  const size_t none = stages.size();
  size_t current = none;
  Call call;
  for (size_t i = 0; i + 1 < marks.size(); ++i) {
    const double time =
        share * std::max(marks[i + 1].time - marks[i].time - markSeconds, 0.0);
    const int32_t stage = marks[i].stage;
    if (stage == TREADLE_MARK_BEGIN || stage == TREADLE_MARK_END) {
      current = none;
      if (stage == TREADLE_MARK_BEGIN)
        call = nextCall(marks[i].entry);
    } else if (stage == TREADLE_MARK_WAIT) {
      if (current != none) {
        stages[current].seconds.back() += time;
        stages[current].waits.back() += time;
      }
    } else {
      current = table.indexOf(marks[i].entry, stage);
      stages[current].seconds.back() += time;
      if (isFirst)
        addNeeds(current, call, share);
    }
  }
}

//===----------------------------------------------------------------------===//
// Needs
//===----------------------------------------------------------------------===//

/// Calls come in the order in which the runtime cuts tokens into them (Forward.c).
StageTimes::Call StageTimes::nextCall(size_t entry) {
  const auto rows = static_cast<double>(entries[entry].rows);
  const auto most = static_cast<double>(period ? period : UINT64_MAX);
  switch (entries[entry].kind) {
  case TREADLE_ENTRY_FORWARD:
    break;
  case TREADLE_ENTRY_CLOSE: {
    const double before = lead + most;
    return {rows, before + rows, rows * before + rows * (rows + 1) / 2};
  }
  case TREADLE_ENTRY_OPEN:
    return {rows, rows, rows * (rows + 1) / 2};
  default:
    return {1, 0, 0}; // a head, of the last token
  }
  if (done == tokens)
    done = 0;
  const uint64_t position = first + done;
  const uint64_t place = period ? position % period : position;
  uint64_t count = kind == TokenWork::Decode ? 1 : tokens - done;
  if (period)
    count = std::min(count, period - place);
  count = std::min<uint64_t>(count, entries[entry].rows);
  done += count;
  const auto valid = static_cast<double>(count);
  const double before = lead + static_cast<double>(place);
  return {valid, before + valid, valid * before + valid * (valid + 1) / 2};
}

void StageTimes::addNeeds(size_t stage, const Call &call, double share) {
  const StageNeeds &one = table.stages()[stage];
  StageTotal &total = stages[stage];
  total.calls += share;
  total.bytes +=
      share * (one.weightBytes + one.stateBytes + call.keys * one.keyBytes);
  total.activationBytes += share * call.rows * one.rowBytes;
  total.flops += share * (call.rows * one.flops + call.pairs * one.keyFlops);
}

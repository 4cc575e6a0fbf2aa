//===- Traffic.cpp - Bytes and operations that work needs -----------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Traffic.h"
#include "Actions.h"
#include "Facts.h"

#include <algorithm>

using namespace treadle::run;

//===----------------------------------------------------------------------===//
// Counts
//===----------------------------------------------------------------------===//

static nlohmann::json workOf(const Library &library) {
  nlohmann::json work = factsOf(library).value("work", nlohmann::json());
  return work.is_object() ? work : nlohmann::json::object();
}

static EntryCounts entryIn(const nlohmann::json &work, const char *name) {
  auto found = work.find(name);
  if (found == work.end())
    return {};
  return {numberIn(*found, "weight_bytes"), numberIn(*found, "flops"),
          numberIn(*found, "loop_flops"), numberIn(*found, "key_flops"),
          numberIn(*found, "loop_key_flops")};
}

Counts::Counts(const Library &library) {
  const nlohmann::json work = workOf(library);
  tokenWeightBytes = numberIn(work, "token_weight_bytes");
  operations = work.contains("forward");
  forward = entryIn(work, "forward");
  head = entryIn(work, "head");
  open = entryIn(work, "open");
  close = entryIn(work, "close");
  if (!work.contains("token_weight_bytes"))
    tokenWeightBytes = static_cast<double>(library.info().weights_bytes);
  if (auto names = work.find("attended");
      names != work.end() && names->is_array()) {
    for (const nlohmann::json &name : *names)
      if (name.is_string())
        attended.insert(name.get<std::string>());
  } else {
    for (const treadle_state_info &state : library.states())
      attended.insert(state.name);
  }
}

//===----------------------------------------------------------------------===//
// Bytes
//===----------------------------------------------------------------------===//

double Traffic::lead() const {
  uint64_t lead = 0;
  for (const treadle_state_info &state : library.states())
    lead = std::max(lead, state.lead);
  return static_cast<double>(lead);
}

double Traffic::rowsOf(treadle_entry_kind kind) const {
  for (const treadle_entry_info &entry : library.entries())
    if (entry.kind == kind)
      return static_cast<double>(entry.rows);
  return 0;
}

/// Positions in a period, or in the context.
static double placeIn(uint64_t position, uint64_t period) {
  return static_cast<double>(period ? position % period : position);
}

double Traffic::stateBytes(uint64_t first, uint64_t tokens) const {
  double seen = 0;
  for (uint64_t i = 0; i < tokens; ++i)
    seen += placeIn(first + i, library.info().period) + 1;
  seen /= static_cast<double>(tokens);
  double bytes = 0;
  for (const treadle_state_info &state : library.states()) {
    auto row = static_cast<double>(run::stateBytes(state, 1, loops));
    if (state.kind != TREADLE_STATE_APPEND)
      bytes += state.by_turn ? 0 : row * 2 * static_cast<double>(state.rows);
    else if (counts.attended.count(state.name))
      bytes += row * (static_cast<double>(state.lead) + seen);
    else
      bytes += row * 2;
  }
  return bytes;
}

double Traffic::turnBytes(uint64_t first, uint64_t tokens) const {
  const uint64_t period = library.info().period;
  const double openRows = rowsOf(TREADLE_ENTRY_OPEN),
               closeRows = rowsOf(TREADLE_ENTRY_CLOSE);
  if (!openRows && !closeRows)
    return 0;
  double opened = first == 0, closed = 0;
  for (uint64_t p = first + 1; period && p < first + tokens; ++p)
    if (p % period == 0)
      opened += 1, closed += 1;
  // Both attend, one to its own rows and the other to all, and write what they append. One reads
  // the states of the period before, the other writes those of the next.
  double openBytes = 0, closeBytes = 0;
  for (const treadle_state_info &state : library.states()) {
    auto row = static_cast<double>(run::stateBytes(state, 1, loops));
    if (state.kind == TREADLE_STATE_APPEND &&
        counts.attended.count(state.name)) {
      openBytes += row * openRows;
      closeBytes +=
          row * (static_cast<double>(state.lead + period) + closeRows);
    } else if (state.by_turn) {
      openBytes += row * static_cast<double>(state.rows);
      closeBytes += row * 2 * static_cast<double>(state.rows);
    }
  }
  return opened * (openBytes + counts.open.weightBytes) +
         closed * (closeBytes + counts.close.weightBytes);
}

uint64_t Traffic::placeFor(uint64_t context, uint64_t tokens) const {
  const uint64_t period = library.info().period;
  if (!period || context % period + tokens <= period)
    // A token right behind a turn would open the period.
    return period && context && context % period == 0
               ? context - std::min(tokens, context)
               : context;
  return context - context % period + period - std::min(tokens, period);
}

//===----------------------------------------------------------------------===//
// Operations
//===----------------------------------------------------------------------===//

static double rowFlops(const EntryCounts &entry, double rows, double keys,
                       double loops) {
  return rows * (entry.flops + loops * entry.loopFlops) +
         keys * (entry.keyFlops + loops * entry.loopKeyFlops);
}

/// Keys that rows at `first` ... `first + rows - 1` see together.
static double keysOf(double first, double rows) {
  return rows * first + rows * (rows + 1) / 2;
}

double Traffic::prefillFlops(uint64_t tokens) const {
  const uint64_t period = library.info().period;
  const double openRows = rowsOf(TREADLE_ENTRY_OPEN),
               closeRows = rowsOf(TREADLE_ENTRY_CLOSE);
  double flops = rowFlops(counts.head, 1, 0, loops);
  for (uint64_t first = 0; first < tokens; first += period ? period : tokens) {
    auto rows =
        static_cast<double>(std::min(tokens - first, period ? period : tokens));
    if (first)
      flops += rowFlops(counts.close, closeRows,
                        keysOf(lead() + static_cast<double>(period), closeRows),
                        loops);
    flops += rowFlops(counts.open, openRows, keysOf(0, openRows), loops);
    flops += rowFlops(counts.forward, rows, keysOf(lead(), rows), loops);
  }
  return flops;
}

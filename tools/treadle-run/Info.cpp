//===- Info.cpp - What a library says of itself ---------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Actions.h"

#include <cstdio>
#include <nlohmann/json.hpp>

using namespace treadle::run;
using Json = nlohmann::ordered_json;

std::string treadle::run::groupDigits(uint64_t value) {
  std::string digits = std::to_string(value);
  for (size_t i = digits.size(); i > 3; i -= 3)
    digits.insert(i - 3, ",");
  return digits;
}

std::string treadle::run::formatBytes(double bytes) {
  const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
  size_t unit = 0;
  for (; bytes >= 1000 && unit < 4; ++unit)
    bytes /= 1000;
  char text[32];
  std::snprintf(text, sizeof(text), unit ? "%.3g %s" : "%.0f %s", bytes,
                units[unit]);
  return text;
}

uint64_t treadle::run::stateBytes(const treadle_state_info &state,
                                  uint64_t rows, int32_t loops) {
  uint64_t row = state.pass_row_bytes
                     ? state.pass_row_bytes * static_cast<uint64_t>(loops)
                     : state.row_bytes;
  return row * rows;
}

static void printLine(const std::string &key, const std::string &value) {
  std::printf("  %-20s %s\n", key.c_str(), value.c_str());
}

//===----------------------------------------------------------------------===//
// The family's own facts
//===----------------------------------------------------------------------===//

/// A fact as a person would write it: {"entry": 2, "exit": 2} is "2 entry + 2 exit".
static std::string formatFact(const Json &fact) {
  if (fact.is_string())
    return fact.get<std::string>();
  if (fact.is_number_unsigned())
    return groupDigits(fact.get<uint64_t>());
  std::string text;
  if (fact.is_array() || fact.is_object()) {
    for (const auto &[key, item] : fact.items()) {
      if (!text.empty())
        text += fact.is_array() ? ", " : " + ";
      text += formatFact(item) + (fact.is_array() ? "" : " " + key);
    }
    return text.empty() ? "none" : text;
  }
  return fact.dump();
}

/// The facts in the order in which the compiler wrote them; the whole config and
/// what work needs are there for programs.
static void printFacts(const char *text) {
  Json facts = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!facts.is_object()) {
    printLine("facts", "not readable");
    return;
  }
  for (const auto &[key, fact] : facts.items())
    if (key != "config" && key != "work")
      printLine(key, formatFact(fact));
}

//===----------------------------------------------------------------------===//
// What every library has
//===----------------------------------------------------------------------===//

static std::string formatDigest(const uint8_t *digest) {
  std::string text;
  for (int i = 0; i < 32; ++i) {
    char digits[3];
    std::snprintf(digits, sizeof(digits), "%02x", digest[i]);
    text += digits;
  }
  return text;
}

static std::string formatWeights(const treadle_model_info &info) {
  switch (info.weights_mode) {
  case TREADLE_WEIGHTS_EMBED:
    return formatBytes(static_cast<double>(info.weights_bytes)) + ", embedded";
  case TREADLE_WEIGHTS_EXTERNAL:
    return formatBytes(static_cast<double>(info.weights_bytes)) +
           ", in a file of their own";
  default:
    return "none";
  }
}

static void printModel(const Library &library) {
  const treadle_model_info &info = library.info();
  printLine("vocabulary", groupDigits(info.token_count));
  printLine("hidden size", groupDigits(info.hidden_size));
  printLine("context",
            info.period ? "no limit, in periods of " +
                              groupDigits(info.period) + " positions"
                        : groupDigits(info.context) + " positions (config: " +
                              groupDigits(info.config_context) + ")");
  printLine("loops", "1 to " + std::to_string(info.max_loops) + " (config: " +
                         std::to_string(info.config_loops) + ")");
  std::string ends;
  for (size_t i = 0; i < info.eos_count; ++i)
    ends += (i ? ", " : "") + std::to_string(info.eos_ids[i]);
  printLine("end-of-text ids", ends.empty() ? "none" : ends);
  printLine("weights", formatWeights(info));
  printLine("abi", std::to_string(library.api().version));
  printLine("config digest", formatDigest(info.config_digest));
  printLine("library id", formatDigest(info.library_id));
}

static void printEntries(const Library &library) {
  std::printf("entry points\n");
  for (const treadle_entry_info &entry : library.entries()) {
    const char *const kinds[] = {"forward", "head", "open", "close"};
    printLine(kinds[entry.kind & 3],
              std::to_string(entry.rows) +
                  (entry.rows == 1 ? " row, " : " rows, ") +
                  formatBytes(static_cast<double>(entry.arena_bytes)) +
                  " of scratch memory");
  }
}

static std::string formatState(const treadle_state_info &state) {
  const char *const elements[] = {"f32", "bf16", "i32", "u8"};
  std::string text = elements[state.element & 3];
  std::string row = formatBytes(static_cast<double>(stateBytes(state, 1, 1)));
  if (state.kind == TREADLE_STATE_APPEND)
    text += ", append: " + row + " a token";
  else if (state.kind == TREADLE_STATE_RING)
    text += ", ring: " + std::to_string(state.rows) + " rows of " + row;
  else
    text += ", fixed: " + row;
  if (state.pass_row_bytes)
    text += " a pass";
  if (state.lead)
    text += ", " + std::to_string(state.lead) + " rows lead";
  if (state.by_turn)
    text += ", by turn";
  return text + ", " + formatBytes(static_cast<double>(state.bytes)) +
         " in all";
}

static void printStates(const Library &library) {
  std::printf("states (bytes in all are at full %s and loops)\n",
              library.info().period ? "period" : "context");
  uint64_t perToken = 0, total = 0;
  for (const treadle_state_info &state : library.states()) {
    printLine(state.name, formatState(state));
    total += state.bytes;
    if (state.kind == TREADLE_STATE_APPEND)
      perToken += stateBytes(state, 1, 1);
  }
  printLine("together", formatBytes(static_cast<double>(perToken)) +
                            " a token with 1 loop, " +
                            formatBytes(static_cast<double>(total)) +
                            " in all");
}

int treadle::run::printInfo(const Library &library) {
  std::printf("%s\n", library.info().name);
  printFacts(library.info().json);
  printModel(library);
  printEntries(library);
  printStates(library);
  return 0;
}

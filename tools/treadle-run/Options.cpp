//===- Options.cpp - The command line of treadle-run ----------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Options.h"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <limits>

using namespace treadle::run;

static const char helpText[] =
    R"(treadle-run: run, check and measure a compiled model

usage: treadle-run OUT.so --info | --verify | --selftest | --bench | --profile
       treadle-run OUT.so --ids=1,2,3 [-n 32] [options]

Actions:
  --info            what the library says of itself: model, entry points, states
  --verify          hash the weights and compare them with their digest
  --selftest        golden vectors of the reference, if the library holds some, and
                    the same bits however tokens are cut into calls
  --bench           tokens and bytes per second, against the read bandwidth of this
                    machine measured in the same run
  --profile[=decode|prefill]
                    a line for each stage of the work (default: decode): time, bytes,
                    operations, and what bounds it
  --ids=1,2,3       continue these token ids and print the new ones as they come,
                    the model's end-of-text id last

Options of --ids:
  -n N              how many tokens to generate at most (default 32); with --profile
                    how many to decode (default 16), or prefill (default 512)
  --temperature=T   0 (default): the most probable token, the lowest id among equals
  --top-k=K         keep the K most probable tokens and their equals (default 0: all)
  --top-p=P         keep the most probable tokens up to this sum (default 1: all)
  --seed=N          seed of the random draws (default 0)
  --on-full=WHAT    at the context's end: stop (default), or recompute the last
                    tokens from scratch for each new one

Options of --profile:
  --behind=N        decode behind so many tokens (default 0)

Options of --ids, --bench and --profile:
  --loops=N|config  passes of the model's loop (default 1)
  --context=N       positions to use at most (default: as many as compiled for;
                    of no effect where there is no limit)
  --threads=N       threads that may run a call together, where it is worth it
                    (default: one for each processor)

Options of --ids, --selftest and --bench:
  --device=NAME     where to run: cpu (default), or cuda for the first NVIDIA GPU,
                    cuda:1 for the second, if the library is compiled for GPUs
  --cuda-driver=FILE  the driver of a cuda device (default: libcuda.so.1)

Options of all but --info:
  --weights=FILE    packed weights; default for an OUT.so without any: OUT.weights

Others:
  --progress=auto|off  say on a terminal what takes long (default: auto)
  --help            this text

Exit codes: 0 done, 1 it failed, 2 the command line is wrong.
)";

namespace {

/// The actions that a flag belongs to, as bits.
enum Scope : unsigned {
  AllActions = ~0u,
  Opening = ~(1u << unsigned(Action::Info)), ///< the weights are read
  Generating = 1u << unsigned(Action::Generate),
  Profiling = 1u << unsigned(Action::Profile),
  Counting = Generating | Profiling,
  // A profile is compared with what the CPU can do.
  Placed = Generating | 1u << unsigned(Action::SelfTest) |
           1u << unsigned(Action::Bench),
  Running = Counting | 1u << unsigned(Action::Bench),
};

/// Whether a flag has a value: `--flag=VALUE`, or `--flag VALUE` where it must.
enum class Takes { Nothing, Value, Perhaps };

/// One flag: how it is called, what it belongs to, and what takes its value. Flags
/// without a value are handled by `apply` with an empty one. `apply` returns what
/// was expected, or "".
struct Flag {
  const char *name;
  Scope scope;
  Takes takes;
  std::function<std::string(const std::string &)> apply;
};

} // namespace

//===----------------------------------------------------------------------===//
// Values
//===----------------------------------------------------------------------===//

static bool parseInteger(const std::string &text, int64_t low, int64_t high,
                         int64_t &value) {
  if (text.empty() || std::isspace(static_cast<unsigned char>(text[0])))
    return false;
  char *end;
  errno = 0;
  value = std::strtoll(text.c_str(), &end, 10);
  return !*end && !errno && value >= low && value <= high;
}

template <typename Integer>
static std::string setInteger(const std::string &text, int64_t low,
                              Integer &to) {
  using Limits = std::numeric_limits<Integer>;
  int64_t high = sizeof(Integer) < 8 ? static_cast<int64_t>(Limits::max())
                                     : std::numeric_limits<int64_t>::max();
  int64_t value;
  if (!parseInteger(text, low, high, value))
    return "an integer from " + std::to_string(low) + " to " +
           std::to_string(high);
  to = static_cast<Integer>(value);
  return "";
}

static std::string setNumber(const std::string &text, float low, float high,
                             const char *expected, float &to) {
  char *end;
  to = std::strtof(text.c_str(), &end);
  bool whole = !text.empty() && !*end;
  return whole && to >= low && to <= high ? "" : expected;
}

static std::string setIds(const std::string &text, std::vector<int32_t> &ids) {
  const char *expected = "token ids separated by commas";
  for (size_t start = 0; start <= text.size();) {
    size_t comma = std::min(text.find(',', start), text.size());
    int64_t id;
    if (!parseInteger(text.substr(start, comma - start), 0,
                      std::numeric_limits<int32_t>::max(), id))
      return expected;
    ids.push_back(static_cast<int32_t>(id));
    start = comma + 1;
  }
  return "";
}

//===----------------------------------------------------------------------===//
// Flags
//===----------------------------------------------------------------------===//

static std::vector<Flag>
makeFlags(Options &options, std::optional<Action> &action, bool &conflict) {
  auto choose = [&action, &conflict](Action chosen) {
    conflict |= action && *action != chosen;
    action = chosen;
    return std::string();
  };
  auto chooser = [choose](Action chosen) {
    return [=](const std::string &) { return choose(chosen); };
  };
  return {
      {"--info", AllActions, Takes::Nothing, chooser(Action::Info)},
      {"--verify", AllActions, Takes::Nothing, chooser(Action::Verify)},
      {"--selftest", AllActions, Takes::Nothing, chooser(Action::SelfTest)},
      {"--bench", AllActions, Takes::Nothing, chooser(Action::Bench)},
      {"--profile", AllActions, Takes::Perhaps,
       [&options, choose](const std::string &text) -> std::string {
         choose(Action::Profile);
         options.work = text == "prefill" ? Work::Prefill : Work::Decode;
         return text.empty() || text == "decode" || text == "prefill"
                    ? ""
                    : "decode or prefill";
       }},
      {"--ids", AllActions, Takes::Value,
       [&options, choose](const std::string &text) {
         options.ids.clear();
         choose(Action::Generate);
         return setIds(text, options.ids);
       }},
      {"-n", Counting, Takes::Value,
       [&options](const std::string &text) {
         return setInteger(text, 0, options.count.emplace());
       }},
      {"--behind", Profiling, Takes::Value,
       [&options](const std::string &text) {
         return setInteger(text, 0, options.behind);
       }},
      {"--temperature", Generating, Takes::Value,
       [&options](const std::string &text) {
         return setNumber(text, 0, std::numeric_limits<float>::max(),
                          "a number that is not negative", options.temperature);
       }},
      {"--top-k", Generating, Takes::Value,
       [&options](const std::string &text) {
         return setInteger(text, 0, options.topK);
       }},
      {"--top-p", Generating, Takes::Value,
       [&options](const std::string &text) {
         return setNumber(text, 0, 1, "a number from 0 to 1", options.topP);
       }},
      {"--seed", Generating, Takes::Value,
       [&options](const std::string &text) {
         return setInteger(text, 0, options.seed);
       }},
      {"--loops", Running, Takes::Value,
       [&options](const std::string &text) -> std::string {
         if (text == "config")
           return options.loops = -1, "";
         return setInteger(text, 1, options.loops).empty()
                    ? ""
                    : "a number of passes of 1 or more, or config";
       }},
      {"--context", Running, Takes::Value,
       [&options](const std::string &text) {
         return setInteger(text, 1, options.context);
       }},
      {"--on-full", Generating, Takes::Value,
       [&options](const std::string &text) -> std::string {
         options.recompute = text == "recompute";
         return options.recompute || text == "stop" ? "" : "stop or recompute";
       }},
      {"--threads", Running, Takes::Value,
       [&options](const std::string &text) {
         return setInteger(text, 1, options.threads);
       }},
      {"--device", Placed, Takes::Value,
       [&options](const std::string &text) -> std::string {
         options.device = text;
         return text.empty() ? "a device" : "";
       }},
      {"--cuda-driver", Placed, Takes::Value,
       [&options](const std::string &text) -> std::string {
         options.driver = text;
         return text.empty() ? "a file" : "";
       }},
      {"--progress", AllActions, Takes::Value,
       [&options](const std::string &text) -> std::string {
         options.progress = text == "auto";
         return options.progress || text == "off" ? "" : "auto or off";
       }},
      {"--weights", Opening, Takes::Value,
       [&options](const std::string &text) -> std::string {
         options.weights = text;
         return text.empty() ? "a file" : "";
       }},
  };
}

/// Edit distance, to name the flag that was probably meant.
static size_t distance(const std::string &a, const std::string &b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j)
    row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      size_t change = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, change});
    }
  }
  return row[b.size()];
}

static std::string nearestFlag(const std::vector<Flag> &flags,
                               const std::string &name) {
  std::string best;
  size_t least = 4;
  for (const Flag &flag : flags)
    if (size_t d = distance(flag.name, name); d < least) {
      least = d;
      best = flag.name;
    }
  return best;
}

static const char *nameOf(Action action) {
  switch (action) {
  case Action::Info:
    return "--info";
  case Action::Verify:
    return "--verify";
  case Action::SelfTest:
    return "--selftest";
  case Action::Bench:
    return "--bench";
  case Action::Profile:
    return "--profile";
  case Action::Generate:
    return "--ids";
  }
  return "";
}

static std::string actionsOf(Scope scope) {
  switch (scope) {
  case Generating:
    return "--ids";
  case Profiling:
    return "--profile";
  case Counting:
    return "--ids or --profile";
  case Running:
    return "--ids, --bench or --profile";
  case Placed:
    return "--ids, --selftest or --bench";
  case Opening:
    return "--verify, --selftest, --bench, --profile or --ids";
  case AllActions:
    break;
  }
  return "any action";
}

static Parsed fail(const std::string &message) {
  std::fprintf(stderr, "treadle-run: error: %s\n", message.c_str());
  return {std::nullopt, 2};
}

Parsed treadle::run::parseOptions(int argc, char **argv) {
  Options options;
  std::optional<Action> action;
  bool conflict = false;
  std::vector<const Flag *> given;
  const std::vector<Flag> flags = makeFlags(options, action, conflict);
  for (int i = 1; i < argc; ++i) {
    std::string argument = argv[i];
    if (argument == "--help" || argument == "-h") {
      std::fputs(helpText, stdout);
      return {std::nullopt, 0};
    }
    if (argument.empty() || argument[0] != '-') {
      if (!options.library.empty())
        return fail("expects one library, got '" + options.library + "' and '" +
                    argument + "'");
      options.library = argument;
      continue;
    }
    size_t equals = argument.find('=');
    std::string name = argument.substr(0, equals);
    auto flag = std::find_if(flags.begin(), flags.end(),
                             [&](const Flag &f) { return name == f.name; });
    if (flag == flags.end()) {
      std::string nearest = nearestFlag(flags, name);
      return fail("unknown option '" + name + "'" +
                  (nearest.empty() ? "; see --help"
                                   : ", did you mean '" + nearest + "'?"));
    }
    std::string value;
    if (equals != std::string::npos) {
      if (flag->takes == Takes::Nothing)
        return fail(name + " takes no value");
      value = argument.substr(equals + 1);
      if (flag->takes == Takes::Perhaps && value.empty())
        return fail(name + "= needs a value; " + name + " alone needs none");
    } else if (flag->takes != Takes::Value) {
      // none
    } else if (i + 1 < argc) {
      value = argv[++i];
    } else {
      return fail(name + " needs a value");
    }
    if (std::string expected = flag->apply(value); !expected.empty())
      return fail(name + " expects " + expected + ", got '" + value + "'");
    given.push_back(&*flag);
  }
  if (options.library.empty())
    return fail("expects a library: treadle-run OUT.so --info (see --help)");
  if (!action)
    return fail("expects --info, --verify, --selftest, --bench, --profile or "
                "--ids=...");
  if (conflict)
    return fail(
        "expects one of --info, --verify, --selftest, --bench, --profile, "
        "--ids");
  for (const Flag *flag : given)
    if (!(flag->scope >> unsigned(*action) & 1))
      return fail(std::string(flag->name) + " goes with " +
                  actionsOf(flag->scope) + ", not with " + nameOf(*action));
  if (*action == Action::Profile && options.count == 0u)
    return fail("-n expects 1 token or more with --profile, got '0'");
  if (options.behind && options.work != Work::Decode)
    return fail("--behind goes with --profile=decode");
  options.action = *action;
  return {options, 0};
}

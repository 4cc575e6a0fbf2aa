//===- CommandLine.cpp - The flags of treadle-compile ---------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// One table is parser and help text. It is not llvm::cl: the linker inside the
// compiler resets every such option, and brings many of its own.
//
//===----------------------------------------------------------------------===//

#include "CommandLine.h"

#include "treadle/Support/Error.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include <functional>

using namespace llvm;
using namespace treadle;

namespace {
struct Flag {
  StringRef name;  ///< `--dtype`
  StringRef value; ///< how help calls the value; empty: a flag without one
  StringRef help;  ///< lines
  std::function<Error(StringRef)> apply;
};

struct FlagGroup {
  StringRef title;
  std::vector<Flag> flags;
};
} // namespace

//===----------------------------------------------------------------------===//
// Values
//===----------------------------------------------------------------------===//

using Apply = std::function<Error(StringRef)>;

static Apply setText(std::string &to) {
  return [&to](StringRef value) {
    to = value.str();
    return Error::success();
  };
}

static Apply setTrue(bool &to) {
  return [&to](StringRef) {
    to = true;
    return Error::success();
  };
}

static Error parseInteger(StringRef value, int64_t &to) {
  if (value.getAsInteger(10, to))
    return makeError("expected a whole number, got '" + quote(value) + "'");
  return Error::success();
}

static Apply setInteger(int64_t &to) {
  return [&to](StringRef value) { return parseInteger(value, to); };
}

static Apply setInteger(std::optional<int64_t> &to) {
  return [&to](StringRef value) { return parseInteger(value, to.emplace()); };
}

static Apply setIntegers(std::vector<int64_t> &to) {
  return [&to](StringRef value) -> Error {
    to.clear();
    for (StringRef part : split(value, ','))
      if (Error error = parseInteger(part, to.emplace_back()))
        return error;
    return Error::success();
  };
}

static Apply setWords(std::vector<std::string> &to) {
  return [&to](StringRef value) {
    to.clear();
    for (StringRef part : split(value, ','))
      to.push_back(part.str());
    return Error::success();
  };
}

static Apply addText(std::vector<std::string> &to) {
  return [&to](StringRef value) {
    to.push_back(value.str());
    return Error::success();
  };
}

static Apply setSwitch(bool &to) {
  return [&to](StringRef value) -> Error {
    if (value != "auto" && value != "off")
      return makeError("expected auto or off, got '" + quote(value) + "'");
    to = value == "auto";
    return Error::success();
  };
}

//===----------------------------------------------------------------------===//
// Flags
//===----------------------------------------------------------------------===//

static std::vector<FlagGroup> makeFlags(CommandLine &line) {
  CompileOptions &options = line.compile;
  return {
      {"Model",
       {
           {"--weights", "FILE_OR_DIR",
            "a .safetensors file, or a directory with model.safetensors or shards;\n"
            "without it the library takes weights packed later with --pack",
            setText(options.weights)},
           {"--family", "NAME", "the model's family, instead of the config's model_type",
            setText(options.family)},
           {"--allow-unknown-keys", "", "keep unknown keys of the config as metadata",
            setTrue(options.allowUnknownKeys)},
           {"--max-context", "N", "positions to compile for (default: the config's, at most 4096)",
            setInteger(options.maxContext)},
           {"--max-loops", "N", "largest trip count of a run-time loop (default: 4)",
            setInteger(options.maxLoops)},
           {"--golden", "FILE", "put the reference's vectors in, for treadle-run --selftest",
            setText(options.golden)},
       }},
      {"Code",
       {
           {"--dtype", "f32|bf16", "how weight matrices are stored (default: f32)",
            setText(options.dtype)},
           {"--target", "LIST", "devices: cpu, or cpu,cuda (default: cpu)",
            setWords(options.targets)},
           {"--cpu", "NAME", "native (default), x86-64-v3, x86-64-v4, znver4, neoverse-v1, ...",
            setText(options.cpu)},
           {"--triple", "TRIPLE", "platform, for instance aarch64-linux-gnu (default: this one)",
            setText(options.triple)},
           {"--gpu", "LIST", "GPU levels, for instance sm_80,sm_90a", setWords(options.gpus)},
           {"--rows", "LIST", "row counts of the entry points (default: 1,16,128,256)",
            setIntegers(options.rows)},
           {"--recurrence-form", "FORM",
            "auto (default), sequential or chunked, whose bits depend on how a\n"
            "sequence is cut into calls",
            setText(options.recurrenceForm)},
           {"--sanitize", "address", "instrument the emitted code", setText(options.sanitize)},
       }},
      {"Output",
       {
           {"-o", "OUT.so",
            "the library (default: CONFIG's name with .so); with --pack a name that\n"
            "ends with .weights is that of the weights themselves",
            setText(options.out)},
           {"--weights-mode", "embed|external",
            "packed weights inside the library, or in OUT.weights beside it\n"
            "(default: embed up to 64 MiB)",
            setText(options.weightsMode)},
           {"--pack", "", "write only OUT.weights, for a library compiled without weights",
            setTrue(options.pack)},
           {"--symbol-prefix", "NAME", "export NAME_treadle_model_query, to link several models",
            setText(options.symbolPrefix)},
           {"--report", "gpu",
            "print the least bytes that each entry point moves, instead of a library",
            setText(options.report)},
           {"--report-context", "N", "tokens before a decode step (default: half of the context)",
            setInteger(options.reportContext)},
           {"--progress", "auto|off", "a bar on a terminal (default: auto)",
            setSwitch(line.progress)},
       }},
      {"Phases (config, model, program, stages, kernels, binary)",
       {
           {"--to", "PHASE", "stop after a phase and print what stands there", setText(options.to)},
           {"--from", "PHASE", "CONFIG is the text of that phase, as --to prints it",
            setText(options.from)},
           {"--dump-phases", "DIR", "write every phase to a file", setText(options.dumpPhases)},
           {"--load-pass-plugin", "LIB", "add a plugin's passes at its hooks; may be repeated",
            addText(options.plugins)},
       }},
      {"Other",
       {
           {"--help", "", "this text", setTrue(line.help)},
           {"--version", "", "the version of treadle-compile", setTrue(line.version)},
       }},
  };
}

void treadle::printHelp(raw_ostream &os) {
  os << "treadle-compile: compile a language model into a shared library\n\n"
        "usage: treadle-compile CONFIG [--weights FILE_OR_DIR] [-o OUT.so] [options]\n\n"
        "CONFIG is a config file or a checkpoint directory.\n"
        "Exit codes: 0 done, 1 the compilation failed, 2 the command line is wrong.\n";
  CommandLine line;
  constexpr size_t column = 32;
  for (const FlagGroup &group : makeFlags(line)) {
    os << "\n" << group.title << ":\n";
    for (const Flag &flag : group.flags) {
      std::string left = ("  " + flag.name).str();
      if (!flag.value.empty())
        left += (flag.name == "-o" ? " " : "=") + flag.value.str();
      os << left_justify(left, column);
      if (left.size() >= column)
        os << "\n" << left_justify("", column);
      SmallVector<StringRef> lines;
      flag.help.split(lines, '\n');
      os << join(lines, "\n" + std::string(column, ' ')) << "\n";
    }
  }
}

//===----------------------------------------------------------------------===//
// Arguments
//===----------------------------------------------------------------------===//

static const Flag *findFlag(ArrayRef<FlagGroup> groups, StringRef name) {
  for (const FlagGroup &group : groups)
    for (const Flag &flag : group.flags)
      if (flag.name == name)
        return &flag;
  return nullptr;
}

static Error makeUnknownError(ArrayRef<FlagGroup> groups, StringRef name) {
  // Farther than a third of the name is no typing error.
  StringRef nearest;
  unsigned least = name.size() / 3 + 1;
  for (const FlagGroup &group : groups)
    for (const Flag &flag : group.flags)
      if (unsigned distance = name.edit_distance(flag.name); distance < least) {
        least = distance;
        nearest = flag.name;
      }
  return makeError("unknown option '" + quote(name) + "'" +
                   (nearest.empty() ? "; see --help" : "; did you mean '" + nearest + "'?"));
}

Expected<CommandLine> treadle::parseCommandLine(ArrayRef<const char *> arguments) {
  CommandLine line;
  std::vector<FlagGroup> groups = makeFlags(line);
  while (!arguments.empty()) {
    StringRef argument = arguments.consume_front();
    if (!argument.starts_with("-") || argument == "-") {
      if (!line.compile.config.empty())
        return makeError("expected one CONFIG, got '" + quote(line.compile.config) + "' and '" +
                         quote(argument) + "'");
      line.compile.config = argument.str();
      continue;
    }
    auto [name, value] = argument.split('=');
    bool hasValue = argument.contains('=');
    const Flag *flag = findFlag(groups, name);
    if (!flag)
      return makeUnknownError(groups, name);
    if (flag->value.empty() && hasValue)
      return makeError(name + ": takes no value");
    if (!flag->value.empty() && !hasValue) {
      if (arguments.empty())
        return makeError(name + ": expected a value, " + flag->value);
      value = arguments.consume_front();
    }
    if (!flag->value.empty() && value.empty())
      return makeError(name + ": expected a value, " + flag->value);
    if (Error error = flag->apply(value))
      return makeError(name + ": " + toString(std::move(error)));
  }
  return line;
}

//===- Options.h - What to compile, for what, to where ----------*- C++ -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// One struct for the tool, the C API and Python. Values that are words (dtype,
// weights mode, ...) stay text here; `checkOptions` reads them once, so that all
// callers give the same messages.
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_PIPELINES_OPTIONS_H
#define TREADLE_PIPELINES_OPTIONS_H

#include "treadle/Pipelines/Phases.h"
#include "llvm/Support/Error.h"
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace treadle {

struct CompileOptions {
  // What to compile.

  /// A config file, a checkpoint directory, or (with `from`) IR as text.
  std::string config;
  /// A .safetensors file or a directory of shards; empty: packed later.
  std::string weights;
  /// The family, instead of the config's `model_type`.
  std::string family;
  /// Unknown config keys are kept as metadata instead of refused.
  bool allowUnknownKeys = false;
  /// Golden vectors of the reference, a safetensors file; see GoldenVectors.h.
  std::string golden;

  // For what.

  /// How weight matrices are stored: `f32` or `bf16`.
  std::string dtype = "f32";
  /// Devices that the library has code for: `cpu`, and with it `cuda`.
  std::vector<std::string> targets = {"cpu"};
  /// `native` or a CPU of LLVM: `x86-64-v3`, `znver4`, `neoverse-v1`, ...
  std::string cpu = "native";
  /// The platform; empty: this one.
  std::string triple;
  /// GPU levels, with target `cuda`: `sm_80` or later.
  std::vector<std::string> gpus;
  /// Positions compiled for; nothing: those of the config, at most 4096.
  std::optional<int64_t> maxContext;
  /// Largest trip count of a run-time loop.
  int64_t maxLoops = 4;
  /// Row counts of the entry points.
  std::vector<int64_t> rows = {1, 16, 128, 256};
  /// `auto`, `sequential` or `chunked`.
  std::string recurrenceForm = "auto";
  /// `address` instruments the emitted functions; empty: none.
  std::string sanitize;

  // To where.

  /// The library, or with `to` the text; empty: see getLibraryFile.
  std::string out;
  /// `embed`, `external`, or empty: embed up to 64 MiB.
  std::string weightsMode;
  /// Write only the packed weights for a library compiled without.
  bool pack = false;
  /// Put before the library's one symbol: `NAME_treadle_model_query`.
  std::string symbolPrefix;
  /// The phase that `config` stands at the end of, for IR as input.
  std::string from;
  /// The phase to stop after; its IR goes to `out`, or to standard output.
  std::string to = "binary";
  /// A table to print instead of a library: `gpu`, the least bytes that each entry point moves.
  std::string report;
  /// Tokens before the row of a decode step, in a report; nothing: half of what there is room for.
  std::optional<int64_t> reportContext;
  /// A directory for the IR of every phase.
  std::string dumpPhases;
  /// Libraries that add passes at the hooks; see Hooks.h.
  std::vector<std::string> plugins;
};

/// Checks everything that needs no file: words, numbers, options that exclude
/// each other. The error is one line that names the option.
llvm::Error checkOptions(const CompileOptions &options);

/// Whether GPU kernels are asked for.
bool hasGPU(const CompileOptions &options);

/// A file of `dumpPhases`, by its name.
std::string getDumpFile(const CompileOptions &options, llvm::StringRef name);

/// The library that `options` ask for: `out`, or the config's name with `.so`.
std::string getLibraryFile(const CompileOptions &options);

/// The external weights: the library's name with `.weights` for `.so`. With `pack`, an `out` that
/// ends with `.weights` is that file.
std::string getWeightsFile(const CompileOptions &options);

} // namespace treadle

#endif // TREADLE_PIPELINES_OPTIONS_H

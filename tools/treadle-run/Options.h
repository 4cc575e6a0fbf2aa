//===- Options.h - The command line of treadle-run ------------ -*- C++ -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_RUN_OPTIONS_H
#define TREADLE_RUN_OPTIONS_H

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace treadle::run {

enum class Action { Info, Verify, SelfTest, Bench, Profile, Generate };

/// What Profile looks at.
enum class Work { Decode, Prefill };

struct Options {
  std::string library;
  std::string weights; ///< empty: OUT.weights beside an OUT.so that wants them
  Action action = Action::Info;

  std::vector<int32_t> ids; ///< the prompt, for Generate
  /// Tokens to generate, or to profile; none: as many as is usual.
  std::optional<uint64_t> count;
  float temperature = 0;
  int32_t topK = 0;
  float topP = 1;
  uint64_t seed = 0;

  Work work = Work::Decode; ///< for Profile
  uint64_t behind = 0;      ///< tokens before those that Profile decodes

  int32_t loops = 0;      ///< as in treadle_session_params
  bool recompute = false; ///< on_full
  int64_t context = 0;    ///< 0: the library's
  int32_t threads = 0;    ///< of the model at most; 0: one for each processor
  std::string device;     ///< empty: the CPU
  std::string driver;     ///< of the device; empty: the system's
  bool progress = true;   ///< a line on a terminal for what takes long
};

/// What to do; or the exit code if there is nothing (left) to do, because help was
/// asked for or the command line is wrong. Then it has been said why.
struct Parsed {
  std::optional<Options> options;
  int exitCode = 0;
};

Parsed parseOptions(int argc, char **argv);

} // namespace treadle::run

#endif // TREADLE_RUN_OPTIONS_H

//===- Actions.h - What treadle-run does ---------------------- -*- C++ -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_RUN_ACTIONS_H
#define TREADLE_RUN_ACTIONS_H

#include "Library.h"
#include "Options.h"

#include <string>

namespace treadle::run {

/// Each prints to standard output and returns the program's exit code.
int printInfo(const Library &library);
int verify(Library &library, const Options &options);
int selfTest(Library &library, const Options &options);
int generate(Library &library, const Options &options);
int bench(Library &library, const Options &options);
int profile(Library &library, const Options &options);

/// 920833 as "920,833".
std::string groupDigits(uint64_t value);

/// 3932160 as "3.93 MB".
std::string formatBytes(double bytes);

/// Bytes that `rows` rows of a state take in a session of `loops` passes.
uint64_t stateBytes(const treadle_state_info &state, uint64_t rows,
                    int32_t loops);

} // namespace treadle::run

#endif // TREADLE_RUN_ACTIONS_H

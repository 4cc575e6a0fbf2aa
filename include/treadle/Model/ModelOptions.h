//===- ModelOptions.h - What to compile a model for -------------*- C++ -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_MODEL_MODELOPTIONS_H
#define TREADLE_MODEL_MODELOPTIONS_H

#include "llvm/Support/Error.h"
#include <cstdint>
#include <optional>

namespace treadle {

/// How weight matrices are stored, and with them keys and values.
enum class Storage { f32, bf16 };

struct ModelOptions {
  Storage storage = Storage::f32;
  /// Positions to compile for; nothing: those of the config, at most 4096.
  std::optional<int64_t> maxContext;
  /// Largest trip count of a run-time loop. A model without one has 1.
  int64_t maxLoops = 4;
};

/// What can be said without a config. The error names the flag.
llvm::Error checkModelOptions(const ModelOptions &options);

} // namespace treadle

#endif // TREADLE_MODEL_MODELOPTIONS_H

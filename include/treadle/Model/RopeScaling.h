//===- RopeScaling.h - Rotary angles of a longer context --------*- C++ -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_MODEL_ROPESCALING_H
#define TREADLE_MODEL_ROPESCALING_H

#include "treadle/Model/ModelConfig.h"

namespace treadle {

/// Angles for a context longer than the one first trained for, `firstContext`. With w = turns of an
/// angle within the first context: w > high stays, w < low is divided by `factor`, and between them
/// u = (w - low) / (high - low) blends, u of the former.
struct RopeScaling {
  double factor, low, high;
  int64_t firstContext;

  long double scale(long double angle) const;
};

/// The config's object `rope_scaling`: the type `llama3` with its four numbers, or `default`
/// (none).
Field getRopeScalingField();

/// Checks the object. Where the config does not name it, `otherwise` holds; null stands for none.
llvm::Error completeRopeScaling(ModelConfig &config,
                                std::optional<RopeScaling> otherwise = std::nullopt);

/// What a completed config asks for.
std::optional<RopeScaling> getRopeScaling(const ConfigValues &values);

} // namespace treadle

#endif // TREADLE_MODEL_ROPESCALING_H

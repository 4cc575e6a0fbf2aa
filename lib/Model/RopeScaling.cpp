//===- RopeScaling.cpp - Rotary angles of a longer context ----------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "treadle/Model/RopeScaling.h"

#include "llvm/Support/Format.h"
#include "llvm/Support/raw_ostream.h"

using namespace treadle;

long double RopeScaling::scale(long double angle) const {
  const long double twoPi = 6.283185307179586476925286766559005768L;
  long double turns = static_cast<long double>(firstContext) * angle / twoPi;
  if (turns > high)
    return angle;
  if (turns < low)
    return angle / factor;
  long double share = (turns - low) / (static_cast<long double>(high) - low);
  return (1 - share) * angle / factor + share * angle;
}

Field treadle::getRopeScalingField() {
  return Field::object(
      "rope_scaling",
      {
          Field::choice("rope_type", {"llama3", "default"}, "how angles are scaled; default: not")
              .require(),
          Field::number("factor", 1, 1e6, "divisor of the slow angles"),
          Field::number("low_freq_factor", 1e-6, 1e6, "turns below which an angle is slow"),
          Field::number("high_freq_factor", 1e-6, 1e6, "turns above which an angle stays"),
          Field::integer("original_max_position_embeddings", 1, 1 << 24,
                         "positions within which turns are counted"),
      },
      "rotary angles for more positions than first trained for");
}

llvm::Error treadle::completeRopeScaling(ModelConfig &config,
                                         std::optional<RopeScaling> otherwise) {
  ConfigValues &values = config.values;
  if (!values.has("rope_scaling")) {
    values.set("rope_scaling", otherwise.has_value());
    if (!otherwise)
      return llvm::Error::success();
    values.set("rope_scaling/rope_type", std::string("llama3"));
    values.set("rope_scaling/factor", otherwise->factor);
    values.set("rope_scaling/low_freq_factor", otherwise->low);
    values.set("rope_scaling/high_freq_factor", otherwise->high);
    values.set("rope_scaling/original_max_position_embeddings", otherwise->firstContext);
  }
  if (!values.flag("rope_scaling") || values.choice("rope_scaling/rope_type") == "default")
    return llvm::Error::success();
  for (llvm::StringRef key :
       {"factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"})
    if (std::string path = ("rope_scaling/" + key).str(); !values.has(path))
      return config.error(path, "expected a number, got none");
  double low = values.number("rope_scaling/low_freq_factor"),
         high = values.number("rope_scaling/high_freq_factor");
  if (low >= high) {
    std::string message;
    llvm::raw_string_ostream(message)
        << llvm::format("expected more than low_freq_factor %g, got %g", low, high);
    return config.error("rope_scaling/high_freq_factor", message);
  }
  return llvm::Error::success();
}

std::optional<RopeScaling> treadle::getRopeScaling(const ConfigValues &values) {
  if (!values.flag("rope_scaling") || values.choice("rope_scaling/rope_type") == "default")
    return std::nullopt;
  return RopeScaling{values.number("rope_scaling/factor"),
                     values.number("rope_scaling/low_freq_factor"),
                     values.number("rope_scaling/high_freq_factor"),
                     values.integer("rope_scaling/original_max_position_embeddings")};
}

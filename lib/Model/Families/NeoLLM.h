//===- NeoLLM.h - NeoLLM's config, shared by its sources --------*- C++ -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_LIB_MODEL_FAMILIES_NEOLLM_H
#define TREADLE_LIB_MODEL_FAMILIES_NEOLLM_H

#include "treadle/Model/Decoder.h"

namespace treadle::neollm {

inline constexpr llvm::StringLiteral linearType = "linear_attention";
inline constexpr llvm::StringLiteral fullType = "full_attention";

inline constexpr double defaultFanRatio = 0.125;

/// Columns that come out of a FAN layer.
int64_t fanWidth(int64_t hidden, bool isPaper, double ratio);
/// How many of them are cosines.
int64_t periodicOf(int64_t width, double ratio);

/// The config, typed.
struct Config : Decoder {
  explicit Config(const ModelConfig &config);

  double offset; ///< of norm weights
  bool hasOutputGate, hasLinearFan, hasNormBias, hasTwoGPAS;
  GatedDeltaNet net;
  FanLayer fan;
  int64_t rotated; ///< columns of a head
  llvm::SmallVector<llvm::StringRef> layerTypes;
};

/// `forward` and `head`.
void build(ModuleBuilder &builder, const Config &config);

/// Names of tensors (NeoLLMTensors.cpp), as `Family` has them.
std::string getCanonicalName(llvm::StringRef name);
void infer(const NamedTensors &tensors, const ConfigValues &given, ConfigValues &found);

} // namespace treadle::neollm

#endif // TREADLE_LIB_MODEL_FAMILIES_NEOLLM_H

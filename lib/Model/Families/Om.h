//===- Om.h - Om's config, shared by its sources ----------------*- C++ -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_LIB_MODEL_FAMILIES_OM_H
#define TREADLE_LIB_MODEL_FAMILIES_OM_H

#include "treadle/Model/Blocks.h"
#include "treadle/Model/Family.h"

namespace treadle::om {

inline constexpr llvm::StringLiteral embeddingName = "embedder.weight";
inline constexpr llvm::StringLiteral headName = "proj_out.weight";

/// How the queries and keys of a pass rotate.
struct Rotary {
  Rotary(const ModelConfig &config, int64_t pass, int64_t width);

  bool isOm; ///< interleaved pairs of the first columns, positions from 1; or all in two halves
  int64_t rotated; ///< columns of a head
  double base;

  /// Angle per position of each pair, as fixed-point turns.
  llvm::SmallVector<int64_t> getTurns() const;
  bool operator<(const Rotary &other) const {
    return std::tie(isOm, rotated, base) < std::tie(other.isOm, other.rotated, other.base);
  }
};

/// The config, typed.
struct Config {
  explicit Config(const ModelConfig &config);

  int64_t numPasses() const { return dimsValue.size(); }
  /// A pass whose result is its query again.
  bool isHopfield(int64_t pass) const { return iterations[pass] > 1; }
  int64_t keyWidth(int64_t pass) const {
    return isHopfield(pass) ? dimsValue[pass] : dimsKey[pass];
  }
  double scale(int64_t pass) const;
  /// Whether each head's values are projected to `rank` before the heads are joined.
  bool hasOutProjection() const { return differential || dimsValue.back() != rank; }
  /// Width of the rows that the head reads.
  int64_t hidden() const { return dim * multiplier; }
  Ngrams ngrams() const { return {windows, padId, isDense}; }

  int64_t layers, vocabulary, paddedVocabulary, dim, dimHidden, heads, segment, stateRows, rank,
      multiplier, padId;
  llvm::SmallVector<int64_t> dimsKey, dimsValue, iterations, windows;
  OpenNumbers scales;
  llvm::SmallVector<std::optional<Rotary>> rotary; ///< one per pass
  MlpKind activation;
  bool normalize, contextual, differential, isDense, hasInner, sharesState, hasStateNorm,
      hasHeadBias, writesReversed, skipsNorm;
};

/// Keys of a member of `position_embedders`.
std::string embedderKey(int64_t pass, llvm::StringRef member = "");

/// `forward`, `open`, `close` and `head`.
void build(ModuleBuilder &builder, const Config &config);

/// Names of tensors (OmTensors.cpp), as `Family` has them.
std::string getCanonicalName(llvm::StringRef name);
std::vector<StoredForm> getStoredForms(llvm::StringRef name);
bool isRedundant(llvm::StringRef name);
void infer(const NamedTensors &tensors, const ConfigValues &given, ConfigValues &found);

} // namespace treadle::om

#endif // TREADLE_LIB_MODEL_FAMILIES_OM_H

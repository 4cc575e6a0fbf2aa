//===- Phases.h - The phases of a compilation -------------------*- C++ -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_PIPELINES_PHASES_H
#define TREADLE_PIPELINES_PHASES_H

#include "llvm/ADT/StringRef.h"
#include <optional>

namespace treadle {

/// What stands at the end of each phase: docs/Architecture.md. In order.
enum class Phase { config, model, program, stages, kernels, binary };

constexpr Phase allPhases[] = {Phase::config, Phase::model,   Phase::program,
                               Phase::stages, Phase::kernels, Phase::binary};

llvm::StringRef getPhaseName(Phase phase);
std::optional<Phase> findPhase(llvm::StringRef name);

/// Where plugins add passes.
enum class Hook {
  modelEnd,    ///< `model-end`: whole model, dynamic rows
  programEnd,  ///< `program-end`: static rows; the contract is checked behind it
  stagesBegin, ///< `stages-begin`: before ops become stages
  stagesEnd,   ///< `stages-end`: fused stages; the arena is planned behind it
};

llvm::StringRef getHookName(Hook hook);

} // namespace treadle

#endif // TREADLE_PIPELINES_PHASES_H

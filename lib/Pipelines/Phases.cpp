//===- Phases.cpp - The phases of a compilation ---------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "treadle/Pipelines/Phases.h"

#include "llvm/Support/ErrorHandling.h"

using namespace treadle;

llvm::StringRef treadle::getPhaseName(Phase phase) {
  switch (phase) {
  case Phase::config:
    return "config";
  case Phase::model:
    return "model";
  case Phase::program:
    return "program";
  case Phase::stages:
    return "stages";
  case Phase::kernels:
    return "kernels";
  case Phase::binary:
    return "binary";
  }
  llvm_unreachable("covered switch");
}

std::optional<Phase> treadle::findPhase(llvm::StringRef name) {
  for (Phase phase : allPhases)
    if (getPhaseName(phase) == name)
      return phase;
  return std::nullopt;
}

llvm::StringRef treadle::getHookName(Hook hook) {
  switch (hook) {
  case Hook::modelEnd:
    return "model-end";
  case Hook::programEnd:
    return "program-end";
  case Hook::stagesBegin:
    return "stages-begin";
  case Hook::stagesEnd:
    return "stages-end";
  }
  llvm_unreachable("covered switch");
}

//===- RuntimeFunctions.h - What emitted code may call ----------*- C++ -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_TARGET_RUNTIMEFUNCTIONS_H
#define TREADLE_TARGET_RUNTIMEFUNCTIONS_H

#include "llvm/ADT/StringRef.h"

namespace treadle {

/// By this the members of a team wait for each other.
constexpr llvm::StringLiteral barrierFunction = "treadle_barrier";

/// This launches a GPU kernel.
constexpr llvm::StringLiteral launchFunction = "treadle_launch";

/// Functions without a body that the runtime has for emitted code.
inline bool isRuntimeFunction(llvm::StringRef name) {
  return name == barrierFunction || name == launchFunction;
}

} // namespace treadle

#endif // TREADLE_TARGET_RUNTIMEFUNCTIONS_H

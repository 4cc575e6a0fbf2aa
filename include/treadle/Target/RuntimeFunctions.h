//===- RuntimeFunctions.h - What emitted code may call ----------*- C++ -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_TARGET_RUNTIMEFUNCTIONS_H
#define TREADLE_TARGET_RUNTIMEFUNCTIONS_H

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringRef.h"

namespace treadle {

/// By this the members of a team wait for each other.
constexpr llvm::StringLiteral barrierFunction = "treadle_barrier";

/// This launches a GPU kernel.
constexpr llvm::StringLiteral launchFunction = "treadle_launch";

/// The function of the runtime that tells who wants to know which stage begins, and the one that
/// waits before it does.
constexpr llvm::StringLiteral markFunction = "treadle_mark";
constexpr llvm::StringLiteral meetFunction = "treadle_meet";

/// Functions without a body that the runtime has for emitted code.
inline bool isRuntimeFunction(llvm::StringRef name) {
  return llvm::is_contained({barrierFunction, launchFunction, markFunction, meetFunction}, name);
}

} // namespace treadle

#endif // TREADLE_TARGET_RUNTIMEFUNCTIONS_H

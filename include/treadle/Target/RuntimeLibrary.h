//===- RuntimeLibrary.h - The runtime as the compiler holds it --*- C++ -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The files that an emitted library is linked from, beside the model's own
// code. They are part of the compiler, so that its users need no compiler, no
// sysroot and no libc-dev, whatever they compile for.
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_TARGET_RUNTIMELIBRARY_H
#define TREADLE_TARGET_RUNTIMELIBRARY_H

#include "llvm/ADT/StringRef.h"

#include <optional>

namespace treadle {

/// Contents of files, which live as long as the compiler.
struct RuntimeFiles {
  /// An object file of lib/Runtime, a section for each function. It defines
  /// treadle_model_query, to be exported, and hidden symbols; it leaves open
  /// what Program.h asks of the emitter.
  llvm::StringRef runtime;
  /// What it has more for libraries with GPU code.
  llvm::StringRef cuda;
  /// Shared objects without code, of soname libc.so.6 and libm.so.6, that
  /// define all that runtime and emitted code may refer to.
  llvm::StringRef libcStub;
  llvm::StringRef libmStub;
};

/// The files for an architecture as llvm::Triple::getArchName gives it, x86_64
/// or aarch64 (Linux, GNU or musl); nothing for others. If it `sanitizes`, the
/// runtime checks its memory accesses as the address sanitizer does.
std::optional<RuntimeFiles> getRuntimeFiles(llvm::StringRef architecture, bool sanitizes);

} // namespace treadle

#endif // TREADLE_TARGET_RUNTIMELIBRARY_H

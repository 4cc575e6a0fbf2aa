//===- RuntimeLibrary.cpp - The runtime as the compiler holds it ----------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "treadle/Target/RuntimeLibrary.h"

using llvm::StringRef;

// Defines <name>Begin and <name>End around a file that CMakeLists.txt builds.
#define TREADLE_EMBED(NAME, FILE)                                              \
  __asm__(".section .rodata\n"                                                 \
          ".balign 16\n"                                                       \
          ".hidden treadle_embedded_" #NAME "_begin\n"                         \
          ".globl treadle_embedded_" #NAME "_begin\n"                          \
          "treadle_embedded_" #NAME "_begin:\n"                                \
          ".incbin \"" TREADLE_RUNTIME_FILES "/" FILE "\"\n"                   \
          ".hidden treadle_embedded_" #NAME "_end\n"                           \
          ".globl treadle_embedded_" #NAME "_end\n"                            \
          "treadle_embedded_" #NAME "_end:\n"                                  \
          ".byte 0\n"                                                          \
          ".previous\n");                                                      \
  extern "C" __attribute__((visibility("hidden")))                             \
  const char treadle_embedded_##NAME##_begin[],                                \
      treadle_embedded_##NAME##_end[]

TREADLE_EMBED(x86_64_runtime, "x86_64/runtime.o");
TREADLE_EMBED(x86_64_runtime_cuda, "x86_64/cuda.o");
TREADLE_EMBED(x86_64_sanitized, "x86_64/sanitized.o");
TREADLE_EMBED(x86_64_sanitized_cuda, "x86_64/sanitized-cuda.o");
TREADLE_EMBED(x86_64_libc, "x86_64/libc.so.6");
TREADLE_EMBED(x86_64_libm, "x86_64/libm.so.6");
TREADLE_EMBED(aarch64_runtime, "aarch64/runtime.o");
TREADLE_EMBED(aarch64_runtime_cuda, "aarch64/cuda.o");
TREADLE_EMBED(aarch64_sanitized, "aarch64/sanitized.o");
TREADLE_EMBED(aarch64_sanitized_cuda, "aarch64/sanitized-cuda.o");
TREADLE_EMBED(aarch64_libc, "aarch64/libc.so.6");
TREADLE_EMBED(aarch64_libm, "aarch64/libm.so.6");

#define TREADLE_FILE(NAME)                                                     \
  StringRef(treadle_embedded_##NAME##_begin,                                   \
            treadle_embedded_##NAME##_end - treadle_embedded_##NAME##_begin)

// ARCH is an architecture, NAME the runtime for it.
#define TREADLE_FILES(ARCH, NAME)                                              \
  treadle::RuntimeFiles {                                                      \
    TREADLE_FILE(NAME), TREADLE_FILE(NAME##_cuda), TREADLE_FILE(ARCH##_libc),  \
        TREADLE_FILE(ARCH##_libm)                                              \
  }

std::optional<treadle::RuntimeFiles>
treadle::getRuntimeFiles(StringRef architecture, bool sanitizes) {
  if (architecture == "x86_64")
    return sanitizes ? TREADLE_FILES(x86_64, x86_64_sanitized)
                     : TREADLE_FILES(x86_64, x86_64_runtime);
  if (architecture == "aarch64")
    return sanitizes ? TREADLE_FILES(aarch64, aarch64_sanitized)
                     : TREADLE_FILES(aarch64, aarch64_runtime);
  return std::nullopt;
}

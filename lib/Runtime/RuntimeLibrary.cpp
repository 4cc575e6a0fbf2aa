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
TREADLE_EMBED(x86_64_sanitized, "x86_64/sanitized.o");
TREADLE_EMBED(x86_64_libc, "x86_64/libc.so.6");
TREADLE_EMBED(x86_64_libm, "x86_64/libm.so.6");
TREADLE_EMBED(aarch64_runtime, "aarch64/runtime.o");
TREADLE_EMBED(aarch64_sanitized, "aarch64/sanitized.o");
TREADLE_EMBED(aarch64_libc, "aarch64/libc.so.6");
TREADLE_EMBED(aarch64_libm, "aarch64/libm.so.6");

#define TREADLE_FILE(NAME)                                                     \
  StringRef(treadle_embedded_##NAME##_begin,                                   \
            treadle_embedded_##NAME##_end - treadle_embedded_##NAME##_begin)

// NAME is an architecture.
#define TREADLE_FILES(NAME, SANITIZES)                                         \
  treadle::RuntimeFiles {                                                      \
    SANITIZES ? TREADLE_FILE(NAME##_sanitized) : TREADLE_FILE(NAME##_runtime), \
        TREADLE_FILE(NAME##_libc), TREADLE_FILE(NAME##_libm)                   \
  }

std::optional<treadle::RuntimeFiles>
treadle::getRuntimeFiles(StringRef architecture, bool sanitizes) {
  if (architecture == "x86_64")
    return TREADLE_FILES(x86_64, sanitizes);
  if (architecture == "aarch64")
    return TREADLE_FILES(aarch64, sanitizes);
  return std::nullopt;
}

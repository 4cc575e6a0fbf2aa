//===- CPUTarget.h - What the code generator knows of a CPU -----*- C++ -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_TARGET_CPU_CPUTARGET_H
#define TREADLE_TARGET_CPU_CPUTARGET_H

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include <cstdint>
#include <string>

namespace treadle {

/// One CPU level of one platform. Tile sizes, instruction selection and the
/// library's `--info` come from here; passes take it by value.
struct CPUTarget {
  /// As LLVM takes them: a normalised triple, a CPU name, and features that the
  /// name does not imply (`+a,-b`; empty unless the CPU is the host's).
  std::string triple;
  std::string cpu;
  std::string features;

  /// Bits of one vector register: 512, 256 or 128.
  int64_t vectorBits = 0;
  /// Vector registers that a kernel may hold values in: 16 or 32.
  int64_t vectorRegisters = 0;
  /// Pairs of bf16 can be multiplied and summed in f32 (vdpbf16ps).
  bool hasBF16Dot = false;

  /// Lanes of f32 in one vector register.
  int64_t getF32Lanes() const { return vectorBits / 32; }
  /// `x86_64` or `aarch64`: the name of the runtime's build.
  llvm::StringRef getArch() const;
  bool isX86() const { return getArch() == "x86_64"; }
};

/// Resolves `--cpu` and `--triple`: an empty triple is the host's, `native` is
/// the host's CPU with exactly its features. Fails on a platform, a CPU or a
/// level that no code can be made for, with one line that says what is expected.
llvm::Expected<CPUTarget> resolveCPUTarget(llvm::StringRef cpu, llvm::StringRef triple = "");

} // namespace treadle

#endif // TREADLE_TARGET_CPU_CPUTARGET_H

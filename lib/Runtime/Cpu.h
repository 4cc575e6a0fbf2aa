//===- Cpu.h - What the machine can execute -----------------------*- C -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_RUNTIME_CPU_H
#define TREADLE_RUNTIME_CPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __x86_64__
#include <cpuid.h>

/// The registers of CPUID, in the order in which the instruction names them.
enum { TREADLE_EAX, TREADLE_EBX, TREADLE_ECX, TREADLE_EDX };

/// Whether CPUID answers with that bit set. `reg` is one of the above.
static inline bool treadle_cpuid_bit(uint32_t leaf, uint32_t subleaf,
                                     uint32_t reg, uint32_t bit) {
  uint32_t values[4];
  if (__get_cpuid_max(leaf & 0x80000000, NULL) < leaf)
    return false;
  __cpuid_count(leaf, subleaf, values[TREADLE_EAX], values[TREADLE_EBX],
                values[TREADLE_ECX], values[TREADLE_EDX]);
  return values[reg & 3] >> (bit & 31) & 1;
}
#endif

#endif // TREADLE_RUNTIME_CPU_H

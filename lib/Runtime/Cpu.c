//===- Cpu.c - Whether the machine can run the library -------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Cpu.h"
#include "Runtime.h"

// The runtime itself is compiled for the first CPUs of its architecture: it may
// run anywhere, this check included.

#ifdef __x86_64__

/// The register states that the system saves, or 0 if it says nothing of them.
static uint64_t savedStates(void) {
  enum { osxsave = 27 };
  if (!treadle_cpuid_bit(1, 0, TREADLE_ECX, osxsave))
    return 0;
  uint32_t low, high;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (uint64_t)high << 32 | low;
}

static bool isThere(const treadle_program_cpu_feature *feature,
                    uint64_t saved) {
  return (feature->xcr0 & ~saved) == 0 &&
         treadle_cpuid_bit(feature->leaf, feature->subleaf, feature->reg,
                           feature->bit);
}

treadle_status treadle_check_cpu(char *message, size_t messageSize) {
  const treadle_program_header *header = treadle_header();
  const treadle_program_cpu_feature *features =
      treadle_span_data(header->cpu_features);
  const char *first = NULL;
  uint64_t saved = savedStates(), missing = 0;
  for (uint64_t i = 0; i < header->cpu_features.count; ++i) {
    if (isThere(&features[i], saved))
      continue;
    if (!missing++)
      first = treadle_span_data(features[i].name);
  }
  if (!missing)
    return TREADLE_STATUS_OK;
  const char *cpu = treadle_span_data(header->cpu);
  if (missing == 1)
    treadle_format(message, messageSize,
                   "this library is compiled for %s, but this machine lacks "
                   "%s; compile for this machine's level with --cpu",
                   cpu, first);
  else
    treadle_format(message, messageSize,
                   "this library is compiled for %s, but this machine lacks "
                   "%s and %u more features; compile for this machine's level "
                   "with --cpu",
                   cpu, first, missing - 1);
  return TREADLE_STATUS_UNSUPPORTED;
}

#else

// On AArch64 a program cannot ask the processor, only the system (getauxval), and
// libraries are compiled for a level that is named by hand. Not done yet.
treadle_status treadle_check_cpu(char *message, size_t messageSize) {
  (void)message;
  (void)messageSize;
  return TREADLE_STATUS_OK;
}

#endif

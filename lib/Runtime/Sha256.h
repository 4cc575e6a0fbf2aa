//===- Sha256.h - SHA-256 (FIPS 180-4) --------------------------*- C -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Of any length. The compiler hashes with it too: llvm::SHA256 counts bits in 32
// bits, and is wrong from 512 MiB on.
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_RUNTIME_SHA256_H
#define TREADLE_RUNTIME_SHA256_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct treadle_sha256 {
  uint32_t state[8];
  uint64_t size;
  uint8_t block[64];
  uint32_t has_instructions; ///< of the processor, for SHA-256
} treadle_sha256;

void treadle_sha256_init(treadle_sha256 *hash);
void treadle_sha256_update(treadle_sha256 *hash, const void *data, size_t size);
void treadle_sha256_final(treadle_sha256 *hash, uint8_t digest[32]);

#ifdef __cplusplus
} // extern "C"
#endif

#endif // TREADLE_RUNTIME_SHA256_H

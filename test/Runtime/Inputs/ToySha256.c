//===- ToySha256.c - The runtime's SHA-256 for the tests ------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Runtime.h"

void toy_sha256(const void *data, size_t size, uint8_t digest[32]);

void toy_sha256(const void *data, size_t size, uint8_t digest[32]) {
  treadle_sha256 hash;
  treadle_sha256_init(&hash);
  treadle_sha256_update(&hash, data, size);
  treadle_sha256_final(&hash, digest);
}

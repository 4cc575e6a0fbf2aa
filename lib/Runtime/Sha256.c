//===- Sha256.c - SHA-256 (FIPS 180-4) ------------------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Cpu.h"
#include "Libc.h"
#include "Runtime.h"

#ifdef __x86_64__
#include <immintrin.h>
#endif

/// Fractional parts of the cube roots of the first 64 primes.
static const uint32_t roundConstants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1,
    0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3,
    0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786,
    0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
    0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
    0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
    0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a,
    0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
    0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t rotateRight(uint32_t x, unsigned n) {
  return (x >> n) | (x << (32 - n));
}

//===----------------------------------------------------------------------===//
// Blocks
//===----------------------------------------------------------------------===//

static void hashBlock(uint32_t state[8], const uint8_t *block) {
  uint32_t w[64];
  for (unsigned i = 0; i < 16; ++i)
    w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
           (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
  for (unsigned i = 16; i < 64; ++i) {
    uint32_t s0 = rotateRight(w[i - 15], 7) ^ rotateRight(w[i - 15], 18) ^
                  (w[i - 15] >> 3);
    uint32_t s1 = rotateRight(w[i - 2], 17) ^ rotateRight(w[i - 2], 19) ^
                  (w[i - 2] >> 10);
    w[i] = w[i - 16] + s0 + w[i - 7] + s1;
  }

  uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
  uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
  for (unsigned i = 0; i < 64; ++i) {
    uint32_t s1 = rotateRight(e, 6) ^ rotateRight(e, 11) ^ rotateRight(e, 25);
    uint32_t choice = (e & f) ^ (~e & g);
    uint32_t t1 = h + s1 + choice + roundConstants[i] + w[i];
    uint32_t s0 = rotateRight(a, 2) ^ rotateRight(a, 13) ^ rotateRight(a, 22);
    uint32_t majority = (a & b) ^ (a & c) ^ (b & c);
    h = g;
    g = f;
    f = e;
    e = d + t1;
    d = c;
    c = b;
    b = a;
    a = t1 + s0 + majority;
  }
  state[0] += a;
  state[1] += b;
  state[2] += c;
  state[3] += d;
  state[4] += e;
  state[5] += f;
  state[6] += g;
  state[7] += h;
}

#ifdef __x86_64__

static bool hasInstructions(void) {
  enum { ssse3 = 9, sse41 = 19, sha = 29 };
  return treadle_cpuid_bit(7, 0, TREADLE_EBX, sha) &&
         treadle_cpuid_bit(1, 0, TREADLE_ECX, ssse3) &&
         treadle_cpuid_bit(1, 0, TREADLE_ECX, sse41);
}

/// The same with the processor's own instructions, seven times as fast. They keep
/// the state as (a b e f) and (c d g h), the first on top, and do two rounds at a
/// time with the two lowest words of their last operand.
__attribute__((target("sha,ssse3,sse4.1"))) static void
hashBlocksFast(uint32_t state[8], const uint8_t *blocks, size_t count) {
  const __m128i bigEndian =
      _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
  __m128i abef =
      _mm_set_epi32((int)state[0], (int)state[1], (int)state[4], (int)state[5]);
  __m128i cdgh =
      _mm_set_epi32((int)state[2], (int)state[3], (int)state[6], (int)state[7]);
  for (; count; --count, blocks += 64) {
    __m128i startABEF = abef, startCDGH = cdgh, w[4];
    for (unsigned i = 0; i < 4; ++i)
      w[i] = _mm_shuffle_epi8(
          _mm_loadu_si128((const __m128i *)(const void *)(blocks + 16 * i)),
          bigEndian);
    for (unsigned i = 0; i < 64; i += 4) {
      __m128i k =
          _mm_loadu_si128((const __m128i *)(const void *)(roundConstants + i));
      __m128i words = _mm_add_epi32(w[0], k);
      cdgh = _mm_sha256rnds2_epu32(cdgh, abef, words);
      abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_srli_si128(words, 8));
      // w[t] = w[t-16] + s0(w[t-15]) + w[t-7] + s1(w[t-2]), four at a time.
      __m128i next = _mm_add_epi32(_mm_sha256msg1_epu32(w[0], w[1]),
                                   _mm_alignr_epi8(w[3], w[2], 4));
      next = _mm_sha256msg2_epu32(next, w[3]);
      w[0] = w[1];
      w[1] = w[2];
      w[2] = w[3];
      w[3] = next;
    }
    abef = _mm_add_epi32(abef, startABEF);
    cdgh = _mm_add_epi32(cdgh, startCDGH);
  }
  state[0] = (uint32_t)_mm_extract_epi32(abef, 3);
  state[1] = (uint32_t)_mm_extract_epi32(abef, 2);
  state[2] = (uint32_t)_mm_extract_epi32(cdgh, 3);
  state[3] = (uint32_t)_mm_extract_epi32(cdgh, 2);
  state[4] = (uint32_t)_mm_extract_epi32(abef, 1);
  state[5] = (uint32_t)_mm_extract_epi32(abef, 0);
  state[6] = (uint32_t)_mm_extract_epi32(cdgh, 1);
  state[7] = (uint32_t)_mm_extract_epi32(cdgh, 0);
}
#endif

static void hashBlocks(treadle_sha256 *hash, const uint8_t *blocks,
                       size_t count) {
#ifdef __x86_64__
  if (hash->has_instructions) {
    hashBlocksFast(hash->state, blocks, count);
    return;
  }
#endif
  for (; count; --count, blocks += 64)
    hashBlock(hash->state, blocks);
}

//===----------------------------------------------------------------------===//
// Messages
//===----------------------------------------------------------------------===//

void treadle_sha256_init(treadle_sha256 *hash) {
  // Fractional parts of the square roots of the first 8 primes.
  static const uint32_t initial[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372,
                                      0xa54ff53a, 0x510e527f, 0x9b05688c,
                                      0x1f83d9ab, 0x5be0cd19};
  memcpy(hash->state, initial, sizeof(initial));
  hash->size = 0;
#ifdef __x86_64__
  hash->has_instructions = hasInstructions();
#else
  hash->has_instructions = 0;
#endif
}

void treadle_sha256_update(treadle_sha256 *hash, const void *data,
                           size_t size) {
  const uint8_t *bytes = data;
  size_t held = hash->size % 64;
  hash->size += size;
  if (held) {
    size_t taken = size < 64 - held ? size : 64 - held;
    memcpy(hash->block + held, bytes, taken);
    bytes += taken;
    size -= taken;
    if (held + taken < 64)
      return;
    hashBlocks(hash, hash->block, 1);
  }
  hashBlocks(hash, bytes, size / 64);
  bytes += size - size % 64;
  size %= 64;
  if (size)
    memcpy(hash->block, bytes, size);
}

void treadle_sha256_final(treadle_sha256 *hash, uint8_t digest[32]) {
  uint64_t bits = hash->size * 8;
  // One bit 1, then zeros up to the last 8 bytes of a block, which hold the size.
  uint8_t tail[72] = {0x80};
  size_t zeros = (119 - hash->size % 64) % 64;
  for (unsigned i = 0; i < 8; ++i)
    tail[1 + zeros + i] = (uint8_t)(bits >> (56 - 8 * i));
  treadle_sha256_update(hash, tail, 1 + zeros + 8);
  for (unsigned i = 0; i < 32; ++i)
    digest[i] = (uint8_t)(hash->state[i / 4] >> (24 - 8 * (i % 4)));
}

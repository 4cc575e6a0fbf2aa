//===- ToyParts.h - What the toy programs have in common ----------*- C -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// An embedding that is the head as well, its container, and ways to spell an
// image. Each toy program includes it once.
//
//===----------------------------------------------------------------------===//

#ifndef TOY_PARTS_H
#define TOY_PARTS_H

#include "Program.h"
#include "Toy.h"
#include "treadle-c/model.h"

#include <math.h>
#include <string.h>

// TOY_FILE_SIZE, TOY_HEADER_SIZE, TOY_DIGEST_OFFSET, TOY_HEADER_DIGEST,
// TOY_CONTENT_DIGEST; from toy_weights.py.
#include "toy-weights.inc"

#define WEIGHTS_FILE                                                           \
  .file_size = TOY_FILE_SIZE, .header_size = TOY_HEADER_SIZE,                  \
  .digest_offset = TOY_DIGEST_OFFSET, .header_digest = TOY_HEADER_DIGEST

// Defined in every mode, as the contract asks.
__asm__(".section .rodata.weights,\"a\",@progbits\n"
        ".balign 64\n"
        ".globl treadle_weights_begin\n"
        ".hidden treadle_weights_begin\n"
        "treadle_weights_begin:\n"
        ".incbin \"" TOY_WEIGHTS_FILE "\"\n"
        ".previous\n");

//===----------------------------------------------------------------------===//
// Entry points
//===----------------------------------------------------------------------===//

static uint8_t *at(void *states, int64_t offset) {
  return (uint8_t *)states + offset;
}

static float squash(float x) { return x / (1 + fabsf(x)); }

/// Computes the columns [begin, end) of the logits.
static void head(int64_t rows, const float *embedding, const float *hidden,
                 float *logits, int64_t valid, int64_t begin, int64_t end) {
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t v = begin; v < end; ++v) {
      float sum = 0;
      for (int d = 0; d < TOY_WIDTH; ++d)
        sum += hidden[i * TOY_WIDTH + d] * embedding[v * TOY_WIDTH + d];
      logits[i * TOY_VOCAB + v] = i < valid ? sum : NAN;
    }
}

/// Stage 0, which cannot be shared, between two barriers: another member runs it each
/// time.
#define ALONE(TURN, ...)                                                       \
  do {                                                                         \
    treadle_meet(team, profile, 0);                                            \
    if (member == (TURN) % members)                                            \
      __VA_ARGS__;                                                             \
    treadle_mark(profile, TREADLE_MARK_WAIT);                                  \
    treadle_barrier(team);                                                     \
  } while (0)

#define HEAD(R)                                                                \
  static void head##R(void *arena, void *states, const void *weights,          \
                      const void *input, const uint8_t *mask, void *output,    \
                      int64_t position, int64_t valid, int64_t passes,         \
                      int64_t member, int64_t members, treadle_team *team,     \
                      const treadle_profile *profile) {                        \
    (void)arena, (void)states, (void)mask, (void)position, (void)passes;       \
    (void)team;                                                                \
    treadle_mark(profile, 0);                                                  \
    head(R, weights, input, output, valid, TOY_VOCAB * member / members,       \
         TOY_VOCAB * (member + 1) / members);                                  \
  }
HEAD(1)
HEAD(16)

//===----------------------------------------------------------------------===//
// Image
//===----------------------------------------------------------------------===//

#define SPAN(FIELD, COUNT) {offsetof(Image, FIELD), COUNT}
#define STRING(FIELD, TEXT) {offsetof(Image, FIELD), sizeof(TEXT) - 1}
#define PASTE(A, B) A##B
#define MODE(NAME) PASTE(TREADLE_PROGRAM_WEIGHTS_, NAME)

#endif // TOY_PARTS_H

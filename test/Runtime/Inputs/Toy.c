//===- Toy.c - A hand-written program for the runtime ---------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What the compiler would emit for a small model that has every kind of state:
// a delta-like cell and a convolution (fixed, ring), keys per layer and pass
// (append, f32 and bf16) that later tokens attend to under the mask, a loop. The
// numbers mean nothing, but each token's depend on all that the contract lets them
// depend on. Padding is poisoned: rows at and after `valid` output NaN.
//
// Variants, by macro:
//   TOY_APPEND_ONLY  no fixed and ring states
//   TOY_LIBRARY      a byte of the library id
//   TOY_MODE         where the weights are: NONE, EMBED, EXTERNAL
//   TOY_ANY          compiled without weights: any content is taken
//   TOY_GOLDEN       file with golden logits of 5 tokens (Golden.c)
//   TOY_BREAK        1: forward depends on the cut; 2: a state does; 3: format;
//                    4: forward writes past the states
//
//===----------------------------------------------------------------------===//

#include "ToyParts.h"

#ifndef TOY_LIBRARY
#define TOY_LIBRARY 1
#endif
#ifndef TOY_MODE
#define TOY_MODE NONE
#endif
#ifndef TOY_BREAK
#define TOY_BREAK 0
#endif

#define TOY_GOLDEN_TOKENS 5

//===----------------------------------------------------------------------===//
// State memory
//===----------------------------------------------------------------------===//

// Rows and slots are padded on purpose, keys lie in panels.
enum {
  KEY_PANEL = 4,
  KEY_DEPTH = 2,
  KEY_STRIDE = (TOY_WIDTH + KEY_DEPTH - 1) / KEY_DEPTH * KEY_DEPTH * 4,
  KEY_SLOT = (TOY_CONTEXT + KEY_PANEL) * KEY_STRIDE + 64,
  HALF_STRIDE = 16,
  HALF_SLOT = TOY_CONTEXT * HALF_STRIDE,
  CELL_STRIDE = TOY_WIDTH * 4,
  TAP_STRIDE = TOY_WIDTH * 4,

  IDS_AT = 64,
  MASK_AT = IDS_AT + TOY_CONTEXT * 4,
  KEYS_AT = MASK_AT + 2 * TOY_CONTEXT,
  HALVES_AT = KEYS_AT + TOY_LAYERS * TOY_LOOPS * KEY_SLOT,
  CELL_AT = HALVES_AT + TOY_LOOPS * HALF_SLOT,
  TAPS_AT = CELL_AT + TOY_LOOPS * CELL_STRIDE,
  COUNT_AT = TAPS_AT + TOY_RING * TAP_STRIDE,
  STATE_BYTES = COUNT_AT + 64
};

static float *key(void *states, int64_t layer, int64_t pass, int64_t row,
                  int64_t d) {
  int64_t lane = row % KEY_PANEL;
  return (float *)(void *)at(
      states,
      KEYS_AT + (layer * TOY_LOOPS + pass) * KEY_SLOT +
          (row - lane) * KEY_STRIDE +
          ((d / KEY_DEPTH * KEY_PANEL + lane) * KEY_DEPTH + d % KEY_DEPTH) * 4);
}

static uint16_t *halfRow(void *states, int64_t pass, int64_t row) {
  return (uint16_t *)(void *)at(states, HALVES_AT + pass * HALF_SLOT +
                                            row * HALF_STRIDE);
}

//===----------------------------------------------------------------------===//
// Entry points
//===----------------------------------------------------------------------===//

/// One row: writes its states, then reads those of all rows up to itself.
static void runRow(void *states, const float *embedding, int32_t id,
                   int attended, float *x, int64_t position, int64_t passes) {
  (void)attended;
  for (int d = 0; d < TOY_WIDTH; ++d)
    x[d] = embedding[id * TOY_WIDTH + d];
#ifndef TOY_APPEND_ONLY
  float *taps = (float *)(void *)at(states, TAPS_AT);
  float fresh[TOY_WIDTH];
  memcpy(fresh, x, sizeof(fresh));
  // All rows of the ring are earlier ones (or zero), oldest first.
  for (int64_t lag = TOY_RING; lag > 0; --lag)
    for (int d = 0; d < TOY_WIDTH; ++d)
      x[d] += 0.25f / (float)lag *
              taps[(position + TOY_RING - lag) % TOY_RING * TOY_WIDTH + d];
  memcpy(taps + position % TOY_RING * TOY_WIDTH, fresh, sizeof(fresh));
  *(int32_t *)(void *)at(states, COUNT_AT) += attended;
#endif
  for (int64_t pass = 0; pass < passes; ++pass) {
#ifndef TOY_APPEND_ONLY
    float *cell = (float *)(void *)at(states, CELL_AT + pass * CELL_STRIDE);
    for (int d = 0; d < TOY_WIDTH; ++d) {
      if (attended)
        cell[d] = 0.875f * cell[d] + x[d];
      x[d] = squash(x[d] + cell[d]);
    }
#endif
    uint32_t bits;
    memcpy(&bits, x, sizeof(bits));
    halfRow(states, pass, position)[0] = (uint16_t)(bits >> 16);
    for (int64_t layer = 0; layer < TOY_LAYERS; ++layer) {
      for (int d = 0; d < TOY_WIDTH; ++d)
        *key(states, layer, pass, position, d) = x[d];
      float sum[TOY_WIDTH] = {0};
      for (int64_t j = 0; j <= position; ++j) {
        if (!*at(states, MASK_AT + 2 * j))
          continue;
        uint32_t half = (uint32_t)halfRow(states, pass, j)[0] << 16;
        float score;
        memcpy(&score, &half, sizeof(score));
        score +=
            (float)((j + *(int32_t *)(void *)at(states, IDS_AT + 4 * j)) % 5);
        for (int d = 0; d < TOY_WIDTH; ++d)
          sum[d] += score * *key(states, layer, pass, j, d);
      }
      for (int d = 0; d < TOY_WIDTH; ++d)
        x[d] = squash(x[d] + 0.125f * sum[d]);
    }
  }
}

static void forward(int64_t rows, void *arena, void *states,
                    const void *weights, const void *input, const uint8_t *mask,
                    void *output, int64_t position, int64_t valid,
                    int64_t passes) {
  const int32_t *ids = input;
  float *x = arena, *hidden = output;
  for (int64_t i = 0; i < rows; ++i) {
    if (i >= valid) {
      // What the runtime promises of padding.
      if (ids[i] != 0 || mask[i] != 0)
        __builtin_trap();
      for (int d = 0; d < TOY_WIDTH; ++d)
        hidden[i * TOY_WIDTH + d] = NAN;
      continue;
    }
    // What the runtime promises: the built-in states hold the input.
    if (*(int32_t *)(void *)at(states, IDS_AT + 4 * (position + i)) != ids[i] ||
        *at(states, MASK_AT + 2 * (position + i)) != mask[i])
      __builtin_trap();
    if (TOY_BREAK == 4)
      *(volatile uint8_t *)at(states, STATE_BYTES) = 1;
    runRow(states, weights, ids[i], mask[i], x, position + i, passes);
    if (TOY_BREAK == 1 && rows == 4)
      x[0] += 1e-6f;
    if (TOY_BREAK == 2 && rows == 4)
      halfRow(states, 0, position + i)[1] = 1;
    memcpy(hidden + i * TOY_WIDTH, x, TOY_WIDTH * sizeof(*x));
  }
}

#define FORWARD(R)                                                             \
  static void forward##R(void *arena, void *states, const void *weights,       \
                         const void *input, const uint8_t *mask, void *output, \
                         int64_t position, int64_t valid, int64_t passes,      \
                         int64_t member, int64_t members, treadle_team *team,  \
                         const treadle_profile *profile) {                     \
    ALONE(position, forward(R, arena, states, weights, input, mask, output,    \
                            position, valid, passes));                         \
  }
FORWARD(1)
FORWARD(4)
FORWARD(16)

const treadle_entry_fn treadle_entry_functions[TOY_ENTRIES] = {
    forward1, head1, forward4, forward16, head16};
const treadle_schedule_fn treadle_schedule_functions[1] = {0};

//===----------------------------------------------------------------------===//
// Image
//===----------------------------------------------------------------------===//

typedef struct {
  treadle_program_header header;
  treadle_program_entry entries[TOY_ENTRIES];
  treadle_program_state states[TOY_COUNT + 1];
  treadle_program_golden golden[1];
  char name[8];
  char json[128];
  int32_t eos[2];
  char ids[4], mask[8], keys[8], halves[8], cell[8], taps[8], count[8];
#ifdef TOY_GOLDEN
  struct {
    int32_t ids[TOY_GOLDEN_TOKENS];
    float logits[TOY_GOLDEN_TOKENS * TOY_VOCAB];
  } expected;
#endif
} Image;

#define JSON                                                                   \
  "{\"family\": \"toy\", \"dtype\": \"f32\", \"parameters\": 296, "            \
  "\"d_model\": 8, \"layers\": {\"entry\": 1, \"shared\": 1}}"

#ifdef TOY_APPEND_ONLY
enum { STATES = TOY_CELL };
#else
enum { STATES = TOY_COUNT + 1 };
#endif

// Program.h declares it as bytes.
extern const Image image __asm__("treadle_program");
_Alignas(64) const Image image = {
    .header =
        {
            .magic = TREADLE_PROGRAM_MAGIC,
            .format = TREADLE_PROGRAM_FORMAT + (TOY_BREAK == 3),
            .header_size = sizeof(treadle_program_header),
            .name = STRING(name, "toy"),
            .info_json = STRING(json, JSON),
            .eos_ids = SPAN(eos, 2),
            .entries = SPAN(entries, TOY_ENTRIES),
            .states = SPAN(states, STATES),
#ifdef TOY_GOLDEN
            .golden = SPAN(golden, 1),
#endif
            .config_digest = {9},
            .library_id = {TOY_LIBRARY},
            .vocab_size = TOY_VOCAB,
            .token_count = TOY_VOCAB,
            .hidden_size = TOY_WIDTH,
            .context = TOY_CONTEXT,
            .config_context = TOY_CONFIG_CONTEXT,
            .max_loops = TOY_LOOPS,
            .config_loops = TOY_CONFIG_LOOPS,
            .state_bytes = STATE_BYTES,
            .ids_state = TOY_IDS,
            .mask_state = TOY_MASK,
            .weights =
                {
                    .mode = MODE(TOY_MODE),
                    WEIGHTS_FILE,
#ifndef TOY_ANY
                    .content_digest = TOY_CONTENT_DIGEST,
#endif
                },
        },
    .entries = {{TREADLE_PROGRAM_ENTRY_FORWARD, 1, 32, 0, 0, 0, 0, 0, 0},
                {TREADLE_PROGRAM_ENTRY_HEAD, 1, 0, 0, 0, 0, 0, 0, 0},
                // Pretends to take a microsecond for each position.
                {TREADLE_PROGRAM_ENTRY_FORWARD, 4, 32, 0, 1000000, 0, 0, 0, 0},
                {TREADLE_PROGRAM_ENTRY_FORWARD, 16, 4096, 0, 0, 0, 0, 0, 0},
                // Pretends to be large: worth a team.
                {TREADLE_PROGRAM_ENTRY_HEAD, 16, 0, 1000000000, 0, 1000, 2, 0,
                 0}},
    .states =
        {
            [TOY_IDS] = {.name = STRING(ids, "ids"),
                         .kind = TREADLE_PROGRAM_STATE_APPEND,
                         .element = TREADLE_PROGRAM_ELEMENT_I32,
                         .pass_dim = -1,
                         .rows = TOY_CONTEXT,
                         .offset = IDS_AT,
                         .slot_stride = TOY_CONTEXT * 4,
                         .row_stride = 4,
                         .panel_rows = 1,
                         .panel_depth = 1},
            [TOY_MASK] = {.name = STRING(mask, "mask"),
                          .kind = TREADLE_PROGRAM_STATE_APPEND,
                          .element = TREADLE_PROGRAM_ELEMENT_U8,
                          .pass_dim = -1,
                          .rows = TOY_CONTEXT,
                          .offset = MASK_AT,
                          .slot_stride = TOY_CONTEXT * 2,
                          .row_stride = 2,
                          .panel_rows = 1,
                          .panel_depth = 1},
            [TOY_KEYS] = {.name = STRING(keys, "keys"),
                          .kind = TREADLE_PROGRAM_STATE_APPEND,
                          .element = TREADLE_PROGRAM_ELEMENT_F32,
                          .slot_rank = 2,
                          .slot_dims = {TOY_LAYERS, TOY_LOOPS},
                          .row_rank = 1,
                          .row_dims = {TOY_WIDTH},
                          .pass_dim = 1,
                          .rows = TOY_CONTEXT,
                          .offset = KEYS_AT,
                          .slot_stride = KEY_SLOT,
                          .row_stride = KEY_STRIDE,
                          .panel_rows = KEY_PANEL,
                          .panel_depth = KEY_DEPTH},
            [TOY_HALVES] = {.name = STRING(halves, "halves"),
                            .kind = TREADLE_PROGRAM_STATE_APPEND,
                            .element = TREADLE_PROGRAM_ELEMENT_BF16,
                            .slot_rank = 1,
                            .slot_dims = {TOY_LOOPS},
                            .row_rank = 2,
#if TOY_BREAK == 2
                            .row_dims = {1, 2},
#else
                            .row_dims = {1, 1},
#endif
                            .pass_dim = 0,
                            .rows = TOY_CONTEXT,
                            .offset = HALVES_AT,
                            .slot_stride = HALF_SLOT,
                            .row_stride = HALF_STRIDE,
                            .panel_rows = 1,
                            .panel_depth = 1},
            [TOY_CELL] = {.name = STRING(cell, "cell"),
                          .kind = TREADLE_PROGRAM_STATE_FIXED,
                          .element = TREADLE_PROGRAM_ELEMENT_F32,
                          .slot_rank = 1,
                          .slot_dims = {TOY_LOOPS},
                          .row_rank = 2,
                          .row_dims = {2, TOY_WIDTH / 2},
                          .pass_dim = 0,
                          .rows = 1,
                          .offset = CELL_AT,
                          .slot_stride = CELL_STRIDE,
                          .row_stride = CELL_STRIDE,
                          .panel_rows = 1,
                          .panel_depth = 1},
            [TOY_TAPS] = {.name = STRING(taps, "taps"),
                          .kind = TREADLE_PROGRAM_STATE_RING,
                          .element = TREADLE_PROGRAM_ELEMENT_F32,
                          .row_rank = 1,
                          .row_dims = {TOY_WIDTH},
                          .pass_dim = -1,
                          .rows = TOY_RING,
                          .offset = TAPS_AT,
                          .slot_stride = TOY_RING * TAP_STRIDE,
                          .row_stride = TAP_STRIDE,
                          .panel_rows = 1,
                          .panel_depth = 1},
            [TOY_COUNT] = {.name = STRING(count, "count"),
                           .kind = TREADLE_PROGRAM_STATE_FIXED,
                           .element = TREADLE_PROGRAM_ELEMENT_I32,
                           .pass_dim = -1,
                           .rows = 1,
                           .offset = COUNT_AT,
                           .slot_stride = 4,
                           .row_stride = 4,
                           .panel_rows = 1,
                           .panel_depth = 1},
        },
#ifdef TOY_GOLDEN
    .golden = {{.ids = SPAN(expected.ids, TOY_GOLDEN_TOKENS),
                .logits = SPAN(expected.logits, TOY_GOLDEN_TOKENS *TOY_VOCAB),
                .loops = 2,
                .tolerance = 1e-4f}},
    .expected =
        {
#include TOY_GOLDEN
        },
#endif
    .name = "toy",
    .json = JSON,
    .eos = {2, 5},
    .ids = "ids",
    .mask = "mask",
    .keys = "keys",
    .halves = "halves",
    .cell = "cell",
    .taps = "taps",
    .count = "count",
};

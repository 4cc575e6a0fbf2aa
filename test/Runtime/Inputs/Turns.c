//===- Turns.c - A hand-written program with periods ----------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What the compiler would emit for a small model with periods of 8 tokens. OPEN
// writes 2 rows of keys from the memory; a token attends to these and to the rows
// of its period, and looks at the two ids before it; CLOSE reads the whole period
// with 3 rows of its own and writes the memory and the last two ids. It traps
// where the runtime breaks its promises.
//
// Variants, by macro:
//   TURNS_TOKEN_STATE  a fixed state that each token writes
//   TURNS_PERIOD       another one than 8
//   TURNS_BREAK        1: forward reads a row of the period before
//                      2: after a turn, forward depends on the cut
//
//===----------------------------------------------------------------------===//

#include "ToyParts.h"

#ifndef TURNS_BREAK
#define TURNS_BREAK 0
#endif

//===----------------------------------------------------------------------===//
// State memory
//===----------------------------------------------------------------------===//

// Rows and slots are padded on purpose, but for the memory: its slots lie as in
// the weights.
enum {
  ROWS = TURNS_LEAD + TURNS_PERIOD + TURNS_TRAIL,
  KEY_STRIDE = (TOY_WIDTH + 1) * 4,
  KEY_SLOT = ROWS * KEY_STRIDE + 4,
  MEMORY_SLOT = 64,

  IDS_AT = 64,
  MASK_AT = IDS_AT + TURNS_PERIOD * 4,
  KEYS_AT = MASK_AT + 16,
  MEMORY_AT = KEYS_AT + TOY_LOOPS * KEY_SLOT,
  HISTORY_AT = MEMORY_AT + TOY_LOOPS * MEMORY_SLOT,
  CALLS_AT = HISTORY_AT + 8,
  CELL_AT = CALLS_AT + 8,
  STATE_BYTES = CELL_AT + 64,

  INITIAL_AT = 128, // in the weights
};

static float *keyRow(void *states, int64_t pass, int64_t row) {
  return (float *)(void *)at(states,
                             KEYS_AT + pass * KEY_SLOT + row * KEY_STRIDE);
}

static float *memoryOf(void *states, int64_t pass) {
  return (float *)(void *)at(states, MEMORY_AT + pass * MEMORY_SLOT);
}

static int32_t *numbers(void *states, int64_t offset) {
  return (int32_t *)(void *)at(states, offset);
}

static void require(int promise) {
  if (!promise)
    __builtin_trap();
}

/// The id of a token of the period, of the ones before it, or -1.
static int32_t idAt(void *states, int64_t token) {
  if (token < 0)
    return numbers(states, HISTORY_AT)[2 + token];
  if (!*at(states, MASK_AT + TURNS_LEAD + token))
    return -1;
  return numbers(states, IDS_AT)[token];
}

//===----------------------------------------------------------------------===//
// Entry points
//===----------------------------------------------------------------------===//

/// x += what it sees of rows 0 ... last.
static void attendTo(void *states, int64_t pass, int64_t last, float *x) {
  float sum[TOY_WIDTH] = {0};
  for (int64_t j = 0; j <= last; ++j)
    if (*at(states, MASK_AT + j))
      for (int d = 0; d < TOY_WIDTH; ++d)
        sum[d] += (float)(1 + (last + j) % 3) * keyRow(states, pass, j)[d];
  for (int d = 0; d < TOY_WIDTH; ++d)
    x[d] = squash(x[d] + 0.125f * sum[d]);
}

static void runRow(void *states, const float *embedding, int64_t token,
                   float *x, int64_t passes) {
  memcpy(x, embedding + numbers(states, IDS_AT)[token] * TOY_WIDTH,
         TOY_WIDTH * sizeof(*x));
  for (int64_t back = 1; back <= 2; ++back) {
    int32_t id = idAt(states, token - back);
    for (int d = 0; id >= 0 && id < TOY_VOCAB && d < TOY_WIDTH; ++d)
      x[d] += 0.5f / (float)back * embedding[id * TOY_WIDTH + d];
  }
#ifdef TURNS_TOKEN_STATE
  *numbers(states, CELL_AT) += 1;
#endif
  for (int64_t pass = 0; pass < passes; ++pass) {
    memcpy(keyRow(states, pass, TURNS_LEAD + token), x, TOY_WIDTH * sizeof(*x));
    attendTo(states, pass, TURNS_LEAD + token, x);
    if (TURNS_BREAK == 1 && numbers(states, CALLS_AT)[1] > 0)
      x[0] += keyRow(states, pass, TURNS_LEAD + token + 1)[0];
  }
}

static void forward(int64_t rows, void *states, const void *weights,
                    const void *input, const uint8_t *mask, float *hidden,
                    int64_t position, int64_t valid, int64_t passes) {
  const int32_t *ids = input, *calls = numbers(states, CALLS_AT);
  require(position >= 0 && valid >= 1 && position + valid <= TURNS_PERIOD);
  require(calls[0] == calls[1] + 1); // the period is open
  for (int64_t i = 0; i < rows; ++i) {
    float *x = hidden + i * TOY_WIDTH;
    if (i >= valid) {
      require(ids[i] == 0 && mask[i] == 0);
      for (int d = 0; d < TOY_WIDTH; ++d)
        x[d] = NAN;
      continue;
    }
    int64_t token = position + i;
    require(numbers(states, IDS_AT)[token] == ids[i] &&
            *at(states, MASK_AT + TURNS_LEAD + token) == mask[i]);
    runRow(states, weights, token, x, passes);
    if (TURNS_BREAK == 2 && rows == 4 && calls[1] > 0)
      x[0] += 1e-6f;
  }
}

static void requireTurn(const void *input, const uint8_t *mask,
                        const void *output, const uint8_t *attended,
                        int64_t rows) {
  require(!input && !mask && !output);
  for (int64_t i = 0; i < rows; ++i)
    require(attended[i] == 1);
}

static void openPeriodAlone(void *arena, void *states, const void *weights,
                            const void *input, const uint8_t *mask,
                            void *output, int64_t position, int64_t valid,
                            int64_t passes) {
  (void)weights;
  requireTurn(input, mask, output, at(states, MASK_AT), TURNS_LEAD);
  require(position == 0 && valid == TURNS_LEAD);
  require(numbers(states, CALLS_AT)[0]++ == numbers(states, CALLS_AT)[1]);
  memset(arena, 255, 4096);
  for (int64_t pass = 0; pass < passes; ++pass) {
    const float *memory = memoryOf(states, pass);
    for (int64_t i = 0; i < TURNS_LEAD * TOY_WIDTH; ++i)
      keyRow(states, pass, i / TOY_WIDTH)[i % TOY_WIDTH] =
          squash(memory[i] - 0.5f * memory[15 - i]);
  }
}

static void closePeriodAlone(void *arena, void *states, const void *weights,
                             const void *input, const uint8_t *mask,
                             void *output, int64_t position, int64_t valid,
                             int64_t passes) {
  (void)weights, (void)arena;
  const int64_t first = TURNS_LEAD + position;
  requireTurn(input, mask, output, at(states, MASK_AT + first), TURNS_TRAIL);
  require(position >= 1 && position <= TURNS_PERIOD && valid == TURNS_TRAIL);
  require(numbers(states, CALLS_AT)[0] == ++numbers(states, CALLS_AT)[1]);
  for (int64_t pass = 0; pass < passes; ++pass) {
    float *memory = memoryOf(states, pass);
    for (int64_t r = 0; r < TURNS_TRAIL; ++r) {
      float *row = keyRow(states, pass, first + r);
      for (int d = 0; d < TOY_WIDTH; ++d)
        row[d] = memory[(r + d) % 16];
      attendTo(states, pass, first + r, row);
      for (int d = 0; d < TOY_WIDTH; ++d)
        memory[(r * 5 + d) % 16] = squash(memory[(r * 5 + d) % 16] + row[d]);
    }
  }
  const int32_t last[2] = {idAt(states, position - 2),
                           idAt(states, position - 1)};
  memcpy(numbers(states, HISTORY_AT), last, sizeof(last));
}

#define TURN(NAME)                                                             \
  static void NAME(void *arena, void *states, const void *weights,             \
                   const void *input, const uint8_t *mask, void *output,       \
                   int64_t position, int64_t valid, int64_t passes,            \
                   int64_t member, int64_t members, treadle_team *team,        \
                   const treadle_profile *profile) {                           \
    ALONE(1, NAME##Alone(arena, states, weights, input, mask, output,          \
                         position, valid, passes));                            \
  }
TURN(openPeriod)
TURN(closePeriod)

#define FORWARD(R)                                                             \
  static void forward##R(void *arena, void *states, const void *weights,       \
                         const void *input, const uint8_t *mask, void *output, \
                         int64_t position, int64_t valid, int64_t passes,      \
                         int64_t member, int64_t members, treadle_team *team,  \
                         const treadle_profile *profile) {                     \
    (void)arena;                                                               \
    ALONE(position, forward(R, states, weights, input, mask, output, position, \
                            valid, passes));                                   \
  }
FORWARD(1)
FORWARD(4)
FORWARD(16)

const treadle_entry_fn treadle_entry_functions[TURNS_ENTRIES] = {
    forward1, head1, forward4, forward16, head16, openPeriod, closePeriod};
const treadle_schedule_fn treadle_schedule_functions[1] = {0};

//===----------------------------------------------------------------------===//
// Image
//===----------------------------------------------------------------------===//

typedef struct {
  treadle_program_header header;
  treadle_program_entry entries[TURNS_ENTRIES];
  treadle_program_state states[TURNS_CELL + 1];
  char name[8];
  char json[1024];
  char ids[4], mask[8], keys[8], memory[8], history[8], calls[8], cell[8];
} Image;

// What tests of benchmarks and profiles count by: numbers that are easy to tell apart.
#define JSON                                                                   \
  "{\"family\": \"turns\", \"work\": {\"token_weight_bytes\": 1000, "          \
  "\"attended\": [\"keys\", \"mask\"], "                                       \
  "\"forward\": {\"flops\": 1000, \"key_flops\": 10}, "                        \
  "\"head\": {\"flops\": 500}, "                                               \
  "\"open\": {\"weight_bytes\": 200, \"flops\": 100}, "                        \
  "\"close\": {\"weight_bytes\": 300, \"flops\": 100}, "                       \
  "\"stages\": ["                                                              \
  "{\"name\": \"walk\", \"calls\": 1, \"weight_bytes\": 4000, "                \
  "\"row_bytes\": 64, \"key_bytes\": 33, \"flops\": 1000, "                    \
  "\"key_flops\": 10}, "                                                       \
  "{\"name\": \"head\", \"calls\": 1, \"flops\": 500}, "                       \
  "{\"name\": \"open\", \"calls\": 1, \"weight_bytes\": 200, "                 \
  "\"state_bytes\": 80, \"flops\": 100}, "                                     \
  "{\"name\": \"close\", \"calls\": 1, \"weight_bytes\": 300, "                \
  "\"key_bytes\": 33, \"flops\": 100}], "                                      \
  "\"entry_stages\": [[0], [1], [0], [0], [1], [2], [3]]}}"

#ifdef TURNS_TOKEN_STATE
enum { STATES = TURNS_CELL + 1 };
#else
enum { STATES = TURNS_STATES };
#endif

#define APPEND(NAME, ELEMENT, LEAD, ROWS, AT, STRIDE, SLOT)                    \
  .name = STRING(NAME, #NAME), .kind = TREADLE_PROGRAM_STATE_APPEND,           \
  .element = TREADLE_PROGRAM_ELEMENT_##ELEMENT, .lead = LEAD, .rows = ROWS,    \
  .offset = AT, .row_stride = STRIDE, .panel_rows = 1, .panel_depth = 1,       \
  .slot_stride = SLOT
#define FIXED(NAME, ELEMENT, COUNT, AT, SLOT)                                  \
  .name = STRING(NAME, #NAME), .kind = TREADLE_PROGRAM_STATE_FIXED,            \
  .element = TREADLE_PROGRAM_ELEMENT_##ELEMENT, .row_rank = 1,                 \
  .row_dims = {COUNT}, .rows = 1, .offset = AT, .row_stride = SLOT,            \
  .panel_rows = 1, .panel_depth = 1, .slot_stride = SLOT

// Program.h declares it as bytes.
extern const Image image __asm__("treadle_program");
_Alignas(64)
    const Image image = {
        .header =
            {
                .magic = TREADLE_PROGRAM_MAGIC,
                .format = TREADLE_PROGRAM_FORMAT,
                .header_size = sizeof(treadle_program_header),
                .name = STRING(name, "turns"),
                .info_json = STRING(json, JSON),
                .entries = SPAN(entries, TURNS_ENTRIES),
                .states = SPAN(states, STATES),
                .library_id = {77},
                .vocab_size = TOY_VOCAB,
                .token_count = TOY_VOCAB,
                .hidden_size = TOY_WIDTH,
                .max_loops = TOY_LOOPS,
                .config_loops = TOY_CONFIG_LOOPS,
                .period = TURNS_PERIOD,
                .open_entry = TURNS_OPEN,
                .close_entry = TURNS_CLOSE,
                .state_bytes = STATE_BYTES,
                .ids_state = TURNS_IDS,
                .mask_state = TURNS_MASK,
                .weights = {.mode = TREADLE_PROGRAM_WEIGHTS_EMBED,
                            WEIGHTS_FILE,
                            .content_digest = TOY_CONTENT_DIGEST},
            },
        .entries = {{TREADLE_PROGRAM_ENTRY_FORWARD, 1, 0, 0, 0, 0, 0, 0, 0},
                    {TREADLE_PROGRAM_ENTRY_HEAD, 1, 0, 0, 0, 0, 0, 0, 0},
                    {TREADLE_PROGRAM_ENTRY_FORWARD, 4, 0, 0, 0, 0, 0, 0, 0},
                    {TREADLE_PROGRAM_ENTRY_FORWARD, 16, 0, 0, 0, 0, 0, 0, 0},
                    {TREADLE_PROGRAM_ENTRY_HEAD, 16, 0, 0, 0, 0, 0, 0, 0},
                    {TREADLE_PROGRAM_ENTRY_OPEN, TURNS_LEAD, 4096, 0, 0, 0, 0,
                     0, 0},
                    {TREADLE_PROGRAM_ENTRY_CLOSE, TURNS_TRAIL, 0, 0, 0, 0, 0, 0,
                     0}},
        .states =
            {
                {APPEND(ids, I32, 0, TURNS_PERIOD, IDS_AT, 4, 4 * TURNS_PERIOD),
                 .pass_dim = -1},
                {APPEND(mask, U8, TURNS_LEAD, ROWS, MASK_AT, 1, 16),
                 .pass_dim = -1},
                {APPEND(keys, F32, TURNS_LEAD, ROWS, KEYS_AT, KEY_STRIDE,
                        KEY_SLOT),
                 .slot_rank = 1, .slot_dims = {TOY_LOOPS}, .row_rank = 1,
                 .row_dims = {TOY_WIDTH}},
                {FIXED(memory, F32, 16, MEMORY_AT, MEMORY_SLOT), .slot_rank = 1,
                 .slot_dims = {TOY_LOOPS}, .by_turn = 1,
                 .start = TREADLE_PROGRAM_START_WEIGHTS, .initial = INITIAL_AT},
                {FIXED(history, I32, 2, HISTORY_AT, 8), .pass_dim = -1,
                 .by_turn = 1, .start = TREADLE_PROGRAM_START_FILL, .fill = -1},
                {FIXED(calls, I32, 2, CALLS_AT, 8), .pass_dim = -1,
                 .by_turn = 1},
                {FIXED(cell, I32, 1, CELL_AT, 4), .pass_dim = -1},
            },
        .name = "turns",
        .json = JSON,
        .ids = "ids",
        .mask = "mask",
        .keys = "keys",
        .memory = "memory",
        .history = "history",
        .calls = "calls",
        .cell = "cell",
};

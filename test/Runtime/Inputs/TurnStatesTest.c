//===- TurnStatesTest.c - Periods: states and saved sessions --------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "TurnTest.h"

static float *getState(treadle_session *session, size_t index,
                       treadle_state_value *value) {
  treadle_state_shape shape = {.struct_size = sizeof(shape)};
  REQUIRE_OK(api->state_shape(session, index, &shape));
  float *values = malloc((shape.count + 1) * sizeof(*values));
  REQUIRE_OK(api->state_get(session, index, values, (size_t)shape.count));
  *value =
      (treadle_state_value){sizeof(*value), index, values, shape.rank, {0}};
  memcpy(value->dims, shape.dims, sizeof(shape.dims));
  return values;
}

//===----------------------------------------------------------------------===//
// The start of a sequence
//===----------------------------------------------------------------------===//

static void checkStart(treadle_session *session) {
  treadle_state_value value;
  // The weights' numbers, which the head of a unit vector would give as well:
  // slot p begins 128 + 64 p bytes into them.
  float *memory = getState(session, TURNS_MEMORY, &value);
  FILE *file = fopen(pathOf("toy.weights"), "rb");
  REQUIRE(file);
  uint64_t header;
  REQUIRE(fread(&header, sizeof(header), 1, file) == 1);
  REQUIRE(!fseek(file, (long)(8 + header + 128), SEEK_SET));
  float expected[2 * 16];
  REQUIRE(fread(expected, sizeof(expected), 1, file) == 1);
  fclose(file);
  CHECK(value.rank == 2 && value.dims[0] == 2 && value.dims[1] == 16);
  CHECK(!memcmp(memory, expected, sizeof(expected)));
  free(memory);
  float *history = getState(session, TURNS_HISTORY, &value);
  CHECK(history[0] == -1 && history[1] == -1);
  free(history);
  float *calls = getState(session, TURNS_CALLS, &value);
  CHECK(calls[0] == 0 && calls[1] == 0);
  free(calls);
  for (size_t i = 0; i < 3; ++i) {
    free(getState(session, i, &value));
    CHECK(value.dims[i == TURNS_KEYS] == 0); // no rows, no lead
  }
}

static void testStart(void) {
  const treadle_session_params params = {sizeof(params), 2, 0, 0, 0, 0};
  for (int poisoned = 0; poisoned < 2; ++poisoned) {
    treadle_session *s = newSession(api, model, 2, 0, 0);
    if (!poisoned) {
      api->session_destroy(s);
      REQUIRE_OK(api->session_create(model, &params, &s, NULL, 0));
    }
    checkStart(s);
    float logits[TOY_VOCAB];
    REQUIRE_OK(feed(api, s, 0, 21, logits));
    CHECK_OK(api->session_reset(s));
    checkStart(s);
    REQUIRE_OK(feed(api, s, 0, 21, logits));
    CHECK_OK(api->session_truncate(s, 0));
    checkStart(s);
    api->session_destroy(s);
  }
}

//===----------------------------------------------------------------------===//
// Set
//===----------------------------------------------------------------------===//

static void testShapes(void) {
  treadle_session *s = sessionAt(11, 0);
  treadle_state_value value;
  float *mask = getState(s, TURNS_MASK, &value);
  CHECK(value.rank == 1 && value.dims[0] == 5);
  CHECK(mask[0] == 1 && mask[1] == 1 && mask[2] == maskAt(8));
  free(mask);
  float *ids = getState(s, TURNS_IDS, &value);
  CHECK(value.dims[0] == 3 && ids[2] == (float)tokenAt(10));
  free(ids);
  free(getState(s, TURNS_KEYS, &value));
  CHECK(value.rank == 3 && value.dims[0] == 2 && value.dims[1] == 5);
  api->session_destroy(s);
}

/// Fixed states alone, before the first token: where memory from elsewhere goes.
static void testFixed(void) {
  treadle_session *from = sessionAt(16, 0),
                  *s = newSession(api, model, 2, 0, 0);
  REQUIRE_OK(api->session_turn(from));
  treadle_state_value values[3];
  float *memory[3];
  for (size_t i = 0; i < 3; ++i)
    memory[i] = getState(from, TURNS_MEMORY + i, &values[i]);
  CHECK_OK(api->state_set(s, values, 3));
  CHECK(api->session_position(s) == 0);
  // Up to the position it is the same session now.
  float a[TOY_VOCAB], b[TOY_VOCAB];
  CHECK_OK(feed(api, from, 30, 20, a));
  CHECK_OK(feed(api, s, 30, 20, b));
  CHECK(!memcmp(a, b, sizeof(a)));
  for (size_t i = 0; i < 3; ++i)
    free(memory[i]);
  api->session_destroy(from);
  api->session_destroy(s);
}

/// All states of one session, set in another, make it go on as that one does.
static void testTransplant(void) {
  for (int count = 0; count <= 17; ++count)
    for (int other = 0; other <= 9; other += 3) {
      treadle_session *s = sessionAt(count, 0), *t = sessionAt(other, 0);
      treadle_state_value values[TURNS_STATES];
      float *memory[TURNS_STATES];
      for (size_t i = 0; i < TURNS_STATES; ++i)
        memory[i] = getState(s, i, &values[i]);
      bool moves = sinceTurn(s) != sinceTurn(t);
      if (moves)
        CHECK_REFUSED(t, api->state_set(t, values, TURNS_STATES - 1),
                      TREADLE_STATUS_INVALID_ARGUMENT, "all 6 states");
      CHECK_OK(api->state_set(t, values, TURNS_STATES));
      CHECK(sinceTurn(t) == sinceTurn(s));
      CHECK(api->session_position(t) == (moves ? sinceTurn(s) : other));
      checkContinues(t, count, 0);
      for (size_t i = 0; i < TURNS_STATES; ++i)
        free(memory[i]);
      api->session_destroy(s);
      api->session_destroy(t);
    }
}

static void testRefusals(void) {
  treadle_session *s = sessionAt(11, 0), *twin = sessionAt(11, 0);
  treadle_state_value values[TURNS_STATES], value;
  float *memory[TURNS_STATES];
  for (size_t i = 0; i < TURNS_STATES; ++i)
    memory[i] = getState(s, i, &values[i]);
#define REFUSED(TEXT, CHANGE)                                                  \
  do {                                                                         \
    treadle_state_value kept[TURNS_STATES];                                    \
    memcpy(kept, values, sizeof(kept));                                        \
    CHANGE;                                                                    \
    CHECK_REFUSED(s, api->state_set(s, values, TURNS_STATES),                  \
                  TREADLE_STATUS_INVALID_ARGUMENT, TEXT);                      \
    CHECK(sameStates(api, s, twin));                                           \
    memcpy(values, kept, sizeof(kept));                                        \
  } while (0)
  REFUSED("'mask': expects 5", values[TURNS_MASK].dims[0] = 1); // half a lead
  REFUSED("'mask': expects 5", values[TURNS_MASK].dims[0] = 11);
  REFUSED("'ids': expects 3", values[TURNS_IDS].dims[0] = 5);
  REFUSED("'ids': expects 0", values[TURNS_MASK].dims[0] = 0);
  // Marks of open periods go, that of a period's start stays.
  size_t size;
  char *mark = checkpoint(s, &size);
  CHECK_OK(api->state_set(s, values, TURNS_STATES));
  CHECK_REFUSED(s, api->session_rollback(s, mark, size),
                TREADLE_STATUS_OVERWRITTEN, "given way");
  REQUIRE_OK(api->session_turn(s));
  REQUIRE_OK(api->session_checkpoint(s, mark, size));
  float logits[TOY_VOCAB];
  REQUIRE_OK(feed(api, s, 0, 3, logits));
  free(getState(s, TURNS_MASK, &value));
  CHECK_OK(api->state_set(s, values, TURNS_STATES));
  CHECK_OK(api->session_rollback(s, mark, size));
  free(mark);
  for (size_t i = 0; i < TURNS_STATES; ++i)
    free(memory[i]);
  api->session_destroy(s);
  api->session_destroy(twin);
}

//===----------------------------------------------------------------------===//
// Save and load
//===----------------------------------------------------------------------===//

static uint8_t *save(treadle_session *session, size_t *size) {
  REQUIRE_OK(api->save_size(session, size));
  uint8_t *blob = malloc(*size);
  int64_t before = sinceTurn(session);
  CHECK(api->session_save(session, blob, *size - 1) ==
        TREADLE_STATUS_BUFFER_TOO_SMALL);
  CHECK(sinceTurn(session) == before);
  REQUIRE_OK(api->session_save(session, blob, *size));
  return blob;
}

static void testSave(void) {
  size_t sizes[34], size;
  for (int count = 0; count <= 33; ++count) {
    treadle_session *s = sessionAt(count, 0), *t = sessionAt(5, 0);
    uint8_t *blob = save(s, &size);
    sizes[count] = size;
    CHECK(sinceTurn(s) == count % 8);
    checkAt(s, count, 0);
    CHECK_OK(api->session_load(t, blob, size));
    CHECK(sameStates(api, s, t) && sinceTurn(t) == sinceTurn(s));
    checkContinues(t, count, 0);
    // Over the end of the period that the mark of another one was taken in.
    free(blob);
    api->session_destroy(s);
    api->session_destroy(t);
  }
  // It depends on the place within the period alone, and is least at its ends.
  for (int count = 1; count <= 33; ++count) {
    CHECK(sizes[count] == sizes[count % 8]);
    CHECK(count % 8 == 0 || sizes[count] > sizes[0]);
  }
}

void toy_sha256(const void *data, size_t size, uint8_t digest[32]);

/// Makes an altered blob match its digest again, as an attacker would.
static void forge(uint8_t *blob, size_t size) {
  enum { DIGEST_AT = 128 };
  memset(blob + DIGEST_AT, 0, 32);
  uint8_t digest[32];
  toy_sha256(blob, size, digest);
  memcpy(blob + DIGEST_AT, digest, 32);
}

static void testDamage(void) {
  treadle_session *s = sessionAt(13, 0);
  treadle_session *target = sessionAt(3, 0), *twin = sessionAt(3, 0);
  size_t size;
  uint8_t *blob = save(s, &size), *copy = malloc(size);
  for (size_t i = 0; i < size; ++i)
    CHECK(api->session_load(target, blob, i) == TREADLE_STATUS_CORRUPT);
  for (size_t bit = 0; bit < size * 8; ++bit) {
    blob[bit / 8] ^= (uint8_t)(1 << bit % 8);
    CHECK(api->session_load(target, blob, size) != TREADLE_STATUS_OK);
    blob[bit / 8] ^= (uint8_t)(1 << bit % 8);
  }
  CHECK(sameStates(api, target, twin));
  enum {
    POSITION_AT = 80,
    FORGOTTEN_AT = 88,
    CONTEXT_AT = 96,
    ROW_AT = 104,
    OPEN_AT = 116,
    PAYLOAD_AT = 160
  };
  const struct {
    size_t at;
    uint8_t value;
    const char *text;
  } cases[] = {
      {ROW_AT, 4, "contradicts"},
      {ROW_AT, 8, "contradicts"},
      {ROW_AT, 9, "contradicts"},
      {ROW_AT + 7, 255, "contradicts"},
      {OPEN_AT, 0, "contradicts"},
      {OPEN_AT, 2, "contradicts"},
      {POSITION_AT, 4, "contradicts"},
      {POSITION_AT + 7, 64, "contradicts"},
      {POSITION_AT + 7, 128, "contradicts"},
      {FORGOTTEN_AT, 1, "contradicts"},
      {CONTEXT_AT, 1, "contradicts"},
      // ids come first: five of four bytes; then the lead's and tokens' masks.
      {PAYLOAD_AT, 37, "token at position 8"},
      {PAYLOAD_AT + 16 + 3, 128, "token at position 12"},
      {PAYLOAD_AT + 20 + 2, 2, "token at position 8"},
  };
  for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); ++i) {
    memcpy(copy, blob, size);
    copy[cases[i].at] = cases[i].value;
    forge(copy, size);
    CHECK_REFUSED(target, api->session_load(target, copy, size),
                  TREADLE_STATUS_CORRUPT, cases[i].text);
    CHECK(sameStates(api, target, twin));
  }
  // What cannot be told from the truth does no harm.
  memcpy(copy, blob, size);
  memset(copy + PAYLOAD_AT + 27, 0x7f, size - PAYLOAD_AT - 27 - 8);
  forge(copy, size);
  CHECK_OK(api->session_load(target, copy, size));
  CHECK(api->session_position(target) == 13);
  free(blob), free(copy);
  api->session_destroy(s);
  api->session_destroy(target);
  api->session_destroy(twin);
}

int main(int argc, char **argv) {
  (void)argc;
  folder = argv[1];
  api = loadLibrary("turns.so");
  model = openModel(api);
  testStart();
  testShapes();
  testFixed();
  testTransplant();
  testRefusals();
  testSave();
  testDamage();
  api->model_close(model);
  return finish("TurnStatesTest");
}

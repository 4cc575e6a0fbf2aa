//===- StatesTest.c - States as float32, in and out -----------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Test.h"

static const treadle_model_api *api;
static treadle_model *model;

enum { STATES = TOY_COUNT + 1 };

typedef struct {
  treadle_state_value values[STATES];
  float *memory[STATES];
} Content;

static Content getAll(treadle_session *session) {
  Content content;
  for (size_t i = 0; i < STATES; ++i) {
    treadle_state_shape shape = {.struct_size = sizeof(shape)};
    REQUIRE_OK(api->state_shape(session, i, &shape));
    content.memory[i] = malloc((shape.count + 1) * sizeof(float));
    REQUIRE_OK(
        api->state_get(session, i, content.memory[i], (size_t)shape.count));
    content.values[i] = (treadle_state_value){
        sizeof(treadle_state_value), i, content.memory[i], shape.rank, {0}};
    memcpy(content.values[i].dims, shape.dims, sizeof(shape.dims));
  }
  return content;
}

static void freeAll(Content *content) {
  for (size_t i = 0; i < STATES; ++i)
    free(content->memory[i]);
}

static treadle_session *sessionAt(int32_t loops, int count) {
  treadle_session *s = newSession(api, model, loops, 0, 40);
  float logits[TOY_VOCAB];
  if (count)
    REQUIRE_OK(feed(api, s, 0, count, logits));
  return s;
}

static void checkShape(treadle_session *session, size_t index, size_t rank,
                       const uint64_t *dims) {
  treadle_state_shape shape = {.struct_size = sizeof(shape)};
  CHECK_OK(api->state_shape(session, index, &shape));
  CHECK(shape.rank == rank);
  uint64_t count = 1;
  for (size_t i = 0; i < TREADLE_MAX_STATE_RANK; ++i) {
    CHECK(shape.dims[i] == (i < rank ? dims[i] : 0));
    count *= i < rank ? dims[i] : 1;
  }
  CHECK(shape.count == count);
}

static void testShapes(void) {
  treadle_session *s = sessionAt(2, 5);
  checkShape(s, TOY_IDS, 1, (uint64_t[]){5});
  checkShape(s, TOY_MASK, 1, (uint64_t[]){5});
  checkShape(s, TOY_KEYS, 4, (uint64_t[]){2, 2, 5, 8});
  checkShape(s, TOY_HALVES, 4, (uint64_t[]){2, 5, 1, 1});
  checkShape(s, TOY_CELL, 3, (uint64_t[]){2, 2, 4});
  checkShape(s, TOY_TAPS, 2, (uint64_t[]){3, 8});
  checkShape(s, TOY_COUNT, 0, NULL);
  treadle_state_shape shape = {.struct_size = sizeof(shape)};
  const treadle_status invalid = TREADLE_STATUS_INVALID_ARGUMENT;
  CHECK(api->state_shape(s, STATES, &shape) == invalid);
  CHECK(api->state_shape(NULL, 0, &shape) == invalid);
  CHECK(api->state_shape(s, 0, NULL) == invalid);
  shape.struct_size = 8;
  CHECK(api->state_shape(s, 0, &shape) == invalid);
  api->session_destroy(s);
}

static void testGet(void) {
  treadle_session *s = sessionAt(1, 7);
  float values[64];
  CHECK_OK(api->state_get(s, TOY_IDS, values, 7));
  for (int i = 0; i < 7; ++i)
    CHECK(values[i] == (float)tokenAt(i));
  CHECK_OK(api->state_get(s, TOY_MASK, values, 7));
  for (int i = 0; i < 7; ++i)
    CHECK(values[i] == maskAt(i));
  CHECK_OK(api->state_get(s, TOY_COUNT, values, 1));
  CHECK(values[0] == 6);
  // The ring, oldest first: feed one token at a time and see rows move up.
  float before[24], after[24];
  CHECK_OK(api->state_get(s, TOY_TAPS, before, 24));
  REQUIRE_OK(feed(api, s, 7, 1, values));
  CHECK_OK(api->state_get(s, TOY_TAPS, after, 24));
  CHECK(!memcmp(before + 8, after, 16 * sizeof(float)));
  CHECK_REFUSED(s, api->state_get(s, TOY_IDS, values, 7),
                TREADLE_STATUS_BUFFER_TOO_SMALL, "8 values, got 7");
  CHECK_REFUSED(s, api->state_get(s, TOY_IDS, NULL, 8),
                TREADLE_STATUS_INVALID_ARGUMENT, "buffer");
  CHECK_REFUSED(s, api->state_get(s, STATES, values, 8),
                TREADLE_STATUS_INVALID_ARGUMENT, "below 7, got 7");
  CHECK(api->state_get(NULL, 0, values, 8) == TREADLE_STATUS_INVALID_ARGUMENT);
  api->session_destroy(s);
  s = sessionAt(1, 0);
  CHECK_OK(api->state_get(s, TOY_IDS, NULL, 0));
  CHECK_OK(api->state_get(s, TOY_TAPS, values, 24));
  for (int i = 0; i < 24; ++i)
    CHECK(values[i] == 0);
  api->session_destroy(s);
}

/// All states of one session, set in another, make it that session.
static void testTransplant(void) {
  for (int32_t loops = 1; loops <= TOY_LOOPS; ++loops)
    for (int count = 0; count <= 20; count += 4) {
      treadle_session *s = sessionAt(loops, count), *t = sessionAt(loops, 9);
      Content content = getAll(s);
      CHECK_OK(api->state_set(t, content.values, STATES));
      CHECK(api->session_position(t) == count);
      CHECK(sameStates(api, s, t));
      float a[TOY_VOCAB], b[TOY_VOCAB];
      CHECK_OK(feed(api, s, 40, 6, a));
      CHECK_OK(feed(api, t, 40, 6, b));
      CHECK(!memcmp(a, b, sizeof(a)));
      freeAll(&content);
      api->session_destroy(s);
      api->session_destroy(t);
    }
}

static void testPartial(void) {
  treadle_session *s = sessionAt(2, 8), *t = sessionAt(2, 8);
  float logits[TOY_VOCAB];
  REQUIRE_OK(feed(api, s, 20, 4, logits));
  REQUIRE_OK(feed(api, t, 30, 4, logits));
  Content content = getAll(s);
  size_t size;
  REQUIRE_OK(api->checkpoint_size(t, &size));
  void *mark = malloc(size);
  REQUIRE_OK(api->session_checkpoint(t, mark, size));
  CHECK_OK(api->state_set(t, NULL, 0));
  // Fixed and ring states alone: marks stay.
  CHECK_OK(api->state_set(t, content.values + TOY_CELL, 3));
  CHECK_OK(api->session_rollback(t, mark, size));
  CHECK(!sameStates(api, s, t));
  CHECK_OK(api->state_set(t, content.values + TOY_CELL, 3));
  // Append states with as many rows as there are tokens.
  CHECK_OK(api->state_set(t, content.values + TOY_IDS, 4));
  CHECK(sameStates(api, s, t));
  CHECK_REFUSED(t, api->session_rollback(t, mark, size),
                TREADLE_STATUS_OVERWRITTEN, "rows from 0 on");
  freeAll(&content);
  free(mark);
  api->session_destroy(s);
  api->session_destroy(t);
}

static void testRounding(void) {
  treadle_session *s = sessionAt(1, 4);
  const float in[4] = {1.00390625f, 1.01171875f, 3.4e38f, NAN};
  const float out[4] = {1.0f, 1.015625f, INFINITY, NAN};
  float back[4];
  treadle_state_value value = {sizeof(value), TOY_HALVES, in, 4, {1, 4, 1, 1}};
  CHECK_OK(api->state_set(s, &value, 1));
  CHECK_OK(api->state_get(s, TOY_HALVES, back, 4));
  for (int i = 0; i < 3; ++i)
    CHECK(back[i] == out[i]);
  CHECK(isnan(back[3]));
  api->session_destroy(s);
}

static void testRefusals(void) {
  treadle_session *s = sessionAt(2, 5), *twin = sessionAt(2, 5);
  treadle_session *longer = sessionAt(2, 6);
  Content own = getAll(s), other = getAll(longer);
  treadle_state_value values[STATES + 1];
  const treadle_status invalid = TREADLE_STATUS_INVALID_ARGUMENT;
#define REFUSED(TEXT, COUNT, CHANGE)                                           \
  do {                                                                         \
    memcpy(values, own.values, sizeof(own.values));                            \
    CHANGE;                                                                    \
    CHECK_REFUSED(s, api->state_set(s, values, COUNT), invalid, TEXT);         \
    CHECK(sameStates(api, s, twin));                                           \
  } while (0)
  REFUSED("at most 7", STATES + 1, values[STATES] = values[0]);
  REFUSED("given twice", 3, values[2] = values[0]);
  REFUSED("version", 2, values[0].struct_size = 16);
  REFUSED("version", 2, values[1].struct_size += 8);
  REFUSED("below 7, got 99", 2, values[1].index = 99);
  REFUSED("rank 4, got 3", STATES, values[TOY_KEYS].rank = 3);
  REFUSED("expects 2 in dimension 1, got 3", STATES,
          values[TOY_KEYS].dims[1] = 3);
  REFUSED("state 'taps': expects 3 in dimension 0", STATES,
          values[TOY_TAPS].dims[0] = 5);
  REFUSED("state 'cell': expects values", STATES,
          values[TOY_CELL].values = NULL);
  // Append states must agree, and a new position takes all states.
  REFUSED("state 'mask': expects 5", STATES,
          values[TOY_MASK] = other.values[TOY_MASK]);
  REFUSED("all 7 states to change the position from 5 to 6", STATES - 1,
          memcpy(values, other.values, sizeof(other.values)));
  REFUSED("expects 5 in dimension 0, got 1000", 1, values[0].dims[0] = 1000);
  float bad[5] = {1, 2, 3, 4, 37};
  REFUSED("state 'ids': value 4", 1, values[0].values = bad);
  bad[4] = 1.5f;
  REFUSED("value 4", 1, values[0].values = bad);
  bad[4] = NAN;
  REFUSED("value 4", 1, values[0].values = bad);
  bad[4] = -1;
  REFUSED("value 4", 1, values[0].values = bad);
  REFUSED("state 'mask': value 1", 2, values[TOY_MASK].values = bad);
  float huge = 2147483648.0f;
  REFUSED("state 'count': value 0", STATES, values[TOY_COUNT].values = &huge);
  huge = -2147483648.0f;
  own.values[TOY_COUNT].values = &huge;
  CHECK_OK(api->state_set(s, own.values, STATES));
  CHECK_REFUSED(s, api->state_set(s, NULL, 1), invalid, "expects values");
  CHECK(api->state_set(NULL, own.values, 1) == invalid);
  freeAll(&own);
  freeAll(&other);
  api->session_destroy(s);
  api->session_destroy(twin);
  api->session_destroy(longer);
}

int main(int argc, char **argv) {
  (void)argc;
  folder = argv[1];
  api = loadLibrary("toy.so");
  model = openModel(api);
  testShapes();
  testGet();
  testTransplant();
  testPartial();
  testRounding();
  testRefusals();
  api->model_close(model);
  return finish("StatesTest");
}

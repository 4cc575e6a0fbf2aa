//===- Test.h - Helpers of the runtime's tests --------------------*- C -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Each test is a program that gets the folder of the toy libraries and returns
// how many checks failed.
//
//===----------------------------------------------------------------------===//

#ifndef TEST_H
#define TEST_H

#include "Toy.h"
#include "treadle-c/model.h"

#include <dlfcn.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failures;
static const char *folder;

#define CHECK(CONDITION)                                                       \
  ((CONDITION) ? (void)0                                                       \
               : (void)(++failures, fprintf(stderr, "%s:%d: failed: %s\n",     \
                                            __FILE__, __LINE__, #CONDITION)))

/// Stops where going on makes no sense.
#define REQUIRE(CONDITION)                                                     \
  do {                                                                         \
    if (!(CONDITION)) {                                                        \
      fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #CONDITION);  \
      exit(1);                                                                 \
    }                                                                          \
  } while (0)

#define CHECK_OK(CALL) CHECK((CALL) == TREADLE_STATUS_OK)
#define REQUIRE_OK(CALL) REQUIRE((CALL) == TREADLE_STATUS_OK)

/// A call that must be refused with a message that contains TEXT.
#define CHECK_REFUSED(SESSION, CALL, STATUS, TEXT)                             \
  do {                                                                         \
    CHECK((CALL) == (STATUS));                                                 \
    if (!strstr(api->session_message(SESSION), TEXT)) {                        \
      ++failures;                                                              \
      fprintf(stderr, "%s:%d: expected a message with '%s', got '%s'\n",       \
              __FILE__, __LINE__, TEXT, api->session_message(SESSION));        \
    }                                                                          \
  } while (0)

static inline const char *pathOf(const char *name) {
  static char path[2][1024];
  static int turn;
  turn ^= 1;
  snprintf(path[turn], sizeof(path[turn]), "%s/%s", folder, name);
  return path[turn];
}

/// The table of a toy library, which stays loaded.
static inline const treadle_model_api *loadLibrary(const char *name) {
  void *library = dlopen(pathOf(name), RTLD_NOW | RTLD_LOCAL);
  if (!library)
    fprintf(stderr, "%s\n", dlerror());
  REQUIRE(library);
  treadle_model_query_fn query;
  *(void **)&query = dlsym(library, "treadle_model_query");
  REQUIRE(query);
  return query(TREADLE_MODEL_ABI);
}

static inline treadle_model *openModel(const treadle_model_api *api) {
  treadle_model *model;
  REQUIRE_OK(api->model_open(NULL, &model, NULL, 0));
  return model;
}

static inline treadle_session *newSession(const treadle_model_api *api,
                                          const treadle_model *model,
                                          int32_t loops, treadle_on_full onFull,
                                          int64_t context) {
  const treadle_session_params params = {
      sizeof(params), loops, onFull, context, TREADLE_SESSION_POISON, 0};
  treadle_session *session;
  REQUIRE_OK(api->session_create(model, &params, &session, NULL, 0));
  return session;
}

/// Deterministic tokens, some of them masked.
static inline int32_t tokenAt(int i) { return (i * 7 + i / 5) % TOY_VOCAB; }
static inline uint8_t maskAt(int i) { return i % 6 != 2; }

static inline void fillTokens(int32_t *ids, uint8_t *mask, int first,
                              int count) {
  for (int i = 0; i < count; ++i) {
    ids[i] = tokenAt(first + i);
    mask[i] = maskAt(first + i);
  }
}

/// Feeds tokens first ... first + count - 1 and returns the last logits.
static inline treadle_status feed(const treadle_model_api *api,
                                  treadle_session *session, int first,
                                  int count, float logits[TOY_VOCAB]) {
  int32_t ids[1024];
  uint8_t mask[1024];
  REQUIRE(count <= 1024);
  fillTokens(ids, mask, first, count);
  return api->session_forward(session, ids, mask, (size_t)count,
                              TREADLE_LOGITS_LAST, logits, TOY_VOCAB);
}

/// Whether two sessions hold the same, bit for bit, as far as float32 shows it.
static inline bool sameStates(const treadle_model_api *api, treadle_session *a,
                              treadle_session *b) {
  if (api->session_position(a) != api->session_position(b))
    return false;
  treadle_model_info info = {.struct_size = sizeof(info)};
  REQUIRE_OK(api->model_info(NULL, &info));
  bool same = true;
  for (size_t i = 0; i < info.state_count; ++i) {
    treadle_state_shape shape = {.struct_size = sizeof(shape)}, other = shape;
    REQUIRE_OK(api->state_shape(a, i, &shape));
    REQUIRE_OK(api->state_shape(b, i, &other));
    if (memcmp(&shape, &other, sizeof(shape)))
      return false;
    float *values = malloc((2 * shape.count + 1) * sizeof(*values));
    REQUIRE_OK(api->state_get(a, i, values, shape.count));
    REQUIRE_OK(api->state_get(b, i, values + shape.count, shape.count));
    same &= !memcmp(values, values + shape.count, shape.count * sizeof(float));
    free(values);
  }
  return same;
}

static inline int finish(const char *name) {
  if (failures)
    fprintf(stderr, "%s: %d checks failed\n", name, failures);
  return failures != 0;
}

#endif // TEST_H

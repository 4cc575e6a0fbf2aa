//===- ProfileTest.c - The caller is told which stage begins --------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Every call of an entry point is marked from its begin to its end, on the caller's
// thread alone, whatever the threads; and with the same bits.
//
//===----------------------------------------------------------------------===//

#include "Test.h"

#include <pthread.h>

enum { MOST = 64, PROMPT = 5 };

typedef struct {
  pthread_t thread;
  size_t count;
  size_t entries[MOST];
  int32_t stages[MOST];
} Log;

static const treadle_model_api *api;

static void note(void *context, size_t entry, int32_t stage) {
  Log *log = context;
  REQUIRE(log->count < MOST);
  CHECK(pthread_equal(pthread_self(), log->thread));
  log->entries[log->count] = entry;
  log->stages[log->count++] = stage;
}

static treadle_model *openThreads(int32_t threads) {
  treadle_open_params params = {.struct_size = sizeof(params),
                                .threads = threads,
                                .flags = TREADLE_OPEN_ALL_THREADS};
  treadle_model *model;
  REQUIRE_OK(api->model_open(&params, &model, NULL, 0));
  return model;
}

/// Whether marks from `*at` on are those of one call of an entry point.
static bool isCall(const Log *log, size_t *at, size_t entry, bool alone) {
  static const int32_t shared[] = {TREADLE_MARK_BEGIN, 0, TREADLE_MARK_WAIT,
                                   TREADLE_MARK_END};
  static const int32_t lone[] = {
      TREADLE_MARK_BEGIN, TREADLE_MARK_WAIT, 0,
      TREADLE_MARK_WAIT,  TREADLE_MARK_WAIT, TREADLE_MARK_END};
  const int32_t *expected = alone ? lone : shared;
  for (size_t i = 0; i < (alone ? 6 : 4); ++i, ++*at)
    if (*at >= log->count || log->entries[*at] != entry ||
        log->stages[*at] != expected[i])
      return false;
  return true;
}

static void testMarks(int32_t threads) {
  treadle_model *model = openThreads(threads);
  treadle_session *s = newSession(api, model, 2, 0, 0);
  treadle_session *unmarked = newSession(api, model, 2, 0, 0);
  float logits[TOY_VOCAB], expected[TOY_VOCAB];
  Log log = {.thread = pthread_self()};
  CHECK_OK(api->session_profile(s, note, &log));
  REQUIRE_OK(feed(api, s, 0, PROMPT, logits));
  REQUIRE_OK(feed(api, unmarked, 0, PROMPT, expected));
  CHECK(!memcmp(logits, expected, sizeof(logits)));
  size_t at = 0;
  CHECK(isCall(&log, &at, TOY_FORWARD_4, true));
  CHECK(isCall(&log, &at, TOY_FORWARD_1, true));
  CHECK(isCall(&log, &at, TOY_HEAD_1, false));
  CHECK(at == log.count);

  // A fork is not marked, and neither is what runs after it was called off.
  treadle_session *copy;
  REQUIRE_OK(api->session_fork(s, &copy));
  REQUIRE_OK(feed(api, copy, PROMPT, 1, logits));
  CHECK_OK(api->session_profile(s, NULL, NULL));
  REQUIRE_OK(feed(api, s, PROMPT, 1, logits));
  CHECK(at == log.count);
  api->session_destroy(copy);
  api->session_destroy(unmarked);
  api->session_destroy(s);
  api->model_close(model);
}

static void testTurns(void) {
  api = loadLibrary("turns.so");
  treadle_model *model = openThreads(2);
  treadle_session *s = newSession(api, model, 1, 0, 0);
  Log log = {.thread = pthread_self()};
  CHECK_OK(api->session_profile(s, note, &log));
  const int32_t id = 1;
  REQUIRE_OK(
      api->session_forward(s, &id, NULL, 1, TREADLE_LOGITS_NONE, NULL, 0));
  CHECK_OK(api->session_turn(s));
  size_t at = 0;
  CHECK(isCall(&log, &at, TURNS_OPEN, true));
  CHECK(isCall(&log, &at, TOY_FORWARD_1, true));
  CHECK(isCall(&log, &at, TURNS_CLOSE, true));
  CHECK(at == log.count);
  api->session_destroy(s);
  api->model_close(model);
}

int main(int argc, char **argv) {
  (void)argc;
  folder = argv[1];
  api = loadLibrary("toy.so");
  CHECK(api->session_profile(NULL, note, NULL) ==
        TREADLE_STATUS_INVALID_ARGUMENT);
  for (int32_t threads = 1; threads <= 3; ++threads)
    testMarks(threads);
  testTurns();
  return finish("ProfileTest");
}

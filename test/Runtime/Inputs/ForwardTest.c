//===- ForwardTest.c - Chunks, buckets, masks, the context's end ----------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Test.h"

#include <sys/wait.h>
#include <unistd.h>

static const treadle_model_api *api;
static treadle_model *model;

/// Every chunking gives the same bits, for every number of loops.
static void testChunking(void) {
  enum { count = 61 };
  int32_t ids[count];
  uint8_t mask[count];
  fillTokens(ids, mask, 0, count);
  static float whole[count][TOY_VOCAB], pieces[count][TOY_VOCAB];
  for (int32_t loops = 1; loops <= TOY_LOOPS; ++loops) {
    treadle_session *a = newSession(api, model, loops, 0, 0);
    CHECK_OK(api->session_forward(a, ids, mask, count, TREADLE_LOGITS_ALL,
                                  whole[0], sizeof(whole) / 4));
    CHECK(api->session_position(a) == count);
    for (int step = 1; step < count; ++step) {
      treadle_session *b = newSession(api, model, loops, 0, 0);
      for (int i = 0; i < count; i += step) {
        int n = count - i < step ? count - i : step;
        CHECK_OK(api->session_forward(b, ids + i, mask + i, (size_t)n,
                                      TREADLE_LOGITS_ALL, pieces[i],
                                      (size_t)n * TOY_VOCAB));
      }
      CHECK(!memcmp(whole, pieces, sizeof(whole)));
      CHECK(sameStates(api, a, b));
      float last[TOY_VOCAB];
      CHECK_OK(api->session_reset(b));
      CHECK_OK(api->session_forward(b, ids, mask, (size_t)step,
                                    TREADLE_LOGITS_NONE, NULL, 0));
      CHECK_OK(api->session_forward(b, ids + step, mask + step,
                                    (size_t)(count - step), TREADLE_LOGITS_LAST,
                                    last, TOY_VOCAB));
      CHECK(!memcmp(whole[count - 1], last, sizeof(last)));
      api->session_destroy(b);
    }
    api->session_destroy(a);
  }
}

/// A masked token is never attended to, but takes a position; no mask is all ones.
static void testMask(void) {
  treadle_session *a = newSession(api, model, 1, 0, 0);
  treadle_session *b = newSession(api, model, 1, 0, 0);
  const uint8_t ones[8] = {1, 1, 1, 1, 1, 1, 1, 1};
  const uint8_t masked[8] = {1, 0, 1, 1, 1, 1, 1, 1};
  const int32_t ids[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  float x[TOY_VOCAB], y[TOY_VOCAB];
  CHECK_OK(api->session_forward(a, ids, NULL, 8, 1, x, TOY_VOCAB));
  CHECK_OK(api->session_forward(b, ids, ones, 8, 1, y, TOY_VOCAB));
  CHECK(!memcmp(x, y, sizeof(x)));
  api->session_reset(b);
  CHECK_OK(api->session_forward(b, ids, masked, 8, 1, y, TOY_VOCAB));
  CHECK(memcmp(x, y, sizeof(x)));
  float values[8];
  CHECK_OK(api->state_get(b, TOY_MASK, values, 8));
  CHECK(values[0] == 1 && values[1] == 0 && values[2] == 1);
  api->session_destroy(a);
  api->session_destroy(b);
}

static void checkCounts(const treadle_session *session,
                        const uint64_t *expected) {
  uint64_t counts[TOY_ENTRIES];
  CHECK_OK(api->session_counters(session, counts, TOY_ENTRIES));
  for (int i = 0; i < TOY_ENTRIES; ++i)
    if (counts[i] != expected[i]) {
      ++failures;
      fprintf(stderr, "entry %d: expected %d calls, got %d\n", i,
              (int)expected[i], (int)counts[i]);
    }
}

/// Buckets 1, 4, 16, each of cost (R + 16) for min(R, remaining) rows.
static void testBuckets(void) {
  static float logits[64 * TOY_VOCAB];
  int32_t ids[64];
  uint8_t mask[64];
  fillTokens(ids, mask, 0, 64);
  treadle_session *s = newSession(api, model, 1, 0, 0);
  const struct {
    size_t count;
    treadle_logits mode;
    uint64_t calls[TOY_ENTRIES];
  } cases[] = {
      // forward 1, head 1, forward 4, forward 16, head 16
      {1, TREADLE_LOGITS_NONE, {1, 0, 0, 0, 0}},
      {1, TREADLE_LOGITS_LAST, {1, 1, 0, 0, 0}},
      {2, TREADLE_LOGITS_LAST, {0, 1, 1, 0, 0}},
      {4, TREADLE_LOGITS_ALL, {0, 0, 1, 0, 1}},
      {6, TREADLE_LOGITS_NONE, {0, 0, 2, 0, 0}},
      {7, TREADLE_LOGITS_NONE, {0, 0, 0, 1, 0}},
      {16, TREADLE_LOGITS_ALL, {0, 0, 0, 1, 1}},
      {17, TREADLE_LOGITS_ALL, {1, 1, 0, 1, 1}},
      {64, TREADLE_LOGITS_LAST, {0, 1, 0, 4, 0}},
  };
  for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); ++i) {
    CHECK_OK(api->session_reset(s));
    CHECK_OK(api->session_forward(s, ids, mask, cases[i].count, cases[i].mode,
                                  logits, 64 * TOY_VOCAB));
    checkCounts(s, cases[i].calls);
  }
  uint64_t counts[TOY_ENTRIES];
  CHECK(api->session_counters(s, counts, TOY_ENTRIES - 1) ==
        TREADLE_STATUS_BUFFER_TOO_SMALL);
  CHECK(api->session_counters(s, NULL, 9) == TREADLE_STATUS_INVALID_ARGUMENT);
  api->session_destroy(s);
}

/// Logits go straight to the caller; nothing is written past them.
static void testOutputBounds(void) {
  treadle_session *s = newSession(api, model, 2, 0, 0);
  for (int count = 1; count <= 40; ++count) {
    size_t size = (size_t)count * TOY_VOCAB;
    float *logits = malloc(size * sizeof(float)); // the sanitizer's fence
    int32_t ids[40];
    uint8_t mask[40];
    fillTokens(ids, mask, 3, count);
    CHECK_OK(api->session_reset(s));
    CHECK_OK(api->session_forward(s, ids, mask, (size_t)count,
                                  TREADLE_LOGITS_ALL, logits, size));
    for (size_t i = 0; i < size; ++i)
      CHECK(!isnan(logits[i]));
    free(logits);
  }
  api->session_destroy(s);
}

static void testRefusals(void) {
  treadle_session *s = newSession(api, model, 1, 0, 10);
  treadle_session *untouched = newSession(api, model, 1, 0, 10);
  float logits[TOY_VOCAB * 4];
  REQUIRE_OK(feed(api, s, 0, 5, logits));
  REQUIRE_OK(feed(api, untouched, 0, 5, logits));
  const int32_t ids[6] = {1, 2, 3, 0, 0, 0}, low[2] = {0, -1},
                high[2] = {0, TOY_VOCAB};
  const uint8_t odd[2] = {1, 2};
#define REFUSED(STATUS, TEXT, ...)                                             \
  CHECK_REFUSED(s, api->session_forward(s, __VA_ARGS__), STATUS, TEXT)
  const treadle_status invalid = TREADLE_STATUS_INVALID_ARGUMENT;
  REFUSED(invalid, "at least one", NULL, NULL, 1, 0, NULL, 0);
  REFUSED(invalid, "at least one", ids, NULL, 0, 0, NULL, 0);
  REFUSED(invalid, "got -1 at index 1", low, NULL, 2, 0, NULL, 0);
  REFUSED(invalid, "0 to 36, got 37", high, NULL, 2, 0, NULL, 0);
  REFUSED(invalid, "mask of 0 and 1", ids, odd, 2, 0, NULL, 0);
  REFUSED(invalid, "impossible number", ids, NULL, SIZE_MAX, 0, NULL, 0);
  REFUSED(invalid, "logits mode", ids, NULL, 1, 3, logits, 1000);
  REFUSED(invalid, "logits mode", ids, NULL, 1, -1, logits, 1000);
  REFUSED(invalid, "buffer for the logits", ids, NULL, 1, 1, NULL, 1000);
  REFUSED(TREADLE_STATUS_BUFFER_TOO_SMALL, "37 logits, got 36", ids, NULL, 3, 1,
          logits, TOY_VOCAB - 1);
  REFUSED(TREADLE_STATUS_BUFFER_TOO_SMALL, "111 logits", ids, NULL, 3, 2,
          logits, 3 * TOY_VOCAB - 1);
  REFUSED(TREADLE_STATUS_FULL, "6 tokens at position 5 exceed 10", ids, NULL, 6,
          1, logits, TOY_VOCAB);
  CHECK(api->session_forward(NULL, ids, NULL, 1, 0, NULL, 0) == invalid);
  CHECK(sameStates(api, s, untouched));
  CHECK_OK(feed(api, s, 5, 5, logits));
  CHECK(feed(api, s, 10, 1, logits) == TREADLE_STATUS_FULL);
  api->session_destroy(s);
  api->session_destroy(untouched);
}

/// Code that writes past the states dies in a poisoned session.
static void testGuards(void) {
  pid_t child = fork();
  if (child == 0) {
    fclose(stderr); // a sanitizer would tell of the fault
    const treadle_model_api *overrun = loadLibrary("toy-overrun.so");
    treadle_session *s = newSession(overrun, openModel(overrun), 1, 0, 0);
    float logits[TOY_VOCAB];
    feed(overrun, s, 0, 1, logits);
    _exit(0);
  }
  int status;
  waitpid(child, &status, 0);
  CHECK(!WIFEXITED(status) || WEXITSTATUS(status) != 0);
}

//===----------------------------------------------------------------------===//
// Recompute
//===----------------------------------------------------------------------===//

/// What model.h says: a fresh session that is given the last `context` tokens.
static void bruteForce(int last, int context, int32_t loops,
                       float logits[TOY_VOCAB]) {
  treadle_session *s = newSession(api, model, loops, 0, 0);
  int first = last + 1 > context ? last + 1 - context : 0;
  REQUIRE_OK(feed(api, s, first, last + 1 - first, logits));
  api->session_destroy(s);
}

static void testRecompute(int context, int32_t loops, int step,
                          treadle_logits mode) {
  enum { total = 50 };
  treadle_session *s =
      newSession(api, model, loops, TREADLE_ON_FULL_RECOMPUTE, context);
  static float logits[total * TOY_VOCAB];
  float expected[TOY_VOCAB];
  for (int i = 0; i < total; i += step) {
    int n = total - i < step ? total - i : step;
    int32_t ids[total];
    uint8_t mask[total];
    fillTokens(ids, mask, i, n);
    CHECK_OK(api->session_forward(s, ids, mask, (size_t)n, mode, logits,
                                  total * TOY_VOCAB));
    if (mode == TREADLE_LOGITS_LAST) {
      bruteForce(i + n - 1, context, loops, expected);
      CHECK(!memcmp(expected, logits, sizeof(expected)));
    }
    for (int j = 0; mode == TREADLE_LOGITS_ALL && j < n; ++j) {
      bruteForce(i + j, context, loops, expected);
      CHECK(!memcmp(expected, logits + j * TOY_VOCAB, sizeof(expected)));
    }
    treadle_session_info info = {.struct_size = sizeof(info)};
    CHECK_OK(api->session_info(s, &info));
    CHECK(info.position + info.forgotten == i + n);
    CHECK(info.position == (i + n < context ? i + n : context));
  }
  treadle_session *fresh = newSession(api, model, loops, 0, context);
  int held = context < total ? context : total;
  REQUIRE_OK(feed(api, fresh, total - held, held, expected));
  CHECK(sameStates(api, s, fresh));
  api->session_destroy(s);
  api->session_destroy(fresh);
}

static void testSession(void) {
  char message[256];
  treadle_session *s = (treadle_session *)message;
  treadle_session_params params = {sizeof(params), 0, 0, 0, 0, 0};
#define CREATE api->session_create(model, &params, &s, message, sizeof(message))
#define NOT_CREATED(TEXT)                                                      \
  CHECK(CREATE == TREADLE_STATUS_INVALID_ARGUMENT && !s);                      \
  CHECK(strstr(message, TEXT))
  CHECK_OK(CREATE);
  treadle_session_info info = {.struct_size = sizeof(info)};
  CHECK_OK(api->session_info(s, &info));
  CHECK(info.loops == 1 && info.context == TOY_CONTEXT && !info.position);
  CHECK(!strcmp(api->session_message(s), ""));
  api->session_destroy(s);
  params.loops = TREADLE_LOOPS_CONFIG;
  CHECK_OK(CREATE);
  CHECK_OK(api->session_info(s, &info));
  CHECK(info.loops == TOY_CONFIG_LOOPS);
  info.struct_size = 1;
  CHECK(api->session_info(s, &info) == TREADLE_STATUS_INVALID_ARGUMENT);
  CHECK(api->session_info(s, NULL) == TREADLE_STATUS_INVALID_ARGUMENT);
  api->session_destroy(s);
  CHECK_OK(api->session_create(model, NULL, &s, NULL, 0));
  api->session_destroy(s);

  params.loops = TOY_LOOPS + 1;
  NOT_CREATED("expects 1 to 3 loops, got 4");
  params.loops = -2;
  NOT_CREATED("got -2");
  params = (treadle_session_params){sizeof(params), 1, 2, 0, 0, 0};
  NOT_CREATED("on_full");
  params = (treadle_session_params){sizeof(params), 1, 0, -1, 0, 0};
  NOT_CREATED("got -1");
  params.context = TOY_CONTEXT + 1;
  NOT_CREATED("1 to 64 positions, got 65");
  params = (treadle_session_params){sizeof(params), 1, 0, 0, 2, 0};
  NOT_CREATED("flags");
  params = (treadle_session_params){12, 1, 0, 0, 0, 0};
  NOT_CREATED("version");
  CHECK(api->session_create(NULL, NULL, &s, NULL, 0) ==
        TREADLE_STATUS_INVALID_ARGUMENT);
  CHECK(api->session_create(model, NULL, NULL, NULL, 0) ==
        TREADLE_STATUS_INVALID_ARGUMENT);
  api->session_destroy(NULL);
  CHECK(api->session_position(NULL) == -1);
  CHECK(!strcmp(api->session_message(NULL), ""));
  CHECK(api->session_reset(NULL) == TREADLE_STATUS_INVALID_ARGUMENT);
  CHECK(api->session_info(NULL, &info) == TREADLE_STATUS_INVALID_ARGUMENT);
  CHECK(api->session_counters(NULL, NULL, 0) ==
        TREADLE_STATUS_INVALID_ARGUMENT);
}

int main(int argc, char **argv) {
  (void)argc;
  folder = argv[1];
  api = loadLibrary("toy.so");
  model = openModel(api);
  testSession();
  testChunking();
  testMask();
  testBuckets();
  testOutputBounds();
  testRefusals();
  testGuards();
  const int contexts[] = {1, 5, 16, 33}, steps[] = {1, 3, 18, 50};
  for (int i = 0; i < 16; ++i) {
    testRecompute(contexts[i / 4], 1 + i % 3, steps[i % 4], i % 3);
    testRecompute(contexts[i / 4], 2, steps[i % 4], TREADLE_LOGITS_ALL);
  }
  api->model_close(model);
  return finish("ForwardTest");
}

//===- TurnTest.c - Periods: lazy turns, truncate, checkpoints, fork ------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "TurnTest.h"

//===----------------------------------------------------------------------===//
// Turns
//===----------------------------------------------------------------------===//

static void checkCalls(treadle_session *session, uint64_t opens,
                       uint64_t closes) {
  uint64_t counts[TURNS_ENTRIES];
  CHECK_OK(api->session_counters(session, counts, TURNS_ENTRIES));
  CHECK(counts[TURNS_OPEN] == opens && counts[TURNS_CLOSE] == closes);
}

/// Nothing runs before it is due.
static void testLaziness(void) {
  float logits[TOY_VOCAB];
  treadle_session *s = newSession(api, model, 2, 0, 0);
  checkCalls(s, 0, 0);
  CHECK_OK(api->session_turn(s)); // of an empty period
  checkCalls(s, 0, 0);
  for (int i = 0; i < 40; ++i) {
    CHECK(sinceTurn(s) == (i && i % 8 == 0 ? 8 : i % 8));
    REQUIRE_OK(feed(api, s, i, 1, logits));
    checkCalls(s, (uint64_t)i / 8 + 1, (uint64_t)i / 8);
    CHECK(api->session_position(s) == i + 1);
  }
  // A full period, closed by hand: the same turn, a little earlier.
  CHECK_OK(api->session_turn(s));
  checkCalls(s, 5, 5);
  CHECK(sinceTurn(s) == 0 && api->session_position(s) == 40);
  CHECK_OK(api->session_turn(s));
  checkCalls(s, 5, 5);
  REQUIRE_OK(feed(api, s, 40, 3, logits));
  checkAt(s, 43, 0);
  CHECK_OK(api->session_turn(s));
  checkCalls(s, 6, 6);
  CHECK_OK(api->session_reset(s));
  checkCalls(s, 0, 0);
  checkAt(s, 0, 0);
  api->session_destroy(s);
  CHECK(api->session_turn(NULL) == TREADLE_STATUS_INVALID_ARGUMENT);

  const treadle_model_api *other = loadLibrary("toy.so");
  treadle_model *without = openModel(other);
  s = newSession(other, without, 1, 0, 0);
  CHECK(other->session_turn(s) == TREADLE_STATUS_UNSUPPORTED);
  CHECK(strstr(other->session_message(s), "no turns"));
  other->session_destroy(s);
  other->model_close(without);
}

/// Any pieces give the same bits, over period ends and an early turn.
static void testChunking(void) {
  enum { count = 37, turn = 21 };
  int32_t ids[count];
  uint8_t mask[count];
  fillTokens(ids, mask, 0, count);
  static float single[count][TOY_VOCAB], pieces[count][TOY_VOCAB];
  for (int32_t loops = 1; loops <= TOY_LOOPS; ++loops) {
    treadle_session *a = newSession(api, model, loops, 0, 0);
    for (int i = 0; i < count; ++i) {
      if (i == turn)
        CHECK_OK(api->session_turn(a));
      CHECK_OK(api->session_forward(a, ids + i, mask + i, 1, TREADLE_LOGITS_ALL,
                                    single[i], TOY_VOCAB));
    }
    for (int step = 2; step <= count; ++step) {
      treadle_session *b = newSession(api, model, loops, 0, 0);
      for (int i = 0, n; i < count; i += n) {
        if (i == turn)
          CHECK_OK(api->session_turn(b));
        int rest = (i < turn ? turn : count) - i;
        n = rest < step ? rest : step;
        CHECK_OK(api->session_forward(b, ids + i, mask + i, (size_t)n,
                                      TREADLE_LOGITS_ALL, pieces[i],
                                      (size_t)n * TOY_VOCAB));
      }
      CHECK(!memcmp(single, pieces, sizeof(single)));
      CHECK(sameStates(api, a, b));
      api->session_destroy(b);
    }
    for (int i = 0; i < count * TOY_VOCAB; ++i)
      CHECK(!isnan(single[i / TOY_VOCAB][i % TOY_VOCAB]));
    api->session_destroy(a);
  }
}

/// What was said periods ago still counts: the turn carries it.
static void testMemory(void) {
  treadle_session *a = newSession(api, model, 1, 0, 0);
  treadle_session *b = newSession(api, model, 1, 0, 0);
  float x[TOY_VOCAB], y[TOY_VOCAB];
  REQUIRE_OK(feed(api, a, 0, 8, x));
  REQUIRE_OK(feed(api, b, 1, 8, y));
  REQUIRE_OK(feed(api, a, 40, 20, x));
  REQUIRE_OK(feed(api, b, 40, 20, y));
  CHECK(memcmp(x, y, sizeof(x)));
  api->session_destroy(a);
  api->session_destroy(b);
}

/// A sequence is without end, whatever is asked for, and its memory does not grow.
static void testEndless(void) {
  const treadle_session_params params = {
      sizeof(params), 1, TREADLE_ON_FULL_RECOMPUTE, 10, 0, 0};
  treadle_session *s, *t = newSession(api, model, 1, 0, 0);
  REQUIRE_OK(api->session_create(model, &params, &s, NULL, 0));
  float a[TOY_VOCAB], b[TOY_VOCAB];
  for (int i = 0; i < 3000; i += 1000) {
    REQUIRE_OK(feed(api, s, i, 1000, a));
    REQUIRE_OK(feed(api, t, i, 1000, b));
    CHECK(!memcmp(a, b, sizeof(a)));
  }
  treadle_session_info info = {.struct_size = sizeof(info)};
  CHECK_OK(api->session_info(s, &info));
  CHECK(info.position == 3000 && info.context == 0 && !info.forgotten);
  size_t size, largest;
  REQUIRE_OK(api->session_turn(s));
  REQUIRE_OK(api->save_size(s, &size));
  CHECK(size < 400);
  REQUIRE_OK(feed(api, s, 0, 7, a));
  REQUIRE_OK(api->save_size(s, &largest));
  CHECK(largest < 1000);
  api->session_destroy(s);
  api->session_destroy(t);

  treadle_model_info facts = {.struct_size = sizeof(facts)};
  CHECK_OK(api->model_info(NULL, &facts));
  CHECK(facts.period == 8 && !facts.context && !facts.config_context);
  treadle_state_info keys = {.struct_size = sizeof(keys)};
  CHECK_OK(api->state_info(NULL, TURNS_KEYS, &keys));
  CHECK(keys.rows == 13 && keys.lead == 2 && !keys.by_turn);
  CHECK_OK(api->state_info(NULL, TURNS_MEMORY, &keys));
  CHECK(keys.by_turn == 1);
  treadle_entry_info entry = {.struct_size = sizeof(entry)};
  CHECK_OK(api->entry_info(NULL, TURNS_CLOSE, &entry));
  CHECK(entry.kind == TREADLE_ENTRY_CLOSE && entry.rows == 3);

  char message[128];
  const treadle_session_params negative = {sizeof(params), 1, 0, -1, 0, 0};
  CHECK(api->session_create(model, &negative, &s, message, sizeof(message)) ==
        TREADLE_STATUS_INVALID_ARGUMENT);
  CHECK(strstr(message, "got -1"));
}

/// The self-test crosses turns, and poison shows rows of the period before.
static void testChecks(void) {
  treadle_selftest_report report = {.struct_size = sizeof(report)};
  char message[256];
  CHECK_OK(api->model_selftest(model, &report, message, sizeof(message)));
  CHECK(report.invariance_rows >= 19 && report.invariance_loops == TOY_LOOPS);

  const treadle_model_api *broken;
  treadle_model *other;
  // By the end of a period, and by an early turn.
  const char *const names[] = {"turns-cut.so", "turns-cut-long.so"};
  for (int i = 0; i < 2; ++i) {
    broken = loadLibrary(names[i]);
    other = openModel(broken);
    CHECK(broken->model_selftest(other, &report, message, sizeof(message)) ==
          TREADLE_STATUS_FAILED);
    CHECK(strstr(message, "differ"));
    broken->model_close(other);
  }

  broken = loadLibrary("turns-stale.so");
  other = openModel(broken);
  treadle_session *s = newSession(broken, other, 1, 0, 0);
  float logits[TOY_VOCAB];
  REQUIRE_OK(feed(broken, s, 0, 8, logits));
  CHECK(!isnan(logits[0]));
  REQUIRE_OK(feed(broken, s, 8, 1, logits));
  CHECK(isnan(logits[0]));
  broken->session_destroy(s);
  broken->model_close(other);
}

//===----------------------------------------------------------------------===//
// Truncate
//===----------------------------------------------------------------------===//

static void testTruncate(void) {
  for (int count = 0; count <= 25; ++count)
    for (int cut = 0; cut <= count; ++cut) {
      treadle_session *s = sessionAt(count, 0);
      int start = count - (int)sinceTurn(s);
      if (cut != 0 && cut < start) {
        CHECK_REFUSED(s, api->session_truncate(s, cut),
                      TREADLE_STATUS_NEEDS_CHECKPOINT, "a turn since");
        checkAt(s, count, 0);
      } else {
        CHECK_OK(api->session_truncate(s, cut));
        CHECK(api->session_position(s) == cut);
        CHECK(cut == 0 || sinceTurn(s) == cut - start);
        checkContinues(s, cut, 0);
      }
      api->session_destroy(s);
    }
  // After an early turn.
  treadle_session *s = sessionAt(11, 5);
  CHECK_OK(api->session_truncate(s, 7));
  checkContinues(s, 7, 5);
  CHECK_REFUSED(s, api->session_truncate(s, 4), TREADLE_STATUS_NEEDS_CHECKPOINT,
                "since 4");
  // Back at the period's start a turn has nothing to do.
  api->session_destroy(s);
  s = sessionAt(11, 5);
  CHECK_OK(api->session_truncate(s, 5));
  CHECK_OK(api->session_turn(s));
  checkContinues(s, 5, 5);
  api->session_destroy(s);

  const treadle_model_api *old = api;
  treadle_model *oldModel = model;
  api = loadLibrary("turns-token-state.so");
  model = openModel(api);
  s = sessionAt(11, 0);
  CHECK_REFUSED(s, api->session_truncate(s, 10),
                TREADLE_STATUS_NEEDS_CHECKPOINT, "cannot be cut at 10");
  CHECK_OK(api->session_truncate(s, 11));
  CHECK_OK(api->session_truncate(s, 0));
  checkAt(s, 0, 0);
  api->session_destroy(s);
  api->model_close(model);
  api = old;
  model = oldModel;
}

//===----------------------------------------------------------------------===//
// Checkpoints
//===----------------------------------------------------------------------===//

static void testRollback(void) {
  float logits[TOY_VOCAB];
  size_t size;
  for (int count = 0; count <= 17; ++count) {
    treadle_session *s = sessionAt(count, 0);
    char *mark = checkpoint(s, &size);
    CHECK(sinceTurn(s) == count % 8); // that of a full period has run
    bool within = count % 8 != 0;
    // Within the period.
    int room = 8 - count % 8;
    CHECK_OK(feed(api, s, 50, room, logits));
    CHECK_OK(api->session_rollback(s, mark, size));
    checkAt(s, count, 0);
    CHECK_OK(api->session_rollback(s, mark, size));
    // A turn can be undone until the next period begins.
    CHECK_OK(feed(api, s, 50, 1, logits));
    CHECK_OK(api->session_turn(s));
    CHECK_OK(api->session_rollback(s, mark, size));
    checkAt(s, count, 0);
    CHECK_OK(api->session_rollback(s, mark, size));
    CHECK_OK(feed(api, s, 50, room + 1, logits));
    if (within) {
      CHECK_REFUSED(s, api->session_rollback(s, mark, size),
                    TREADLE_STATUS_OVERWRITTEN, "has given way to another");
    } else {
      // Only what outlives periods is in this one.
      CHECK_OK(feed(api, s, 70, 40, logits));
      CHECK_OK(api->session_rollback(s, mark, size));
      checkAt(s, count, 0);
    }
    free(mark);
    api->session_destroy(s);
  }
}

/// Against a model of what a mark means: the period it was taken in, and the
/// tokens of its rows.
static void testRandomMarks(void) {
  enum { marks = 30, steps = 6000 };
  typedef struct {
    int period; // 0: not open
    int tokens[8];
    int row;
    int position;
  } Moment;
  treadle_session *s = newSession(api, model, 1, 0, 0);
  // `rows` is what the session's memory holds, `now` what it means.
  Moment now = {0, {0}, 0, 0}, rows = now;
  struct {
    char *bytes;
    Moment moment;
  } saved[marks] = {{0}};
  size_t size;
  REQUIRE_OK(api->checkpoint_size(s, &size));
  uint32_t random = 11;
  int next = 1, periods = 0;
  for (int step = 0; step < steps; ++step) {
    random = random * 1664525 + 1013904223;
    int choice = (int)(random >> 10) % 10, slot = (int)(random >> 16) % marks;
    if (choice < 5) {
      if (now.row == 8)
        now.row = now.period = 0;
      if (!now.period)
        now.period = rows.period = ++periods;
      int32_t id = next % TOY_VOCAB;
      REQUIRE_OK(api->session_forward(s, &id, NULL, 1, 0, NULL, 0));
      rows.tokens[now.row++] = next++;
      ++now.position;
    } else if (choice < 7) {
      saved[slot].bytes = realloc(saved[slot].bytes, size);
      REQUIRE_OK(api->session_checkpoint(s, saved[slot].bytes, size));
      if (now.row == 8)
        now.row = now.period = 0;
      saved[slot].moment = now;
      memcpy(saved[slot].moment.tokens, rows.tokens, sizeof(rows.tokens));
    } else if (choice == 7 && step % 5 == 0) {
      REQUIRE_OK(api->session_turn(s));
      if (now.row)
        now.row = now.period = 0;
    } else if (choice == 8 && now.row) {
      now.position -= 1;
      now.row -= 1;
      REQUIRE_OK(api->session_truncate(s, now.position));
      if (now.position == 0)
        now.period = 0;
    } else if (saved[slot].bytes) {
      const Moment *then = &saved[slot].moment;
      bool valid =
          !then->period || (then->period == rows.period &&
                            !memcmp(then->tokens, rows.tokens,
                                    (size_t)then->row * sizeof(*rows.tokens)));
      treadle_status status = api->session_rollback(s, saved[slot].bytes, size);
      CHECK(status == (valid ? TREADLE_STATUS_OK : TREADLE_STATUS_OVERWRITTEN));
      if (status == TREADLE_STATUS_OK)
        now = *then;
    }
    REQUIRE(api->session_position(s) == now.position);
    REQUIRE(sinceTurn(s) == now.row);
  }
  for (int i = 0; i < marks; ++i)
    free(saved[i].bytes);
  api->session_destroy(s);
}

static void testHostileMarks(void) {
  treadle_session *s = sessionAt(13, 0);
  size_t size;
  char *mark = checkpoint(s, &size);
  for (size_t bit = 0; bit < 64 * 8; ++bit) {
    mark[bit / 8] ^= (char)(1 << bit % 8);
    treadle_status status = api->session_rollback(s, mark, size);
    CHECK(status != TREADLE_STATUS_OK || bit / 8 >= 24);
    float logits[TOY_VOCAB];
    treadle_session *t;
    REQUIRE_OK(api->session_fork(s, &t));
    CHECK_OK(feed(api, t, 0, 20, logits)); // no promise is broken
    api->session_destroy(t);
    mark[bit / 8] ^= (char)(1 << bit % 8);
    CHECK_OK(api->session_rollback(s, mark, size));
  }
  checkAt(s, 13, 0);
  free(mark);
  api->session_destroy(s);
}

//===----------------------------------------------------------------------===//
// Fork
//===----------------------------------------------------------------------===//

static void testFork(void) {
  float logits[TOY_VOCAB];
  for (int count = 0; count <= 17; ++count) {
    treadle_session *s = sessionAt(count, 0), *t;
    REQUIRE_OK(api->session_fork(s, &t));
    CHECK(sameStates(api, s, t) && sinceTurn(t) == sinceTurn(s));
    CHECK_OK(feed(api, s, 77, 30, logits));
    checkAt(t, count, 0);
    api->session_destroy(s);
    api->session_destroy(t);
  }
}

int main(int argc, char **argv) {
  (void)argc;
  folder = argv[1];
  api = loadLibrary("turns.so");
  model = openModel(api);
  testLaziness();
  testChunking();
  testMemory();
  testEndless();
  testChecks();
  testTruncate();
  testRollback();
  testRandomMarks();
  testHostileMarks();
  testFork();
  api->model_close(model);
  return finish("TurnTest");
}

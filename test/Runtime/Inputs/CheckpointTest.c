//===- CheckpointTest.c - Truncate, checkpoint, rollback, fork ------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Test.h"

static const treadle_model_api *api;
static treadle_model *model;

static void *checkpoint(treadle_session *session, size_t *size) {
  REQUIRE_OK(api->checkpoint_size(session, size));
  void *mark = malloc(*size);
  CHECK_REFUSED(session, api->session_checkpoint(session, mark, *size - 1),
                TREADLE_STATUS_BUFFER_TOO_SMALL, "bytes, got");
  REQUIRE_OK(api->session_checkpoint(session, mark, *size));
  return mark;
}

/// A session that has been fed tokens 0 ... count - 1.
static treadle_session *sessionAt(int count) {
  treadle_session *s = newSession(api, model, 2, 0, 0);
  float logits[TOY_VOCAB];
  if (count)
    REQUIRE_OK(feed(api, s, 0, count, logits));
  return s;
}

/// Whether it is in the state of a session that has been fed 0 ... count - 1, now
/// and after more tokens.
static void checkAt(treadle_session *session, int count) {
  treadle_session *expected = sessionAt(count);
  CHECK(sameStates(api, session, expected));
  float a[TOY_VOCAB], b[TOY_VOCAB];
  CHECK_OK(feed(api, session, 100, 3, a));
  CHECK_OK(feed(api, expected, 100, 3, b));
  CHECK(!memcmp(a, b, sizeof(a)));
  api->session_destroy(expected);
}

static void testRollback(void) {
  float logits[TOY_VOCAB];
  treadle_session *s = sessionAt(7);
  size_t size;
  void *mark = checkpoint(s, &size);
  // ids, mask and keys are not in it.
  CHECK(size < 400);
  CHECK_OK(feed(api, s, 50, 9, logits));
  CHECK_OK(api->session_rollback(s, mark, size));
  checkAt(s, 7);
  CHECK_OK(api->session_rollback(s, mark, size));
  checkAt(s, 7);
  // Forward again, past where the first attempt ended.
  CHECK_OK(api->session_rollback(s, mark, size));
  CHECK_OK(feed(api, s, 7, 20, logits));
  checkAt(s, 27);
  free(mark);
  api->session_destroy(s);
}

/// Nested marks: rolling back to the outer one leaves the inner one usable until
/// its rows are overwritten, and only then.
static void testOverwritten(void) {
  float logits[TOY_VOCAB];
  treadle_session *s = sessionAt(4);
  size_t size;
  void *outer = checkpoint(s, &size);
  CHECK_OK(feed(api, s, 4, 6, logits));
  void *inner = checkpoint(s, &size);
  CHECK_OK(feed(api, s, 10, 6, logits));
  CHECK_OK(api->session_rollback(s, outer, size));
  CHECK_OK(api->session_rollback(s, inner, size));
  CHECK(api->session_position(s) == 10);
  CHECK_OK(api->session_rollback(s, outer, size));
  CHECK_OK(feed(api, s, 30, 1, logits)); // row 4
  CHECK_REFUSED(s, api->session_rollback(s, inner, size),
                TREADLE_STATUS_OVERWRITTEN, "rows from 4 on");
  CHECK(api->session_position(s) == 5);
  // A mark of the new text is good, and so is the outer one still.
  void *other = checkpoint(s, &size);
  CHECK_OK(feed(api, s, 40, 20, logits));
  CHECK_OK(api->session_rollback(s, other, size));
  CHECK_OK(api->session_rollback(s, outer, size));
  checkAt(s, 4);
  CHECK_REFUSED(s, api->session_rollback(s, inner, size),
                TREADLE_STATUS_OVERWRITTEN, "position 10");
  // Reset alone overwrites nothing.
  CHECK_OK(api->session_rollback(s, outer, size));
  CHECK_OK(api->session_reset(s));
  CHECK_OK(api->session_rollback(s, outer, size));
  checkAt(s, 4);
  CHECK_OK(api->session_reset(s));
  CHECK_OK(feed(api, s, 0, 1, logits));
  CHECK_REFUSED(s, api->session_rollback(s, outer, size),
                TREADLE_STATUS_OVERWRITTEN, "");
  free(outer), free(inner), free(other);
  api->session_destroy(s);
}

/// Against a model of what a mark means: the tokens of all rows at the time.
static void testRandomMarks(void) {
  enum { marks = 40, steps = 4000 };
  treadle_session *s = newSession(api, model, 1, 0, 32);
  int rows[32] = {0}, position = 0, next = 1;
  struct {
    char *bytes;
    int position, rows[32];
  } saved[marks] = {{0}};
  size_t size;
  REQUIRE_OK(api->checkpoint_size(s, &size));
  uint32_t random = 7;
  for (int step = 0; step < steps; ++step) {
    random = random * 1664525 + 1013904223;
    int choice = (int)(random >> 10) % 8, slot = (int)(random >> 16) % marks;
    if (choice < 4 && position < 32) {
      int32_t id = next++ % TOY_VOCAB;
      REQUIRE_OK(api->session_forward(s, &id, NULL, 1, 0, NULL, 0));
      rows[position++] = next;
    } else if (choice < 6) {
      saved[slot].bytes = realloc(saved[slot].bytes, size);
      REQUIRE_OK(api->session_checkpoint(s, saved[slot].bytes, size));
      saved[slot].position = position;
      memcpy(saved[slot].rows, rows, sizeof(rows));
    } else if (choice == 7 && step % 50 == 0) {
      REQUIRE_OK(api->session_reset(s));
      position = 0;
    } else if (saved[slot].bytes) {
      bool valid = !memcmp(rows, saved[slot].rows,
                           (size_t)saved[slot].position * sizeof(*rows));
      treadle_status status = api->session_rollback(s, saved[slot].bytes, size);
      // Rows that were overwritten by the very same token number cannot occur.
      CHECK(status == (valid ? TREADLE_STATUS_OK : TREADLE_STATUS_OVERWRITTEN));
      if (status == TREADLE_STATUS_OK)
        position = saved[slot].position;
    }
    REQUIRE(api->session_position(s) == position);
  }
  for (int i = 0; i < marks; ++i)
    free(saved[i].bytes);
  api->session_destroy(s);
}

/// The list of overwrites stays within the context, however many marks are taken.
static void testManyMarks(void) {
  treadle_session *s = newSession(api, model, 1, TREADLE_ON_FULL_RECOMPUTE, 16);
  size_t size;
  void *mark = checkpoint(s, &size);
  float logits[TOY_VOCAB];
  for (int i = 0; i < 200; ++i) {
    CHECK_OK(api->session_checkpoint(s, mark, size));
    CHECK_OK(feed(api, s, i, 1, logits));
  }
  CHECK_REFUSED(s, api->session_rollback(s, mark, size),
                TREADLE_STATUS_OVERWRITTEN, "position 16");
  free(mark);
  api->session_destroy(s);
}

static void testHostileMarks(void) {
  treadle_session *s = sessionAt(6), *other = sessionAt(6);
  treadle_session *reference = sessionAt(6);
  size_t size, otherSize;
  char *mark = checkpoint(s, &size), *foreign = checkpoint(other, &otherSize);
  CHECK_REFUSED(s, api->session_rollback(s, foreign, otherSize),
                TREADLE_STATUS_MISMATCH, "another");
  for (size_t i = 0; i < size; i += 5)
    CHECK(api->session_rollback(s, mark, i) == TREADLE_STATUS_CORRUPT);
  // Every bit of its header: 64 bytes. Some flips name another valid moment
  // (a position whose rows still stand), which may be taken or refused.
  for (size_t bit = 0; bit < 64 * 8; ++bit) {
    mark[bit / 8] ^= (char)(1 << bit % 8);
    treadle_status status = api->session_rollback(s, mark, size);
    // Epoch, place, forgotten: but no number to which none can be added.
    bool harmless = bit / 8 >= 24 && bit < 64 * 8 - 2;
    CHECK(status != TREADLE_STATUS_OK || harmless);
    CHECK(api->session_position(s) <= TOY_CONTEXT);
    mark[bit / 8] ^= (char)(1 << bit % 8);
  }
  CHECK_OK(api->session_rollback(s, mark, size));
  CHECK(sameStates(api, s, reference));
  const treadle_status invalid = TREADLE_STATUS_INVALID_ARGUMENT;
  CHECK_REFUSED(s, api->session_rollback(s, NULL, size), invalid, "expects");
  CHECK_REFUSED(s, api->session_checkpoint(s, NULL, size), invalid, "expects");
  CHECK(api->session_checkpoint(NULL, mark, size) == invalid);
  CHECK(api->session_rollback(NULL, mark, size) == invalid);
  CHECK(api->checkpoint_size(NULL, &size) == invalid);
  CHECK(api->checkpoint_size(s, NULL) == invalid);
  free(mark), free(foreign);
  api->session_destroy(s);
  api->session_destroy(other);
  api->session_destroy(reference);
}

static void testTruncate(void) {
  treadle_session *s = sessionAt(9);
  CHECK_REFUSED(s, api->session_truncate(s, 5), TREADLE_STATUS_NEEDS_CHECKPOINT,
                "cannot be cut at 5");
  CHECK_REFUSED(s, api->session_truncate(s, 10),
                TREADLE_STATUS_INVALID_ARGUMENT, "0 to 9, got 10");
  CHECK_REFUSED(s, api->session_truncate(s, -1),
                TREADLE_STATUS_INVALID_ARGUMENT, "got -1");
  CHECK_OK(api->session_truncate(s, 9));
  CHECK(api->session_position(s) == 9);
  CHECK_OK(api->session_truncate(s, 0));
  checkAt(s, 0);
  api->session_destroy(s);
  CHECK(api->session_truncate(NULL, 0) == TREADLE_STATUS_INVALID_ARGUMENT);

  // A model of append states alone can be cut anywhere.
  const treadle_model_api *stateful = api;
  treadle_model *statefulModel = model;
  api = loadLibrary("toy-append.so");
  model = openModel(api);
  for (int cut = 0; cut <= 30; ++cut) {
    s = sessionAt(30);
    CHECK_OK(api->session_truncate(s, cut));
    checkAt(s, cut);
    api->session_destroy(s);
  }
  s = sessionAt(12);
  size_t size;
  void *mark = checkpoint(s, &size);
  float logits[TOY_VOCAB];
  CHECK_OK(api->session_truncate(s, 6));
  CHECK_OK(api->session_rollback(s, mark, size));
  CHECK(api->session_position(s) == 12);
  CHECK_OK(api->session_truncate(s, 11));
  CHECK_OK(feed(api, s, 90, 1, logits));
  CHECK_REFUSED(s, api->session_rollback(s, mark, size),
                TREADLE_STATUS_OVERWRITTEN, "position 12");
  free(mark);
  api->session_destroy(s);
  api->model_close(model);
  api = stateful;
  model = statefulModel;
}

static void testFork(void) {
  float logits[TOY_VOCAB];
  for (int count = 0; count < 40; count += 13) {
    treadle_session *s = sessionAt(count), *t;
    size_t size;
    void *mark = checkpoint(s, &size);
    REQUIRE_OK(api->session_fork(s, &t));
    CHECK(sameStates(api, s, t));
    CHECK_REFUSED(t, api->session_rollback(t, mark, size),
                  TREADLE_STATUS_MISMATCH, "another");
    // Each goes its own way, and outlives the other.
    CHECK_OK(feed(api, s, 77, 5, logits));
    checkAt(t, count);
    api->session_destroy(t);
    CHECK_OK(api->session_rollback(s, mark, size));
    REQUIRE_OK(api->session_fork(s, &t));
    api->session_destroy(s);
    checkAt(t, count);
    api->session_destroy(t);
    free(mark);
  }
  treadle_session *s = newSession(api, model, 1, TREADLE_ON_FULL_RECOMPUTE, 8);
  treadle_session *t;
  REQUIRE_OK(feed(api, s, 0, 11, logits));
  REQUIRE_OK(api->session_fork(s, &t));
  treadle_session_info info = {.struct_size = sizeof(info)};
  CHECK_OK(api->session_info(t, &info));
  CHECK(info.forgotten == 3 && info.context == 8);
  CHECK(info.on_full == TREADLE_ON_FULL_RECOMPUTE);
  api->session_destroy(t);
  CHECK_REFUSED(s, api->session_fork(s, NULL), TREADLE_STATUS_INVALID_ARGUMENT,
                "expects");
  t = s;
  CHECK(api->session_fork(NULL, &t) == TREADLE_STATUS_INVALID_ARGUMENT && !t);
  api->session_destroy(s);
}

int main(int argc, char **argv) {
  (void)argc;
  folder = argv[1];
  api = loadLibrary("toy.so");
  model = openModel(api);
  testRollback();
  testOverwritten();
  testRandomMarks();
  testManyMarks();
  testHostileMarks();
  testTruncate();
  testFork();
  api->model_close(model);
  return finish("CheckpointTest");
}

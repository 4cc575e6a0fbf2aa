//===- TurnTest.h - Sessions of the program with periods ----------*- C -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TURN_TEST_H
#define TURN_TEST_H

#include "Test.h"

static const treadle_model_api *api;
static treadle_model *model;

static inline int64_t sinceTurn(const treadle_session *session) {
  treadle_session_info info = {.struct_size = sizeof(info)};
  REQUIRE_OK(api->session_info(session, &info));
  return info.since_turn;
}

/// A session that has been fed tokens 0 ... count - 1 one by one, with a turn
/// after `turn` of them if that is not 0.
static inline treadle_session *sessionAt(int count, int turn) {
  treadle_session *s = newSession(api, model, 2, 0, 0);
  float logits[TOY_VOCAB];
  for (int i = 0; i < count; ++i) {
    REQUIRE_OK(feed(api, s, i, 1, logits));
    if (i + 1 == turn)
      REQUIRE_OK(api->session_turn(s));
  }
  return s;
}

/// Whether more tokens give what they give after `count`.
static inline void checkContinues(treadle_session *session, int count,
                                  int turn) {
  treadle_session *expected = sessionAt(count, turn);
  float a[TOY_VOCAB], b[TOY_VOCAB];
  for (int i = 0; i < 20; i += 5) {
    CHECK_OK(feed(api, session, 100 + i, 5, a));
    CHECK_OK(feed(api, expected, 100 + i, 5, b));
    CHECK(!memcmp(a, b, sizeof(a)));
  }
  api->session_destroy(expected);
}

/// Whether it is in the state of a session at `count`, but for a turn that is due
/// and may have been run.
static inline void checkAt(treadle_session *session, int count, int turn) {
  treadle_session *expected = sessionAt(count, turn), *copy;
  if (sinceTurn(session) != sinceTurn(expected))
    CHECK_OK(api->session_turn(expected));
  CHECK(sameStates(api, session, expected));
  api->session_destroy(expected);
  REQUIRE_OK(api->session_fork(session, &copy));
  checkContinues(copy, count, turn);
  api->session_destroy(copy);
}

static inline char *checkpoint(treadle_session *session, size_t *size) {
  REQUIRE_OK(api->checkpoint_size(session, size));
  char *mark = malloc(*size);
  int64_t before = sinceTurn(session);
  CHECK_REFUSED(session, api->session_checkpoint(session, mark, *size - 1),
                TREADLE_STATUS_BUFFER_TOO_SMALL, "bytes, got");
  CHECK(sinceTurn(session) == before);
  REQUIRE_OK(api->session_checkpoint(session, mark, *size));
  return mark;
}

#endif // TURN_TEST_H

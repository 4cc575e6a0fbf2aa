//===- SerializeTest.c - Save, load, and hostile saved sessions -----------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Test.h"

static const treadle_model_api *api;
static treadle_model *model;

static uint8_t *save(const treadle_model_api *owner, treadle_session *session,
                     size_t *size) {
  REQUIRE_OK(owner->save_size(session, size));
  uint8_t *blob = malloc(*size);
  CHECK(owner->session_save(session, blob, *size - 1) ==
        TREADLE_STATUS_BUFFER_TOO_SMALL);
  REQUIRE_OK(owner->session_save(session, blob, *size));
  return blob;
}

static treadle_session *sessionAt(int32_t loops, int count) {
  treadle_session *s = newSession(api, model, loops, 0, 0);
  float logits[TOY_VOCAB];
  if (count)
    REQUIRE_OK(feed(api, s, 0, count, logits));
  return s;
}

static void testRoundTrip(void) {
  for (int32_t loops = 1; loops <= TOY_LOOPS; ++loops)
    for (int count = 0; count <= 48; count += 12) {
      treadle_session *s = sessionAt(loops, count);
      size_t size;
      uint8_t *blob = save(api, s, &size);
      // Into a smaller context that still holds it, and over other content.
      treadle_session *t = newSession(api, model, loops, 0, 53);
      float a[TOY_VOCAB], b[TOY_VOCAB];
      REQUIRE_OK(feed(api, t, 300, 31, a));
      CHECK_OK(api->session_load(t, blob, size));
      CHECK(sameStates(api, s, t));
      CHECK_OK(feed(api, s, 60, 5, a));
      CHECK_OK(feed(api, t, 60, 5, b));
      CHECK(!memcmp(a, b, sizeof(a)));
      CHECK(sameStates(api, s, t));
      free(blob);
      api->session_destroy(s);
      api->session_destroy(t);
    }
  // Live rows only.
  treadle_session *s = sessionAt(1, 0);
  size_t empty, one;
  REQUIRE_OK(api->save_size(s, &empty));
  float logits[TOY_VOCAB];
  REQUIRE_OK(feed(api, s, 0, 1, logits));
  REQUIRE_OK(api->save_size(s, &one));
  CHECK(one - empty == 4 + 2 + 2 * 32 + 16);
  api->session_destroy(s);
}

/// The saved window of a recompute session goes on as the original does.
static void testRecompute(void) {
  treadle_session *s = newSession(api, model, 1, TREADLE_ON_FULL_RECOMPUTE, 9);
  treadle_session *t = newSession(api, model, 1, TREADLE_ON_FULL_RECOMPUTE, 9);
  float a[TOY_VOCAB], b[TOY_VOCAB];
  REQUIRE_OK(feed(api, s, 0, 30, a));
  size_t size;
  uint8_t *blob = save(api, s, &size);
  CHECK_OK(api->session_load(t, blob, size));
  CHECK_OK(feed(api, s, 30, 2, a));
  CHECK_OK(feed(api, t, 30, 2, b));
  CHECK(!memcmp(a, b, sizeof(a)));
  treadle_session_info info = {.struct_size = sizeof(info)};
  CHECK_OK(api->session_info(t, &info));
  CHECK(info.forgotten == 23);
  free(blob);
  api->session_destroy(s);
  api->session_destroy(t);
}

/// A load overwrites what a checkpoint relies on, unless that is nothing.
static void testMarks(void) {
  treadle_session *s = sessionAt(1, 0);
  size_t size, markSize;
  REQUIRE_OK(api->checkpoint_size(s, &markSize));
  char *empty = malloc(markSize), *mark = malloc(markSize);
  REQUIRE_OK(api->session_checkpoint(s, empty, markSize));
  float logits[TOY_VOCAB];
  REQUIRE_OK(feed(api, s, 0, 3, logits));
  REQUIRE_OK(api->session_checkpoint(s, mark, markSize));
  uint8_t *blob = save(api, s, &size);
  CHECK_OK(api->session_load(s, blob, size));
  CHECK_REFUSED(s, api->session_rollback(s, mark, markSize),
                TREADLE_STATUS_OVERWRITTEN, "rows from 0 on");
  CHECK_OK(api->session_rollback(s, empty, markSize));
  CHECK(api->session_position(s) == 0);
  free(blob), free(mark), free(empty);
  api->session_destroy(s);
}

/// Every refusal leaves the session as it was.
static void refuse(treadle_session *session, treadle_session *twin,
                   const void *blob, size_t size, treadle_status status,
                   const char *text) {
  CHECK_REFUSED(session, api->session_load(session, blob, size), status, text);
  CHECK(sameStates(api, session, twin));
}

static void testDamage(void) {
  treadle_session *s = sessionAt(2, 6);
  treadle_session *target = sessionAt(2, 11), *twin = sessionAt(2, 11);
  size_t size;
  uint8_t *blob = save(api, s, &size);
  for (size_t i = 0; i < size; ++i) {
    treadle_status status = api->session_load(target, blob, i);
    CHECK(status == TREADLE_STATUS_CORRUPT);
  }
  uint8_t *longer = calloc(1, size + 64);
  memcpy(longer, blob, size);
  refuse(target, twin, longer, size + 1, TREADLE_STATUS_CORRUPT, "cut");
  free(longer);
  for (size_t bit = 0; bit < size * 8; ++bit) {
    blob[bit / 8] ^= (uint8_t)(1 << bit % 8);
    treadle_status status = api->session_load(target, blob, size);
    CHECK(status == TREADLE_STATUS_CORRUPT ||
          status == TREADLE_STATUS_MISMATCH);
    blob[bit / 8] ^= (uint8_t)(1 << bit % 8);
  }
  CHECK(sameStates(api, target, twin));
  memset(blob, 0, 8);
  refuse(target, twin, blob, size, TREADLE_STATUS_CORRUPT, "something else");
  refuse(target, twin, NULL, size, TREADLE_STATUS_INVALID_ARGUMENT, "expects");
  CHECK(api->session_load(NULL, blob, size) == TREADLE_STATUS_INVALID_ARGUMENT);
  CHECK(api->session_save(NULL, blob, size) == TREADLE_STATUS_INVALID_ARGUMENT);
  CHECK(api->session_save(s, NULL, size) == TREADLE_STATUS_INVALID_ARGUMENT);
  CHECK(api->save_size(NULL, &size) == TREADLE_STATUS_INVALID_ARGUMENT);
  CHECK(api->save_size(s, NULL) == TREADLE_STATUS_INVALID_ARGUMENT);
  free(blob);
  api->session_destroy(s);
  api->session_destroy(target);
  api->session_destroy(twin);
}

//===----------------------------------------------------------------------===//
// Intact, but not for this session
//===----------------------------------------------------------------------===//

// Where things are in a saved session. Only tests and the runtime know.
enum {
  FORMAT_AT = 8,
  LIBRARY_AT = 16,
  WEIGHTS_AT = 48,
  POSITION_AT = 80,
  FORGOTTEN_AT = 88,
  CONTEXT_AT = 96,
  ROW_AT = 104,
  LOOPS_AT = 112,
  OPEN_AT = 116,
  SIZE_AT = 120,
  DIGEST_AT = 128,
  PAYLOAD_AT = 160
};

void toy_sha256(const void *data, size_t size, uint8_t digest[32]);

/// Makes an altered blob match its digest again, as an attacker would.
static void forge(uint8_t *blob, size_t size) {
  memset(blob + DIGEST_AT, 0, 32);
  uint8_t digest[32];
  toy_sha256(blob, size, digest);
  memcpy(blob + DIGEST_AT, digest, 32);
}

static void testForged(void) {
  treadle_session *s = sessionAt(2, 6);
  treadle_session *target = sessionAt(2, 11), *twin = sessionAt(2, 11);
  size_t size;
  uint8_t *blob = save(api, s, &size), *copy = malloc(size);
  const struct {
    size_t at;
    uint8_t value;
    treadle_status status;
    const char *text;
  } cases[] = {
      {FORMAT_AT, 3, TREADLE_STATUS_MISMATCH, "format 2, got 3"},
      {FORMAT_AT + 4, 1, TREADLE_STATUS_CORRUPT, "cut"},
      {LIBRARY_AT + 31, 1, TREADLE_STATUS_MISMATCH, "another model"},
      {WEIGHTS_AT, 0, TREADLE_STATUS_MISMATCH, "other weights"},
      {POSITION_AT, 5, TREADLE_STATUS_CORRUPT, "contradicts"},
      {POSITION_AT, 65, TREADLE_STATUS_MISMATCH, "holds 65 tokens"},
      {POSITION_AT + 7, 128, TREADLE_STATUS_CORRUPT, "contradicts"},
      {POSITION_AT + 7, 64, TREADLE_STATUS_MISMATCH, "context is 64"},
      {FORGOTTEN_AT + 7, 128, TREADLE_STATUS_CORRUPT, "contradicts"},
      {FORGOTTEN_AT + 7, 127, TREADLE_STATUS_CORRUPT, "contradicts"},
      {CONTEXT_AT, 0, TREADLE_STATUS_CORRUPT, "contradicts"},
      {CONTEXT_AT, 5, TREADLE_STATUS_CORRUPT, "contradicts"},
      {CONTEXT_AT, 65, TREADLE_STATUS_CORRUPT, "contradicts"},
      {CONTEXT_AT + 7, 128, TREADLE_STATUS_CORRUPT, "contradicts"},
      {ROW_AT, 5, TREADLE_STATUS_CORRUPT, "contradicts"},
      {OPEN_AT, 0, TREADLE_STATUS_CORRUPT, "contradicts"},
      {OPEN_AT, 2, TREADLE_STATUS_CORRUPT, "contradicts"},
      {LOOPS_AT, 1, TREADLE_STATUS_MISMATCH, "2 loops, got 1"},
      {SIZE_AT, 1, TREADLE_STATUS_CORRUPT, "cut"},
      // ids come first: six of four bytes; then the masks.
      {PAYLOAD_AT, 37, TREADLE_STATUS_CORRUPT, "token at position 0"},
      {PAYLOAD_AT + 23, 128, TREADLE_STATUS_CORRUPT, "token at position 5"},
      {PAYLOAD_AT + 24, 2, TREADLE_STATUS_CORRUPT, "token at position 0"},
  };
  for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); ++i) {
    memcpy(copy, blob, size);
    copy[cases[i].at] = cases[i].value;
    forge(copy, size);
    refuse(target, twin, copy, size, cases[i].status, cases[i].text);
  }
  memcpy(copy, blob, size);
  forge(copy, size);
  CHECK(!memcmp(copy, blob, size));
  free(blob), free(copy);
  api->session_destroy(s);
  api->session_destroy(target);
  api->session_destroy(twin);
}

static void testForeign(void) {
  treadle_session *target = newSession(api, model, 1, 0, 20);
  treadle_session *twin = newSession(api, model, 1, 0, 20);
  size_t size;
  treadle_session *s = sessionAt(1, 21);
  uint8_t *blob = save(api, s, &size);
  refuse(target, twin, blob, size, TREADLE_STATUS_MISMATCH,
         "holds 21 tokens, but this session's context is 20");
  free(blob);
  api->session_destroy(s);
  s = sessionAt(3, 4);
  blob = save(api, s, &size);
  refuse(target, twin, blob, size, TREADLE_STATUS_MISMATCH, "1 loops, got 3");
  free(blob);
  api->session_destroy(s);

  const treadle_model_api *others[] = {loadLibrary("toy-other.so"),
                                       loadLibrary("toy-any.so")};
  const char *texts[] = {"another model", "other weights"};
  for (int i = 0; i < 2; ++i) {
    const treadle_open_params params = {.struct_size = sizeof(params),
                                        .weights =
                                            i ? pathOf("other.weights") : NULL};
    treadle_model *other;
    REQUIRE_OK(others[i]->model_open(&params, &other, NULL, 0));
    s = newSession(others[i], other, 1, 0, 0);
    float logits[TOY_VOCAB];
    REQUIRE_OK(feed(others[i], s, 0, 4, logits));
    blob = save(others[i], s, &size);
    refuse(target, twin, blob, size, TREADLE_STATUS_MISMATCH, texts[i]);
    free(blob);
    others[i]->session_destroy(s);
    others[i]->model_close(other);
  }
  api->session_destroy(target);
  api->session_destroy(twin);
}

int main(int argc, char **argv) {
  (void)argc;
  folder = argv[1];
  api = loadLibrary("toy.so");
  model = openModel(api);
  testRoundTrip();
  testRecompute();
  testMarks();
  testDamage();
  testForged();
  testForeign();
  api->model_close(model);
  return finish("SerializeTest");
}

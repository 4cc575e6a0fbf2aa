//===- ThreadTest.c - Sessions of one model in several threads ------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Two libraries, four threads, each with its own sessions of both. Meant for the
// thread sanitizer; the results are compared in any case.
//
//===----------------------------------------------------------------------===//

#include "Test.h"

#include <pthread.h>

enum { THREADS = 4, ROUNDS = 10, LIBRARIES = 3 };

static const treadle_model_api *apis[LIBRARIES];
static treadle_model *models[LIBRARIES];
static float results[THREADS][LIBRARIES][TOY_VOCAB];

static void runOnce(int which, float logits[TOY_VOCAB]) {
  const treadle_model_api *api = apis[which];
  treadle_session *s = newSession(api, models[which], 2, 0, 0), *t;
  size_t size;
  REQUIRE_OK(feed(api, s, 0, 20, logits));
  REQUIRE_OK(api->session_fork(s, &t));
  api->session_destroy(s);
  REQUIRE_OK(api->save_size(t, &size));
  void *blob = malloc(size);
  REQUIRE_OK(api->session_save(t, blob, size));
  REQUIRE_OK(api->session_reset(t));
  REQUIRE_OK(api->session_load(t, blob, size));
  REQUIRE_OK(feed(api, t, 20, 20, logits));
  int32_t id;
  REQUIRE_OK(api->session_sample(t, logits, TOY_VOCAB, NULL, &id));
  free(blob);
  api->session_destroy(t);
}

static void *run(void *argument) {
  int thread = (int)(intptr_t)argument;
  for (int i = 0; i < ROUNDS; ++i)
    for (int which = 0; which < LIBRARIES; ++which)
      runOnce(which, results[thread][which]);
  REQUIRE_OK(apis[0]->model_verify(models[0], NULL, 0));
  if (thread == 0)
    REQUIRE_OK(apis[0]->model_selftest(models[0], NULL, NULL, 0));
  return NULL;
}

int main(int argc, char **argv) {
  (void)argc;
  folder = argv[1];
  apis[0] = loadLibrary("toy.so");
  apis[1] = loadLibrary("toy-append.so");
  apis[2] = loadLibrary("turns.so");
  pthread_t threads[THREADS];
  for (int i = 0; i < LIBRARIES; ++i)
    models[i] = openModel(apis[i]);
  for (int i = 0; i < THREADS; ++i)
    REQUIRE(!pthread_create(&threads[i], NULL, run, (void *)(intptr_t)i));
  for (int i = 0; i < THREADS; ++i)
    pthread_join(threads[i], NULL);
  for (int i = 1; i < THREADS; ++i)
    CHECK(!memcmp(results[0], results[i], sizeof(results[0])));
  CHECK(memcmp(results[0][0], results[0][1], sizeof(results[0][0])));
  for (int i = 0; i < LIBRARIES; ++i)
    apis[i]->model_close(models[i]);
  return finish("ThreadTest");
}

//===- TeamTest.c - Threads that run one entry point together -------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Whatever the threads and whose they are, the same bits; also where several calls
// want the team at once, after it slept, and in a child of fork.
//
//===----------------------------------------------------------------------===//

#include "Test.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TOKENS = 30, CALLERS = 3, ROUNDS = 8 };

static const treadle_model_api *api;
static float alone[TOY_VOCAB];
static int runs; // calls of runOnThreads

//===----------------------------------------------------------------------===//
// The application's own threads
//===----------------------------------------------------------------------===//

typedef struct {
  void (*task)(void *, int32_t);
  void *argument;
  int32_t number;
} Task;

static void *runTask(void *argument) {
  Task *task = argument;
  task->task(task->argument, task->number);
  return NULL;
}

static void runOnThreads(void *context, void (*task)(void *, int32_t),
                         void *argument, int32_t threads) {
  REQUIRE(context == &runs && threads > 1 && threads <= 8);
  ++runs;
  pthread_t handles[8];
  Task tasks[8];
  for (int32_t i = 0; i < threads; ++i) {
    tasks[i] = (Task){task, argument, i};
    if (i)
      REQUIRE(!pthread_create(&handles[i], NULL, runTask, &tasks[i]));
  }
  runTask(&tasks[0]);
  for (int32_t i = 1; i < threads; ++i)
    pthread_join(handles[i], NULL);
}

//===----------------------------------------------------------------------===//
// Helpers
//===----------------------------------------------------------------------===//

static treadle_model *openTeam(int32_t threads, treadle_run_function run) {
  treadle_open_params params = {.struct_size = sizeof(params),
                                .threads = threads,
                                .flags = TREADLE_OPEN_ALL_THREADS,
                                .run = run,
                                .run_context = run ? &runs : NULL};
  treadle_model *model;
  REQUIRE_OK(api->model_open(&params, &model, NULL, 0));
  return model;
}

static void runSession(treadle_model *model, float logits[TOY_VOCAB]) {
  treadle_session *s = newSession(api, model, 2, 0, 0);
  REQUIRE_OK(feed(api, s, 0, 20, logits));
  for (int i = 20; i < TOKENS; ++i)
    REQUIRE_OK(feed(api, s, i, 1, logits));
  api->session_destroy(s);
}

static bool isSame(treadle_model *model) {
  float logits[TOY_VOCAB];
  runSession(model, logits);
  return !memcmp(logits, alone, sizeof(alone));
}

static void *call(void *model) {
  for (int i = 0; i < ROUNDS; ++i)
    CHECK(isSame(model));
  return NULL;
}

static int32_t threadsOf(treadle_model *model) {
  treadle_entry_info info = {.struct_size = sizeof(info)};
  REQUIRE_OK(api->entry_info(model, 0, &info));
  return info.threads;
}

//===----------------------------------------------------------------------===//
// Tests
//===----------------------------------------------------------------------===//

static void testSizes(void) {
  for (int32_t threads = 1; threads <= 5; ++threads) {
    treadle_model *model = openTeam(threads, NULL);
    CHECK(threadsOf(model) == threads);
    CHECK(isSame(model));
    REQUIRE_OK(api->model_selftest(model, NULL, NULL, 0));
    api->model_close(model);
  }
}

static void testSleep(void) {
  treadle_model *model = openTeam(3, NULL);
  for (int i = 0; i < 3; ++i) {
    usleep(20000);
    CHECK(isSame(model));
  }
  api->model_close(model);
}

static void testCallers(void) {
  treadle_model *model = openTeam(3, NULL);
  pthread_t callers[CALLERS];
  for (int i = 0; i < CALLERS; ++i)
    REQUIRE(!pthread_create(&callers[i], NULL, call, model));
  for (int i = 0; i < CALLERS; ++i)
    pthread_join(callers[i], NULL);
  api->model_close(model);
}

static void testOwnThreads(void) {
  treadle_model *model = openTeam(4, runOnThreads);
  CHECK(threadsOf(model) == 4);
  CHECK(isSame(model) && runs > TOKENS - 20);
  api->model_close(model);
}

/// Work that is not worth a thread runs on one.
static void testChoice(void) {
  treadle_open_params params = {.struct_size = sizeof(params), .threads = 4};
  treadle_model *model;
  REQUIRE_OK(api->model_open(&params, &model, NULL, 0));
  CHECK(threadsOf(model) == 1); // a few ns
  treadle_entry_info head = {.struct_size = sizeof(head)};
  REQUIRE_OK(api->entry_info(model, TOY_HEAD_16, &head));
  CHECK(head.threads == 4); // pretends to be large
  api->model_close(model);
  REQUIRE_OK(api->entry_info(NULL, 0, &head));
  CHECK(head.threads == 0);
}

/// Work that grows with the positions that a call sees is worth threads behind many.
static void testChoiceByPosition(void) {
  treadle_open_params params = {.struct_size = sizeof(params),
                                .threads = 4,
                                .run = runOnThreads,
                                .run_context = &runs};
  treadle_model *model;
  REQUIRE_OK(api->model_open(&params, &model, NULL, 0));
  treadle_entry_info walk = {.struct_size = sizeof(walk)};
  REQUIRE_OK(api->entry_info(model, TOY_FORWARD_4, &walk));
  CHECK(walk.threads == 4);
  float logits[TOY_VOCAB];
  treadle_session *s = newSession(api, model, 1, 0, 0);
  runs = 0;
  REQUIRE_OK(feed(api, s, 0, 4, logits));
  CHECK(runs == 0);
  REQUIRE_OK(feed(api, s, 4, 32, logits));
  CHECK(runs == 0); // two calls of 16, which always are cheap
  REQUIRE_OK(feed(api, s, 36, 4, logits));
  CHECK(runs == 1);
  api->session_destroy(s);
  api->model_close(model);
}

static void testBadParams(void) {
  char message[128];
  treadle_model *model;
  treadle_open_params params = {.struct_size = sizeof(params), .threads = -2};
  CHECK(api->model_open(&params, &model, message, sizeof(message)) ==
        TREADLE_STATUS_INVALID_ARGUMENT);
  CHECK(strstr(message, "got -2"));
  params.threads = 1;
  params.flags = 6;
  CHECK(api->model_open(&params, &model, message, sizeof(message)) ==
        TREADLE_STATUS_INVALID_ARGUMENT);
  CHECK(strstr(message, "flags"));
  // More than there can be are as many as there can be.
  params = (treadle_open_params){
      .struct_size = sizeof(params), .threads = 100000, .run = runOnThreads};
  REQUIRE_OK(api->model_open(&params, &model, message, sizeof(message)));
  api->model_close(model);
  // A caller of version 1, whose struct ends before `threads`.
  params = (treadle_open_params){
      .struct_size = offsetof(treadle_open_params, threads), .threads = -2};
  REQUIRE_OK(api->model_open(&params, &model, message, sizeof(message)));
  api->model_close(model);
}

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define NO_FORK
#endif
#endif

static void testFork(void) {
#ifndef NO_FORK // the sanitizer's own threads do not survive one
  treadle_model *model = openTeam(3, NULL);
  CHECK(isSame(model));
  pid_t child = fork();
  if (child == 0) {
    alarm(20);
    bool same = isSame(model);
    api->model_close(model);
    _exit(same ? 0 : 1);
  }
  int status;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  CHECK(isSame(model));
  api->model_close(model);
#endif
}

int main(int argc, char **argv) {
  (void)argc;
  folder = argv[1];
  api = loadLibrary("toy.so");
  treadle_model *one = openTeam(1, NULL);
  runSession(one, alone);
  api->model_close(one);
  testSizes();
  testSleep();
  testCallers();
  testOwnThreads();
  testChoice();
  testChoiceByPosition();
  testBadParams();
  testFork();
  return finish("TeamTest");
}

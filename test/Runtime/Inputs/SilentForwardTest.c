//===- SilentForwardTest.c - forward allocates nothing, calls no system ---===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Runs 1,000 tokens under seccomp's strict mode, in which any system call but
// read, write and _exit kills the process, and with an allocator that refuses.
// Not for sanitizers, which do both of their own accord.
//
//===----------------------------------------------------------------------===//

#include "Test.h"

#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static bool refuse;

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);

void *malloc(size_t size) {
  if (refuse)
    __builtin_trap();
  return __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
  if (refuse)
    __builtin_trap();
  return __libc_calloc(count, size);
}

static int runTokens(const treadle_model_api *api, treadle_session *session,
                     void *mark, size_t size) {
  static float logits[16 * TOY_VOCAB];
  int32_t ids[16], id = 1;
  uint8_t mask[16];
  uint64_t random = 1;
  treadle_status status = TREADLE_STATUS_OK;
  for (int i = 0; i < 1000 && !status; i += 8) {
    fillTokens(ids, mask, i, 16);
    ids[0] = id;
    int count = 1 + i % 15;
    treadle_logits mode = i % 3;
    status = api->session_forward(session, ids, mask, (size_t)count, mode,
                                  logits, 16 * TOY_VOCAB);
    const treadle_sample_params params = {sizeof(params), 0.7f, 5, 0.9f,
                                          &random};
    if (!status && mode)
      status = api->session_sample(session, logits, TOY_VOCAB, &params, &id);
    if (!status && i % 5 == 0)
      status = api->session_checkpoint(session, mark, size);
    if (!status && i % 5 == 0)
      status = api->session_rollback(session, mark, size);
  }
  return status;
}

static void testLibrary(const char *name) {
  const treadle_model_api *api = loadLibrary(name);
  treadle_model *model = openModel(api);
  treadle_session *session;
  const treadle_session_params params = {
      sizeof(params), 2, TREADLE_ON_FULL_RECOMPUTE, 32, 0, 0};
  REQUIRE_OK(api->session_create(model, &params, &session, NULL, 0));
  size_t size;
  REQUIRE_OK(api->checkpoint_size(session, &size));
  void *mark = malloc(size);
  pid_t child = fork();
  if (child == 0) {
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0, 0, 0))
      _exit(2);
    refuse = true;
    // exit_group is no exception of the strict mode, exit is.
    syscall(SYS_exit, runTokens(api, session, mark, size));
  }
  int status;
  waitpid(child, &status, 0);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  free(mark);
  api->session_destroy(session);
  api->model_close(model);
}

int main(int argc, char **argv) {
  (void)argc;
  folder = argv[1];
  testLibrary("toy.so");
  testLibrary("turns.so"); // turns included
  return finish("SilentForwardTest");
}

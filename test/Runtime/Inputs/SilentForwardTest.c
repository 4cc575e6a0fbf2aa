//===- SilentForwardTest.c - forward allocates nothing, calls no system ---===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Runs 1,000 tokens under seccomp's strict mode, in which any system call but
// read, write and _exit kills the process, and with an allocator that counts. On
// one thread: SilentTeamTest has more. Not for sanitizers, which do both of their
// own accord.
//
//===----------------------------------------------------------------------===//

#include "Silent.h"

#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void testLibrary(const char *name) {
  const treadle_model_api *api = loadLibrary(name);
  treadle_model *model = openModel(api);
  treadle_session *session = newSliding(api, model);
  size_t size;
  REQUIRE_OK(api->checkpoint_size(session, &size));
  void *mark = malloc(size);
  pid_t child = fork();
  if (child == 0) {
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0, 0, 0))
      _exit(2);
    isWatching = true;
    treadle_status status = runTokens(api, session, mark, size, 1000);
    // exit_group is no exception of the strict mode, exit is.
    syscall(SYS_exit, status || allocations);
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

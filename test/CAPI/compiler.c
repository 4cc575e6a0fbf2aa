//===- compiler.c - The compiler as a C library ---------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

// The compiler as a C library: success, each error, NULL.
// RUN: %cc -std=c99 -Wall -Wextra -Werror -pedantic -I%include %s -L%build/lib -lTreadle -Wl,-rpath,%build/lib -Wl,--allow-shlib-undefined -o %t
// RUN: rm -rf %t.out && mkdir %t.out
// RUN: %t %source/models/miniaxion/tiny.json %t.out

#include "treadle-c/compiler.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                           \
  do {                                                                                             \
    if (!(condition)) {                                                                            \
      fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #condition,                           \
              treadle_compiler_get_message(compiler));                                             \
      exit(1);                                                                                     \
    }                                                                                              \
  } while (0)

struct log {
  int warnings;
  int steps;
  double done;
};

static void onWarning(void *user, const char *text) {
  ((struct log *)user)->warnings += strstr(text, "--max-context") != NULL;
}

static void onProgress(void *user, const char *step, double done) {
  struct log *log = user;
  log->steps += step[0] != 0;
  if (done < log->done)
    exit(2);
  log->done = done;
}

static int exists(const char *path) {
  FILE *file = fopen(path, "rb");
  if (file)
    fclose(file);
  return file != NULL;
}

int main(int argc, char **argv) {
  treadle_compiler *compiler = treadle_compiler_create();
  treadle_compile_options options = {0};
  struct log log = {0, 0, 0};
  char out[4096];
  if (argc != 3)
    return 1;
  CHECK(compiler);
  CHECK(strcmp(treadle_compiler_version(), "0.1.0") == 0);
  snprintf(out, sizeof(out), "%s/tiny.so", argv[2]);

  /* Nothing set yet. */
  CHECK(treadle_compiler_run(compiler) == TREADLE_COMPILE_INVALID_ARGUMENT);
  CHECK(strstr(treadle_compiler_get_message(compiler), "options before the run"));

  /* Options that no compilation takes. */
  CHECK(treadle_compiler_set_options(compiler, NULL) == TREADLE_COMPILE_INVALID_ARGUMENT);
  CHECK(treadle_compiler_set_options(compiler, &options) == TREADLE_COMPILE_INVALID_ARGUMENT);
  CHECK(strstr(treadle_compiler_get_message(compiler), "struct_size"));
  options.struct_size = sizeof(options);
  CHECK(treadle_compiler_set_options(compiler, &options) == TREADLE_COMPILE_INVALID_ARGUMENT);
  CHECK(strstr(treadle_compiler_get_message(compiler), "expected a config"));
  options.config = argv[1];
  options.rows = "1,many";
  CHECK(treadle_compiler_set_options(compiler, &options) == TREADLE_COMPILE_INVALID_ARGUMENT);
  CHECK(strstr(treadle_compiler_get_message(compiler), "'many'"));
  options.rows = "1,4";
  options.dtype = "f16";
  CHECK(treadle_compiler_set_options(compiler, &options) == TREADLE_COMPILE_INVALID_ARGUMENT);
  CHECK(strstr(treadle_compiler_get_message(compiler), "--dtype"));
  options.dtype = "bf16";

  /* A phase as text; a caller that knows only the first options; a warning. */
  options.to = "model";
  options.max_context = 1000;
  CHECK(treadle_compiler_set_callbacks(compiler, onWarning, onProgress, &log) ==
        TREADLE_COMPILE_OK);
  CHECK(treadle_compiler_set_options(compiler, &options) == TREADLE_COMPILE_OK);
  CHECK(treadle_compiler_run(compiler) == TREADLE_COMPILE_OK);
  CHECK(strstr(treadle_compiler_get_text(compiler), "@embedding : !treadle.weight<97x48xbf16"));
  CHECK(strcmp(treadle_compiler_get_message(compiler), "") == 0);
  CHECK(log.warnings == 1 && log.steps > 1 && log.done == 1);

  /* A library. */
  options.to = NULL;
  options.max_context = 0;
  options.out = out;
  log.done = 0;
  CHECK(treadle_compiler_set_options(compiler, &options) == TREADLE_COMPILE_OK);
  CHECK(treadle_compiler_run(compiler) == TREADLE_COMPILE_OK);
  CHECK(exists(out) && strcmp(treadle_compiler_get_text(compiler), "") == 0);

  /* A failure leaves the file that was there, and the handle as good as new. */
  options.weights = "none.safetensors";
  CHECK(treadle_compiler_set_callbacks(compiler, NULL, NULL, NULL) == TREADLE_COMPILE_OK);
  CHECK(treadle_compiler_set_options(compiler, &options) == TREADLE_COMPILE_OK);
  CHECK(treadle_compiler_run(compiler) == TREADLE_COMPILE_FAILED);
  CHECK(strstr(treadle_compiler_get_message(compiler), "none.safetensors"));
  CHECK(exists(out));

  CHECK(treadle_compiler_run(NULL) == TREADLE_COMPILE_INVALID_ARGUMENT);
  CHECK(treadle_compiler_set_options(NULL, &options) == TREADLE_COMPILE_INVALID_ARGUMENT);
  CHECK(treadle_compiler_set_callbacks(NULL, NULL, NULL, NULL) == TREADLE_COMPILE_INVALID_ARGUMENT);
  CHECK(treadle_compiler_get_message(NULL)[0] && !treadle_compiler_get_text(NULL)[0]);
  treadle_compiler_destroy(NULL);
  treadle_compiler_destroy(compiler);
  return 0;
}

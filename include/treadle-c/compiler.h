/*===- compiler.h - The compiler as a library ---------------------*- C -*-===*\
|*                                                                            *|
|* Part of the Treadle project, under the Apache License v2.0 with LLVM       *|
|* Exceptions. See LICENSE for license information.                           *|
|* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception                    *|
|*                                                                            *|
|*===----------------------------------------------------------------------===*|
|*                                                                            *|
|* What treadle-compile does, for programs that link libTreadle.so. It is C99 *|
|* and C++.                                                                   *|
|*                                                                            *|
|*   treadle_compile_options options = {sizeof(options)};                     *|
|*   options.config = "config.json";                                          *|
|*   options.weights = "model.safetensors";                                   *|
|*   options.out = "model.so";                                                *|
|*   treadle_compiler *compiler = treadle_compiler_create();                  *|
|*   treadle_compiler_set_options(compiler, &options);                        *|
|*   if (treadle_compiler_run(compiler) != TREADLE_COMPILE_OK)                *|
|*     puts(treadle_compiler_get_message(compiler));                          *|
|*   treadle_compiler_destroy(compiler);                                      *|
|*                                                                            *|
|* Stability. The options only ever grow at their end; struct_size says how   *|
|* many of them the caller knows. Zero and NULL mean the defaults.            *|
|*                                                                            *|
|* Errors. A call that does not return TREADLE_COMPILE_OK leaves one line on  *|
|* the handle, and no file behind. Any function takes NULL where a handle     *|
|* belongs. Nothing throws across this interface, and nothing prints.         *|
|*                                                                            *|
|* Threads. One handle is used by one thread at a time; any number of handles *|
|* compile at once.                                                           *|
|*                                                                            *|
|* Ownership. Handles belong to the caller. Nothing that is passed in is kept *|
|* but the callbacks and their `user`; strings that come back live until the  *|
|* next call on the handle.                                                   *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#ifndef TREADLE_C_COMPILER_H
#define TREADLE_C_COMPILER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef int32_t treadle_compile_status;
enum {
  TREADLE_COMPILE_OK = 0,
  /* A NULL handle, no struct_size, or options that no compilation takes. */
  TREADLE_COMPILE_INVALID_ARGUMENT = 1,
  /* The config, the weights or the machine did not allow it. */
  TREADLE_COMPILE_FAILED = 2
};

/* A compilation to come: its options and callbacks. */
typedef struct treadle_compiler treadle_compiler;

/* The flags of treadle-compile, of the same names; see its --help. Lists are
 * words or numbers with commas between, as on the command line. NULL and 0 are
 * the defaults; an empty text is refused. */
typedef struct treadle_compile_options {
  size_t struct_size;
  const char *config; /* required: a config file or a checkpoint directory */
  const char *weights;
  const char *out;
  const char *family;
  const char *golden;
  const char *dtype;
  const char *target;
  const char *cpu;
  const char *triple;
  const char *gpu;
  const char *rows;
  const char *recurrence_form;
  const char *weights_mode;
  const char *symbol_prefix;
  const char *from;
  const char *to;
  const char *dump_phases;
  const char *plugins; /* of --load-pass-plugin */
  const char *sanitize;
  int64_t max_context;
  int64_t max_loops;
  int32_t allow_unknown_keys;
  int32_t pack;
} treadle_compile_options;

/* Called during treadle_compiler_run on its thread. The strings live until the
 * callback returns. It may not call back into the handle. */
typedef void (*treadle_compile_warning_fn)(void *user, const char *text);
/* `done` runs from 0 to 1 and never falls. */
typedef void (*treadle_compile_progress_fn)(void *user, const char *step,
                                            double done);

/* The version of the compiler, `0.1.0`. Lives as long as the library. */
const char *treadle_compiler_version(void);

/* A handle without options, or NULL if there is no memory. */
treadle_compiler *treadle_compiler_create(void);

/* NULL is fine. */
void treadle_compiler_destroy(treadle_compiler *compiler);

/* Replaces all options. The strings are copied.
 *   INVALID_ARGUMENT  NULL, a struct_size that ends before `config`, a list with
 *                     a part that is no number, or options that contradict each
 *                     other; the handle keeps the options it had */
treadle_compile_status
treadle_compiler_set_options(treadle_compiler *compiler,
                             const treadle_compile_options *options);

/* Sets who hears of warnings and progress; either may be NULL. */
treadle_compile_status treadle_compiler_set_callbacks(
    treadle_compiler *compiler, treadle_compile_warning_fn warning,
    treadle_compile_progress_fn progress, void *user);

/* Compiles and writes the files that the options name.
 *   INVALID_ARGUMENT  NULL, or no options have been set
 *   FAILED            see the message; no file was written or changed */
treadle_compile_status treadle_compiler_run(treadle_compiler *compiler);

/* Why the last call failed, one line; empty if it did not. */
const char *treadle_compiler_get_message(const treadle_compiler *compiler);

/* What the last run printed with `to` and no `out`: the text of that phase. */
const char *treadle_compiler_get_text(const treadle_compiler *compiler);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* TREADLE_C_COMPILER_H */

/*===- model.h - The C interface of a compiled model --------------*- C -*-===*\
|*                                                                            *|
|* Part of the Treadle project, under the Apache License v2.0 with LLVM       *|
|* Exceptions. See LICENSE for license information.                           *|
|* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception                    *|
|*                                                                            *|
|*===----------------------------------------------------------------------===*|
|*                                                                            *|
|* Every library that treadle-compile writes exports one function,            *|
|* treadle_model_query, which returns a table of functions. This header is    *|
|* all that a program needs beside the library; it is C99 and C++.            *|
|*                                                                            *|
|*   const treadle_model_api *api = treadle_model_query(TREADLE_MODEL_ABI);   *|
|*   treadle_model *model;                                                    *|
|*   treadle_session *session;                                                *|
|*   api->model_open(NULL, &model, NULL, 0);                                  *|
|*   api->session_create(model, NULL, &session, NULL, 0);                     *|
|*   api->session_forward(session, ids, NULL, n, TREADLE_LOGITS_LAST,         *|
|*                        logits, vocab_size);                                *|
|*   ...                                                                      *|
|*   api->session_destroy(session);                                           *|
|*   api->model_close(model);                                                 *|
|*                                                                            *|
|* Stability. Structs and the table only ever grow at their end, and numbers  *|
|* keep their meaning. A struct that the caller fills begins with             *|
|* struct_size = sizeof(that struct): a library reads and writes no more than *|
|* that, and takes what lies beyond for zero. All-zero fields (struct_size    *|
|* apart) always mean the defaults; smaller than the size of version 1 is     *|
|* TREADLE_STATUS_INVALID_ARGUMENT.                                           *|
|*                                                                            *|
|* Errors. A call that does not return TREADLE_STATUS_OK has changed nothing: *|
|* the session goes on as if the call had not been made, and what it          *|
|* would have written through pointers holds nothing to rely on. (The one     *|
|* exception is TREADLE_STATUS_DEVICE.) Session functions leave a sentence on *|
|* the session (session_message); functions on a model put it in the caller's *|
|* `message` buffer, cut to message_size bytes and always terminated; NULL    *|
|* and 0 if it is not wanted. Any function takes NULL where a handle belongs  *|
|* and answers TREADLE_STATUS_INVALID_ARGUMENT (model_info, entry_info,       *|
|* state_info apart, see there). Nothing aborts, prints, throws or calls back, *|
|* but for treadle_open_params.run and what session_profile is given.         *|
|*                                                                            *|
|* Threads. A model does not change once it is open: any thread may use it at *|
|* any time, and sessions of one model run concurrently. A session is used by *|
|* one thread at a time, which need not always be the same one.               *|
|*                                                                            *|
|* Ownership. Handles belong to the caller: model_close and session_destroy   *|
|* free them, NULL is fine. All other memory stays its owner's: the library   *|
|* keeps no pointer that it is given, and strings that it returns live as     *|
|* long as the library is loaded, unless it says otherwise.                   *|
|*                                                                            *|
|* Same bits. However a sequence is cut into calls, and whether it is run     *|
|* through, forked, rolled back or loaded, logits and states come out the     *|
|* same, bit for bit, in one library on one kind of processor. (The exception *|
|* is a gated delta rule compiled with --recurrence-form=chunked: its last    *|
|* bits depend on the cut, and model_selftest finds that they do.)            *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#ifndef TREADLE_C_MODEL_H
#define TREADLE_C_MODEL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version of the interface that this header describes. */
#define TREADLE_MODEL_ABI 1

/* An open model: weights and code. */
typedef struct treadle_model treadle_model;

/* One sequence of tokens: its position, its ids and all that the model
 * remembers of them. */
typedef struct treadle_session treadle_session;

/*===------------------------------------------------------------------------===*
 * Numbers
 *===------------------------------------------------------------------------===*/

typedef int32_t treadle_status;
enum {
  TREADLE_STATUS_OK = 0,
  /* A NULL, a size, an id or an option that the function does not take. */
  TREADLE_STATUS_INVALID_ARGUMENT = 1,
  TREADLE_STATUS_OUT_OF_MEMORY = 2,
  /* The tokens do not fit into the session's context. */
  TREADLE_STATUS_FULL = 3,
  /* The caller's buffer is too small. */
  TREADLE_STATUS_BUFFER_TOO_SMALL = 4,
  /* This library cannot do this: a device that it has no code for, ... */
  TREADLE_STATUS_UNSUPPORTED = 5,
  /* The operating system would not open, read or map a file. */
  TREADLE_STATUS_IO = 6,
  /* A file or a saved session that belongs to another model, or to a session of
   * other loops or a larger context. */
  TREADLE_STATUS_MISMATCH = 7,
  /* Content that does not match its digest, or is no such thing at all. */
  TREADLE_STATUS_CORRUPT = 8,
  /* The model keeps states that cannot be cut there: roll back to a
   * checkpoint. */
  TREADLE_STATUS_NEEDS_CHECKPOINT = 9,
  /* The rows that a checkpoint relies on have been overwritten since. */
  TREADLE_STATUS_OVERWRITTEN = 10,
  /* Logits that leave no choice: a NaN, +infinity, or all -infinity. */
  TREADLE_STATUS_NOT_A_NUMBER = 11,
  /* A self-test came out wrong. */
  TREADLE_STATUS_FAILED = 12,
  /* The GPU or its driver failed; the message says in which call. If the function
   * writes states, what they hold is not known: the session is lost, and all that
   * needs them answers so, until session_reset, session_truncate to 0,
   * session_rollback or session_load gives it others. The position stays. Where
   * a kernel failed (an illegal address, a launch that was begun), the driver
   * refuses all that the process asks of this GPU from then on: close every
   * model on it, or start anew. */
  TREADLE_STATUS_DEVICE = 13
};

typedef int32_t treadle_weights_mode;
enum {
  TREADLE_WEIGHTS_NONE = 0,    /* the library needs none */
  TREADLE_WEIGHTS_EMBED = 1,   /* inside the library */
  TREADLE_WEIGHTS_EXTERNAL = 2 /* in a file of its own, mapped at open */
};

typedef int32_t treadle_entry_kind;
enum {
  TREADLE_ENTRY_FORWARD = 0, /* tokens to hidden rows */
  TREADLE_ENTRY_HEAD = 1,    /* hidden rows to logits */
  TREADLE_ENTRY_OPEN = 2,    /* begins a period */
  TREADLE_ENTRY_CLOSE = 3    /* ends a period */
};

typedef int32_t treadle_state_kind;
enum {
  TREADLE_STATE_APPEND = 0, /* one row for each position, or in the period */
  TREADLE_STATE_FIXED = 1,  /* one row, overwritten by each token or turn */
  TREADLE_STATE_RING = 2    /* the last `rows` rows */
};

typedef int32_t treadle_element;
enum {
  TREADLE_ELEMENT_F32 = 0,
  TREADLE_ELEMENT_BF16 = 1,
  TREADLE_ELEMENT_I32 = 2,
  TREADLE_ELEMENT_U8 = 3
};

/* Which rows of logits session_forward computes. */
typedef int32_t treadle_logits;
enum {
  TREADLE_LOGITS_NONE = 0,
  TREADLE_LOGITS_LAST = 1, /* the last token's: [vocab_size] */
  TREADLE_LOGITS_ALL = 2   /* every token's: [n][vocab_size] */
};

/* What session_forward does with a token beyond the session's context. */
typedef int32_t treadle_on_full;
enum {
  /* Refuse the whole call with TREADLE_STATUS_FULL. */
  TREADLE_ON_FULL_STOP = 0,
  /* Run the last `context` tokens from scratch, once for each such token whose
   * logits are asked for. Exact, and as slow as it sounds. */
  TREADLE_ON_FULL_RECOMPUTE = 1
};

/* For treadle_session_params.loops: as often as the config says. */
#define TREADLE_LOOPS_CONFIG (-1)

/* For treadle_session_params.flags, for tests: fill scratch memory and the rows
 * of append states with signalling NaNs wherever nothing has been written, and
 * end each piece of memory at an inaccessible page, so that code which reads or
 * writes where it must not is found. Touches all of the session's memory. */
#define TREADLE_SESSION_POISON UINT32_C(1)

#define TREADLE_MAX_STATE_RANK 8

/* What begins at a mark, where it is no stage: see session_profile. */
enum {
  TREADLE_MARK_BEGIN = -1, /* a call of the entry point */
  TREADLE_MARK_WAIT = -2,  /* waiting for the other threads of the call */
  TREADLE_MARK_END = -3    /* what comes behind the call */
};

/*===------------------------------------------------------------------------===*
 * Structs that the caller fills
 *===------------------------------------------------------------------------===*/

/* Calls task(argument, i) once for each i from 0 to threads - 1, all at the same
 * time, since they wait for each other, and returns when all have returned. Is
 * called by the thread that is in session_forward or session_turn. */
typedef void (*treadle_run_function)(void *context,
                                     void (*task)(void *argument, int32_t i),
                                     void *argument, int32_t threads);

enum {
  /* All threads for every call, even where fewer are faster: for tests. */
  TREADLE_OPEN_ALL_THREADS = 1
};

typedef struct treadle_open_params {
  size_t struct_size;
  /* Path of the packed weights; NULL unless the weights are external. */
  const char *weights;
  /* "cpu" or NULL: cpu. Or cuda, the first NVIDIA GPU; cuda:1, the second; ...:
   * the library must be compiled for GPUs as well. Weights and sessions then lie in
   * the GPU's memory, which is taken at full size when they are made. A library's
   * saved sessions are the same on both devices. */
  const char *device;
  /* The CUDA driver to open in place of libcuda.so.1; with a CUDA device. It stays
   * open for the life of the process. */
  const char *cuda_driver;
  /* How many threads may run a call together, the caller's among them; 0 means
   * one for each processor that the calling thread may use, 1 none but the
   * caller's. Work that is too small for them runs on fewer, and a call does
   * not wait for a thread whose processor is busy with something else. The
   * other threads are the model's own, sleep where there is nothing to do, take
   * no signals and end with model_close. Of two calls at the same time one has
   * them, the other runs on its caller's thread. A child of fork has none of
   * them either. Of no effect with a CUDA device. */
  int32_t threads;
  uint32_t flags; /* TREADLE_OPEN_... */
  /* Runs a call on the application's own threads instead; NULL: on the model's. */
  treadle_run_function run;
  void *run_context;
} treadle_open_params;

/* Is called at the border of two pieces of a call of the entry point of this index:
 * what comes before it ends here, and `stage` begins, the number of a stage of the
 * entry point from 0 on, or one of TREADLE_MARK_... The thread that called the session
 * calls it, whichever others work with it. Must not use the session. */
typedef void (*treadle_mark_function)(void *context, size_t entry,
                                      int32_t stage);

typedef struct treadle_session_params {
  size_t struct_size;
  /* How often the model's loop runs, 1 ... max_loops; 0 means 1. Fixed for the
   * life of the session. */
  int32_t loops;
  treadle_on_full on_full;
  /* How many positions the session may take, at most the library's context; 0
   * means as many as the library. Of no effect where that has no limit. */
  int64_t context;
  uint32_t flags; /* TREADLE_SESSION_... */
  uint32_t reserved;
} treadle_session_params;

/* In this order: divide by the temperature; keep the top_k largest and all that
 * equal the last of them; of these, in descending order, lower ids first among
 * equals, keep each whose predecessors' probabilities sum to no more than
 * top_p; draw one in proportion. An id of logit -infinity is never chosen. */
typedef struct treadle_sample_params {
  size_t struct_size;
  /* 0: the largest logit, the lowest id among equals, and all else here is
   * ignored. Other values below 1e-5 count as 1e-5. */
  float temperature;
  int32_t top_k; /* 0: all */
  float top_p;   /* from 1: all, to 0: the first alone */
  /* The generator's state, read and advanced by one draw; NULL only at
   * temperature 0. Start it with any seed. It is SplitMix64:
   *   z = (state += 0x9e3779b97f4a7c15);
   *   z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
   *   z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
   *   draw = ((z ^ (z >> 31)) >> 11) * 2^-53 */
  uint64_t *random;
} treadle_sample_params;

/* One state's content for state_set. */
typedef struct treadle_state_value {
  size_t struct_size;
  size_t index;        /* of the state */
  const float *values; /* [dims[0]] ... [dims[rank - 1]], row-major */
  size_t rank;
  uint64_t dims[TREADLE_MAX_STATE_RANK]; /* as state_shape gives them */
} treadle_state_value;

/*===------------------------------------------------------------------------===*
 * Structs that the library fills (the caller sets struct_size)
 *===------------------------------------------------------------------------===*/

typedef struct treadle_model_info {
  size_t struct_size;
  const char *name;
  /* A JSON object that describes the model to people and tools: "family",
   * "dtype", "target", "parameters", "config" (the whole config), and what else
   * the family has to say. The runtime does not read it. */
  const char *json;
  const uint8_t *config_digest; /* [32] SHA-256 of the config */
  const uint8_t *library_id;    /* [32] equal ids share saved sessions */
  uint32_t vocab_size;
  uint32_t hidden_size;
  uint64_t context;        /* positions compiled for; 0: no limit */
  uint64_t config_context; /* positions that the config promises; 0: no limit */
  /* 0, or how many tokens a period has at most. A model with periods keeps rows
   * for the tokens of one period only. At its end, a turn, it condenses them into
   * its fixed states, and begins anew: its context has no limit, and its memory
   * stays the same. */
  uint64_t period;
  uint32_t max_loops;
  uint32_t config_loops;
  const int32_t *eos_ids; /* [eos_count] ids that end a text */
  size_t eos_count;
  size_t entry_count;
  size_t state_count;
  /* A session's states at full context (or period) and loops. */
  uint64_t state_bytes;
  treadle_weights_mode weights_mode;
  /* Every id is below it. Columns of logits from there on, if vocab_size is more,
   * stand for no token. */
  uint32_t token_count;
  uint64_t weights_bytes; /* packed weights without the container's header */
} treadle_model_info;

typedef struct treadle_entry_info {
  size_t struct_size;
  treadle_entry_kind kind;
  uint32_t rows;        /* how many rows one call processes */
  uint64_t arena_bytes; /* scratch memory that it needs */
  /* How many threads a call of this model runs on at most, wherever in the context
   * it stands; 0 if it is NULL. */
  int32_t threads;
  int32_t reserved;
} treadle_entry_info;

typedef struct treadle_state_info {
  size_t struct_size;
  const char *name;
  treadle_state_kind kind;
  treadle_element element;
  /* Rows at most: the library's context (append), 1 (fixed), or the ring's
   * length. With periods append states have `lead` rows in front of the tokens'
   * that belong to the period as a whole, and perhaps some behind them that a
   * turn needs. */
  uint64_t rows;
  uint64_t lead;
  uint64_t row_bytes; /* one row in every slot, at max_loops */
  uint64_t bytes;     /* rows * row_bytes */
  /* Row bytes in the slots that each pass of the loop has of its own, for one
   * pass; 0 if the state does not depend on the number of passes. */
  uint64_t pass_row_bytes;
  uint32_t by_turn; /* fixed: 1 if no token, only a turn writes it */
  uint32_t reserved;
} treadle_state_info;

typedef struct treadle_session_info {
  size_t struct_size;
  /* Tokens that the session holds, at most its context; with periods all that
   * it has been given. */
  int64_t position;
  int64_t since_turn; /* with periods: tokens since the last turn */
  int64_t forgotten;  /* tokens that have left the context (recompute) */
  int64_t context;    /* 0: no limit */
  int32_t loops;
  treadle_on_full on_full;
} treadle_session_info;

typedef struct treadle_state_shape {
  size_t struct_size;
  size_t rank;
  uint64_t dims[TREADLE_MAX_STATE_RANK]; /* the rest is zero */
  uint64_t count;                        /* their product */
} treadle_state_shape;

typedef struct treadle_selftest_report {
  size_t struct_size;
  size_t golden_count; /* golden vectors in the library; 0: none were run */
  /* The largest max |difference| / (tolerance * max |expected|): at most 1. */
  float golden_worst;
  /* How many tokens were run whole, one by one and in ragged pieces, for each
   * number of loops from 1 to invariance_loops; with periods over at least one
   * turn. */
  uint32_t invariance_rows;
  uint32_t invariance_loops;
  uint32_t reserved;
} treadle_selftest_report;

/*===------------------------------------------------------------------------===*
 * The table
 *===------------------------------------------------------------------------===*/

typedef struct treadle_model_api {
  /* Bytes of the table, and TREADLE_MODEL_ABI of the library. A member exists
   * if it ends within struct_size. */
  uint32_t struct_size;
  uint32_t version;

  /* "full" for TREADLE_STATUS_FULL, and so on; "unknown" for other numbers. */
  const char *(*status_name)(treadle_status status);

  /*--- Models ------------------------------------------------------------*/

  /* Opens the model. External weights are compared with the library by size and
   * by the digest of their header, and mapped, not read: see model_verify. The
   * file must not be cut while the model is open. `params` NULL: all defaults.
   *   INVALID_ARGUMENT  external weights but no path, or the reverse
   *   UNSUPPORTED       no code for the device, or for a processor that can do
   *                     less than the one that the library is compiled for; no
   *                     such device, or no driver for it
   *   DEVICE            the GPU's driver failed
   *   IO                the file cannot be opened, read or mapped
   *   MISMATCH          not packed for this library, or with other content
   *                     than it was compiled with, if it was with any
   *   OUT_OF_MEMORY     or too little of the GPU's for the weights
   * On error *model is NULL. */
  treadle_status (*model_open)(const treadle_open_params *params,
                               treadle_model **model, char *message,
                               size_t message_size);

  /* All sessions must have been destroyed before. */
  void (*model_close)(treadle_model *model);

  /* These describe the library, so `model` may be NULL: nothing need be open.
   * `index` is below the info's entry_count or state_count, otherwise
   * INVALID_ARGUMENT. */
  treadle_status (*model_info)(const treadle_model *model,
                               treadle_model_info *info);
  treadle_status (*entry_info)(const treadle_model *model, size_t index,
                               treadle_entry_info *info);
  treadle_status (*state_info)(const treadle_model *model, size_t index,
                               treadle_state_info *info);

  /* Hashes the weights (about 0.3 GB/s): are they what their header says?
   *   CORRUPT   they are not */
  treadle_status (*model_verify)(const treadle_model *model, char *message,
                                 size_t message_size);

  /* Runs what the library can check of itself, and says in `report` (may be
   * NULL) what that was: golden vectors of the reference, if the library holds
   * some, and invariance: tokens run whole, one by one and in ragged pieces
   * give the same bits.
   *   FAILED  the message says what differs; the report is filled
   *   OUT_OF_MEMORY */
  treadle_status (*model_selftest)(const treadle_model *model,
                                   treadle_selftest_report *report,
                                   char *message, size_t message_size);

  /*--- Sessions ----------------------------------------------------------*/

  /* Creates an empty session. Its memory is reserved at full size and taken
   * from the system as it is first touched. `params` NULL: all defaults.
   *   INVALID_ARGUMENT  loops above max_loops, context above the library's, ...
   *   OUT_OF_MEMORY     address space cannot be reserved, or a GPU has too little
   *                     memory
   *   DEVICE
   * On error *session is NULL. */
  treadle_status (*session_create)(const treadle_model *model,
                                   const treadle_session_params *params,
                                   treadle_session **session, char *message,
                                   size_t message_size);
  void (*session_destroy)(treadle_session *session);

  /* What went wrong in the last call on this session that did not return OK, or
   * "". Lives until the next call on the session. */
  const char *(*session_message)(const treadle_session *session);

  treadle_status (*session_info)(const treadle_session *session,
                                 treadle_session_info *info);

  /* Tokens that the session holds; -1 if it is NULL. */
  int64_t (*session_position)(const treadle_session *session);

  /* Back to an empty sequence, and all counters to 0. Checkpoints stay valid
   * until forward overwrites what they rely on. */
  treadle_status (*session_reset)(treadle_session *session);

  /* Runs `count` >= 1 tokens and advances by as many. Allocates nothing and, on
   * the CPU, makes no system call, but for those that wake the model's threads,
   * that wait for a thread whose processor does something else, and that look
   * where threads run, where those are more than processors. Needs up to 512 KB
   * of the calling thread's stack. With periods, a turn runs where it is due:
   * before the token that the full period cannot hold.
   *   ids     [count], each 0 <= id < token_count
   *   mask    [count] of 0 and 1, or NULL: all 1. A token of mask 0 takes a
   *           position, and no token attends to it.
   *   logits  float32, room for logits_capacity of them: see treadle_logits;
   *           NULL and 0 if the mode is NONE
   * Errors:
   *   INVALID_ARGUMENT, BUFFER_TOO_SMALL
   *   FULL    position + count exceeds the context, with TREADLE_ON_FULL_STOP
   * With TREADLE_ON_FULL_RECOMPUTE the logits of a token beyond the context are
   * those of a fresh session that is given the last `context` tokens, it being
   * the last. */
  treadle_status (*session_forward)(treadle_session *session,
                                    const int32_t *ids, const uint8_t *mask,
                                    size_t count, treadle_logits mode,
                                    float *logits, size_t logits_capacity);

  /* Forgets all tokens from `position` on, 0 <= position <= session_position.
   *   INVALID_ARGUMENT
   *   NEEDS_CHECKPOINT  `position` is neither 0 nor the present one, and either
   *                     the model has fixed or ring states that each token
   *                     writes, or there has been a turn after `position` */
  treadle_status (*session_truncate)(treadle_session *session,
                                     int64_t position);

  /* A checkpoint ("mark") lets this session come back to where it is now. It
   * holds the fixed and ring states and the position, but no append rows, so it
   * is small, and the rows before its position must still stand when it is
   * used: tokens may be added, truncated and rolled back, only not overwritten
   * below that position. The size is the same for the life of the session. With
   * periods, a mark that is taken right after a turn stands for ever, and one
   * within a period until the next period begins; the turn of a full period is
   * run first.
   *   BUFFER_TOO_SMALL */
  treadle_status (*checkpoint_size)(const treadle_session *session,
                                    size_t *size);
  treadle_status (*session_checkpoint)(treadle_session *session, void *mark,
                                       size_t capacity);
  /*   CORRUPT      no mark, or one of another size
   *   MISMATCH     a mark of another session
   *   OVERWRITTEN  its append rows have been overwritten since */
  treadle_status (*session_rollback)(treadle_session *session, const void *mark,
                                     size_t size);

  /* A new session in the same state, which goes its own way from here. Copies
   * the rows that are in use. Checkpoints of the one are not valid in the
   * other. The message of an error is on `session`.
   *   OUT_OF_MEMORY
   * On error *copy is NULL. */
  treadle_status (*session_fork)(treadle_session *session,
                                 treadle_session **copy);

  /* Writes the session as bytes that can be stored: the rows in use, with a
   * digest over all of it. The size depends on the position; with periods, on
   * that within the period, and the turn of a full one is run first.
   *   BUFFER_TOO_SMALL */
  treadle_status (*save_size)(const treadle_session *session, size_t *size);
  treadle_status (*session_save)(treadle_session *session, void *blob,
                                 size_t capacity);

  /* Replaces the session's content by a saved one. Everything is checked before
   * anything changes. Checkpoints of positions above 0 are lost.
   *   CORRUPT   not a saved session, cut, or altered
   *   MISMATCH  of another library, other weights, another format version,
   *             other loops, or with more tokens than this session's context */
  treadle_status (*session_load)(treadle_session *session, const void *blob,
                                 size_t size);

  /*--- States ------------------------------------------------------------*/

  /* The shape of a state's content as it stands: its slot dimensions, of which
   * the one that counts loop passes is as long as the session's loops; the rows
   * (append: the position; ring: its length; fixed: no such dimension); the
   * dimensions of a row. With periods an append state has its lead and the
   * tokens since the last turn as rows, or none before the first of them. */
  treadle_status (*state_shape)(const treadle_session *session, size_t index,
                                treadle_state_shape *shape);

  /* The content in that shape as float32, whatever the element type. Rows of a
   * ring come oldest first.
   *   BUFFER_TOO_SMALL  `capacity` floats do not hold it */
  treadle_status (*state_get)(treadle_session *session, size_t index,
                              float *values, size_t capacity);

  /* Sets the content of `count` states at once, each at most once, rounding to
   * the nearest value of the element type (ties to even).
   *
   * Position. The append states among the values must have one common number
   * of rows, n. If that is the position, or there are none of them, the
   * position stays, and states that are not given keep their content.
   * Otherwise every state must be given ("ids" and "mask" too), n must not
   * exceed the context, and becomes the position. With periods n counts tokens
   * since the last turn, and the leads come on top. A ring's rows are taken
   * oldest first, the last one belonging to the token before the position.
   * Setting an append state overwrites its rows from 0, which ends checkpoints
   * of positions above 0.
   *
   * Other numbers are not checked: a NaN is taken as it is, and an id in a state
   * other than "ids" that is none stands for no token.
   *   INVALID_ARGUMENT  shapes; ids that are not whole or out of range; masks
   *                     other than 0 and 1; fractions and other numbers that
   *                     an integer state cannot hold */
  treadle_status (*state_set)(treadle_session *session,
                              const treadle_state_value *values, size_t count);

  /*--- Sampling and counting ---------------------------------------------*/

  /* Chooses a token by one row of logits ([vocab_size], not altered). `params`
   * NULL: temperature 0. The session lends scratch memory and is not changed.
   *   INVALID_ARGUMENT, NOT_A_NUMBER */
  treadle_status (*session_sample)(treadle_session *session,
                                   const float *logits, size_t vocab_size,
                                   const treadle_sample_params *params,
                                   int32_t *id);

  /* How often each entry point was called since the session was created or
   * reset: counts[entry_count].
   *   BUFFER_TOO_SMALL  `capacity` is below entry_count */
  treadle_status (*session_counters)(const treadle_session *session,
                                     uint64_t *counts, size_t capacity);

  /*--- Turns ---------------------------------------------------------------*/

  /* Ends the period now rather than when it is full: the model condenses the
   * tokens since the last turn into its fixed states, and the next token begins
   * a new period. Does nothing if there are no such tokens. The position stays.
   * Like forward, it allocates nothing.
   *   UNSUPPORTED  the model has no periods
   * After OK no token since the last turn can be truncated any more: the session
   * holds what outlives a period alone, its saved form is at its smallest, and a
   * mark taken now stands for ever. */
  treadle_status (*session_turn)(treadle_session *session);

  /*--- Profiling -----------------------------------------------------------*/

  /* From now on, until it is called with NULL, each forward and turn calls
   * mark(context, ...) at the borders of all that it does: BEGIN, each stage and
   * each wait as it begins, END. All marks come from the thread that called, or
   * that runs part 0 of a call on threads of the application. Where several
   * threads run a call together, they tell what this one does, which waits for
   * the others wherever they are slower. What the stages of an entry
   * point are and need stands in the model's facts ("work" of info.json). No bit of
   * any result changes. A fork of the session is not marked. */
  treadle_status (*session_profile)(treadle_session *session,
                                    treadle_mark_function mark, void *context);
} treadle_model_api;

/* The exported function. Returns the table, which is constant and lives as long
 * as the library is loaded; NULL if max_version is 0. A library may be older or
 * newer than `max_version` (pass TREADLE_MODEL_ABI): look at the table's
 * struct_size before you use members that later versions added.
 *
 * `treadle-compile --symbol-prefix=NAME` renames it to
 * NAME_treadle_model_query, so that several models can be linked into one
 * program: declare each with TREADLE_DECLARE_MODEL(NAME). With dlopen, cast the
 * symbol to treadle_model_query_fn. */
typedef const treadle_model_api *(*treadle_model_query_fn)(
    uint32_t max_version);

#ifdef __cplusplus
#define TREADLE_DECLARE_MODEL(NAME)                                            \
  extern "C" const treadle_model_api *NAME##_treadle_model_query(              \
      uint32_t max_version)
#else
#define TREADLE_DECLARE_MODEL(NAME)                                            \
  const treadle_model_api *NAME##_treadle_model_query(uint32_t max_version)
#endif

const treadle_model_api *treadle_model_query(uint32_t max_version);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* TREADLE_C_MODEL_H */

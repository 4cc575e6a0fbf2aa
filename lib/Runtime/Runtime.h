//===- Runtime.h - The runtime's own types ------------------------*- C -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Handles and helpers that the runtime's files share. Which file holds what:
//
//   Api.c         the table, and names of status codes
//   Model.c       open and close, descriptions
//   Cpu.c         whether the machine can run the library
//   CudaDriver.c  the CUDA driver: opening it, what its errors mean
//   CudaModel.c   a GPU with code and weights
//   CudaSession.c states and calls of entry points on a GPU
//   Weights.c     finding and checking the container of weights
//   Session.c     create, destroy, reset, fork, the layout of a session's memory
//   Forward.c     cutting tokens into entry calls; recompute
//   Team.c        threads that run an entry point together
//   Profile.c     telling the caller which stage begins
//   Turn.c        opening and closing periods
//   States.c      walking the state table
//   StateValues.c states as float32
//   Checkpoint.c  truncate, checkpoint, rollback
//   Serialize.c   save and load
//   Sample.c      choosing a token
//   SelfTest.c    golden vectors and invariance
//   Message.c     error sentences, versioned structs
//   Sha256.c
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_RUNTIME_RUNTIME_H
#define TREADLE_RUNTIME_RUNTIME_H

#include "Cuda.h"
#include "Profile.h"
#include "Program.h"
#include "Sha256.h"
#include "Team.h"
#include "treadle-c/model.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

//===----------------------------------------------------------------------===//
// The program
//===----------------------------------------------------------------------===//

static inline const treadle_program_header *treadle_header(void) {
  return (const treadle_program_header *)(const void *)treadle_program;
}

static inline const void *treadle_span_data(treadle_program_span span) {
  return treadle_program + span.offset;
}

static inline const treadle_program_entry *treadle_entries(void) {
  return treadle_span_data(treadle_header()->entries);
}

static inline const treadle_program_state *treadle_states(void) {
  return treadle_span_data(treadle_header()->states);
}

//===----------------------------------------------------------------------===//
// Handles
//===----------------------------------------------------------------------===//

/// The members that a call gets.
typedef struct treadle_members {
  uint32_t most;
  uint32_t patience; ///< how long it waits for them (treadle_team_run)
} treadle_members;

/// Calls that see less than 1, 2, 4 ... positions, or any number, are told apart.
enum { treadle_sights = 25 };

static inline uint32_t treadle_sight_of(uint64_t positions) {
  uint32_t bits = positions ? 64 - (uint32_t)__builtin_clzll(positions) : 0;
  return bits < treadle_sights ? bits : treadle_sights - 1;
}

struct treadle_model {
  const uint8_t *container;   ///< weights with header; NULL if there are none
  const void *weights;        ///< what entry points get
  uint64_t mapped_size;       ///< bytes to unmap at close, or 0
  uint8_t weights_digest[32]; ///< what the container says its data hash to
  treadle_team *team;         ///< NULL: each call runs on its caller's thread
  /// [entries]: how many are worth it, by the positions that a call sees.
  treadle_members (*entry_members)[treadle_sights];
  treadle_cuda *cuda; ///< NULL: entry points run on the CPU
  /// Advanced atomically by each session: the only field that changes.
  uint64_t next_session_id;
};

/// Where a sequence stands, and so which rows of append states are in use: those
/// of `row` tokens and those that lead them, or none before a period is opened.
/// Without periods `row` is the position, and `open` is true.
typedef struct treadle_place {
  int64_t position; ///< tokens held
  int64_t row;      ///< tokens since the last turn, at most header.period
  bool open;        ///< OPEN has run since the last turn
} treadle_place;

/// "While `epoch` was current, the rows of tokens from `row` on were overwritten,
/// and if it is -1, those that lead them." See Checkpoint.c.
typedef struct treadle_overwrite {
  uint64_t epoch;
  int64_t row;
} treadle_overwrite;

typedef struct treadle_candidate {
  uint32_t key; ///< orders like the logit, descending
  uint32_t id;
} treadle_candidate;

struct treadle_session {
  const treadle_model *model;
  uint64_t id; ///< no two sessions have the same
  treadle_place place;
  int64_t forgotten; ///< tokens that left the context
  int64_t context;   ///< tokens held at most; 0, no limit, with periods
  int32_t loops;     ///< passes of the loop
  int32_t on_full;   ///< treadle_on_full
  uint32_t flags;    ///< TREADLE_SESSION_...
  uint64_t epoch;    ///< number of checkpoints taken
  treadle_profile profile;
  size_t overwrite_count;

  /// One reserved region; the pointers below lie in it. R is the most rows of an
  /// entry point of a kind.
  uint8_t *region;
  size_t region_size;
  uint8_t *states;      ///< [state_bytes]; see Cuda.h for those on a GPU
  uint8_t *arena;       ///< [the largest arena_bytes]
  float *hidden;        ///< [R forward + R head][hidden_size]
  float *logits;        ///< [R head][vocab_size], for padded calls
  int32_t *ids;         ///< [R forward]: a call's input
  uint8_t *mask;        ///< [R forward]
  int32_t *window_ids;  ///< [context], for recompute
  uint8_t *window_mask; ///< [context]
  treadle_overwrite *overwrites; ///< [context or period + 1]
  treadle_candidate *candidates; ///< [2][vocab_size], for sampling
  uint64_t *counters;            ///< [entries]

  treadle_cuda_session *cuda; ///< NULL: states are the host's

  char message[256];
};

/// Whether the session is on a GPU.
static inline bool treadle_on_gpu(const treadle_session *session) {
  return session->cuda;
}

/// Ends a call of the table that may have made the GPU work. On an error the session
/// is lost if its states were to be written.
static inline treadle_status treadle_finish(treadle_session *session) {
  return treadle_on_gpu(session) ? treadle_cuda_finish(session)
                                 : TREADLE_STATUS_OK;
}

/// The same where all states have been given content: the session is no longer lost.
static inline treadle_status treadle_finish_anew(treadle_session *session) {
  treadle_status status = treadle_finish(session);
  if (treadle_on_gpu(session) && status == TREADLE_STATUS_OK)
    session->cuda->lost = false;
  return status;
}

//===----------------------------------------------------------------------===//
// Message.c
//===----------------------------------------------------------------------===//

/// Writes a sentence, cut to `size` bytes with its NUL; nothing if `size` is 0.
/// Knows %s (const char *), %d (int64_t), %u (uint64_t) and %f (double, three
/// significant digits); integers must be passed as 64 bits.
void treadle_format(char *text, size_t size, const char *format, ...);

/// Leaves a sentence on the session and returns `status`.
treadle_status treadle_fail(treadle_session *session, treadle_status status,
                            const char *format, ...);

/// Reads a caller's struct of its own `struct_size` into `*own`, of `size`
/// bytes: what it lacks becomes zero. Fails if it is smaller than `first`, the
/// size of the first version of the struct, or says something in fields that are
/// unknown here.
bool treadle_read_struct(void *own, size_t size, size_t first,
                         const void *callers);

/// Writes as much of `*own`, of `size` bytes, as a caller's struct of its own
/// `struct_size` has room for. Fails if that is smaller than `first`.
bool treadle_write_struct(void *callers, const void *own, size_t size,
                          size_t first);

/// DEVICE where an earlier call has failed on the GPU, and states are not known.
treadle_status treadle_check_content(treadle_session *session);

//===----------------------------------------------------------------------===//
// Cpu.c
//===----------------------------------------------------------------------===//

/// UNSUPPORTED where the machine lacks what entry points may execute.
treadle_status treadle_check_cpu(char *message, size_t message_size);

//===----------------------------------------------------------------------===//
// Weights.c
//===----------------------------------------------------------------------===//

/// Finds the weights that the program asks for and checks that they are its own.
/// `path` is NULL if none was given.
treadle_status treadle_weights_open(treadle_model *model, const char *path,
                                    char *message, size_t message_size);
void treadle_weights_close(treadle_model *model);

//===----------------------------------------------------------------------===//
// States.c
//===----------------------------------------------------------------------===//

uint64_t treadle_element_bytes(uint32_t element);

/// Elements of one row in one slot.
uint64_t treadle_row_elements(const treadle_program_state *state);

uint64_t treadle_slot_count(const treadle_program_state *state);

/// Whether a session of `loops` passes uses the slot.
bool treadle_slot_is_live(const treadle_program_state *state, uint64_t slot,
                          int32_t loops);

/// Rows that mean something in a session at `place`.
uint64_t treadle_live_rows(const treadle_program_state *state,
                           treadle_place place);

/// Where an element of a row lies in the state memory.
uint64_t treadle_element_offset(const treadle_program_state *state,
                                uint64_t slot, uint64_t row, uint64_t element);

/// Which states a walk visits.
enum treadle_state_filter { TREADLE_ALL_STATES, TREADLE_STATES_WITHOUT_ROWS };

/// Calls `visit` for each piece of state memory that is in use by a session of
/// `loops` passes at `place`, in an order that is always the same: either all of
/// it, or only that of fixed and ring states, for which the place does not matter.
typedef void (*treadle_piece_visitor)(void *context, uint64_t offset,
                                      uint64_t bytes);
void treadle_visit_states(enum treadle_state_filter filter, int32_t loops,
                          treadle_place place, treadle_piece_visitor visit,
                          void *context);

/// Visits a state's slots that are in use, each as one piece: of the last panel it
/// takes the rows that are not live as well, which may hold anything.
void treadle_visit_slots(const treadle_program_state *state, int32_t loops,
                         treadle_place place, treadle_piece_visitor visit,
                         void *context);

/// How many bytes treadle_visit_states visits.
uint64_t treadle_live_bytes(enum treadle_state_filter filter, int32_t loops,
                            treadle_place place);

/// Copies bytes of the state memory, wherever that is. What is read is there once
/// treadle_finish has said OK.
void treadle_read_states(const treadle_session *session, uint64_t offset,
                         void *to, uint64_t bytes);
void treadle_write_states(treadle_session *session, uint64_t offset,
                          const void *from, uint64_t bytes);

/// Copies what treadle_visit_states visits to consecutive bytes, and back.
void treadle_gather_states(const treadle_session *session,
                           enum treadle_state_filter filter, uint8_t *to);
void treadle_scatter_states(treadle_session *session,
                            enum treadle_state_filter filter,
                            treadle_place place, const uint8_t *from);

/// The built-in states at a token's row. Rows of the mask that lead the tokens'
/// are those from -lead to -1.
int32_t *treadle_id_at(const treadle_session *session, int64_t row);
uint8_t *treadle_mask_at(const treadle_session *session, int64_t row);

//===----------------------------------------------------------------------===//
// Checkpoint.c
//===----------------------------------------------------------------------===//

/// Every write of append rows goes through here first: those of tokens from `row`
/// on are about to change, and with -1 those that lead them as well.
void treadle_note_overwrite(treadle_session *session, int64_t row);

//===----------------------------------------------------------------------===//
// Forward.c
//===----------------------------------------------------------------------===//

void treadle_call_entry(treadle_session *session, size_t index,
                        const void *input, const uint8_t *mask, void *output,
                        int64_t position, size_t valid);

//===----------------------------------------------------------------------===//
// Turn.c
//===----------------------------------------------------------------------===//

/// Runs the turns that are due before a token, and says how many of `count`
/// tokens may follow before the next one.
size_t treadle_begin_rows(treadle_session *session, size_t count);

/// A full period is closed before it is written down: what is left is small.
void treadle_settle(treadle_session *session);

/// Where treadle_settle leaves the session.
treadle_place treadle_settled_place(const treadle_session *session);

//===----------------------------------------------------------------------===//
// Session.c
//===----------------------------------------------------------------------===//

/// The place of an empty sequence.
treadle_place treadle_start(void);

/// Whether a session of this library and context can stand at `place`, between
/// calls that leave no full period, when so many tokens have left its context.
bool treadle_is_sound(const treadle_session *session, treadle_place place,
                      int64_t forgotten);

/// Makes the session an empty sequence.
void treadle_begin(treadle_session *session);

/// The most that any entry point needs.
typedef struct treadle_extent {
  uint32_t forward_rows, head_rows;
  uint64_t arena_bytes;
} treadle_extent;
treadle_extent treadle_find_extent(void);

/// Fills memory with a pattern that is a signalling NaN as f32 and as bf16.
void treadle_poison(void *memory, size_t size);

//===----------------------------------------------------------------------===//
// The functions of the table, as model.h describes them
//===----------------------------------------------------------------------===//

treadle_status treadle_model_open(const treadle_open_params *params,
                                  treadle_model **model, char *message,
                                  size_t message_size);
void treadle_model_close(treadle_model *model);
treadle_status treadle_model_get_info(const treadle_model *model,
                                      treadle_model_info *info);
treadle_status treadle_model_get_entry_info(const treadle_model *model,
                                            size_t index,
                                            treadle_entry_info *info);
treadle_status treadle_model_get_state_info(const treadle_model *model,
                                            size_t index,
                                            treadle_state_info *info);
treadle_status treadle_model_verify(const treadle_model *model, char *message,
                                    size_t message_size);
treadle_status treadle_model_selftest(const treadle_model *model,
                                      treadle_selftest_report *report,
                                      char *message, size_t message_size);
treadle_status treadle_session_create(const treadle_model *model,
                                      const treadle_session_params *params,
                                      treadle_session **session, char *message,
                                      size_t message_size);
void treadle_session_destroy(treadle_session *session);
treadle_status treadle_session_reset(treadle_session *session);
treadle_status treadle_session_forward(treadle_session *session,
                                       const int32_t *ids, const uint8_t *mask,
                                       size_t count, treadle_logits mode,
                                       float *logits, size_t logits_capacity);
treadle_status treadle_session_turn(treadle_session *session);
treadle_status treadle_session_profile(treadle_session *session,
                                       treadle_mark_function mark,
                                       void *context);
treadle_status treadle_session_truncate(treadle_session *session,
                                        int64_t position);
treadle_status treadle_session_checkpoint_size(const treadle_session *session,
                                               size_t *size);
treadle_status treadle_session_checkpoint(treadle_session *session, void *mark,
                                          size_t capacity);
treadle_status treadle_session_rollback(treadle_session *session,
                                        const void *mark, size_t size);
treadle_status treadle_session_fork(treadle_session *session,
                                    treadle_session **copy);
treadle_status treadle_session_save_size(const treadle_session *session,
                                         size_t *size);
treadle_status treadle_session_save(treadle_session *session, void *blob,
                                    size_t capacity);
treadle_status treadle_session_load(treadle_session *session, const void *blob,
                                    size_t size);
treadle_status treadle_session_state_shape(const treadle_session *session,
                                           size_t index,
                                           treadle_state_shape *shape);
treadle_status treadle_session_state_get(treadle_session *session, size_t index,
                                         float *values, size_t capacity);
treadle_status treadle_session_state_set(treadle_session *session,
                                         const treadle_state_value *values,
                                         size_t count);
treadle_status treadle_session_sample(treadle_session *session,
                                      const float *logits, size_t vocab_size,
                                      const treadle_sample_params *params,
                                      int32_t *id);

#endif // TREADLE_RUNTIME_RUNTIME_H

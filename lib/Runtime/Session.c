//===- Session.c - A session's memory and its life ------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Libc.h"
#include "Runtime.h"

//===----------------------------------------------------------------------===//
// Layout
//===----------------------------------------------------------------------===//

/// The largest page of any kernel for our architectures.
enum { cacheLine = 64, page = 65536 };

treadle_extent treadle_find_extent(void) {
  treadle_extent extent = {0, 0, 0};
  const treadle_program_entry *entry = treadle_entries();
  const treadle_program_entry *end = entry + treadle_header()->entries.count;
  for (; entry != end; ++entry) {
    // Opening and closing a period have neither input nor output.
    if (entry->kind == TREADLE_PROGRAM_ENTRY_HEAD &&
        entry->rows > extent.head_rows)
      extent.head_rows = entry->rows;
    if (entry->kind == TREADLE_PROGRAM_ENTRY_FORWARD &&
        entry->rows > extent.forward_rows)
      extent.forward_rows = entry->rows;
    if (entry->arena_bytes > extent.arena_bytes)
      extent.arena_bytes = entry->arena_bytes;
  }
  return extent;
}

/// A session's memory while it is dealt out.
typedef struct {
  uint8_t *memory; ///< NULL while it is only measured
  size_t used;
  bool guarded; ///< each piece ends where an inaccessible page begins
  bool failed;
} Region;

static size_t roundUp(size_t size, size_t unit) {
  return (size + unit - 1) / unit * unit;
}

/// Everything begins on a cache line.
static void *take(Region *region, size_t bytes) {
  size_t size = roundUp(bytes, cacheLine);
  size_t start = region->used, end = start + size;
  region->used = end;
  if (region->guarded) {
    end = roundUp(end, page);
    region->used = end + page;
    size_t first = start;
    start = end - size;
    if (region->memory && end != first)
      region->failed |= mprotect(region->memory + first, end - first,
                                 PROT_READ | PROT_WRITE) != 0;
  }
  return region->memory ? region->memory + start : NULL;
}

/// Places everything in the session's region.
static void layOut(treadle_session *session, Region *region) {
  const treadle_program_header *header = treadle_header();
  const treadle_extent extent = treadle_find_extent();
  const size_t context = (size_t)session->context;
  const size_t rows = header->period ? (size_t)header->period : context;
  const size_t vocab = header->vocab_size;
  const size_t hiddenRows = (size_t)extent.forward_rows + extent.head_rows;
  session->states = take(region, header->state_bytes);
  if (!treadle_on_gpu(session)) {
    session->arena = take(region, extent.arena_bytes);
    session->hidden =
        take(region, hiddenRows * header->hidden_size * sizeof(float));
    session->logits = take(region, extent.head_rows * vocab * sizeof(float));
  }
  session->candidates = take(region, 2 * vocab * sizeof(treadle_candidate));
  session->overwrites = take(region, (rows + 1) * sizeof(treadle_overwrite));
  session->window_ids = take(region, context * sizeof(int32_t));
  session->window_mask = take(region, context);
  session->ids = take(region, extent.forward_rows * sizeof(int32_t));
  session->mask = take(region, extent.forward_rows);
  session->counters = take(region, header->entries.count * sizeof(uint64_t));
}

//===----------------------------------------------------------------------===//
// Content of a fresh session
//===----------------------------------------------------------------------===//

void treadle_poison(void *memory, size_t size) {
  const uint32_t word = UINT32_C(0x7fa07fa0);
  for (size_t i = 0; i + sizeof(word) <= size; i += sizeof(word))
    memcpy((uint8_t *)memory + i, &word, sizeof(word));
}

static void clearPiece(void *context, uint64_t offset, uint64_t bytes) {
  treadle_session *session = context;
  if (treadle_on_gpu(session))
    treadle_cuda_clear(session, offset, bytes);
  else
    memset(session->states + offset, 0, bytes);
}

/// Gives one slot of a state that does not start as zero its content.
static void startSlot(treadle_session *session,
                      const treadle_program_state *state, uint64_t slot) {
  const uint64_t offset = treadle_element_offset(state, slot, 0, 0);
  uint8_t *to = session->states + offset;
  uint64_t count = treadle_row_elements(state);
  if (state->start == TREADLE_PROGRAM_START_WEIGHTS) {
    memcpy(to,
           (const uint8_t *)session->model->weights + state->initial +
               slot * state->slot_stride,
           count * sizeof(float));
  } else {
    for (uint64_t i = 0; i < count; ++i)
      memcpy(to + i * sizeof(state->fill), &state->fill, sizeof(state->fill));
  }
  // Elements of both kinds have four bytes.
  if (treadle_on_gpu(session))
    treadle_cuda_push(session, offset, count * sizeof(float));
}

/// Where fixed and ring states are zero, makes them those of an empty sequence.
static void startStates(treadle_session *session) {
  const treadle_program_state *state = treadle_states();
  const treadle_program_state *end = state + treadle_header()->states.count;
  for (; state != end; ++state) {
    if (state->start == TREADLE_PROGRAM_START_ZERO)
      continue;
    uint64_t slots = treadle_slot_count(state);
    for (uint64_t slot = 0; slot < slots; ++slot)
      if (treadle_slot_is_live(state, slot, session->loops))
        startSlot(session, state, slot);
  }
}

treadle_place treadle_start(void) {
  return (treadle_place){0, 0, !treadle_header()->period};
}

bool treadle_is_sound(const treadle_session *session, treadle_place place,
                      int64_t forgotten) {
  const int64_t period = (int64_t)treadle_header()->period;
  // Beyond any real count, further tokens would make a number overflow.
  const int64_t most = INT64_MAX / 2;
  // A sequence without end has no context to leave.
  if (forgotten < 0 || forgotten > (period ? 0 : most) || place.position < 0)
    return false;
  if (!period)
    return place.open && place.row == place.position &&
           place.position <= session->context;
  return place.position <= most && place.row >= 0 && place.row < period &&
         place.row <= place.position && (place.open || !place.row);
}

void treadle_begin(treadle_session *session) {
  session->place = treadle_start();
  treadle_visit_states(TREADLE_STATES_WITHOUT_ROWS, session->loops,
                       session->place, clearPiece, session);
  startStates(session);
}

static void poisonSession(treadle_session *session) {
  const treadle_program_header *header = treadle_header();
  const treadle_extent extent = treadle_find_extent();
  const size_t hiddenBytes = ((size_t)extent.forward_rows + extent.head_rows) *
                             header->hidden_size * sizeof(float);
  if (treadle_on_gpu(session)) {
    treadle_cuda_poison(session, session->cuda->states, header->state_bytes);
    treadle_cuda_poison(session, session->cuda->hidden, hiddenBytes);
    return;
  }
  treadle_poison(session->states, header->state_bytes);
  treadle_poison(session->hidden, hiddenBytes);
}

//===----------------------------------------------------------------------===//
// Create and destroy
//===----------------------------------------------------------------------===//

static treadle_status checkParams(treadle_session_params *params, char *message,
                                  size_t messageSize) {
  const treadle_program_header *header = treadle_header();
  if (params->loops == TREADLE_LOOPS_CONFIG)
    params->loops = (int32_t)header->config_loops;
  else if (params->loops == 0)
    params->loops = 1;
  if (params->loops < 1 || (uint32_t)params->loops > header->max_loops) {
    treadle_format(
        message, messageSize,
        "expects 1 to %u loops, got %d; compile with --max-loops for "
        "more",
        (uint64_t)header->max_loops, (int64_t)params->loops);
    return TREADLE_STATUS_INVALID_ARGUMENT;
  }
  if (header->period && params->context > 0)
    params->context = 0; // of no effect: a sequence is without end
  if (params->context == 0) {
    params->context = (int64_t)header->context;
  } else if (params->context < 1 ||
             (uint64_t)params->context > header->context) {
    treadle_format(message, messageSize,
                   "expects a context of 1 to %u positions, got %d; compile "
                   "with --max-context for more",
                   header->period ? INT64_MAX : header->context,
                   params->context);
    return TREADLE_STATUS_INVALID_ARGUMENT;
  }
  if (params->on_full != TREADLE_ON_FULL_STOP &&
      params->on_full != TREADLE_ON_FULL_RECOMPUTE) {
    treadle_format(message, messageSize,
                   "expects on_full 0 (stop) or 1 (recompute), got %d",
                   (int64_t)params->on_full);
    return TREADLE_STATUS_INVALID_ARGUMENT;
  }
  if ((params->flags & ~TREADLE_SESSION_POISON) || params->reserved) {
    treadle_format(message, messageSize, "got flags that are not known: %u",
                   (uint64_t)params->flags);
    return TREADLE_STATUS_INVALID_ARGUMENT;
  }
  return TREADLE_STATUS_OK;
}

/// Takes the session's memory and makes it an empty sequence.
static treadle_status fillSession(treadle_session *session) {
  const bool guarded = session->flags & TREADLE_SESSION_POISON;
  if (session->model->cuda && treadle_header()->gpu_code.count) {
    treadle_status status = treadle_cuda_session_create(session);
    if (status != TREADLE_STATUS_OK)
      return status;
  }
  Region region = {NULL, 0, guarded, false};
  layOut(session, &region);
  session->region_size = region.used;
  void *memory =
      mmap(NULL, session->region_size, guarded ? 0 : PROT_READ | PROT_WRITE,
           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory != MAP_FAILED) {
    session->region = memory;
    region = (Region){session->region, 0, guarded, false};
    layOut(session, &region);
  }
  if (memory == MAP_FAILED || region.failed)
    return treadle_fail(session, TREADLE_STATUS_OUT_OF_MEMORY,
                        "cannot reserve a session's memory");
  session->place = treadle_start();
  if (guarded)
    poisonSession(session);
  // The kernel hands out zeros: what most states want to begin with. A GPU does not.
  if (guarded || treadle_on_gpu(session))
    treadle_begin(session);
  else
    startStates(session);
  return treadle_finish(session);
}

/// `params` are checked. On error the session is NULL.
static treadle_status createSession(const treadle_model *model,
                                    const treadle_session_params *params,
                                    treadle_session **result, char *message,
                                    size_t messageSize) {
  *result = NULL;
  treadle_session *session = calloc(1, sizeof(*session));
  if (!session) {
    treadle_format(message, messageSize, "cannot reserve a session's memory");
    return TREADLE_STATUS_OUT_OF_MEMORY;
  }
  // The one field of a model that changes; hence the cast.
  uint64_t *nextId = &((treadle_model *)(uintptr_t)model)->next_session_id;
  session->id = __atomic_fetch_add(nextId, 1, __ATOMIC_RELAXED);
  session->model = model;
  session->loops = params->loops;
  session->on_full = params->on_full;
  session->context = params->context;
  session->flags = params->flags;
  treadle_status status = fillSession(session);
  if (status == TREADLE_STATUS_OK) {
    *result = session;
    return status;
  }
  treadle_format(message, messageSize, "%s", session->message);
  treadle_session_destroy(session);
  return status;
}

treadle_status treadle_session_create(const treadle_model *model,
                                      const treadle_session_params *callers,
                                      treadle_session **result, char *message,
                                      size_t messageSize) {
  treadle_format(message, messageSize, "");
  if (result)
    *result = NULL;
  if (!model || !result) {
    treadle_format(message, messageSize,
                   "expects a model and a place for the session");
    return TREADLE_STATUS_INVALID_ARGUMENT;
  }
  treadle_session_params params = {sizeof(params), 0, 0, 0, 0, 0};
  if (callers &&
      !treadle_read_struct(&params, sizeof(params), sizeof(params), callers)) {
    treadle_format(message, messageSize,
                   "expects treadle_session_params of a version that this "
                   "library knows");
    return TREADLE_STATUS_INVALID_ARGUMENT;
  }
  treadle_status status = checkParams(&params, message, messageSize);
  if (status != TREADLE_STATUS_OK)
    return status;
  return createSession(model, &params, result, message, messageSize);
}

void treadle_session_destroy(treadle_session *session) {
  if (!session)
    return;
  if (treadle_on_gpu(session))
    treadle_cuda_session_destroy(session);
  if (session->region)
    munmap(session->region, session->region_size);
  free(session);
}

//===----------------------------------------------------------------------===//
// Reset and fork
//===----------------------------------------------------------------------===//

treadle_status treadle_session_reset(treadle_session *session) {
  if (!session)
    return TREADLE_STATUS_INVALID_ARGUMENT;
  treadle_begin(session);
  memset(session->counters, 0,
         treadle_header()->entries.count * sizeof(*session->counters));
  session->forgotten = 0;
  return treadle_finish_anew(session);
}

typedef struct {
  treadle_session *to;
  const treadle_session *from;
} StatePair;

static void copyPiece(void *context, uint64_t offset, uint64_t bytes) {
  StatePair *pair = context;
  if (treadle_on_gpu(pair->to))
    treadle_cuda_copy(pair->to, pair->from, offset, bytes);
  else
    memcpy(pair->to->states + offset, pair->from->states + offset, bytes);
}

treadle_status treadle_session_fork(treadle_session *session,
                                    treadle_session **copy) {
  if (copy)
    *copy = NULL;
  if (!session)
    return TREADLE_STATUS_INVALID_ARGUMENT;
  if (!copy)
    return treadle_fail(session, TREADLE_STATUS_INVALID_ARGUMENT,
                        "expects a place for the copy");
  const treadle_session_params params = {sizeof(params),   session->loops,
                                         session->on_full, session->context,
                                         session->flags,   0};
  treadle_status status = treadle_check_content(session);
  if (status == TREADLE_STATUS_OK)
    status = createSession(session->model, &params, copy, session->message,
                           sizeof(session->message));
  if (status != TREADLE_STATUS_OK)
    return status;
  StatePair pair = {*copy, session};
  const treadle_program_state *state = treadle_states();
  const treadle_program_state *end = state + treadle_header()->states.count;
  for (; state != end; ++state)
    treadle_visit_slots(state, session->loops, session->place, copyPiece,
                        &pair);
  (*copy)->place = session->place;
  (*copy)->forgotten = session->forgotten;
  status = treadle_finish(*copy);
  if (status == TREADLE_STATUS_OK)
    return status;
  treadle_fail(session, status, "%s", (*copy)->message);
  treadle_session_destroy(*copy);
  *copy = NULL;
  return status;
}

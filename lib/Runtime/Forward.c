//===- Forward.c - Cutting tokens into entry calls ------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Rows are independent of how a sequence is cut (Program.h), so the cut is a
// matter of speed alone.
//
//===----------------------------------------------------------------------===//

#include "Libc.h"
#include "Runtime.h"

//===----------------------------------------------------------------------===//
// Choosing and calling entry points
//===----------------------------------------------------------------------===//

/// A call of R rows costs about R + 16 row units: reading the weights is worth 16
/// rows of arithmetic. Takes the entry point that is cheapest for each row of use.
static size_t chooseEntry(uint32_t kind, size_t remaining) {
  const treadle_program_entry *entries = treadle_entries();
  size_t count = treadle_header()->entries.count, best = count;
  uint64_t bestCost = 0, bestUse = 0;
  for (size_t i = 0; i < count; ++i) {
    if (entries[i].kind != kind)
      continue;
    uint64_t rows = entries[i].rows, cost = rows + 16;
    uint64_t use = rows < remaining ? rows : remaining;
    // cost / use < bestCost / bestUse, in integers.
    if (best == count || cost * bestUse < bestCost * use) {
      best = i;
      bestCost = cost;
      bestUse = use;
    }
  }
  return best;
}

void treadle_call_entry(treadle_session *session, size_t index,
                        const void *input, const uint8_t *mask, void *output,
                        int64_t position, size_t valid) {
  ++session->counters[index];
  treadle_profile *profile = session->profile.mark ? &session->profile : NULL;
  if (profile)
    profile->entry = index;
  if (treadle_on_gpu(session)) {
    treadle_mark(profile, TREADLE_MARK_BEGIN);
    treadle_cuda_call(session, index, input, output, position, (int64_t)valid);
    treadle_mark(profile, TREADLE_MARK_END);
    return;
  }
  if (session->flags & TREADLE_SESSION_POISON)
    treadle_poison(session->arena, treadle_entries()[index].arena_bytes);
  const treadle_call call = {
      .function = treadle_entry_functions[index],
      .arena = session->arena,
      .states = session->states,
      .weights = session->model->weights,
      .input = input,
      .mask = mask,
      .output = output,
      .position = position,
      .valid = (int64_t)valid,
      .passes = session->loops,
      .profile = profile,
  };
  const treadle_members members =
      session->model
          ->entry_members[index][treadle_sight_of((uint64_t)position + valid)];
  treadle_mark(profile, TREADLE_MARK_BEGIN);
  treadle_team_run(session->model->team, members.most, members.patience, &call);
  treadle_mark(profile, TREADLE_MARK_END);
}

/// logits[count][vocab] of hidden[count][width]. Whole calls write straight into
/// the caller's buffer, which has no room for the padding of the last one.
static void runHead(treadle_session *session, const float *hidden, size_t count,
                    float *logits) {
  const size_t width = treadle_header()->hidden_size;
  const size_t vocab = treadle_header()->vocab_size;
  while (count) {
    size_t index = chooseEntry(TREADLE_PROGRAM_ENTRY_HEAD, count);
    size_t rows = treadle_entries()[index].rows;
    size_t valid = rows < count ? rows : count;
    const bool onGPU = treadle_on_gpu(session);
    float *output = valid == rows && !onGPU ? logits : session->logits;
    treadle_call_entry(session, index, hidden, NULL, output, 0, valid);
    if (onGPU)
      treadle_cuda_read_logits(session, logits,
                               valid * vocab * sizeof(*logits));
    else if (output != logits)
      memcpy(logits, output, valid * vocab * sizeof(*logits));
    hidden += valid * width;
    logits += valid * vocab;
    count -= valid;
  }
}

/// Brings the next rows of the built-in states to the GPU.
static void pushTokens(treadle_session *session, size_t count) {
  const int64_t row = session->place.row;
  const uint8_t *ids = (const uint8_t *)treadle_id_at(session, row);
  const uint8_t *mask = treadle_mask_at(session, row);
  treadle_cuda_push(session, (uint64_t)(ids - session->states),
                    count * sizeof(int32_t));
  treadle_cuda_push(session, (uint64_t)(mask - session->states), count);
}

/// Fills the input of a call of `rows` rows and the built-in states.
static void stageInput(treadle_session *session, const int32_t *ids,
                       const uint8_t *mask, size_t valid, size_t rows) {
  if (treadle_on_gpu(session))
    treadle_cuda_begin_staging(session);
  for (size_t i = 0; i < valid; ++i) {
    int64_t row = session->place.row + (int64_t)i;
    session->ids[i] = *treadle_id_at(session, row) = ids[i];
    session->mask[i] = *treadle_mask_at(session, row) = mask ? mask[i] : 1;
  }
  memset(session->ids + valid, 0, (rows - valid) * sizeof(*session->ids));
  memset(session->mask + valid, 0, rows - valid);
  if (treadle_on_gpu(session))
    pushTokens(session, valid);
}

/// Runs tokens that fit into the context. No call reaches over a period's end.
static void runTokens(treadle_session *session, const int32_t *ids,
                      const uint8_t *mask, size_t count, treadle_logits mode,
                      float *logits) {
  const size_t width = treadle_header()->hidden_size;
  const size_t vocab = treadle_header()->vocab_size;
  while (count) {
    size_t most = treadle_begin_rows(session, count);
    size_t index = chooseEntry(TREADLE_PROGRAM_ENTRY_FORWARD, most);
    size_t rows = treadle_entries()[index].rows;
    size_t valid = rows < most ? rows : most;
    treadle_note_overwrite(session, session->place.row);
    stageInput(session, ids, mask, valid, rows);
    treadle_call_entry(session, index, session->ids, session->mask,
                       session->hidden, session->place.row, valid);
    if (mode == TREADLE_LOGITS_ALL) {
      runHead(session, session->hidden, valid, logits);
      logits += valid * vocab;
    } else if (mode == TREADLE_LOGITS_LAST && valid == count) {
      runHead(session, session->hidden + (valid - 1) * width, 1, logits);
    }
    session->place.position += (int64_t)valid;
    session->place.row += (int64_t)valid;
    ids += valid;
    if (mask)
      mask += valid;
    count -= valid;
  }
}

//===----------------------------------------------------------------------===//
// Beyond the context
//===----------------------------------------------------------------------===//

/// Makes the window the last `context` tokens of what is held and `count` more,
/// which together exceed the context, and runs it from scratch.
static void recompute(treadle_session *session, const int32_t *ids,
                      const uint8_t *mask, size_t count, treadle_logits mode,
                      float *logits) {
  const int64_t context = session->context;
  const int64_t held = session->place.position;
  const int64_t dropped = held + (int64_t)count - context;
  for (int64_t i = 0; i < context; ++i) {
    int64_t position = dropped + i, added = position - held;
    bool old = added < 0;
    session->window_ids[i] =
        old ? *treadle_id_at(session, position) : ids[added];
    session->window_mask[i] = old    ? *treadle_mask_at(session, position)
                              : mask ? mask[added]
                                     : 1;
  }
  treadle_begin(session);
  session->forgotten += dropped;
  runTokens(session, session->window_ids, session->window_mask, (size_t)context,
            mode, logits);
}

/// The logits of each token beyond the context take a window of their own; where
/// none are asked for, the last window gives the state.
static void runSliding(treadle_session *session, const int32_t *ids,
                       const uint8_t *mask, size_t count, treadle_logits mode,
                       float *logits) {
  if (mode != TREADLE_LOGITS_ALL) {
    recompute(session, ids, mask, count, mode, logits);
    return;
  }
  size_t fitting = (size_t)(session->context - session->place.position);
  runTokens(session, ids, mask, fitting, mode, logits);
  for (size_t i = fitting; i < count; ++i)
    recompute(session, ids + i, mask ? mask + i : NULL, 1, TREADLE_LOGITS_LAST,
              logits + i * treadle_header()->vocab_size);
}

//===----------------------------------------------------------------------===//
// The interface
//===----------------------------------------------------------------------===//

static treadle_status checkTokens(treadle_session *session, const int32_t *ids,
                                  const uint8_t *mask, size_t count) {
  const uint32_t tokens = treadle_header()->token_count;
  if (!ids || !count)
    return treadle_fail(session, TREADLE_STATUS_INVALID_ARGUMENT,
                        "expects at least one token id");
  if (count > INT64_MAX / 8)
    return treadle_fail(session, TREADLE_STATUS_INVALID_ARGUMENT,
                        "got an impossible number of tokens: %u", count);
  for (size_t i = 0; i < count; ++i)
    if (ids[i] < 0 || (uint32_t)ids[i] >= tokens)
      return treadle_fail(session, TREADLE_STATUS_INVALID_ARGUMENT,
                          "expects token ids from 0 to %u, got %d at index %u",
                          (uint64_t)tokens - 1, (int64_t)ids[i], i);
  for (size_t i = 0; mask && i < count; ++i)
    if (mask[i] > 1)
      return treadle_fail(session, TREADLE_STATUS_INVALID_ARGUMENT,
                          "expects a mask of 0 and 1, got %u at index %u",
                          (uint64_t)mask[i], i);
  return TREADLE_STATUS_OK;
}

static treadle_status checkLogits(treadle_session *session, size_t count,
                                  treadle_logits mode, const float *logits,
                                  size_t capacity) {
  size_t needed = treadle_header()->vocab_size;
  if (mode == TREADLE_LOGITS_NONE)
    return TREADLE_STATUS_OK;
  if (mode != TREADLE_LOGITS_LAST && mode != TREADLE_LOGITS_ALL)
    return treadle_fail(session, TREADLE_STATUS_INVALID_ARGUMENT,
                        "expects logits mode 0 (none), 1 (last) or 2 (all), "
                        "got %d",
                        (int64_t)mode);
  if (!logits)
    return treadle_fail(session, TREADLE_STATUS_INVALID_ARGUMENT,
                        "expects a buffer for the logits");
  if (mode == TREADLE_LOGITS_ALL &&
      __builtin_mul_overflow(needed, count, &needed))
    return treadle_fail(session, TREADLE_STATUS_INVALID_ARGUMENT,
                        "got an impossible number of tokens: %u", count);
  if (capacity < needed)
    return treadle_fail(session, TREADLE_STATUS_BUFFER_TOO_SMALL,
                        "expects room for %u logits, got %u", needed, capacity);
  return TREADLE_STATUS_OK;
}

treadle_status treadle_session_forward(treadle_session *session,
                                       const int32_t *ids, const uint8_t *mask,
                                       size_t count, treadle_logits mode,
                                       float *logits, size_t capacity) {
  if (!session)
    return TREADLE_STATUS_INVALID_ARGUMENT;
  treadle_status status = checkTokens(session, ids, mask, count);
  if (status == TREADLE_STATUS_OK)
    status = checkLogits(session, count, mode, logits, capacity);
  if (status == TREADLE_STATUS_OK)
    status = treadle_check_content(session);
  if (status != TREADLE_STATUS_OK)
    return status;
  const treadle_place place = session->place;
  const int64_t position = place.position, forgotten = session->forgotten;
  if (treadle_header()->period || (int64_t)count <= session->context - position)
    runTokens(session, ids, mask, count, mode, logits);
  else if (session->on_full == TREADLE_ON_FULL_RECOMPUTE)
    runSliding(session, ids, mask, count, mode, logits);
  else
    return treadle_fail(session, TREADLE_STATUS_FULL,
                        "the context is full: %u tokens at position %d exceed "
                        "%d",
                        count, position, session->context);
  status = treadle_finish(session);
  if (status != TREADLE_STATUS_OK) {
    session->place = place;
    session->forgotten = forgotten;
  }
  return status;
}

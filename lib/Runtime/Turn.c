//===- Turn.c - Opening and closing periods -------------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A turn is lazy: a full period stays as it is until a token follows, so that it
// can still be truncated, and one that nothing follows is never opened.
//
//===----------------------------------------------------------------------===//

#include "Libc.h"
#include "Runtime.h"

/// Rows that no token masks.
static void attend(treadle_session *session, int64_t first, size_t count) {
  if (treadle_on_gpu(session))
    treadle_cuda_begin_staging(session);
  for (size_t i = 0; i < count; ++i)
    *treadle_mask_at(session, first + (int64_t)i) = 1;
  if (treadle_on_gpu(session))
    treadle_cuda_push(
        session, (uint64_t)(treadle_mask_at(session, first) - session->states),
        count);
}

/// Whoever reads a row of the period before is found out.
static void poisonRows(treadle_session *session) {
  const treadle_program_state *state = treadle_states();
  const treadle_program_state *end = state + treadle_header()->states.count;
  for (; state != end; ++state) {
    if (state->kind != TREADLE_PROGRAM_STATE_APPEND)
      continue;
    uint64_t slots = treadle_slot_count(state);
    for (uint64_t slot = 0; slot < slots; ++slot) {
      uint64_t offset = treadle_element_offset(state, slot, 0, 0);
      uint64_t bytes = state->rows * state->row_stride;
      if (treadle_on_gpu(session))
        treadle_cuda_poison(session, session->cuda->states + offset, bytes);
      else
        treadle_poison(session->states + offset, bytes);
    }
  }
}

static void openPeriod(treadle_session *session) {
  const size_t index = treadle_header()->open_entry;
  const size_t rows = treadle_entries()[index].rows;
  treadle_note_overwrite(session, -1);
  if (session->flags & TREADLE_SESSION_POISON)
    poisonRows(session);
  attend(session, -(int64_t)rows, rows);
  treadle_call_entry(session, index, NULL, NULL, NULL, 0, rows);
  session->place.open = true;
}

static void closePeriod(treadle_session *session) {
  const size_t index = treadle_header()->close_entry;
  const size_t rows = treadle_entries()[index].rows;
  const int64_t row = session->place.row;
  treadle_note_overwrite(session, row);
  attend(session, row, rows);
  treadle_call_entry(session, index, NULL, NULL, NULL, row, rows);
  session->place.row = 0;
  session->place.open = false;
}

static bool isFull(const treadle_session *session) {
  const uint64_t period = treadle_header()->period;
  return period && (uint64_t)session->place.row == period;
}

size_t treadle_begin_rows(treadle_session *session, size_t count) {
  treadle_settle(session);
  if (!session->place.open)
    openPeriod(session);
  if (!treadle_header()->period)
    return count;
  size_t left = (size_t)treadle_header()->period - (size_t)session->place.row;
  return left < count ? left : count;
}

void treadle_settle(treadle_session *session) {
  if (isFull(session))
    closePeriod(session);
}

treadle_place treadle_settled_place(const treadle_session *session) {
  treadle_place place = session->place;
  if (isFull(session)) {
    place.row = 0;
    place.open = false;
  }
  return place;
}

treadle_status treadle_session_turn(treadle_session *session) {
  if (!session)
    return TREADLE_STATUS_INVALID_ARGUMENT;
  if (!treadle_header()->period)
    return treadle_fail(session, TREADLE_STATUS_UNSUPPORTED,
                        "the model has no turns: its states follow each token");
  treadle_status status = treadle_check_content(session);
  if (status != TREADLE_STATUS_OK)
    return status;
  const treadle_place place = session->place;
  if (place.row)
    closePeriod(session);
  status = treadle_finish(session);
  if (status != TREADLE_STATUS_OK)
    session->place = place;
  return status;
}

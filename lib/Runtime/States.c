//===- States.c - Walking the state table ---------------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Libc.h"
#include "Runtime.h"

uint64_t treadle_element_bytes(uint32_t element) {
  switch (element) {
  case TREADLE_PROGRAM_ELEMENT_BF16:
    return 2;
  case TREADLE_PROGRAM_ELEMENT_U8:
    return 1;
  default:
    return 4;
  }
}

uint64_t treadle_row_elements(const treadle_program_state *state) {
  uint64_t count = 1;
  for (uint32_t i = 0; i < state->row_rank; ++i)
    count *= state->row_dims[i];
  return count;
}

uint64_t treadle_slot_count(const treadle_program_state *state) {
  uint64_t count = 1;
  for (uint32_t i = 0; i < state->slot_rank; ++i)
    count *= state->slot_dims[i];
  return count;
}

bool treadle_slot_is_live(const treadle_program_state *state, uint64_t slot,
                          int32_t loops) {
  if (state->pass_dim < 0)
    return true;
  for (uint32_t i = state->slot_rank - 1; i > (uint32_t)state->pass_dim; --i)
    slot /= state->slot_dims[i];
  return slot % state->slot_dims[state->pass_dim] < (uint64_t)loops;
}

uint64_t treadle_live_rows(const treadle_program_state *state,
                           treadle_place place) {
  if (state->kind != TREADLE_PROGRAM_STATE_APPEND)
    return state->rows;
  return place.open ? state->lead + (uint64_t)place.row : 0;
}

uint64_t treadle_element_offset(const treadle_program_state *state,
                                uint64_t slot, uint64_t row, uint64_t element) {
  uint64_t lane = row % state->panel_rows, depth = state->panel_depth;
  uint64_t place =
      (element / depth * state->panel_rows + lane) * depth + element % depth;
  return state->offset + slot * state->slot_stride +
         (row - lane) * state->row_stride +
         place * treadle_element_bytes(state->element);
}

/// Visits the first `rows` rows of a slot in some pieces.
typedef void slot_visitor(const treadle_program_state *state, uint64_t slot,
                          uint64_t rows, treadle_piece_visitor visit,
                          void *context);

/// Whole panels are one piece; of the last one what lies together of the rows that
/// are there.
static void visitRows(const treadle_program_state *state, uint64_t slot,
                      uint64_t rows, treadle_piece_visitor visit,
                      void *context) {
  uint64_t rest = rows % state->panel_rows, whole = rows - rest;
  visit(context, treadle_element_offset(state, slot, 0, 0),
        whole * state->row_stride);
  uint64_t depth = state->panel_depth;
  uint64_t bytes = rest * depth * treadle_element_bytes(state->element);
  for (uint64_t e = 0; rest && e < treadle_row_elements(state); e += depth)
    visit(context, treadle_element_offset(state, slot, whole, e), bytes);
}

/// One piece: of the last panel all rows.
static void visitPanels(const treadle_program_state *state, uint64_t slot,
                        uint64_t rows, treadle_piece_visitor visit,
                        void *context) {
  const uint64_t p = state->panel_rows, whole = (rows + p - 1) / p * p;
  visit(context, treadle_element_offset(state, slot, 0, 0),
        whole * state->row_stride);
}

static void visitSlots(const treadle_program_state *state, int32_t loops,
                       treadle_place place, slot_visitor *visitSlot,
                       treadle_piece_visitor visit, void *context) {
  const uint64_t rows = treadle_live_rows(state, place);
  const uint64_t slots = treadle_slot_count(state);
  for (uint64_t slot = 0; slot < slots; ++slot)
    if (treadle_slot_is_live(state, slot, loops))
      visitSlot(state, slot, rows, visit, context);
}

void treadle_visit_states(enum treadle_state_filter filter, int32_t loops,
                          treadle_place place, treadle_piece_visitor visit,
                          void *context) {
  const treadle_program_state *state = treadle_states();
  const treadle_program_state *end = state + treadle_header()->states.count;
  for (; state != end; ++state) {
    if (filter == TREADLE_STATES_WITHOUT_ROWS &&
        state->kind == TREADLE_PROGRAM_STATE_APPEND)
      continue;
    visitSlots(state, loops, place, visitRows, visit, context);
  }
}

void treadle_visit_slots(const treadle_program_state *state, int32_t loops,
                         treadle_place place, treadle_piece_visitor visit,
                         void *context) {
  visitSlots(state, loops, place, visitPanels, visit, context);
}

static void addBytes(void *context, uint64_t offset, uint64_t bytes) {
  (void)offset;
  *(uint64_t *)context += bytes;
}

uint64_t treadle_live_bytes(enum treadle_state_filter filter, int32_t loops,
                            treadle_place place) {
  uint64_t total = 0;
  treadle_visit_states(filter, loops, place, addBytes, &total);
  return total;
}

//===----------------------------------------------------------------------===//
// Copying
//===----------------------------------------------------------------------===//

void treadle_read_states(const treadle_session *session, uint64_t offset,
                         void *to, uint64_t bytes) {
  // What reading changes of a session on a GPU is what its call notes down.
  if (treadle_on_gpu(session))
    treadle_cuda_read((treadle_session *)(uintptr_t)session, offset, to, bytes);
  else
    memcpy(to, session->states + offset, bytes);
}

void treadle_write_states(treadle_session *session, uint64_t offset,
                          const void *from, uint64_t bytes) {
  if (treadle_on_gpu(session))
    treadle_cuda_write(session, offset, from, bytes);
  else
    memcpy(session->states + offset, from, bytes);
}

typedef struct {
  treadle_session *session;
  uint8_t *bytes;
} Copy;

static void gatherPiece(void *context, uint64_t offset, uint64_t bytes) {
  Copy *copy = context;
  treadle_read_states(copy->session, offset, copy->bytes, bytes);
  copy->bytes += bytes;
}

void treadle_gather_states(const treadle_session *session,
                           enum treadle_state_filter filter, uint8_t *to) {
  Copy copy = {(treadle_session *)(uintptr_t)session, to};
  treadle_visit_states(filter, session->loops, session->place, gatherPiece,
                       &copy);
}

static void scatterPiece(void *context, uint64_t offset, uint64_t bytes) {
  Copy *copy = context;
  treadle_write_states(copy->session, offset, copy->bytes, bytes);
  copy->bytes += bytes;
}

void treadle_scatter_states(treadle_session *session,
                            enum treadle_state_filter filter,
                            treadle_place place, const uint8_t *from) {
  Copy copy = {session, (uint8_t *)(uintptr_t)from};
  treadle_visit_states(filter, session->loops, place, scatterPiece, &copy);
}

/// A built-in state's one slot, at a row that is counted as tokens are.
static uint8_t *tokenAt(const treadle_session *session, uint32_t index,
                        int64_t row) {
  const treadle_program_state *state = &treadle_states()[index];
  return session->states +
         treadle_element_offset(state, 0, state->lead + (uint64_t)row, 0);
}

int32_t *treadle_id_at(const treadle_session *session, int64_t row) {
  return (int32_t *)(void *)tokenAt(session, treadle_header()->ids_state, row);
}

uint8_t *treadle_mask_at(const treadle_session *session, int64_t row) {
  return tokenAt(session, treadle_header()->mask_state, row);
}

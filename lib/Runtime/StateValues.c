//===- StateValues.c - States as float32 ----------------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Libc.h"
#include "Runtime.h"

//===----------------------------------------------------------------------===//
// Elements
//===----------------------------------------------------------------------===//

static float readElement(const uint8_t *at, uint32_t element) {
  switch (element) {
  case TREADLE_PROGRAM_ELEMENT_BF16: {
    uint16_t half;
    memcpy(&half, at, sizeof(half));
    uint32_t bits = (uint32_t)half << 16;
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
  }
  case TREADLE_PROGRAM_ELEMENT_I32: {
    int32_t value;
    memcpy(&value, at, sizeof(value));
    return (float)value;
  }
  case TREADLE_PROGRAM_ELEMENT_U8:
    return *at;
  default: {
    float value;
    memcpy(&value, at, sizeof(value));
    return value;
  }
  }
}

static uint16_t roundToBFloat16(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof(bits));
  if (value != value) // quiet, so that cutting the payload leaves no infinity
    return (uint16_t)(bits >> 16 | 0x40);
  return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static void writeElement(uint8_t *at, uint32_t element, float value) {
  switch (element) {
  case TREADLE_PROGRAM_ELEMENT_BF16: {
    uint16_t half = roundToBFloat16(value);
    memcpy(at, &half, sizeof(half));
    break;
  }
  case TREADLE_PROGRAM_ELEMENT_I32: {
    int32_t integer = (int32_t)value;
    memcpy(at, &integer, sizeof(integer));
    break;
  }
  case TREADLE_PROGRAM_ELEMENT_U8:
    *at = (uint8_t)value;
    break;
  default:
    memcpy(at, &value, sizeof(value));
  }
}

/// The values that an element of the state may take: [0, limit) and whole for
/// integers, or signed if limit is 0; anything for floating point.
static bool isRepresentable(size_t index, float value) {
  const treadle_program_header *header = treadle_header();
  uint32_t element = treadle_states()[index].element;
  if (element != TREADLE_PROGRAM_ELEMENT_I32 &&
      element != TREADLE_PROGRAM_ELEMENT_U8)
    return true;
  double low = 0, high = 256;
  if (index == header->ids_state)
    high = header->token_count;
  else if (index == header->mask_state)
    high = 2;
  else if (element == TREADLE_PROGRAM_ELEMENT_I32)
    low = -2147483648.0, high = 2147483648.0;
  // The comparison comes first: it keeps the conversion defined, and drops NaN.
  return value >= low && value < high && (double)(int64_t)value == value;
}

//===----------------------------------------------------------------------===//
// Shapes
//===----------------------------------------------------------------------===//

/// The shape in a session of `loops` passes at `place`.
static treadle_state_shape shapeOf(const treadle_program_state *state,
                                   int32_t loops, treadle_place place) {
  treadle_state_shape shape = {.count = 1};
  for (uint32_t i = 0; i < state->slot_rank; ++i)
    shape.dims[shape.rank++] =
        (int32_t)i == state->pass_dim ? (uint64_t)loops : state->slot_dims[i];
  if (state->kind != TREADLE_PROGRAM_STATE_FIXED)
    shape.dims[shape.rank++] = treadle_live_rows(state, place);
  for (uint32_t i = 0; i < state->row_rank; ++i)
    shape.dims[shape.rank++] = state->row_dims[i];
  for (size_t i = 0; i < shape.rank; ++i)
    shape.count *= shape.dims[i];
  return shape;
}

static treadle_status checkIndex(treadle_session *session, size_t index) {
  if (index < treadle_header()->states.count)
    return TREADLE_STATUS_OK;
  return treadle_fail(session, TREADLE_STATUS_INVALID_ARGUMENT,
                      "expects the index of a state below %u, got %u",
                      treadle_header()->states.count, index);
}

treadle_status treadle_session_state_shape(const treadle_session *session,
                                           size_t index,
                                           treadle_state_shape *result) {
  if (!session || !result || index >= treadle_header()->states.count)
    return TREADLE_STATUS_INVALID_ARGUMENT;
  treadle_state_shape shape =
      shapeOf(&treadle_states()[index], session->loops, session->place);
  return treadle_write_struct(result, &shape, sizeof(shape), sizeof(shape))
             ? TREADLE_STATUS_OK
             : TREADLE_STATUS_INVALID_ARGUMENT;
}

//===----------------------------------------------------------------------===//
// Get
//===----------------------------------------------------------------------===//

/// Where row i, counted from the oldest, lies in a session of `position` tokens.
static uint64_t storedRow(const treadle_program_state *state, int64_t position,
                          uint64_t i) {
  if (state->kind != TREADLE_PROGRAM_STATE_RING)
    return i;
  // The oldest row is that of position - rows, which the newest is to replace.
  return ((uint64_t)position + i) % state->rows;
}

treadle_status treadle_session_state_get(treadle_session *session, size_t index,
                                         float *values, size_t capacity) {
  if (!session)
    return TREADLE_STATUS_INVALID_ARGUMENT;
  treadle_status status = checkIndex(session, index);
  if (status != TREADLE_STATUS_OK)
    return status;
  const treadle_program_state *state = &treadle_states()[index];
  uint64_t count = shapeOf(state, session->loops, session->place).count;
  if (!values && count)
    return treadle_fail(session, TREADLE_STATUS_INVALID_ARGUMENT,
                        "expects a buffer for the state");
  if (capacity < count)
    return treadle_fail(session, TREADLE_STATUS_BUFFER_TOO_SMALL,
                        "expects room for %u values, got %u", count, capacity);
  status = treadle_check_content(session);
  if (treadle_on_gpu(session) && status == TREADLE_STATUS_OK) {
    treadle_cuda_pull_state(session, index);
    status = treadle_finish(session);
  }
  if (status != TREADLE_STATUS_OK)
    return status;
  uint64_t slots = treadle_slot_count(state);
  uint64_t rows = treadle_live_rows(state, session->place);
  uint64_t elements = treadle_row_elements(state);
  for (uint64_t slot = 0; slot < slots; ++slot) {
    if (!treadle_slot_is_live(state, slot, session->loops))
      continue;
    for (uint64_t i = 0; i < rows; ++i) {
      uint64_t row = storedRow(state, session->place.position, i);
      for (uint64_t e = 0; e < elements; ++e)
        *values++ = readElement(session->states +
                                    treadle_element_offset(state, slot, row, e),
                                state->element);
    }
  }
  return TREADLE_STATUS_OK;
}

//===----------------------------------------------------------------------===//
// Set
//===----------------------------------------------------------------------===//

/// The caller's array, whose elements are as long as the first one says.
static treadle_status readValue(treadle_session *session,
                                const treadle_state_value *values, size_t i,
                                treadle_state_value *value) {
  const uint8_t *at = (const uint8_t *)values + i * values->struct_size;
  if (treadle_read_struct(value, sizeof(*value), sizeof(*value), at) &&
      value->struct_size == values->struct_size)
    return checkIndex(session, value->index);
  return treadle_fail(session, TREADLE_STATUS_INVALID_ARGUMENT,
                      "expects treadle_state_value of a version that this "
                      "library knows");
}

static const char *nameOf(size_t index) {
  return treadle_span_data(treadle_states()[index].name);
}

static treadle_status checkValue(treadle_session *session,
                                 const treadle_state_value *value,
                                 treadle_place place) {
  const char *name = nameOf(value->index);
  treadle_state_shape shape =
      shapeOf(&treadle_states()[value->index], session->loops, place);
  if (value->rank != shape.rank)
    return treadle_fail(session, TREADLE_STATUS_INVALID_ARGUMENT,
                        "state '%s': expects rank %u, got %u", name, shape.rank,
                        value->rank);
  for (size_t i = 0; i < shape.rank; ++i)
    if (value->dims[i] != shape.dims[i])
      return treadle_fail(session, TREADLE_STATUS_INVALID_ARGUMENT,
                          "state '%s': expects %u in dimension %u, got %u",
                          name, shape.dims[i], i, value->dims[i]);
  if (!value->values && shape.count)
    return treadle_fail(session, TREADLE_STATUS_INVALID_ARGUMENT,
                        "state '%s': expects values", name);
  for (uint64_t i = 0; i < shape.count; ++i)
    if (!isRepresentable(value->index, value->values[i]))
      return treadle_fail(session, TREADLE_STATUS_INVALID_ARGUMENT,
                          "state '%s': value %u is not one that it can hold",
                          name, i);
  return TREADLE_STATUS_OK;
}

/// How many rows an append state's value claims to have.
static uint64_t claimedRows(const treadle_state_value *value) {
  uint32_t rowsDim = treadle_states()[value->index].slot_rank;
  return rowsDim < value->rank ? value->dims[rowsDim] : 0;
}

/// The place that an append state of `rows` rows speaks of. No rows at all are
/// those of a period that is not open, except of a state that no row leads: it
/// does not know.
static treadle_place claimedPlace(const treadle_session *session,
                                  const treadle_program_state *state,
                                  uint64_t rows) {
  treadle_place place = session->place;
  const bool periods = treadle_header()->period != 0;
  const uint64_t most =
      periods ? treadle_header()->period : (uint64_t)session->context;
  if (rows > state->lead + most || (rows && rows < state->lead))
    return place; // which its shape then does not fit
  place.row = rows ? (int64_t)(rows - state->lead) : 0;
  if (periods && (rows || state->lead))
    place.open = rows != 0;
  if (place.row != session->place.row || place.open != session->place.open)
    place.position = place.row;
  return place;
}

/// Finds the place that `values` give the session, and whether they hold append
/// states at all, and checks everything.
static treadle_status checkValues(treadle_session *session,
                                  const treadle_state_value *values,
                                  size_t count, treadle_place *place,
                                  bool *hasRows) {
  *place = session->place;
  *hasRows = false;
  uint64_t longestLead = 0; // whose state alone tells whether a period is open
  treadle_state_value value, other;
  for (size_t i = 0; i < count; ++i) {
    treadle_status status = readValue(session, values, i, &value);
    if (status != TREADLE_STATUS_OK)
      return status;
    for (size_t j = 0; j < i; ++j) {
      readValue(session, values, j, &other);
      if (other.index == value.index)
        return treadle_fail(session, TREADLE_STATUS_INVALID_ARGUMENT,
                            "state '%s' is given twice", nameOf(value.index));
    }
    const treadle_program_state *state = &treadle_states()[value.index];
    if (state->kind != TREADLE_PROGRAM_STATE_APPEND)
      continue;
    if (!*hasRows || state->lead > longestLead) {
      *place = claimedPlace(session, state, claimedRows(&value));
      longestLead = state->lead;
    }
    *hasRows = true;
  }
  bool moves =
      place->row != session->place.row || place->open != session->place.open;
  if (moves && count != treadle_header()->states.count)
    return treadle_fail(session, TREADLE_STATUS_INVALID_ARGUMENT,
                        "expects all %u states to change the position from %d "
                        "to %d, got %u",
                        treadle_header()->states.count, session->place.row,
                        place->row, count);
  for (size_t i = 0; i < count; ++i) {
    readValue(session, values, i, &value);
    treadle_status status = checkValue(session, &value, *place);
    if (status != TREADLE_STATUS_OK)
      return status;
  }
  return TREADLE_STATUS_OK;
}

/// `value` is checked, the session's place is the new one.
static void setValue(treadle_session *session,
                     const treadle_state_value *value) {
  const treadle_program_state *state = &treadle_states()[value->index];
  uint64_t slots = treadle_slot_count(state);
  uint64_t rows = treadle_live_rows(state, session->place);
  uint64_t elements = treadle_row_elements(state);
  const float *from = value->values;
  for (uint64_t slot = 0; slot < slots; ++slot) {
    if (!treadle_slot_is_live(state, slot, session->loops))
      continue;
    for (uint64_t i = 0; i < rows; ++i) {
      uint64_t row = storedRow(state, session->place.position, i);
      for (uint64_t e = 0; e < elements; ++e)
        writeElement(session->states +
                         treadle_element_offset(state, slot, row, e),
                     state->element, *from++);
    }
  }
}

treadle_status treadle_session_state_set(treadle_session *session,
                                         const treadle_state_value *values,
                                         size_t count) {
  if (!session)
    return TREADLE_STATUS_INVALID_ARGUMENT;
  if (!count)
    return TREADLE_STATUS_OK;
  if (!values)
    return treadle_fail(session, TREADLE_STATUS_INVALID_ARGUMENT,
                        "expects values");
  if (count > treadle_header()->states.count)
    return treadle_fail(session, TREADLE_STATUS_INVALID_ARGUMENT,
                        "expects at most %u states, got %u",
                        treadle_header()->states.count, count);
  treadle_place place;
  bool hasRows;
  treadle_status status = checkValues(session, values, count, &place, &hasRows);
  if (status == TREADLE_STATUS_OK)
    status = treadle_check_content(session);
  if (status != TREADLE_STATUS_OK)
    return status;
  if (hasRows)
    treadle_note_overwrite(session, -1);
  const treadle_place before = session->place;
  session->place = place;
  for (size_t i = 0; i < count; ++i) {
    treadle_state_value value;
    readValue(session, values, i, &value);
    setValue(session, &value);
    if (treadle_on_gpu(session))
      treadle_cuda_push_state(session, value.index);
  }
  status = treadle_finish(session);
  if (status != TREADLE_STATUS_OK)
    session->place = before;
  return status;
}

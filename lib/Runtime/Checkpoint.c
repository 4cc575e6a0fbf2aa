//===- Checkpoint.c - Truncate, checkpoint, rollback ----------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A checkpoint holds no append rows, so it is good as long as no row below its
// own has been overwritten since it was taken. To know that in bounded memory,
// the session numbers the times between checkpoints (epochs) and keeps the
// overwrites that still matter: (epoch, lowest row overwritten), in order of
// time. An overwrite at r makes all earlier ones at r or above useless, since
// whoever minds those minds r as well. So rows grow along the list, and it has no
// more elements than there are values from -1 (the rows that lead a period's) to
// the last token's.
//
//===----------------------------------------------------------------------===//

#include "Libc.h"
#include "Runtime.h"

//===----------------------------------------------------------------------===//
// Overwrites
//===----------------------------------------------------------------------===//

void treadle_note_overwrite(treadle_session *session, int64_t row) {
  treadle_overwrite *list = session->overwrites;
  size_t count = session->overwrite_count;
  while (count && list[count - 1].row >= row)
    --count;
  // A lower overwrite of the same epoch says it all.
  if (!count || list[count - 1].epoch != session->epoch)
    list[count++] = (treadle_overwrite){session->epoch, row};
  session->overwrite_count = count;
}

/// The lowest row overwritten since `epoch` began, or INT64_MAX.
static int64_t lowestOverwriteSince(const treadle_session *session,
                                    uint64_t epoch) {
  size_t low = 0, high = session->overwrite_count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (session->overwrites[middle].epoch < epoch)
      low = middle + 1;
    else
      high = middle;
  }
  return low < session->overwrite_count ? session->overwrites[low].row
                                        : INT64_MAX;
}

//===----------------------------------------------------------------------===//
// Marks
//===----------------------------------------------------------------------===//

/// "TRDLMARK"
#define MARK_MAGIC UINT64_C(0x4b52414d4c445254)

/// Followed by the fixed and ring states. A mark only lives as long as its
/// session, so it needs no digest and no version.
typedef struct {
  uint64_t magic;
  uint64_t size;
  uint64_t session_id;
  uint64_t epoch; ///< overwrites from this epoch on came after it
  int64_t position;
  int64_t row;
  uint64_t open; ///< 0 or 1
  int64_t forgotten;
} Mark;

static treadle_place placeOf(const Mark *mark) {
  return (treadle_place){mark->position, mark->row, mark->open != 0};
}

/// Whether it relies on any row: the one before a period is opened never dies.
static bool hasRows(const Mark *mark) {
  return treadle_header()->period ? mark->open : mark->row;
}

static size_t markSize(const treadle_session *session) {
  return sizeof(Mark) + treadle_live_bytes(TREADLE_STATES_WITHOUT_ROWS,
                                           session->loops, session->place);
}

treadle_status treadle_session_checkpoint_size(const treadle_session *session,
                                               size_t *size) {
  if (!session || !size)
    return TREADLE_STATUS_INVALID_ARGUMENT;
  *size = markSize(session);
  return TREADLE_STATUS_OK;
}

treadle_status treadle_session_checkpoint(treadle_session *session,
                                          void *buffer, size_t capacity) {
  if (!session)
    return TREADLE_STATUS_INVALID_ARGUMENT;
  if (!buffer)
    return treadle_fail(session, TREADLE_STATUS_INVALID_ARGUMENT,
                        "expects a buffer for the checkpoint");
  size_t size = markSize(session);
  if (capacity < size)
    return treadle_fail(session, TREADLE_STATUS_BUFFER_TOO_SMALL,
                        "expects room for a checkpoint of %u bytes, got %u",
                        size, capacity);
  treadle_status status = treadle_check_content(session);
  if (status != TREADLE_STATUS_OK)
    return status;
  const treadle_place place = session->place;
  treadle_settle(session);
  const Mark mark = {.magic = MARK_MAGIC,
                     .size = size,
                     .session_id = session->id,
                     .epoch = ++session->epoch,
                     .position = session->place.position,
                     .row = session->place.row,
                     .open = session->place.open,
                     .forgotten = session->forgotten};
  memcpy(buffer, &mark, sizeof(mark));
  treadle_gather_states(session, TREADLE_STATES_WITHOUT_ROWS,
                        (uint8_t *)buffer + sizeof(mark));
  status = treadle_finish(session);
  if (status != TREADLE_STATUS_OK)
    session->place = place;
  return status;
}

static treadle_status checkMark(treadle_session *session, const Mark *mark) {
  if (mark->session_id != session->id)
    return treadle_fail(session, TREADLE_STATUS_MISMATCH,
                        "expects a checkpoint of this session, got one of "
                        "another");
  if (mark->epoch > session->epoch || mark->open > 1 ||
      !treadle_is_sound(session, placeOf(mark), mark->forgotten))
    return treadle_fail(session, TREADLE_STATUS_CORRUPT,
                        "the checkpoint is damaged");
  int64_t lowest = lowestOverwriteSince(session, mark->epoch);
  if (!hasRows(mark) || lowest >= mark->row)
    return TREADLE_STATUS_OK;
  if (treadle_header()->period && lowest < 0)
    return treadle_fail(session, TREADLE_STATUS_OVERWRITTEN,
                        "the checkpoint at position %d is lost: its period has "
                        "given way to another",
                        mark->position);
  return treadle_fail(session, TREADLE_STATUS_OVERWRITTEN,
                      "the checkpoint at position %d is lost: rows from %d "
                      "on have been overwritten since",
                      mark->position, lowest < 0 ? 0 : lowest);
}

treadle_status treadle_session_rollback(treadle_session *session,
                                        const void *buffer, size_t size) {
  if (!session)
    return TREADLE_STATUS_INVALID_ARGUMENT;
  if (!buffer)
    return treadle_fail(session, TREADLE_STATUS_INVALID_ARGUMENT,
                        "expects a checkpoint");
  Mark mark = {0};
  if (size >= sizeof(mark))
    memcpy(&mark, buffer, sizeof(mark));
  if (mark.magic != MARK_MAGIC || mark.size != size)
    return treadle_fail(session, TREADLE_STATUS_CORRUPT,
                        "expects a whole checkpoint, got %u bytes of something "
                        "else",
                        size);
  treadle_status status = checkMark(session, &mark);
  if (status != TREADLE_STATUS_OK)
    return status;
  if (size != markSize(session))
    return treadle_fail(session, TREADLE_STATUS_CORRUPT,
                        "the checkpoint is damaged");
  treadle_scatter_states(session, TREADLE_STATES_WITHOUT_ROWS, placeOf(&mark),
                         (const uint8_t *)buffer + sizeof(mark));
  status = treadle_finish_anew(session);
  if (status != TREADLE_STATUS_OK)
    return status;
  session->place = placeOf(&mark);
  session->forgotten = mark.forgotten;
  return TREADLE_STATUS_OK;
}

//===----------------------------------------------------------------------===//
// Truncate
//===----------------------------------------------------------------------===//

/// Whether some state is written by tokens, other than a row for each.
static bool hasTokenStates(void) {
  const treadle_program_state *state = treadle_states();
  const treadle_program_state *end = state + treadle_header()->states.count;
  for (; state != end; ++state)
    if (state->kind != TREADLE_PROGRAM_STATE_APPEND && !state->by_turn)
      return true;
  return false;
}

treadle_status treadle_session_truncate(treadle_session *session,
                                        int64_t position) {
  if (!session)
    return TREADLE_STATUS_INVALID_ARGUMENT;
  treadle_place place = session->place;
  if (position < 0 || position > place.position)
    return treadle_fail(session, TREADLE_STATUS_INVALID_ARGUMENT,
                        "expects a position from 0 to %d, got %d",
                        place.position, position);
  if (position == 0) {
    treadle_begin(session);
    return treadle_finish_anew(session);
  }
  treadle_status status = treadle_check_content(session);
  if (status != TREADLE_STATUS_OK)
    return status;
  int64_t cut = place.position - position;
  if (cut && hasTokenStates())
    return treadle_fail(session, TREADLE_STATUS_NEEDS_CHECKPOINT,
                        "the model keeps states that cannot be cut at %d: take "
                        "a checkpoint there and roll back to it",
                        position);
  if (cut > place.row)
    return treadle_fail(session, TREADLE_STATUS_NEEDS_CHECKPOINT,
                        "there has been a turn since %d, at %d: take a "
                        "checkpoint there and roll back to it",
                        position, place.position - place.row);
  session->place.position = position;
  session->place.row -= cut;
  return TREADLE_STATUS_OK;
}

//===- Checkpoint.c - Truncate, checkpoint, rollback ----------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A checkpoint holds no append rows, so it is good as long as no row below its
// position has been overwritten since it was taken. To know that in bounded
// memory, the session numbers the times between checkpoints (epochs) and keeps
// the overwrites that still matter: (epoch, lowest position overwritten), in
// order of time. An overwrite at p makes all earlier ones at p or above useless,
// since whoever minds those minds p as well. So positions grow along the list,
// and it has no more than context + 1 elements.
//
//===----------------------------------------------------------------------===//

#include "Libc.h"
#include "Runtime.h"

//===----------------------------------------------------------------------===//
// Overwrites
//===----------------------------------------------------------------------===//

void treadle_note_overwrite(treadle_session *session, int64_t position) {
  treadle_overwrite *list = session->overwrites;
  size_t count = session->overwrite_count;
  while (count && list[count - 1].position >= position)
    --count;
  // A lower overwrite of the same epoch says it all.
  if (!count || list[count - 1].epoch != session->epoch)
    list[count++] = (treadle_overwrite){session->epoch, position};
  session->overwrite_count = count;
}

/// The lowest position overwritten since `epoch` began, or INT64_MAX.
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
  return low < session->overwrite_count ? session->overwrites[low].position
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
  int64_t forgotten;
} Mark;

static size_t markSize(const treadle_session *session) {
  return sizeof(Mark) +
         treadle_live_bytes(TREADLE_STATES_WITHOUT_ROWS, session->loops, 0);
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
  const Mark mark = {MARK_MAGIC,        size,
                     session->id,       ++session->epoch,
                     session->position, session->forgotten};
  memcpy(buffer, &mark, sizeof(mark));
  treadle_gather_states(session, TREADLE_STATES_WITHOUT_ROWS,
                        (uint8_t *)buffer + sizeof(mark));
  return TREADLE_STATUS_OK;
}

static treadle_status checkMark(treadle_session *session, const Mark *mark) {
  if (mark->session_id != session->id)
    return treadle_fail(session, TREADLE_STATUS_MISMATCH,
                        "expects a checkpoint of this session, got one of "
                        "another");
  if (mark->epoch > session->epoch || mark->position < 0 ||
      mark->position > session->context || mark->forgotten < 0)
    return treadle_fail(session, TREADLE_STATUS_CORRUPT,
                        "the checkpoint is damaged");
  int64_t lowest = lowestOverwriteSince(session, mark->epoch);
  if (lowest < mark->position)
    return treadle_fail(session, TREADLE_STATUS_OVERWRITTEN,
                        "the checkpoint at position %d is lost: rows from %d "
                        "on have been overwritten since",
                        mark->position, lowest);
  return TREADLE_STATUS_OK;
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
  treadle_scatter_states(session, TREADLE_STATES_WITHOUT_ROWS, 0,
                         (const uint8_t *)buffer + sizeof(mark));
  session->position = mark.position;
  session->forgotten = mark.forgotten;
  return TREADLE_STATUS_OK;
}

//===----------------------------------------------------------------------===//
// Truncate
//===----------------------------------------------------------------------===//

treadle_status treadle_session_truncate(treadle_session *session,
                                        int64_t position) {
  if (!session)
    return TREADLE_STATUS_INVALID_ARGUMENT;
  if (position < 0 || position > session->position)
    return treadle_fail(session, TREADLE_STATUS_INVALID_ARGUMENT,
                        "expects a position from 0 to %d, got %d",
                        session->position, position);
  bool cuts = position != 0 && position != session->position;
  if (cuts &&
      treadle_live_bytes(TREADLE_STATES_WITHOUT_ROWS, session->loops, 0))
    return treadle_fail(session, TREADLE_STATUS_NEEDS_CHECKPOINT,
                        "the model keeps states that cannot be cut at %d: take "
                        "a checkpoint there and roll back to it",
                        position);
  if (position == 0)
    treadle_clear_states(session);
  session->position = position;
  return TREADLE_STATUS_OK;
}

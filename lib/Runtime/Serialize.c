//===- Serialize.c - Sessions as bytes ------------------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Libc.h"
#include "Runtime.h"

/// Changes with the header below or the order in which states follow it.
#define SAVE_FORMAT UINT32_C(2)

static const uint8_t saveMagic[8] = {'T', 'R', 'D', 'L', 'S', 'A', 'V', 'E'};

/// Followed by the states that are in use. The digest is over all bytes, itself
/// being zero. It finds damage; against malice, what is loaded is checked for all
/// that could do harm (checkTokens).
typedef struct {
  uint8_t magic[8];
  uint32_t format;
  uint32_t header_size;
  uint8_t library_id[32];
  uint8_t weights_digest[32];
  int64_t position;
  int64_t forgotten;
  int64_t context;
  int64_t row;
  uint32_t loops;
  uint32_t open; ///< 0 or 1
  uint64_t payload_size;
  uint8_t digest[32];
} SaveHeader;

static treadle_place placeOf(const SaveHeader *header) {
  return (treadle_place){header->position, header->row, header->open != 0};
}

static uint64_t payloadSize(const treadle_session *session,
                            treadle_place place) {
  return treadle_live_bytes(TREADLE_ALL_STATES, session->loops, place);
}

static void hashSave(SaveHeader header, const uint8_t *payload,
                     uint64_t payloadBytes, uint8_t digest[32]) {
  memset(header.digest, 0, sizeof(header.digest));
  treadle_sha256 hash;
  treadle_sha256_init(&hash);
  treadle_sha256_update(&hash, &header, sizeof(header));
  treadle_sha256_update(&hash, payload, payloadBytes);
  treadle_sha256_final(&hash, digest);
}

//===----------------------------------------------------------------------===//
// Save
//===----------------------------------------------------------------------===//

treadle_status treadle_session_save_size(const treadle_session *session,
                                         size_t *size) {
  if (!session || !size)
    return TREADLE_STATUS_INVALID_ARGUMENT;
  *size =
      sizeof(SaveHeader) + payloadSize(session, treadle_settled_place(session));
  return TREADLE_STATUS_OK;
}

treadle_status treadle_session_save(treadle_session *session, void *blob,
                                    size_t capacity) {
  if (!session)
    return TREADLE_STATUS_INVALID_ARGUMENT;
  if (!blob)
    return treadle_fail(session, TREADLE_STATUS_INVALID_ARGUMENT,
                        "expects a buffer for the session");
  const treadle_place place = treadle_settled_place(session);
  SaveHeader header = {
      .format = SAVE_FORMAT,
      .header_size = sizeof(header),
      .position = place.position,
      .forgotten = session->forgotten,
      .context = session->context,
      .row = place.row,
      .loops = (uint32_t)session->loops,
      .open = place.open,
      .payload_size = payloadSize(session, place),
  };
  if (capacity < sizeof(header) + header.payload_size)
    return treadle_fail(session, TREADLE_STATUS_BUFFER_TOO_SMALL,
                        "expects room for a session of %u bytes, got %u",
                        sizeof(header) + header.payload_size, capacity);
  treadle_status status = treadle_check_content(session);
  if (status != TREADLE_STATUS_OK)
    return status;
  const treadle_place before = session->place;
  treadle_settle(session);
  memcpy(header.magic, saveMagic, sizeof(header.magic));
  memcpy(header.library_id, treadle_header()->library_id,
         sizeof(header.library_id));
  memcpy(header.weights_digest, session->model->weights_digest,
         sizeof(header.weights_digest));
  uint8_t *payload = (uint8_t *)blob + sizeof(header);
  treadle_gather_states(session, TREADLE_ALL_STATES, payload);
  status = treadle_finish(session);
  if (status != TREADLE_STATUS_OK) {
    session->place = before;
    return status;
  }
  hashSave(header, payload, header.payload_size, header.digest);
  memcpy(blob, &header, sizeof(header));
  return TREADLE_STATUS_OK;
}

//===----------------------------------------------------------------------===//
// Load
//===----------------------------------------------------------------------===//

/// Is this a saved session, whole and as it was written?
static treadle_status checkIntegrity(treadle_session *session,
                                     const SaveHeader *header,
                                     const uint8_t *blob, size_t size) {
  if (size < sizeof(*header) ||
      memcmp(header->magic, saveMagic, sizeof(saveMagic)))
    return treadle_fail(session, TREADLE_STATUS_CORRUPT,
                        "expects a saved session, got %u bytes of something "
                        "else",
                        size);
  if (header->format != SAVE_FORMAT)
    return treadle_fail(session, TREADLE_STATUS_MISMATCH,
                        "expects a saved session of format %u, got %u",
                        (uint64_t)SAVE_FORMAT, (uint64_t)header->format);
  if (header->header_size != sizeof(*header) ||
      header->payload_size != size - sizeof(*header))
    return treadle_fail(session, TREADLE_STATUS_CORRUPT,
                        "the saved session is cut: got %u bytes", size);
  uint8_t digest[32];
  hashSave(*header, blob + sizeof(*header), header->payload_size, digest);
  if (memcmp(digest, header->digest, sizeof(digest)))
    return treadle_fail(session, TREADLE_STATUS_CORRUPT,
                        "the saved session does not match its digest");
  return TREADLE_STATUS_OK;
}

/// Could a session of this model and of these loops have been saved so?
static bool isSound(const treadle_session *session, const SaveHeader *header) {
  const treadle_place place = placeOf(header);
  if (header->open > 1 || !treadle_is_sound(session, place, header->forgotten))
    return false;
  if (treadle_header()->period && header->context)
    return false;
  if (!treadle_header()->period &&
      (header->context < 1 || header->context < header->position ||
       (uint64_t)header->context > treadle_header()->context))
    return false;
  return header->payload_size == payloadSize(session, place);
}

/// Does it fit this model and this session?
static treadle_status checkOrigin(treadle_session *session,
                                  const SaveHeader *header) {
  if (memcmp(header->library_id, treadle_header()->library_id,
             sizeof(header->library_id)))
    return treadle_fail(session, TREADLE_STATUS_MISMATCH,
                        "the saved session is of another model");
  if (memcmp(header->weights_digest, session->model->weights_digest,
             sizeof(header->weights_digest)))
    return treadle_fail(session, TREADLE_STATUS_MISMATCH,
                        "the saved session is of other weights");
  if (header->loops != (uint32_t)session->loops)
    return treadle_fail(session, TREADLE_STATUS_MISMATCH,
                        "expects a saved session of %d loops, got %u",
                        (int64_t)session->loops, (uint64_t)header->loops);
  if (!treadle_header()->period && header->position > session->context)
    return treadle_fail(session, TREADLE_STATUS_MISMATCH,
                        "the saved session holds %d tokens, but this session's "
                        "context is %d",
                        header->position, session->context);
  if (!isSound(session, header))
    return treadle_fail(session, TREADLE_STATUS_CORRUPT,
                        "the saved session contradicts itself");
  return TREADLE_STATUS_OK;
}

/// Where in a saved session the ids and masks are found.
typedef struct {
  uint64_t idsOffset, maskOffset; // in the state memory
  uint64_t passed;                // bytes of the payload so far
  uint64_t ids, mask;             // in the payload
} TokenSearch;

static void findTokens(void *context, uint64_t offset, uint64_t bytes) {
  TokenSearch *search = context;
  if (offset == search->idsOffset)
    search->ids = search->passed;
  if (offset == search->maskOffset)
    search->mask = search->passed;
  search->passed += bytes;
}

/// Ids become addresses when they are fed to an embedding again: by a recompute,
/// by the n-grams of later tokens.
static treadle_status checkTokens(treadle_session *session, treadle_place place,
                                  const uint8_t *payload) {
  const treadle_program_header *header = treadle_header();
  const treadle_program_state *ids = &treadle_states()[header->ids_state];
  const treadle_program_state *mask = &treadle_states()[header->mask_state];
  TokenSearch search = {ids->offset, mask->offset, 0, 0, 0};
  if (place.row)
    treadle_visit_states(TREADLE_ALL_STATES, session->loops, place, findTokens,
                         &search);
  for (int64_t i = 0; i < place.row; ++i) {
    int32_t id;
    memcpy(&id, payload + search.ids + (uint64_t)i * ids->row_stride,
           sizeof(id));
    uint64_t row = mask->lead + (uint64_t)i;
    uint8_t attended = payload[search.mask + row * mask->row_stride];
    if (id < 0 || (uint32_t)id >= header->token_count || attended > 1)
      return treadle_fail(session, TREADLE_STATUS_CORRUPT,
                          "the saved session holds an impossible token at "
                          "position %d",
                          place.position - place.row + i);
  }
  return TREADLE_STATUS_OK;
}

treadle_status treadle_session_load(treadle_session *session, const void *blob,
                                    size_t size) {
  if (!session)
    return TREADLE_STATUS_INVALID_ARGUMENT;
  if (!blob)
    return treadle_fail(session, TREADLE_STATUS_INVALID_ARGUMENT,
                        "expects a saved session");
  SaveHeader header = {0};
  if (size >= sizeof(header))
    memcpy(&header, blob, sizeof(header));
  const uint8_t *payload = (const uint8_t *)blob + sizeof(header);
  treadle_status status = checkIntegrity(session, &header, blob, size);
  if (status == TREADLE_STATUS_OK)
    status = checkOrigin(session, &header);
  if (status == TREADLE_STATUS_OK)
    status = checkTokens(session, placeOf(&header), payload);
  if (status != TREADLE_STATUS_OK)
    return status;
  treadle_note_overwrite(session, -1);
  treadle_scatter_states(session, TREADLE_ALL_STATES, placeOf(&header),
                         payload);
  status = treadle_finish_anew(session);
  if (status != TREADLE_STATUS_OK)
    return status;
  session->place = placeOf(&header);
  session->forgotten = header.forgotten;
  return TREADLE_STATUS_OK;
}

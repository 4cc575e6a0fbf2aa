//===- Api.c - The table that an emitted library exports ------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Libc.h"
#include "Runtime.h"

static const char *statusName(treadle_status status) {
  switch (status) {
  case TREADLE_STATUS_OK:
    return "ok";
  case TREADLE_STATUS_INVALID_ARGUMENT:
    return "invalid argument";
  case TREADLE_STATUS_OUT_OF_MEMORY:
    return "out of memory";
  case TREADLE_STATUS_FULL:
    return "full";
  case TREADLE_STATUS_BUFFER_TOO_SMALL:
    return "buffer too small";
  case TREADLE_STATUS_UNSUPPORTED:
    return "unsupported";
  case TREADLE_STATUS_IO:
    return "io";
  case TREADLE_STATUS_MISMATCH:
    return "mismatch";
  case TREADLE_STATUS_CORRUPT:
    return "corrupt";
  case TREADLE_STATUS_NEEDS_CHECKPOINT:
    return "needs checkpoint";
  case TREADLE_STATUS_OVERWRITTEN:
    return "overwritten";
  case TREADLE_STATUS_NOT_A_NUMBER:
    return "not a number";
  case TREADLE_STATUS_FAILED:
    return "failed";
  case TREADLE_STATUS_DEVICE:
    return "device";
  default:
    return "unknown";
  }
}

static const char *sessionMessage(const treadle_session *session) {
  return session ? session->message : "";
}

static treadle_status sessionInfo(const treadle_session *session,
                                  treadle_session_info *result) {
  if (!session || !result)
    return TREADLE_STATUS_INVALID_ARGUMENT;
  treadle_session_info info = {
      .position = session->place.position,
      .since_turn = session->place.row,
      .forgotten = session->forgotten,
      .context = session->context,
      .loops = session->loops,
      .on_full = session->on_full,
  };
  return treadle_write_struct(result, &info, sizeof(info), sizeof(info))
             ? TREADLE_STATUS_OK
             : TREADLE_STATUS_INVALID_ARGUMENT;
}

static int64_t sessionPosition(const treadle_session *session) {
  return session ? session->place.position : -1;
}

static treadle_status sessionCounters(const treadle_session *session,
                                      uint64_t *counts, size_t capacity) {
  if (!session || !counts)
    return TREADLE_STATUS_INVALID_ARGUMENT;
  size_t count = treadle_header()->entries.count;
  if (capacity < count)
    return TREADLE_STATUS_BUFFER_TOO_SMALL;
  memcpy(counts, session->counters, count * sizeof(*counts));
  return TREADLE_STATUS_OK;
}

static const treadle_model_api api = {
    .struct_size = sizeof(treadle_model_api),
    .version = TREADLE_MODEL_ABI,
    .status_name = statusName,
    .model_open = treadle_model_open,
    .model_close = treadle_model_close,
    .model_info = treadle_model_get_info,
    .entry_info = treadle_model_get_entry_info,
    .state_info = treadle_model_get_state_info,
    .model_verify = treadle_model_verify,
    .model_selftest = treadle_model_selftest,
    .session_create = treadle_session_create,
    .session_destroy = treadle_session_destroy,
    .session_message = sessionMessage,
    .session_info = sessionInfo,
    .session_position = sessionPosition,
    .session_reset = treadle_session_reset,
    .session_forward = treadle_session_forward,
    .session_truncate = treadle_session_truncate,
    .checkpoint_size = treadle_session_checkpoint_size,
    .session_checkpoint = treadle_session_checkpoint,
    .session_rollback = treadle_session_rollback,
    .session_fork = treadle_session_fork,
    .save_size = treadle_session_save_size,
    .session_save = treadle_session_save,
    .session_load = treadle_session_load,
    .state_shape = treadle_session_state_shape,
    .state_get = treadle_session_state_get,
    .state_set = treadle_session_state_set,
    .session_sample = treadle_session_sample,
    .session_counters = sessionCounters,
    .session_turn = treadle_session_turn,
    .session_profile = treadle_session_profile,
};

__attribute__((visibility("default"))) const treadle_model_api *
treadle_model_query(uint32_t max_version) {
  return max_version ? &api : NULL;
}

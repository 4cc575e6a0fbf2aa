//===- Model.c - Opening and describing a model ---------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Libc.h"
#include "Runtime.h"

static bool equals(const char *a, const char *b) {
  size_t size = strlen(a) + 1;
  return strlen(b) + 1 == size && !memcmp(a, b, size);
}

//===----------------------------------------------------------------------===//
// Open and close
//===----------------------------------------------------------------------===//

/// Whether a GPU is asked for.
static bool wantsGPU(const treadle_open_params *params) {
  int ordinal;
  return params->device && treadle_header()->gpu_code.count &&
         treadle_cuda_parse(params->device, &ordinal);
}

static treadle_status checkParams(const treadle_open_params *params,
                                  char *message, size_t messageSize) {
  const bool onGPU = wantsGPU(params);
  if (params->device && !equals(params->device, "cpu") && !onGPU) {
    treadle_format(message, messageSize,
                   "this library holds no code for device '%s', only for %s",
                   params->device,
                   treadle_header()->gpu_code.count ? "'cpu' and 'cuda'"
                                                    : "'cpu'");
    return TREADLE_STATUS_UNSUPPORTED;
  }
  if (params->cuda_driver && !onGPU) {
    treadle_format(message, messageSize,
                   "expects no cuda_driver with device 'cpu', got '%s'",
                   params->cuda_driver);
    return TREADLE_STATUS_INVALID_ARGUMENT;
  }
  if (params->threads < 0) {
    treadle_format(message, messageSize,
                   "expects a number of threads, or 0 for one per "
                   "processor, got %d",
                   (int64_t)params->threads);
    return TREADLE_STATUS_INVALID_ARGUMENT;
  }
  if (params->flags & ~(uint32_t)TREADLE_OPEN_ALL_THREADS) {
    treadle_format(message, messageSize,
                   "expects flags that this library knows, got %u",
                   (uint64_t)params->flags);
    return TREADLE_STATUS_INVALID_ARGUMENT;
  }
  return TREADLE_STATUS_OK;
}

/// Sessions are numbered from a random start, so that a checkpoint of one process
/// does not pass for one of another.
static uint64_t firstSessionId(const treadle_model *model) {
  uint64_t id;
  if (getrandom(&id, sizeof(id), GRND_NONBLOCK) != (int64_t)sizeof(id))
    id = (uint64_t)(uintptr_t)model;
  return id;
}

/// How many of a team's members a call that sees so many positions deserves. Members
/// share the work but wait for each other at every barrier, and where the call begins
/// and ends. Waiting for a member that does not come costs a tenth of the work at
/// most, and never more than it takes to wake a thread.
static treadle_members chooseMembers(const treadle_program_entry *entry,
                                     uint64_t positions, uint32_t size) {
  const uint64_t barrierCost = 2000; // ns, where cores are shared with others
  const uint64_t lookCost = 10, mostLooks = 10000;
  const uint64_t work = entry->work + positions * entry->key_work / 1000;
  uint32_t best = 1;
  uint64_t bestCost = work;
  for (uint32_t threads = 2; threads <= size; ++threads) {
    uint64_t shared = (work - entry->serial) / threads;
    uint64_t cost =
        entry->serial + shared + (entry->barriers + 2) * barrierCost;
    // What a second thread costs the rest of the machine must be worth it.
    if (cost + cost / 4 < bestCost) {
      best = threads;
      bestCost = cost;
    }
  }
  uint64_t looks = work / (10 * lookCost);
  return (treadle_members){best,
                           (uint32_t)(looks < mostLooks ? looks : mostLooks)};
}

static treadle_status openTeam(treadle_model *model,
                               const treadle_open_params *params, char *message,
                               size_t messageSize) {
  const size_t count = treadle_header()->entries.count;
  model->entry_members = calloc(count, sizeof(*model->entry_members));
  treadle_status status = TREADLE_STATUS_OUT_OF_MEMORY;
  // A GPU is one member's business.
  if (model->entry_members)
    status = wantsGPU(params)
                 ? TREADLE_STATUS_OK
                 : treadle_team_create((uint32_t)params->threads, params->run,
                                       params->run_context, &model->team);
  if (status != TREADLE_STATUS_OK) {
    treadle_format(message, messageSize, "out of memory");
    return status;
  }
  uint32_t size = treadle_team_size(model->team);
  for (size_t i = 0; i < count; ++i)
    for (uint32_t sight = 0; sight < treadle_sights; ++sight)
      model->entry_members[i][sight] =
          params->flags & TREADLE_OPEN_ALL_THREADS
              ? (treadle_members){size, TREADLE_TEAM_WAIT}
              : chooseMembers(&treadle_entries()[i], UINT64_C(1) << sight >> 1,
                              size);
  return TREADLE_STATUS_OK;
}

treadle_status treadle_model_open(const treadle_open_params *callers,
                                  treadle_model **result, char *message,
                                  size_t messageSize) {
  treadle_format(message, messageSize, "");
  if (!result) {
    treadle_format(message, messageSize, "expects a place for the model");
    return TREADLE_STATUS_INVALID_ARGUMENT;
  }
  *result = NULL;
  treadle_open_params params = {.struct_size = sizeof(params)};
  const size_t first = offsetof(treadle_open_params, threads);
  if (callers &&
      !treadle_read_struct(&params, sizeof(params), first, callers)) {
    treadle_format(message, messageSize,
                   "expects treadle_open_params of a version that this library "
                   "knows");
    return TREADLE_STATUS_INVALID_ARGUMENT;
  }
  treadle_status status = checkParams(&params, message, messageSize);
  if (status != TREADLE_STATUS_OK)
    return status;

  const treadle_program_header *header = treadle_header();
  if (header->magic != TREADLE_PROGRAM_MAGIC ||
      header->format != TREADLE_PROGRAM_FORMAT ||
      header->header_size != sizeof(*header)) {
    treadle_format(message, messageSize,
                   "the library's program and runtime are of different "
                   "versions of the compiler");
    return TREADLE_STATUS_UNSUPPORTED;
  }
  status = treadle_check_cpu(message, messageSize);
  if (status != TREADLE_STATUS_OK)
    return status;

  treadle_model *model = calloc(1, sizeof(*model));
  if (!model) {
    treadle_format(message, messageSize, "out of memory");
    return TREADLE_STATUS_OUT_OF_MEMORY;
  }
  model->next_session_id = firstSessionId(model);
  status = treadle_weights_open(model, params.weights, message, messageSize);
  if (status == TREADLE_STATUS_OK)
    status = openTeam(model, &params, message, messageSize);
  if (status == TREADLE_STATUS_OK && wantsGPU(&params))
    status = treadle_cuda_open(model, params.device, params.cuda_driver,
                               message, messageSize);
  if (status != TREADLE_STATUS_OK) {
    treadle_model_close(model);
    return status;
  }
  *result = model;
  return TREADLE_STATUS_OK;
}

void treadle_model_close(treadle_model *model) {
  if (!model)
    return;
  if (treadle_header()->gpu_code.count)
    treadle_cuda_close(model);
  treadle_team_destroy(model->team);
  free(model->entry_members);
  treadle_weights_close(model);
  free(model);
}

//===----------------------------------------------------------------------===//
// Descriptions
//===----------------------------------------------------------------------===//

static treadle_status answer(bool written) {
  return written ? TREADLE_STATUS_OK : TREADLE_STATUS_INVALID_ARGUMENT;
}

treadle_status treadle_model_get_info(const treadle_model *model,
                                      treadle_model_info *result) {
  (void)model;
  if (!result)
    return TREADLE_STATUS_INVALID_ARGUMENT;
  const treadle_program_header *header = treadle_header();
  treadle_model_info info = {
      .name = treadle_span_data(header->name),
      .json = treadle_span_data(header->info_json),
      .config_digest = header->config_digest,
      .library_id = header->library_id,
      .vocab_size = header->vocab_size,
      .hidden_size = header->hidden_size,
      .context = header->context,
      .config_context = header->config_context,
      .period = header->period,
      .max_loops = header->max_loops,
      .config_loops = header->config_loops,
      .eos_ids = treadle_span_data(header->eos_ids),
      .eos_count = header->eos_ids.count,
      .entry_count = header->entries.count,
      .state_count = header->states.count,
      .state_bytes = header->state_bytes,
      .weights_mode = (treadle_weights_mode)header->weights.mode,
      .token_count = header->token_count,
      .weights_bytes = header->weights.file_size - header->weights.header_size,
  };
  return answer(
      treadle_write_struct(result, &info, sizeof(info), sizeof(info)));
}

static int32_t mostThreads(const treadle_model *model, size_t entry) {
  const treadle_program_header *header = treadle_header();
  uint64_t positions = header->context ? header->context : header->period;
  uint32_t most = 1,
           last = treadle_sight_of(positions ? positions : UINT64_MAX);
  for (uint32_t sight = 0; sight <= last; ++sight)
    if (most < model->entry_members[entry][sight].most)
      most = model->entry_members[entry][sight].most;
  return (int32_t)most;
}

treadle_status treadle_model_get_entry_info(const treadle_model *model,
                                            size_t index,
                                            treadle_entry_info *result) {
  if (!result || index >= treadle_header()->entries.count)
    return TREADLE_STATUS_INVALID_ARGUMENT;
  const treadle_program_entry *entry = &treadle_entries()[index];
  treadle_entry_info info = {
      .kind = (treadle_entry_kind)entry->kind,
      .rows = entry->rows,
      .arena_bytes = entry->arena_bytes,
      .threads = model ? mostThreads(model, index) : 0,
  };
  return answer(treadle_write_struct(result, &info, sizeof(info),
                                     offsetof(treadle_entry_info, threads)));
}

treadle_status treadle_model_get_state_info(const treadle_model *model,
                                            size_t index,
                                            treadle_state_info *result) {
  (void)model;
  if (!result || index >= treadle_header()->states.count)
    return TREADLE_STATUS_INVALID_ARGUMENT;
  const treadle_program_state *state = &treadle_states()[index];
  uint64_t rowBytes = treadle_row_elements(state) *
                      treadle_element_bytes(state->element) *
                      treadle_slot_count(state);
  treadle_state_info info = {
      .name = treadle_span_data(state->name),
      .kind = (treadle_state_kind)state->kind,
      .element = (treadle_element)state->element,
      .rows = state->rows,
      .lead = state->lead,
      .row_bytes = rowBytes,
      .bytes = rowBytes * state->rows,
      .pass_row_bytes = state->pass_dim < 0
                            ? 0
                            : rowBytes / state->slot_dims[state->pass_dim],
      .by_turn = state->by_turn,
  };
  return answer(
      treadle_write_struct(result, &info, sizeof(info), sizeof(info)));
}

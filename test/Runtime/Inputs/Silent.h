//===- Silent.h - What the tests of silence have in common --------*- C -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// An allocator that counts, and tokens that come by all that promises silence.
// Each test program includes it once.
//
//===----------------------------------------------------------------------===//

#ifndef SILENT_H
#define SILENT_H

#include "Test.h"

static bool isWatching;      // atomic
static uint32_t allocations; // of all threads while watching; atomic

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);

static void countAllocation(void) {
  if (__atomic_load_n(&isWatching, __ATOMIC_RELAXED))
    __atomic_add_fetch(&allocations, 1, __ATOMIC_RELAXED);
}

void *malloc(size_t size) {
  countAllocation();
  return __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
  countAllocation();
  return __libc_calloc(count, size);
}

/// Every entry point, in calls of 1 to 15 tokens and in each mode.
static inline treadle_status runTokens(const treadle_model_api *api,
                                       treadle_session *session, void *mark,
                                       size_t size, int tokens) {
  static float logits[16 * TOY_VOCAB];
  int32_t ids[16], id = 1;
  uint8_t mask[16];
  uint64_t random = 1;
  treadle_status status = TREADLE_STATUS_OK;
  for (int i = 0; i < tokens && !status; i += 8) {
    fillTokens(ids, mask, i, 16);
    ids[0] = id;
    int count = 1 + i % 15;
    treadle_logits mode = i % 3;
    status = api->session_forward(session, ids, mask, (size_t)count, mode,
                                  logits, 16 * TOY_VOCAB);
    const treadle_sample_params params = {sizeof(params), 0.7f, 5, 0.9f,
                                          &random};
    if (!status && mode)
      status = api->session_sample(session, logits, TOY_VOCAB, &params, &id);
    if (!status && i % 5 == 0)
      status = api->session_checkpoint(session, mark, size);
    if (!status && i % 5 == 0)
      status = api->session_rollback(session, mark, size);
  }
  return status;
}

/// A session that slides over its context, so that forward recomputes as well.
static inline treadle_session *newSliding(const treadle_model_api *api,
                                          const treadle_model *model) {
  const treadle_session_params params = {
      sizeof(params), 2, TREADLE_ON_FULL_RECOMPUTE, 32, 0, 0};
  treadle_session *session;
  REQUIRE_OK(api->session_create(model, &params, &session, NULL, 0));
  return session;
}

#endif // SILENT_H

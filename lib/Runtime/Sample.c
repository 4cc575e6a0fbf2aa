//===- Sample.c - Choosing a token ----------------------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Order and ties are those of treadle_sample_params (model.h). All arithmetic is
// double and in one order, so a seed gives one text everywhere.
//
//===----------------------------------------------------------------------===//

#include "Libc.h"
#include "Runtime.h"

//===----------------------------------------------------------------------===//
// Arithmetic
//===----------------------------------------------------------------------===//

/// exp(x) for x <= 0, to about an ulp: 2^k exp(r) with |r| <= ln 2 / 2, and a
/// Taylor polynomial of degree 13, whose remainder is below 1e-17.
static double expOfNegative(double x) {
  if (x < -708) // below the normal numbers: no share worth drawing
    return 0;
  int64_t k = (int64_t)(x * 1.4426950408889634 - 0.5);
  // ln 2 in two parts, so that k * high is exact.
  double r = (x - (double)k * 6.93147180369123816490e-01) -
             (double)k * 1.90821492927058770002e-10;
  double sum = 1;
  for (int i = 13; i > 0; --i)
    sum = 1 + sum * r / i;
  uint64_t bits = (uint64_t)(k + 1023) << 52;
  double power;
  memcpy(&power, &bits, sizeof(power));
  return sum * power;
}

/// SplitMix64, as model.h spells it out: a number in [0, 1).
static double drawUniform(uint64_t *random) {
  uint64_t z = (*random += UINT64_C(0x9e3779b97f4a7c15));
  z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
  return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

//===----------------------------------------------------------------------===//
// Order
//===----------------------------------------------------------------------===//

/// A number that is smaller for a larger logit, and equal for equal ones.
static uint32_t descendingKey(float logit) {
  uint32_t bits;
  logit += 0.0f; // -0 is 0
  memcpy(&bits, &logit, sizeof(bits));
  return bits >> 31 ? bits : ~(bits | UINT32_C(0x80000000));
}

/// Sorts by key, stably: linear in `count` whatever the logits. `spare` has room
/// for as many; the passes are even in number, so the result is back in `list`.
static void sortCandidates(treadle_candidate *list, treadle_candidate *spare,
                           size_t count) {
  uint32_t histograms[4][256];
  memset(histograms, 0, sizeof(histograms));
  for (size_t i = 0; i < count; ++i)
    for (unsigned byte = 0; byte < 4; ++byte)
      ++histograms[byte][list[i].key >> (8 * byte) & 255];
  for (unsigned byte = 0; byte < 4; ++byte) {
    uint32_t *next = histograms[byte], start = 0;
    for (unsigned value = 0; value < 256; ++value) {
      uint32_t size = next[value];
      next[value] = start;
      start += size;
    }
    for (size_t i = 0; i < count; ++i)
      spare[next[list[i].key >> (8 * byte) & 255]++] = list[i];
    treadle_candidate *sorted = spare;
    spare = list;
    list = sorted;
  }
}

//===----------------------------------------------------------------------===//
// Choosing
//===----------------------------------------------------------------------===//

static int32_t largestLogit(const treadle_candidate *list, size_t count) {
  const treadle_candidate *best = list;
  for (size_t i = 1; i < count; ++i)
    if (list[i].key < best->key)
      best = &list[i];
  return (int32_t)best->id;
}

/// `list` is in descending order; `weights` has room for `count`.
static int32_t drawCandidate(const treadle_candidate *list, size_t count,
                             const float *logits, double *weights,
                             const treadle_sample_params *params) {
  if (params->top_k > 0 && (size_t)params->top_k < count) {
    size_t kept = (size_t)params->top_k;
    while (kept < count && list[kept].key == list[kept - 1].key)
      ++kept;
    count = kept;
  }

  double temperature =
      params->temperature < 1e-5f ? 1e-5 : (double)params->temperature;
  double largest = logits[list[0].id], total = 0;
  for (size_t i = 0; i < count; ++i) {
    weights[i] = expOfNegative((logits[list[i].id] - largest) / temperature);
    total += weights[i];
  }

  if (params->top_p < 1) {
    double before = 0, limit = (double)params->top_p * total;
    size_t kept = 0;
    do
      before += weights[kept++];
    while (kept < count && before <= limit);
    count = kept;
    total = before;
  }

  double target = drawUniform(params->random) * total, passed = 0;
  size_t last = 0;
  for (size_t i = 0; i < count && weights[i] > 0; ++i) {
    last = i;
    passed += weights[i];
    if (target < passed)
      break;
  }
  return (int32_t)list[last].id;
}

static treadle_status checkParams(treadle_session *session,
                                  const treadle_sample_params *params) {
  if (!(params->temperature >= 0 && params->temperature <= 3.4e38f))
    return treadle_fail(session, TREADLE_STATUS_INVALID_ARGUMENT,
                        "expects a temperature that is not negative, got %f",
                        (double)params->temperature);
  if (params->top_k < 0)
    return treadle_fail(session, TREADLE_STATUS_INVALID_ARGUMENT,
                        "expects a top_k that is not negative, got %d",
                        (int64_t)params->top_k);
  if (!(params->top_p >= 0 && params->top_p <= 1))
    return treadle_fail(session, TREADLE_STATUS_INVALID_ARGUMENT,
                        "expects a top_p from 0 to 1, got %f",
                        (double)params->top_p);
  if (params->temperature > 0 && !params->random)
    return treadle_fail(session, TREADLE_STATUS_INVALID_ARGUMENT,
                        "expects the state of a random generator");
  return TREADLE_STATUS_OK;
}

/// Collects what may be chosen, ids ascending. Columns behind those of tokens do
/// not count, whatever they hold.
static treadle_status collectCandidates(treadle_session *session,
                                        const float *logits, size_t *count) {
  const size_t tokens = treadle_header()->token_count;
  *count = 0;
  for (size_t id = 0; id < tokens; ++id) {
    float logit = logits[id];
    if (!(logit < __builtin_inff()))
      return treadle_fail(session, TREADLE_STATUS_NOT_A_NUMBER,
                          "the logit of token %u is %s", id,
                          logit == logit ? "infinite" : "not a number");
    if (logit > -__builtin_inff())
      session->candidates[(*count)++] =
          (treadle_candidate){descendingKey(logit), (uint32_t)id};
  }
  if (!*count)
    return treadle_fail(session, TREADLE_STATUS_NOT_A_NUMBER,
                        "the logits of all tokens are -infinity");
  return TREADLE_STATUS_OK;
}

treadle_status treadle_session_sample(treadle_session *session,
                                      const float *logits, size_t vocab,
                                      const treadle_sample_params *callers,
                                      int32_t *id) {
  if (!session)
    return TREADLE_STATUS_INVALID_ARGUMENT;
  if (!logits || !id)
    return treadle_fail(session, TREADLE_STATUS_INVALID_ARGUMENT,
                        "expects logits and a place for the token");
  if (vocab != treadle_header()->vocab_size)
    return treadle_fail(session, TREADLE_STATUS_INVALID_ARGUMENT,
                        "expects %u logits, got %u",
                        (uint64_t)treadle_header()->vocab_size, vocab);
  treadle_sample_params params = {.struct_size = sizeof(params)};
  if (callers &&
      !treadle_read_struct(&params, sizeof(params), sizeof(params), callers))
    return treadle_fail(session, TREADLE_STATUS_INVALID_ARGUMENT,
                        "expects treadle_sample_params of a version that this "
                        "library knows");
  size_t count;
  treadle_status status = checkParams(session, &params);
  if (status == TREADLE_STATUS_OK)
    status = collectCandidates(session, logits, &count);
  if (status != TREADLE_STATUS_OK)
    return status;
  if (params.temperature == 0) {
    *id = largestLogit(session->candidates, count);
    return TREADLE_STATUS_OK;
  }
  treadle_candidate *list = session->candidates, *spare = list + vocab;
  sortCandidates(list, spare, count);
  // The sort is done with its spare room, which takes one double for each.
  *id = drawCandidate(list, count, logits, (double *)(void *)spare, &params);
  return TREADLE_STATUS_OK;
}

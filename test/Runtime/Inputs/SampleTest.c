//===- SampleTest.c - Sampling against a naive sampler --------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Test.h"

static const treadle_model_api *api;
static treadle_session *session;

static treadle_status sample(const float *logits, float temperature, int top_k,
                             float top_p, uint64_t *random, int32_t *id) {
  const treadle_sample_params params = {sizeof(params), temperature, top_k,
                                        top_p, random};
  return api->session_sample(session, logits, TOY_VOCAB, &params, id);
}

static double uniform(uint64_t *random) {
  uint64_t z = (*random += 0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return (double)((z ^ (z >> 31)) >> 11) / 9007199254740992.0;
}

/// The published order, word for word. `margin` is how far the draw was from
/// falling into a neighbour.
static int32_t naive(const float *logits, double temperature, int top_k,
                     double top_p, uint64_t *random, double *margin) {
  double scaled[TOY_VOCAB], weight[TOY_VOCAB];
  int order[TOY_VOCAB], count = 0;
  for (int i = 0; i < TOY_VOCAB; ++i) {
    scaled[i] = logits[i] / fmax(temperature, 1e-5);
    if (logits[i] > -INFINITY)
      order[count++] = i;
  }
  for (int i = 1; i < count; ++i) // stable: insertion
    for (int j = i; j > 0 && scaled[order[j]] > scaled[order[j - 1]]; --j) {
      int swap = order[j];
      order[j] = order[j - 1];
      order[j - 1] = swap;
    }
  if (top_k > 0 && top_k < count) {
    double kth = scaled[order[top_k - 1]];
    while (scaled[order[count - 1]] < kth)
      --count;
  }
  double sum = 0, before = 0, kept = 0;
  for (int i = 0; i < count; ++i)
    sum += weight[i] = exp(scaled[order[i]] - scaled[order[0]]);
  for (int i = 0; i < count; ++i) {
    if (i > 0 && before / sum > top_p)
      weight[i] = 0;
    else
      kept += weight[i];
    before += weight[i];
  }
  double target = uniform(random) * kept;
  for (int i = 0; i < count; ++i) {
    *margin = fmin(fabs(target), fabs(target - weight[i])) / kept;
    if (target < weight[i])
      return order[i];
    target -= weight[i];
  }
  return order[0];
}

static float noise(uint64_t *random) {
  return (float)(uniform(random) * 16 - 8);
}

static void testAgainstNaive(void) {
  uint64_t random = 3;
  const float temperatures[] = {0.7f, 1, 1e-7f, 1e-5f, 0.01f, 5, 1e6f};
  const int topKs[] = {0, 1, 5, 36, 37, 1000};
  const float topPs[] = {1, 0.9f, 0.5f, 0.999f, 0.01f, 0};
  int compared = 0, total = 0;
  for (int trial = 0; trial < 20000; ++trial) {
    float logits[TOY_VOCAB];
    for (int i = 0; i < TOY_VOCAB; ++i) {
      logits[i] = noise(&random);
      if (trial % 3 == 0) // many ties
        logits[i] = rintf(logits[i] / 2);
      if (trial % 5 == 0 && i % 4)
        logits[i] = -INFINITY;
    }
    float temperature = temperatures[trial % 7], top_p = topPs[trial / 7 % 6];
    int top_k = topKs[trial / 42 % 6];
    uint64_t a = (uint64_t)trial, b = a;
    int32_t id;
    double margin = 1;
    CHECK_OK(sample(logits, temperature, top_k, top_p, &a, &id));
    int32_t expected = naive(logits, temperature, top_k, top_p, &b, &margin);
    CHECK(a == b);
    CHECK(logits[id] > -INFINITY);
    ++total;
    // Rounding may decide a draw on an edge.
    if (margin > 1e-12) {
      CHECK(id == expected);
      ++compared;
    }
  }
  CHECK(compared > total * 9 / 10);
}

static void testGreedy(void) {
  float logits[TOY_VOCAB];
  for (int i = 0; i < TOY_VOCAB; ++i)
    logits[i] = -(float)i;
  int32_t id;
  logits[30] = logits[12] = logits[25] = 7;
  CHECK_OK(sample(logits, 0, 0, 1, NULL, &id));
  CHECK(id == 12);
  CHECK_OK(api->session_sample(session, logits, TOY_VOCAB, NULL, &id));
  CHECK(id == 12);
  // -0 and 0 are equal.
  for (int i = 0; i < TOY_VOCAB; ++i)
    logits[i] = -1;
  logits[3] = -0.0f;
  logits[9] = 0.0f;
  CHECK_OK(sample(logits, 0, 0, 1, NULL, &id));
  CHECK(id == 3);
  // All that differ from the largest are out at this temperature; ties split.
  int hits[TOY_VOCAB] = {0};
  uint64_t random = 0;
  for (int i = 0; i < 1000; ++i) {
    CHECK_OK(sample(logits, 1e-9f, 0, 1, &random, &id));
    ++hits[id];
  }
  CHECK(hits[3] > 400 && hits[9] > 400 && hits[3] + hits[9] == 1000);
  // So does top-k, which keeps those that equal the last.
  memset(hits, 0, sizeof(hits));
  for (int i = 0; i < 1000; ++i) {
    CHECK_OK(sample(logits, 1, 1, 1, &random, &id));
    ++hits[id];
  }
  CHECK(hits[3] > 400 && hits[9] > 400 && hits[3] + hits[9] == 1000);
  // top_p 0: the first alone, the lower id.
  CHECK_OK(sample(logits, 1, 0, 0, &random, &id));
  CHECK(id == 3);
}

static void testDistribution(void) {
  float logits[TOY_VOCAB];
  for (int i = 0; i < TOY_VOCAB; ++i)
    logits[i] = -INFINITY;
  logits[1] = 0;
  logits[2] = logf(2);
  logits[4] = logf(5);
  int hits[TOY_VOCAB] = {0};
  uint64_t random = 42;
  for (int i = 0; i < 80000; ++i) {
    int32_t id;
    CHECK_OK(sample(logits, 1, 0, 1, &random, &id));
    ++hits[id];
  }
  CHECK(hits[1] + hits[2] + hits[4] == 80000);
  CHECK(abs(hits[1] - 10000) < 500);
  CHECK(abs(hits[2] - 20000) < 500);
  CHECK(abs(hits[4] - 50000) < 500);
}

static void testRefusals(void) {
  float logits[TOY_VOCAB] = {0};
  uint64_t random = 5;
  int32_t id = -7;
  const treadle_status invalid = TREADLE_STATUS_INVALID_ARGUMENT;
#define REFUSED(TEXT, ...)                                                     \
  CHECK_REFUSED(session, sample(logits, __VA_ARGS__, &random, &id), invalid,   \
                TEXT)
  REFUSED("not negative, got -1.00e0", -1, 0, 1);
  REFUSED("got nan", NAN, 0, 1);
  REFUSED("got inf", INFINITY, 0, 1);
  REFUSED("top_k", 1, -1, 1);
  REFUSED("top_p from 0 to 1, got 1.50e0", 1, 0, 1.5f);
  REFUSED("got -1.00e-1", 1, 0, -0.1f);
  REFUSED("got nan", 1, 0, NAN);
  CHECK_REFUSED(session, sample(logits, 1, 0, 1, NULL, &id), invalid, "random");
  CHECK_REFUSED(session, sample(NULL, 1, 0, 1, &random, &id), invalid,
                "logits");
  CHECK_REFUSED(session, sample(logits, 1, 0, 1, &random, NULL), invalid, "");
  CHECK_REFUSED(session, api->session_sample(session, logits, 36, NULL, &id),
                invalid, "37 logits, got 36");
  const treadle_sample_params old = {8, 0, 0, 0, NULL};
  CHECK_REFUSED(session,
                api->session_sample(session, logits, TOY_VOCAB, &old, &id),
                invalid, "version");
  CHECK(api->session_sample(NULL, logits, TOY_VOCAB, NULL, &id) == invalid);
  const treadle_status none = TREADLE_STATUS_NOT_A_NUMBER;
  logits[20] = NAN;
  CHECK_REFUSED(session, sample(logits, 0, 0, 1, NULL, &id), none,
                "token 20 is not a number");
  logits[20] = INFINITY;
  CHECK_REFUSED(session, sample(logits, 1, 0, 1, &random, &id), none,
                "token 20 is infinite");
  for (int i = 0; i < TOY_VOCAB; ++i)
    logits[i] = -INFINITY;
  CHECK_REFUSED(session, sample(logits, 1, 0, 1, &random, &id), none,
                "-infinity");
  CHECK(random == 5 && id == -7);
  // The whole range of finite numbers.
  logits[8] = -3.4e38f;
  logits[9] = 3.4e38f;
  CHECK_OK(sample(logits, 1e-5f, 0, 1, &random, &id));
  CHECK(id == 9);
}

int main(int argc, char **argv) {
  (void)argc;
  folder = argv[1];
  api = loadLibrary("toy.so");
  treadle_model *model = openModel(api);
  session = newSession(api, model, 1, 0, 0);
  testAgainstNaive();
  testGreedy();
  testDistribution();
  testRefusals();
  api->session_destroy(session);
  api->model_close(model);
  return finish("SampleTest");
}

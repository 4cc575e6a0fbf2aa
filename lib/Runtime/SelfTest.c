//===- SelfTest.c - What a library can check of itself --------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Libc.h"
#include "Runtime.h"

typedef struct {
  const treadle_model *model;
  treadle_selftest_report *report;
  char *message;
  size_t message_size;
} SelfTest;

static treadle_session *createSession(SelfTest *test, uint32_t loops,
                                      treadle_status *status) {
  treadle_session *session;
  const treadle_session_params params = {
      sizeof(params), (int32_t)loops, 0, 0, 0, 0};
  *status = treadle_session_create(test->model, &params, &session,
                                   test->message, test->message_size);
  return session;
}

static treadle_status failMemory(SelfTest *test) {
  treadle_format(test->message, test->message_size,
                 "no memory for the logits of the self-test");
  return TREADLE_STATUS_OUT_OF_MEMORY;
}

//===----------------------------------------------------------------------===//
// Golden vectors
//===----------------------------------------------------------------------===//

/// The largest difference as a share of what is allowed, or NaN. Equal values are
/// no difference even if they are infinite, as in a padded vocabulary.
static float compareGolden(const treadle_program_golden *golden,
                           const float *logits) {
  const float *expected = treadle_span_data(golden->logits);
  float largest = 0, difference = 0;
  for (uint64_t i = 0; i < golden->logits.count; ++i) {
    float magnitude = __builtin_fabsf(expected[i]);
    float error = __builtin_fabsf(logits[i] - expected[i]);
    if (magnitude > largest && magnitude < __builtin_inff())
      largest = magnitude;
    if (expected[i] != logits[i] && !(error <= difference))
      difference = error;
  }
  return difference == 0 ? 0 : difference / (golden->tolerance * largest);
}

static treadle_status runGolden(SelfTest *test, uint64_t index) {
  const treadle_program_golden *golden =
      (const treadle_program_golden *)treadle_span_data(
          treadle_header()->golden) +
      index;
  treadle_status status;
  treadle_session *session = createSession(test, golden->loops, &status);
  if (!session)
    return status;
  float *logits = malloc(golden->logits.count * sizeof(*logits));
  if (!logits) {
    treadle_session_destroy(session);
    return failMemory(test);
  }
  status = treadle_session_forward(
      session, treadle_span_data(golden->ids),
      golden->mask.count ? treadle_span_data(golden->mask) : NULL,
      golden->ids.count, TREADLE_LOGITS_ALL, logits, golden->logits.count);
  if (status != TREADLE_STATUS_OK) {
    treadle_format(test->message, test->message_size, "golden vector %u: %s",
                   index, session->message);
  } else {
    float worst = compareGolden(golden, logits);
    if (!(worst <= test->report->golden_worst))
      test->report->golden_worst = worst;
    if (!(worst <= 1)) {
      treadle_format(test->message, test->message_size,
                     "golden vector %u: logits differ by %f times the "
                     "tolerance",
                     index, (double)worst);
      status = TREADLE_STATUS_FAILED;
    }
  }
  free(logits);
  treadle_session_destroy(session);
  return status;
}

//===----------------------------------------------------------------------===//
// Invariance
//===----------------------------------------------------------------------===//

/// Tokens, masks, and two sets of logits, in one allocation.
typedef struct {
  size_t count;
  size_t
      turn; ///< after so many tokens the period is closed early, if there are any
  int32_t *ids;
  uint8_t *mask;
  float *whole;  ///< [count][vocab_size], run in one piece
  float *pieces; ///< the same, in pieces
  treadle_session *reference;
} Sequence;

/// How many tokens to run: past the largest entry point, with a rest that needs
/// padding, and past two periods unless they are long, as far as the context and
/// 64 MiB of logits allow.
static size_t sequenceLength(void) {
  const treadle_program_header *header = treadle_header();
  uint64_t rows = 1;
  for (uint64_t i = 0; i < header->entries.count; ++i)
    if (treadle_entries()[i].rows > rows)
      rows = treadle_entries()[i].rows;
  uint64_t count = rows + rows / 8 + 3;
  uint64_t periods = 2 * header->period + 3;
  if (count < periods)
    count = periods < 512 ? periods : 512;
  uint64_t most = (UINT64_C(64) << 20) / sizeof(float) / header->vocab_size;
  if (count > most)
    count = most ? most : 1;
  return header->period || count < header->context ? count : header->context;
}

static bool createSequence(Sequence *sequence) {
  const uint32_t vocab = treadle_header()->vocab_size;
  size_t count = sequenceLength(), logits = count * vocab * sizeof(float);
  uint8_t *memory = malloc(2 * logits + count * (sizeof(int32_t) + 1));
  if (!memory)
    return false;
  sequence->count = count;
  sequence->turn = treadle_header()->period ? count - count / 3 : 0;
  sequence->whole = (float *)(void *)memory;
  sequence->pieces = (float *)(void *)(memory + logits);
  sequence->ids = (int32_t *)(void *)(memory + 2 * logits);
  sequence->mask = (uint8_t *)(sequence->ids + count);
  uint32_t random = 1;
  for (size_t i = 0; i < count; ++i) {
    random = random * 1664525 + 1013904223; // Numerical Recipes
    sequence->ids[i] = (int32_t)((random >> 8) % treadle_header()->token_count);
    sequence->mask[i] = i % 7 != 3;
  }
  return true;
}

/// Forwards the sequence in pieces of the given lengths, in turn; the early turn
/// ends a piece.
static treadle_status forwardPieces(treadle_session *session,
                                    const Sequence *sequence,
                                    const size_t *lengths, size_t lengthCount,
                                    float *logits) {
  const size_t vocab = treadle_header()->vocab_size;
  treadle_status status = TREADLE_STATUS_OK;
  size_t done = 0;
  for (size_t i = 0; done < sequence->count && !status; ++i) {
    bool turns = done < sequence->turn;
    size_t rest = (turns ? sequence->turn : sequence->count) - done;
    size_t length = lengths[i % lengthCount];
    length = length < rest ? length : rest;
    status = treadle_session_forward(
        session, sequence->ids + done, sequence->mask + done, length,
        TREADLE_LOGITS_ALL, logits + done * vocab, length * vocab);
    done += length;
    if (turns && done == sequence->turn && !status)
      status = treadle_session_turn(session);
  }
  return status;
}

/// Brings states of a session on a GPU to where they can be compared.
static bool pullStates(SelfTest *test, treadle_session *session) {
  for (size_t i = 0;
       treadle_on_gpu(session) && i < treadle_header()->states.count; ++i)
    treadle_cuda_pull_state(session, i);
  bool done = treadle_finish(session) == TREADLE_STATUS_OK;
  if (!done)
    treadle_format(test->message, test->message_size, "%s", session->message);
  return done;
}

/// The name of a state of which the two sessions hold different bits, or NULL.
static const char *differentState(treadle_session *a, treadle_session *b) {
  const treadle_program_state *state = treadle_states();
  const treadle_program_state *end = state + treadle_header()->states.count;
  for (; state != end; ++state) {
    uint64_t slots = treadle_slot_count(state);
    uint64_t rows = treadle_live_rows(state, a->place);
    uint64_t elements = treadle_row_elements(state);
    uint64_t bytes = treadle_element_bytes(state->element);
    for (uint64_t slot = 0; slot < slots; ++slot)
      for (uint64_t i = 0; i < rows * elements; ++i) {
        uint64_t offset =
            treadle_element_offset(state, slot, i / elements, i % elements);
        if (treadle_slot_is_live(state, slot, a->loops) &&
            memcmp(a->states + offset, b->states + offset, bytes))
          return treadle_span_data(state->name);
      }
  }
  return NULL;
}

/// Compares a session that ran the sequence in pieces with the reference.
static treadle_status compareSessions(SelfTest *test, const Sequence *sequence,
                                      treadle_session *session,
                                      const char *how) {
  const size_t vocab = treadle_header()->vocab_size;
  uint64_t loops = (uint64_t)session->loops;
  for (size_t i = 0; i < sequence->count; ++i)
    if (memcmp(sequence->whole + i * vocab, sequence->pieces + i * vocab,
               vocab * sizeof(float))) {
      treadle_format(test->message, test->message_size,
                     "loops %u: the logits of token %u differ when tokens are "
                     "run %s",
                     loops, i, how);
      return TREADLE_STATUS_FAILED;
    }
  if (!pullStates(test, sequence->reference) || !pullStates(test, session))
    return TREADLE_STATUS_DEVICE;
  const char *state = differentState(sequence->reference, session);
  if (!state)
    return TREADLE_STATUS_OK;
  treadle_format(test->message, test->message_size,
                 "loops %u: state '%s' differs when tokens are run %s", loops,
                 state, how);
  return TREADLE_STATUS_FAILED;
}

static treadle_status runCut(SelfTest *test, const Sequence *sequence,
                             const size_t *lengths, size_t lengthCount,
                             const char *how) {
  treadle_status status;
  treadle_session *session =
      createSession(test, (uint32_t)sequence->reference->loops, &status);
  if (!session)
    return status;
  status =
      forwardPieces(session, sequence, lengths, lengthCount, sequence->pieces);
  if (status == TREADLE_STATUS_OK)
    status = compareSessions(test, sequence, session, how);
  treadle_session_destroy(session);
  return status;
}

static treadle_status runInvariance(SelfTest *test, Sequence *sequence,
                                    uint32_t loops) {
  static const size_t single[] = {1}, ragged[] = {3, 1, 17, 2, 41, 5};
  treadle_status status;
  sequence->reference = createSession(test, loops, &status);
  if (!sequence->reference)
    return status;
  status = forwardPieces(sequence->reference, sequence, &sequence->count, 1,
                         sequence->whole);
  if (status == TREADLE_STATUS_OK)
    status = runCut(test, sequence, single, 1, "one by one");
  if (status == TREADLE_STATUS_OK)
    status = runCut(test, sequence, ragged, 6, "in ragged pieces");
  treadle_session_destroy(sequence->reference);
  return status;
}

//===----------------------------------------------------------------------===//
// All of it
//===----------------------------------------------------------------------===//

static treadle_status runAll(SelfTest *test) {
  const treadle_program_header *header = treadle_header();
  treadle_status status = TREADLE_STATUS_OK;
  for (uint64_t i = 0; i < header->golden.count && !status; ++i) {
    status = runGolden(test, i);
    test->report->golden_count = i + 1;
  }
  if (status != TREADLE_STATUS_OK)
    return status;
  Sequence sequence;
  if (!createSequence(&sequence))
    return failMemory(test);
  test->report->invariance_rows = (uint32_t)sequence.count;
  for (uint32_t loops = 1; loops <= header->max_loops && !status; ++loops) {
    status = runInvariance(test, &sequence, loops);
    test->report->invariance_loops = loops;
  }
  free(sequence.whole);
  return status;
}

treadle_status treadle_model_selftest(const treadle_model *model,
                                      treadle_selftest_report *callers,
                                      char *message, size_t message_size) {
  treadle_format(message, message_size, "");
  if (!model)
    return TREADLE_STATUS_INVALID_ARGUMENT;
  treadle_selftest_report report = {.struct_size = sizeof(report)};
  // Asked first, so that a report that cannot be given costs nothing.
  if (callers &&
      !treadle_write_struct(callers, &report, sizeof(report), sizeof(report))) {
    treadle_format(message, message_size,
                   "expects a treadle_selftest_report of a version that this "
                   "library knows");
    return TREADLE_STATUS_INVALID_ARGUMENT;
  }
  SelfTest test = {model, &report, message, message_size};
  treadle_status status = runAll(&test);
  if (callers)
    treadle_write_struct(callers, &report, sizeof(report), sizeof(report));
  return status;
}

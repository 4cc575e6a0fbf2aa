//===- CudaSession.c - Sessions on a GPU ----------------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Cuda.h"
#include "Libc.h"
#include "Runtime.h"

//===----------------------------------------------------------------------===//
// Calling the driver
//===----------------------------------------------------------------------===//

static const treadle_cuda_driver *driverOf(const treadle_session *session) {
  return &session->model->cuda->driver;
}

/// Takes the result of a call: true, or the rest of the call of the table is off.
static bool succeeds(treadle_session *session, treadle_cuda_result result,
                     const char *call) {
  if (!result)
    return true;
  session->cuda->failed = true;
  treadle_cuda_describe(driverOf(session), result, call, session->message,
                        sizeof(session->message));
  return false;
}
#define CALL(NAME, ...)                                                        \
  succeeds(session, driverOf(session)->NAME(__VA_ARGS__), #NAME)

/// The application may use GPUs as well, in the same thread: what it has made
/// current is so again behind `leave`.
static bool enter(treadle_session *session) {
  return !session->cuda->failed &&
         CALL(cuCtxPushCurrent_v2, session->model->cuda->context);
}

static void leave(treadle_session *session) {
  void *context;
  treadle_cuda_result result = driverOf(session)->cuCtxPopCurrent_v2(&context);
  // The first error says more.
  if (!session->cuda->failed)
    succeeds(session, result, "cuCtxPopCurrent_v2");
}

//===----------------------------------------------------------------------===//
// Create and destroy
//===----------------------------------------------------------------------===//

static treadle_status takeMemory(treadle_session *session,
                                 treadle_cuda_address *address,
                                 uint64_t bytes) {
  treadle_cuda_result result =
      driverOf(session)->cuMemAlloc_v2(address, bytes ? bytes : 1);
  if (result == TREADLE_CUDA_OUT_OF_MEMORY) {
    treadle_cuda_describe_memory(driverOf(session), bytes,
                                 "a session; compile with less --max-context",
                                 session->message, sizeof(session->message));
    return TREADLE_STATUS_OUT_OF_MEMORY;
  }
  return succeeds(session, result, "cuMemAlloc_v2") ? TREADLE_STATUS_OK
                                                    : TREADLE_STATUS_DEVICE;
}

treadle_status treadle_cuda_session_create(treadle_session *session) {
  treadle_cuda_session *cuda = calloc(1, sizeof(*cuda));
  if (!cuda)
    return treadle_fail(session, TREADLE_STATUS_OUT_OF_MEMORY, "out of memory");
  session->cuda = cuda;
  const treadle_program_header *header = treadle_header();
  cuda->graphs = calloc(header->entries.count, sizeof(*cuda->graphs));
  if (!cuda->graphs)
    return treadle_fail(session, TREADLE_STATUS_OUT_OF_MEMORY, "out of memory");
  if (!enter(session))
    return TREADLE_STATUS_DEVICE;
  const treadle_extent extent = treadle_find_extent();
  const uint64_t hiddenRows = (uint64_t)extent.forward_rows + extent.head_rows;
  const struct {
    treadle_cuda_address *address;
    uint64_t bytes;
  } pieces[] = {
      {&cuda->states, header->state_bytes},
      {&cuda->arena, extent.arena_bytes},
      {&cuda->hidden, hiddenRows * header->hidden_size * sizeof(float)},
      {&cuda->logits,
       (uint64_t)extent.head_rows * header->vocab_size * sizeof(float)},
      {&cuda->ids, extent.forward_rows * sizeof(int32_t)},
      {&cuda->mask, extent.forward_rows},
      {&cuda->counter, sizeof(uint32_t)},
  };
  treadle_status status =
      CALL(cuStreamCreate, &cuda->stream, TREADLE_CUDA_NON_BLOCKING)
          ? TREADLE_STATUS_OK
          : TREADLE_STATUS_DEVICE;
  for (size_t i = 0; i < sizeof(pieces) / sizeof(*pieces) && !status; ++i)
    status = takeMemory(session, pieces[i].address, pieces[i].bytes);
  if (!status)
    CALL(cuMemsetD8Async, cuda->counter, 0, sizeof(uint32_t), cuda->stream);
  leave(session);
  session->arena = (uint8_t *)(uintptr_t)cuda->arena;
  session->hidden = (float *)(uintptr_t)cuda->hidden;
  session->logits = (float *)(uintptr_t)cuda->logits;
  return status || !cuda->failed ? status : TREADLE_STATUS_DEVICE;
}

void treadle_cuda_session_destroy(treadle_session *session) {
  treadle_cuda_session *cuda = session->cuda;
  // As at the model's close, errors are nobody's.
  const treadle_cuda_driver *driver = driverOf(session);
  void *context = session->model->cuda->context;
  bool current = driver->cuCtxPushCurrent_v2(context) == 0;
  const treadle_cuda_address pieces[] = {
      cuda->states, cuda->arena, cuda->hidden, cuda->logits,
      cuda->ids,    cuda->mask,  cuda->counter};
  const uint64_t entries = treadle_header()->entries.count;
  for (uint64_t i = 0; cuda->graphs && i < entries; ++i)
    if (cuda->graphs[i])
      driver->cuGraphExecDestroy(cuda->graphs[i]);
  if (cuda->stream)
    driver->cuStreamDestroy_v2(cuda->stream);
  for (size_t i = 0; i < sizeof(pieces) / sizeof(*pieces); ++i)
    if (pieces[i])
      driver->cuMemFree_v2(pieces[i]);
  if (current)
    driver->cuCtxPopCurrent_v2(&context);
  free(cuda->graphs);
  free(cuda);
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

/// Whether a piece is of the states that the host works with.
static bool isMirrored(uint64_t offset) {
  const treadle_program_header *header = treadle_header();
  const treadle_program_state *ids = &treadle_states()[header->ids_state];
  const treadle_program_state *mask = &treadle_states()[header->mask_state];
  return (offset >= ids->offset && offset - ids->offset < ids->slot_stride) ||
         (offset >= mask->offset && offset - mask->offset < mask->slot_stride);
}

static void upload(treadle_session *session, treadle_cuda_address to,
                   const void *from, uint64_t bytes) {
  if (!bytes || !enter(session))
    return;
  CALL(cuMemcpyHtoDAsync_v2, to, from, bytes, session->cuda->stream);
  leave(session);
}

static void download(treadle_session *session, void *to,
                     treadle_cuda_address from, uint64_t bytes) {
  if (!bytes || !enter(session))
    return;
  CALL(cuMemcpyDtoHAsync_v2, to, from, bytes, session->cuda->stream);
  leave(session);
}

void treadle_cuda_write(treadle_session *session, uint64_t offset,
                        const void *from, uint64_t bytes) {
  if (isMirrored(offset))
    memcpy(session->states + offset, from, bytes);
  session->cuda->wrote = true;
  upload(session, session->cuda->states + offset, from, bytes);
}

void treadle_cuda_read(treadle_session *session, uint64_t offset, void *to,
                       uint64_t bytes) {
  download(session, to, session->cuda->states + offset, bytes);
}

void treadle_cuda_clear(treadle_session *session, uint64_t offset,
                        uint64_t bytes) {
  session->cuda->wrote = true;
  if (!bytes || !enter(session))
    return;
  CALL(cuMemsetD8Async, session->cuda->states + offset, 0, bytes,
       session->cuda->stream);
  leave(session);
}

void treadle_cuda_copy(treadle_session *session, const treadle_session *from,
                       uint64_t offset, uint64_t bytes) {
  if (isMirrored(offset))
    memcpy(session->states + offset, from->states + offset, bytes);
  session->cuda->wrote = true;
  if (!bytes || !enter(session))
    return;
  CALL(cuMemcpyDtoDAsync_v2, session->cuda->states + offset,
       from->cuda->states + offset, bytes, session->cuda->stream);
  leave(session);
}

void treadle_cuda_push(treadle_session *session, uint64_t offset,
                       uint64_t bytes) {
  session->cuda->wrote = true;
  upload(session, session->cuda->states + offset, session->states + offset,
         bytes);
}

void treadle_cuda_pull(treadle_session *session, uint64_t offset,
                       uint64_t bytes) {
  download(session, session->states + offset, session->cuda->states + offset,
           bytes);
}

static void pushPiece(void *context, uint64_t offset, uint64_t bytes) {
  treadle_cuda_push(context, offset, bytes);
}

static void pullPiece(void *context, uint64_t offset, uint64_t bytes) {
  treadle_cuda_pull(context, offset, bytes);
}

void treadle_cuda_push_state(treadle_session *session, size_t index) {
  treadle_visit_slots(&treadle_states()[index], session->loops, session->place,
                      pushPiece, session);
}

void treadle_cuda_pull_state(treadle_session *session, size_t index) {
  treadle_visit_slots(&treadle_states()[index], session->loops, session->place,
                      pullPiece, session);
}

void treadle_cuda_poison(treadle_session *session, treadle_cuda_address to,
                         uint64_t bytes) {
  uint32_t word;
  treadle_poison(&word, sizeof(word));
  session->cuda->wrote = true;
  if (bytes < sizeof(word) || !enter(session))
    return;
  CALL(cuMemsetD32Async, to, word, bytes / sizeof(word), session->cuda->stream);
  leave(session);
}

//===----------------------------------------------------------------------===//
// Entry points
//===----------------------------------------------------------------------===//

static void wait(treadle_session *session) {
  if (!enter(session))
    return;
  CALL(cuStreamSynchronize, session->cuda->stream);
  leave(session);
}

void treadle_cuda_begin_staging(treadle_session *session) {
  if (session->cuda->staged)
    wait(session);
  session->cuda->staged = true;
}

/// A schedule's launches, while it runs.
struct treadle_launcher {
  treadle_session *session;
};

void treadle_launch(treadle_launcher *launcher, int64_t kernel, int64_t blocks,
                    int64_t threads, const int64_t *words, int64_t count) {
  // What kernels of any level take: 4096 bytes of arguments.
  enum { mostArguments = 512 };
  treadle_session *session = launcher->session;
  if (session->cuda->failed || blocks <= 0)
    return;
  if (blocks > INT32_MAX || count > mostArguments) {
    session->cuda->failed = true;
    treadle_format(session->message, sizeof(session->message),
                   "a kernel is too large for a GPU: expects up to %d blocks "
                   "and %d arguments, got %d and %d; use device 'cpu'",
                   (int64_t)INT32_MAX, (int64_t)mostArguments, blocks, count);
    return;
  }
  // A kernel reads as many bytes of each as its parameter has: the lowest ones.
  void *arguments[mostArguments];
  for (int64_t i = 0; i < count; ++i)
    arguments[i] = (void *)(uintptr_t)&words[i];
  CALL(cuLaunchKernel, session->model->cuda->kernels[kernel], (unsigned)blocks,
       1, 1, (unsigned)threads, 1, 1, /*sharedBytes=*/0, session->cuda->stream,
       arguments, NULL);
}

/// A call of an entry point; addresses are the device's.
typedef struct {
  size_t index;
  const void *input;
  const uint8_t *mask;
  void *output;
  int64_t position, valid;
} Call;

/// Launches stage by stage.
static void runSchedule(treadle_session *session, const Call *call) {
  treadle_launcher launcher = {session};
  treadle_schedule_functions[call->index](
      session->arena, (void *)(uintptr_t)session->cuda->states,
      (const void *)(uintptr_t)session->model->cuda->weights, call->input,
      call->mask, call->output, call->position, call->valid, session->loops,
      &launcher);
}

/// Makes `graph` what the executable one launches. Where both have the same
/// kernels, that is but other arguments.
static bool prepareGraph(treadle_session *session, void **executable,
                         void *graph) {
  treadle_cuda_update update;
  if (*executable) {
    treadle_cuda_result result =
        driverOf(session)->cuGraphExecUpdate_v2(*executable, graph, &update);
    if (result != TREADLE_CUDA_OTHER_GRAPH)
      return succeeds(session, result, "cuGraphExecUpdate_v2");
    driverOf(session)->cuGraphExecDestroy(*executable);
    *executable = NULL;
  }
  return CALL(cuGraphInstantiateWithFlags, executable, graph, /*flags=*/0);
}

/// The launches of a schedule as one piece of work.
static void runGraph(treadle_session *session, const Call *call) {
  void *stream = session->cuda->stream, *graph = NULL;
  if (!CALL(cuStreamBeginCapture_v2, stream, TREADLE_CUDA_CAPTURE_OF_THREAD))
    return;
  runSchedule(session, call);
  // A stream that captures is of no other use. The first error says more.
  treadle_cuda_result ended =
      driverOf(session)->cuStreamEndCapture(stream, &graph);
  void **executable = &session->cuda->graphs[call->index];
  if (!session->cuda->failed &&
      succeeds(session, ended, "cuStreamEndCapture") &&
      prepareGraph(session, executable, graph))
    CALL(cuGraphLaunch, *executable, stream);
  if (graph)
    driverOf(session)->cuGraphDestroy(graph);
}

/// The whole schedule in one launch.
static void launchGrid(treadle_session *session, const Call *call) {
  const treadle_cuda *cuda = session->model->cuda;
  const treadle_program_entry *entry = &treadle_entries()[call->index];
  treadle_cuda_address weights = cuda->weights;
  int64_t passes = session->loops;
  Call copy = *call;
  void *arguments[] = {
      &session->arena, &session->cuda->states, &weights,       &copy.input,
      &copy.mask,      &copy.output,           &copy.position, &copy.valid,
      &passes,         &session->cuda->counter};
  CALL(cuLaunchCooperativeKernel, cuda->kernels[entry->grid_kernel],
       cuda->grids[call->index], 1, 1, entry->grid_threads, 1, 1,
       /*sharedBytes=*/0, session->cuda->stream, arguments);
}

void treadle_cuda_call(treadle_session *session, size_t index,
                       const void *input, void *output, int64_t position,
                       int64_t valid) {
  treadle_cuda_session *cuda = session->cuda;
  const treadle_program_entry *entry = &treadle_entries()[index];
  Call call = {index, input, NULL, output, position, valid};
  if (session->flags & TREADLE_SESSION_POISON)
    treadle_cuda_poison(session, cuda->arena, entry->arena_bytes);
  if (entry->kind == TREADLE_PROGRAM_ENTRY_FORWARD) {
    upload(session, cuda->ids, session->ids, entry->rows * sizeof(int32_t));
    upload(session, cuda->mask, session->mask, entry->rows);
    call.input = (const void *)(uintptr_t)cuda->ids;
    call.mask = (const uint8_t *)(uintptr_t)cuda->mask;
  }
  cuda->wrote = true;
  if (!enter(session))
    return;
  if (session->model->cuda->grids[index])
    launchGrid(session, &call);
  else if (entry->grid_threads)
    runGraph(session, &call);
  else
    runSchedule(session, &call);
  leave(session);
}

void treadle_cuda_read_logits(treadle_session *session, float *to,
                              uint64_t bytes) {
  download(session, to, session->cuda->logits, bytes);
}

treadle_status treadle_cuda_finish(treadle_session *session) {
  treadle_cuda_session *cuda = session->cuda;
  wait(session);
  const bool failed = cuda->failed;
  if (failed) {
    // What was asked for before may still write to the caller's memory.
    cuda->failed = false;
    char message[sizeof(session->message)];
    memcpy(message, session->message, sizeof(message));
    wait(session);
    memcpy(session->message, message, sizeof(message));
  }
  cuda->lost |= failed && cuda->wrote;
  cuda->failed = cuda->wrote = cuda->staged = false;
  return failed ? TREADLE_STATUS_DEVICE : TREADLE_STATUS_OK;
}

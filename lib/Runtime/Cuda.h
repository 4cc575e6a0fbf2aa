//===- Cuda.h - Models and sessions on a GPU ----------------------*- C -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A model on a GPU has its weights there, and a session all that its entry points
// read and write. On the host a session keeps state memory of the same layout: its
// ids and mask always hold what the GPU holds, since the runtime works with them,
// and the rest is where states as float32 pass through.
//
// A session has a stream, in which everything happens in order. No function of the
// table returns before it is done, so an error of the driver is the call's own.
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_RUNTIME_CUDA_H
#define TREADLE_RUNTIME_CUDA_H

#include "CudaDriver.h"

#include <stdbool.h>

/// A GPU with a model's code and weights.
typedef struct treadle_cuda {
  treadle_cuda_driver driver;
  int device;
  void *context; ///< the device's own, which an application may share
  void *module;
  void **kernels; ///< [gpu_kernels]
  /// [entries] Blocks that the device runs side by side of an entry point's grid
  /// kernel; 0: its schedule launches a kernel for each stage, of one that has a
  /// grid kernel as a graph.
  uint32_t *grids;
  treadle_cuda_address weights;
} treadle_cuda;

/// What a session has on the GPU. `arena`, `hidden` and `logits` of the session are
/// addresses there as well: the host never follows them.
typedef struct treadle_cuda_session {
  void *stream;
  treadle_cuda_address states, arena, hidden, logits;
  treadle_cuda_address ids, mask; ///< a call's input
  treadle_cuda_address counter;   ///< of the barriers of grids
  void *
      *graphs; ///< [entries] a schedule's launches, ready to run again, or NULL
  /// The present call of the table: an error, after which nothing more is done; has
  /// asked for states to be written; reads the host's staging memory.
  bool failed, wrote, staged;
  /// A call that wrote states has failed: nobody knows what they hold.
  bool lost;
} treadle_cuda_session;

// In a library without GPU code none of these functions is there.
#pragma GCC visibility push(hidden)
#pragma clang attribute push(__attribute__((weak)), apply_to = function)

/// Opens a device: "cuda", or "cuda:1" for the second one.
treadle_status treadle_cuda_open(treadle_model *model, const char *device,
                                 const char *driver, char *message,
                                 size_t message_size);
void treadle_cuda_close(treadle_model *model);

/// Whether the name is that of a CUDA device, and which one.
bool treadle_cuda_parse(const char *device, int *ordinal);

/// Takes memory of the GPU. On error the message is on the session, and what was
/// taken is for treadle_cuda_session_destroy.
treadle_status treadle_cuda_session_create(treadle_session *session);
void treadle_cuda_session_destroy(treadle_session *session);

/// Says that the GPU has no room for `bytes` bytes of `what`.
void treadle_cuda_describe_memory(const treadle_cuda_driver *driver,
                                  uint64_t bytes, const char *what,
                                  char *message, size_t message_size);

// What follows does nothing once the call has failed.

/// Bytes of the state memory: from the host and back, where `from` and `to` must
/// live until treadle_cuda_finish; zeros; of another session of the same device.
void treadle_cuda_write(treadle_session *session, uint64_t offset,
                        const void *from, uint64_t bytes);
void treadle_cuda_read(treadle_session *session, uint64_t offset, void *to,
                       uint64_t bytes);
void treadle_cuda_clear(treadle_session *session, uint64_t offset,
                        uint64_t bytes);
void treadle_cuda_copy(treadle_session *session, const treadle_session *from,
                       uint64_t offset, uint64_t bytes);

/// The same between the GPU and the host's state memory.
void treadle_cuda_push(treadle_session *session, uint64_t offset,
                       uint64_t bytes);
void treadle_cuda_pull(treadle_session *session, uint64_t offset,
                       uint64_t bytes);

/// All of a state's slots that are in use, with its live rows.
void treadle_cuda_push_state(treadle_session *session, size_t index);
void treadle_cuda_pull_state(treadle_session *session, size_t index);

/// Fills whole words of the GPU's memory as treadle_poison does.
void treadle_cuda_poison(treadle_session *session, treadle_cuda_address to,
                         uint64_t bytes);

/// To be called before ids, mask and the built-in states are written: the GPU may
/// not have read what they hold.
void treadle_cuda_begin_staging(treadle_session *session);

/// As treadle_call_entry.
void treadle_cuda_call(treadle_session *session, size_t index,
                       const void *input, void *output, int64_t position,
                       int64_t valid);

/// Rows of session->logits.
void treadle_cuda_read_logits(treadle_session *session, float *to,
                              uint64_t bytes);

/// Ends a call of the table: waits for the GPU, and says how it went.
treadle_status treadle_cuda_finish(treadle_session *session);

#pragma clang attribute pop
#pragma GCC visibility pop

#endif // TREADLE_RUNTIME_CUDA_H

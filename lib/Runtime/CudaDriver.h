//===- CudaDriver.h - The CUDA driver, opened at run time ---------*- C -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The functions of libcuda.so.1 that the runtime calls, as the driver declares
// them. The names with _v2 are those that its headers have meant for years.
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_RUNTIME_CUDADRIVER_H
#define TREADLE_RUNTIME_CUDADRIVER_H

#include "treadle-c/model.h"

#include <stddef.h>
#include <stdint.h>

/// CUresult: 0 is success.
typedef int32_t treadle_cuda_result;
enum {
  TREADLE_CUDA_OUT_OF_MEMORY = 2,
  TREADLE_CUDA_NO_DEVICE = 100,
  TREADLE_CUDA_OTHER_GRAPH = 910 ///< too different to be an update
};

/// CUdeviceptr.
typedef uint64_t treadle_cuda_address;

/// CUdevice_attribute: the level of a device, how many blocks it runs side by side,
/// in units of what one multiprocessor does, and whether these may wait for each
/// other.
enum {
  TREADLE_CUDA_MULTIPROCESSORS = 16,
  TREADLE_CUDA_MAJOR = 75,
  TREADLE_CUDA_MINOR = 76,
  TREADLE_CUDA_COOPERATIVE = 95
};

/// CU_STREAM_NON_BLOCKING: no order with work of others in the process.
enum { TREADLE_CUDA_NON_BLOCKING = 1 };

/// CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: other threads may do what they like.
enum { TREADLE_CUDA_CAPTURE_OF_THREAD = 1 };

/// CUgraphExecUpdateResultInfo.
typedef struct treadle_cuda_update {
  int32_t result;
  void *node, *from;
} treadle_cuda_update;

/// F(name, parameters). Contexts, modules, functions, streams and graphs are
/// pointers.
#define TREADLE_CUDA_FUNCTIONS(F)                                              \
  F(cuInit, (unsigned flags))                                                  \
  F(cuGetErrorName, (treadle_cuda_result error, const char **name))            \
  F(cuGetErrorString, (treadle_cuda_result error, const char **text))          \
  F(cuDeviceGetCount, (int *count))                                            \
  F(cuDeviceGet, (int *device, int ordinal))                                   \
  F(cuDeviceGetName, (char *name, int size, int device))                       \
  F(cuDeviceGetAttribute, (int *value, int attribute, int device))             \
  F(cuDevicePrimaryCtxRetain, (void **context, int device))                    \
  F(cuDevicePrimaryCtxRelease_v2, (int device))                                \
  F(cuCtxPushCurrent_v2, (void *context))                                      \
  F(cuCtxPopCurrent_v2, (void **context))                                      \
  F(cuModuleLoadData, (void **module, const void *image))                      \
  F(cuModuleUnload, (void *module))                                            \
  F(cuModuleGetFunction, (void **function, void *module, const char *name))    \
  F(cuMemGetInfo_v2, (size_t *free, size_t *total))                            \
  F(cuMemAlloc_v2, (treadle_cuda_address * address, size_t size))              \
  F(cuMemFree_v2, (treadle_cuda_address address))                              \
  F(cuMemcpyHtoDAsync_v2,                                                      \
    (treadle_cuda_address to, const void *from, size_t size, void *stream))    \
  F(cuMemcpyDtoHAsync_v2,                                                      \
    (void *to, treadle_cuda_address from, size_t size, void *stream))          \
  F(cuMemcpyDtoDAsync_v2, (treadle_cuda_address to, treadle_cuda_address from, \
                           size_t size, void *stream))                         \
  F(cuMemsetD8Async, (treadle_cuda_address to, unsigned char value,            \
                      size_t count, void *stream))                             \
  F(cuMemsetD32Async,                                                          \
    (treadle_cuda_address to, unsigned value, size_t count, void *stream))     \
  F(cuStreamCreate, (void **stream, unsigned flags))                           \
  F(cuStreamDestroy_v2, (void *stream))                                        \
  F(cuStreamSynchronize, (void *stream))                                       \
  F(cuLaunchKernel,                                                            \
    (void *function, unsigned blocksX, unsigned blocksY, unsigned blocksZ,     \
     unsigned threadsX, unsigned threadsY, unsigned threadsZ,                  \
     unsigned sharedBytes, void *stream, void **arguments, void **extra))      \
  F(cuLaunchCooperativeKernel,                                                 \
    (void *function, unsigned blocksX, unsigned blocksY, unsigned blocksZ,     \
     unsigned threadsX, unsigned threadsY, unsigned threadsZ,                  \
     unsigned sharedBytes, void *stream, void **arguments))                    \
  F(cuOccupancyMaxActiveBlocksPerMultiprocessor,                               \
    (int *blocks, void *function, int threads, size_t sharedBytes))            \
  F(cuStreamBeginCapture_v2, (void *stream, int mode))                         \
  F(cuStreamEndCapture, (void *stream, void **graph))                          \
  F(cuGraphInstantiateWithFlags,                                               \
    (void **executable, void *graph, unsigned long long flags))                \
  F(cuGraphExecUpdate_v2,                                                      \
    (void *executable, void *graph, treadle_cuda_update *update))              \
  F(cuGraphLaunch, (void *executable, void *stream))                           \
  F(cuGraphExecDestroy, (void *executable))                                    \
  F(cuGraphDestroy, (void *graph))

typedef struct treadle_cuda_driver {
#define TREADLE_CUDA_MEMBER(NAME, PARAMETERS)                                  \
  treadle_cuda_result(*NAME) PARAMETERS;
  TREADLE_CUDA_FUNCTIONS(TREADLE_CUDA_MEMBER)
#undef TREADLE_CUDA_MEMBER
} treadle_cuda_driver;

/// Opens libcuda.so.1, or the library at `path`, and finds its functions. It stays
/// open for the life of the process: drivers do not like to be unloaded.
///   UNSUPPORTED  the message says why
treadle_status treadle_cuda_load(treadle_cuda_driver *driver, const char *path,
                                 char *message, size_t message_size);

/// Says what went wrong in a call of the driver, `result` not being success.
void treadle_cuda_describe(const treadle_cuda_driver *driver,
                           treadle_cuda_result result, const char *call,
                           char *message, size_t message_size);

#endif // TREADLE_RUNTIME_CUDADRIVER_H

//===- CudaDriver.c - The CUDA driver, opened at run time -----------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "CudaDriver.h"

#include "Libc.h"
#include "Runtime.h"

static const char usualDriver[] = "libcuda.so.1";

/// Finds `name`, or says that the driver lacks it.
static void *find(void *library, const char *name, const char *path,
                  char *message, size_t messageSize) {
  void *function = dlsym(library, name);
  if (!function)
    treadle_format(message, messageSize,
                   "device 'cuda': %s lacks %s; install a CUDA driver of "
                   "version 12 or later",
                   path, name);
  return function;
}

treadle_status treadle_cuda_load(treadle_cuda_driver *driver, const char *path,
                                 char *message, size_t messageSize) {
  if (!path)
    path = usualDriver;
  if (!dlopen || !dlsym || !dlerror) {
    treadle_format(message, messageSize,
                   "device 'cuda': this process cannot open libraries, since "
                   "its libc has dlopen apart; link or preload libdl");
    return TREADLE_STATUS_UNSUPPORTED;
  }
  void *library = dlopen(path, RTLD_NOW);
  if (!library) {
    const char *reason = dlerror();
    treadle_format(message, messageSize,
                   "device 'cuda': cannot open the CUDA driver: %s; install "
                   "NVIDIA's driver, or use device 'cpu'",
                   reason ? reason : path);
    return TREADLE_STATUS_UNSUPPORTED;
  }
  // ISO C knows no pointer to both data and code; POSIX does.
#define FIND(NAME, PARAMETERS)                                                 \
  void *found##NAME = find(library, #NAME, path, message, messageSize);        \
  if (!found##NAME)                                                            \
    return TREADLE_STATUS_UNSUPPORTED;                                         \
  memcpy(&driver->NAME, &found##NAME, sizeof(found##NAME));
  TREADLE_CUDA_FUNCTIONS(FIND)
#undef FIND
  return TREADLE_STATUS_OK;
}

void treadle_cuda_describe(const treadle_cuda_driver *driver,
                           treadle_cuda_result result, const char *call,
                           char *message, size_t messageSize) {
  // Both leave NULL where they do not know the number.
  const char *name = NULL, *text = NULL;
  if (driver->cuGetErrorName(result, &name) || !name)
    name = "an error that the driver has no name for";
  if (driver->cuGetErrorString(result, &text) || !text)
    text = "no further word";
  treadle_format(message, messageSize, "CUDA driver: %s: %s (%s, %d)", call,
                 text, name, (int64_t)result);
}

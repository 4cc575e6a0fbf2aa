//===- CopyBandwidth.cpp - How fast a GPU's memory is ---------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "CopyBandwidth.h"
#include "../../lib/Runtime/CudaDriver.h"
#include "Library.h"

#include <algorithm>
#include <cstdlib>
#include <dlfcn.h>

using namespace treadle::run;

/// A context, a stream and two buffers. Functions are called as in `call(driver.cuInit, 0)`.
struct CopyBandwidth::Device {
  treadle_cuda_driver driver = {};
  int number = 0;
  void *stream = nullptr;
  treadle_cuda_address from = 0, to = 0;

  template <typename Function, typename... Arguments>
  void call(Function *function, Arguments... arguments) {
    if (treadle_cuda_result result = function(arguments...)) {
      const char *text = nullptr;
      driver.cuGetErrorString(result, &text);
      exitWithError(std::string("measuring the GPU's memory: ") +
                    (text ? text : "error " + std::to_string(result)));
    }
  }
};

CopyBandwidth::CopyBandwidth(const std::string &name, const std::string &path,
                             size_t size)
    : bytes(std::max<size_t>(size, 4096)), device(new Device) {
  void *library =
      dlopen(path.empty() ? "libcuda.so.1" : path.c_str(), RTLD_NOW);
  if (!library)
    exitWithError(dlerror());
  treadle_cuda_driver &driver = device->driver;
#define FIND(NAME, PARAMETERS)                                                 \
  driver.NAME =                                                                \
      reinterpret_cast<decltype(driver.NAME)>(dlsym(library, #NAME));          \
  if (!driver.NAME)                                                            \
    exitWithError(dlerror());
  TREADLE_CUDA_FUNCTIONS(FIND)
#undef FIND
  size_t colon = name.find(':');
  int ordinal =
      colon == std::string::npos ? 0 : std::atoi(name.c_str() + colon + 1);
  void *context;
  device->call(driver.cuInit, 0u);
  device->call(driver.cuDeviceGet, &device->number, ordinal);
  device->call(driver.cuDevicePrimaryCtxRetain, &context, device->number);
  device->call(driver.cuCtxPushCurrent_v2, context);
  device->call(driver.cuStreamCreate, &device->stream,
               unsigned(TREADLE_CUDA_NON_BLOCKING));
  device->call(driver.cuMemAlloc_v2, &device->from, bytes);
  device->call(driver.cuMemAlloc_v2, &device->to, bytes);
  device->call(driver.cuMemsetD8Async, device->from,
               static_cast<unsigned char>(1), bytes, device->stream);
}

CopyBandwidth::~CopyBandwidth() {
  treadle_cuda_driver &driver = device->driver;
  device->call(driver.cuMemFree_v2, device->to);
  device->call(driver.cuMemFree_v2, device->from);
  device->call(driver.cuStreamDestroy_v2, device->stream);
  void *context;
  device->call(driver.cuCtxPopCurrent_v2, &context);
  device->call(driver.cuDevicePrimaryCtxRelease_v2, device->number);
}

void CopyBandwidth::sample() {
  const double least = 2e-3; // as in ReadBandwidth
  treadle_cuda_driver &driver = device->driver;
  for (;; rounds *= 2) {
    device->call(driver.cuStreamSynchronize, device->stream);
    double start = now();
    for (size_t i = 0; i < rounds; ++i)
      device->call(driver.cuMemcpyDtoDAsync_v2, device->to, device->from, bytes,
                   device->stream);
    device->call(driver.cuStreamSynchronize, device->stream);
    double elapsed = now() - start;
    if (elapsed >= least) {
      samples.push_back(2 * static_cast<double>(rounds * bytes) / elapsed);
      return;
    }
  }
}

//===- CudaModel.c - Opening a GPU ----------------------------------------===//
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
// Names
//===----------------------------------------------------------------------===//

bool treadle_cuda_parse(const char *device, int *ordinal) {
  *ordinal = 0;
  if (strlen(device) < 4 || memcmp(device, "cuda", 4))
    return false;
  device += 4;
  if (!*device)
    return true;
  if (*device++ != ':' || !*device)
    return false;
  for (; *device; ++device) {
    if (*device < '0' || *device > '9' || *ordinal > 999)
      return false;
    *ordinal = *ordinal * 10 + (*device - '0');
  }
  return true;
}

/// sm_90a: major 9, minor 0, for these alone. Emulated ones are 0.0.
typedef struct {
  int major, minor;
  char only; ///< 'a': this level alone; 'f': this major and what follows; or 0
} Level;

static Level parseLevel(const char *text) {
  Level level = {0, 0, 0};
  if (strlen(text) < 5 || memcmp(text, "sm_", 3))
    return level;
  int number = 0;
  for (text += 3; *text >= '0' && *text <= '9'; ++text)
    number = number * 10 + (*text - '0');
  level.major = number / 10;
  level.minor = number % 10;
  level.only = *text;
  return level;
}

static bool runsMachineCode(Level code, Level device) {
  if (code.major != device.major)
    return false;
  return code.only == 'a' ? code.minor == device.minor
                          : code.minor <= device.minor;
}

static bool runsPTX(Level code, Level device) {
  if (code.only)
    return runsMachineCode(code, device);
  return code.major < device.major ||
         (code.major == device.major && code.minor <= device.minor);
}

/// Of two levels that a device runs, the one that has more of it: code for a level
/// alone before that for what follows it, and that before code for all.
static bool isBetter(Level a, Level b) {
  if (a.major != b.major)
    return a.major > b.major;
  if (a.minor != b.minor)
    return a.minor > b.minor;
  return a.only != b.only && (a.only == 'a' || !b.only);
}

//===----------------------------------------------------------------------===//
// Code
//===----------------------------------------------------------------------===//

/// What the driver needs to say why it fails.
typedef struct {
  treadle_cuda *cuda;
  char *message;
  size_t messageSize;
} Opening;

static bool succeeds(Opening *opening, treadle_cuda_result result,
                     const char *call) {
  if (result)
    treadle_cuda_describe(&opening->cuda->driver, result, call,
                          opening->message, opening->messageSize);
  return !result;
}
#define CALL(NAME, ...)                                                        \
  succeeds(opening, opening->cuda->driver.NAME(__VA_ARGS__), #NAME)

static const treadle_program_gpu_code *gpuCode(void) {
  return treadle_span_data(treadle_header()->gpu_code);
}

/// The best code for the device, or NULL.
static const treadle_program_gpu_code *
choose(Level device, bool (*runs)(Level, Level), bool ptx) {
  const treadle_program_gpu_code *code = gpuCode(), *best = NULL;
  const treadle_program_gpu_code *end = code + treadle_header()->gpu_code.count;
  for (; code != end; ++code) {
    Level level = parseLevel(treadle_span_data(code->level));
    bool isThere = ptx ? code->ptx.count : code->cubin.count;
    if (isThere && runs(level, device) &&
        (!best || isBetter(level, parseLevel(treadle_span_data(best->level)))))
      best = code;
  }
  return best;
}

/// "sm_80, sm_90a", cut where there is no room.
static void listLevels(char *text, size_t size) {
  const treadle_program_gpu_code *code = gpuCode();
  text[0] = 0;
  for (uint64_t i = 0; i < treadle_header()->gpu_code.count; ++i) {
    size_t used = strlen(text);
    treadle_format(text + used, size - used, i ? ", %s" : "%s",
                   treadle_span_data(code[i].level));
  }
}

static treadle_status loadModule(Opening *opening, const char *name,
                                 Level device) {
  treadle_cuda *cuda = opening->cuda;
  const treadle_program_gpu_code *cubin =
      choose(device, runsMachineCode, /*ptx=*/false);
  const treadle_program_gpu_code *ptx = choose(device, runsPTX, /*ptx=*/true);
  if (!cubin && !ptx) {
    char levels[128];
    listLevels(levels, sizeof(levels));
    treadle_format(opening->message, opening->messageSize,
                   "device 'cuda': this library holds GPU code for %s, and %s "
                   "is of level %d.%d; compile with --gpu for that",
                   levels, name, (int64_t)device.major, (int64_t)device.minor);
    return TREADLE_STATUS_UNSUPPORTED;
  }
  // A driver that is older than the toolkit may still take the PTX.
  bool loaded = cubin && CALL(cuModuleLoadData, &cuda->module,
                              treadle_span_data(cubin->cubin));
  if (!loaded && ptx)
    loaded = CALL(cuModuleLoadData, &cuda->module, treadle_span_data(ptx->ptx));
  return loaded ? TREADLE_STATUS_OK : TREADLE_STATUS_DEVICE;
}

static treadle_status findKernels(Opening *opening) {
  treadle_cuda *cuda = opening->cuda;
  const treadle_program_span names = treadle_header()->gpu_kernels;
  const treadle_program_span *name = treadle_span_data(names);
  cuda->kernels = calloc(names.count + 1, sizeof(*cuda->kernels));
  if (!cuda->kernels) {
    treadle_format(opening->message, opening->messageSize, "out of memory");
    return TREADLE_STATUS_OUT_OF_MEMORY;
  }
  for (uint64_t i = 0; i < names.count; ++i)
    if (!CALL(cuModuleGetFunction, &cuda->kernels[i], cuda->module,
              treadle_span_data(name[i])))
      return TREADLE_STATUS_DEVICE;
  return TREADLE_STATUS_OK;
}

/// How many blocks of an entry point's grid kernel the device holds at once. More
/// could not wait for each other.
static bool sizeGrid(Opening *opening, const treadle_program_entry *entry,
                     int multiprocessors, uint32_t *blocks) {
  treadle_cuda *cuda = opening->cuda;
  int ofOne = 0;
  if (!CALL(cuOccupancyMaxActiveBlocksPerMultiprocessor, &ofOne,
            cuda->kernels[entry->grid_kernel], (int)entry->grid_threads,
            /*sharedBytes=*/0))
    return false;
  *blocks = (uint32_t)ofOne * (uint32_t)multiprocessors;
  return true;
}

static treadle_status sizeGrids(Opening *opening) {
  treadle_cuda *cuda = opening->cuda;
  const uint64_t count = treadle_header()->entries.count;
  cuda->grids = calloc(count, sizeof(*cuda->grids));
  if (!cuda->grids) {
    treadle_format(opening->message, opening->messageSize, "out of memory");
    return TREADLE_STATUS_OUT_OF_MEMORY;
  }
  int canWait = 0, multiprocessors = 0;
  if (!CALL(cuDeviceGetAttribute, &canWait, TREADLE_CUDA_COOPERATIVE,
            cuda->device) ||
      !CALL(cuDeviceGetAttribute, &multiprocessors,
            TREADLE_CUDA_MULTIPROCESSORS, cuda->device))
    return TREADLE_STATUS_DEVICE;
  const treadle_program_entry *entry = treadle_entries();
  for (uint64_t i = 0; i < count && canWait; ++i)
    if (entry[i].grid_threads &&
        !sizeGrid(opening, &entry[i], multiprocessors, &cuda->grids[i]))
      return TREADLE_STATUS_DEVICE;
  return TREADLE_STATUS_OK;
}

//===----------------------------------------------------------------------===//
// Weights
//===----------------------------------------------------------------------===//

void treadle_cuda_describe_memory(const treadle_cuda_driver *driver,
                                  uint64_t bytes, const char *what,
                                  char *message, size_t messageSize) {
  size_t available = 0, total = 0;
  driver->cuMemGetInfo_v2(&available, &total);
  const uint64_t mebi = 1 << 20;
  treadle_format(
      message, messageSize,
      "the GPU has too little memory for %s: needs %u MiB, has %u of "
      "%u MiB free",
      what, (bytes + mebi - 1) / mebi, (uint64_t)available / mebi,
      (uint64_t)total / mebi);
}

/// Copies from the host, in a stream of its own: streams of sessions are not ordered
/// behind the default one, in which the last bytes may still be on their way when a
/// copy without a stream returns, and whoever captures may refuse that one.
static bool upload(Opening *opening, treadle_cuda_address to, const void *from,
                   uint64_t bytes) {
  void *stream;
  if (!CALL(cuStreamCreate, &stream, TREADLE_CUDA_NON_BLOCKING))
    return false;
  bool done = CALL(cuMemcpyHtoDAsync_v2, to, from, bytes, stream) &&
              CALL(cuStreamSynchronize, stream);
  opening->cuda->driver.cuStreamDestroy_v2(stream);
  return done;
}

static treadle_status copyWeights(Opening *opening,
                                  const treadle_model *model) {
  treadle_cuda *cuda = opening->cuda;
  const treadle_program_weights *weights = &treadle_header()->weights;
  const uint64_t bytes = weights->file_size - weights->header_size;
  if (weights->mode == TREADLE_PROGRAM_WEIGHTS_NONE || !bytes)
    return TREADLE_STATUS_OK;
  treadle_cuda_result result =
      cuda->driver.cuMemAlloc_v2(&cuda->weights, bytes);
  if (result == TREADLE_CUDA_OUT_OF_MEMORY) {
    treadle_cuda_describe_memory(&cuda->driver, bytes, "the weights",
                                 opening->message, opening->messageSize);
    return TREADLE_STATUS_OUT_OF_MEMORY;
  }
  if (!succeeds(opening, result, "cuMemAlloc_v2") ||
      !upload(opening, cuda->weights, model->weights, bytes))
    return TREADLE_STATUS_DEVICE;
  return TREADLE_STATUS_OK;
}

//===----------------------------------------------------------------------===//
// Open and close
//===----------------------------------------------------------------------===//

static treadle_status failToFind(Opening *opening, int ordinal, int count) {
  if (!count)
    treadle_format(opening->message, opening->messageSize,
                   "device 'cuda': the CUDA driver finds no GPU; use device "
                   "'cpu'");
  else
    treadle_format(opening->message, opening->messageSize,
                   "device 'cuda:%d': expects a device below %d, the number of "
                   "GPUs",
                   (int64_t)ordinal, (int64_t)count);
  return TREADLE_STATUS_UNSUPPORTED;
}

/// Finds the device, and what it can run.
static treadle_status findDevice(Opening *opening, int ordinal, char *name,
                                 int nameSize, Level *level) {
  treadle_cuda *cuda = opening->cuda;
  int count = 0;
  treadle_cuda_result result = cuda->driver.cuInit(0);
  if (result == TREADLE_CUDA_NO_DEVICE)
    return failToFind(opening, ordinal, 0);
  if (!succeeds(opening, result, "cuInit") || !CALL(cuDeviceGetCount, &count))
    return TREADLE_STATUS_DEVICE;
  if (ordinal >= count)
    return failToFind(opening, ordinal, count);
  bool found = CALL(cuDeviceGet, &cuda->device, ordinal) &&
               CALL(cuDeviceGetName, name, nameSize, cuda->device) &&
               CALL(cuDeviceGetAttribute, &level->major, TREADLE_CUDA_MAJOR,
                    cuda->device) &&
               CALL(cuDeviceGetAttribute, &level->minor, TREADLE_CUDA_MINOR,
                    cuda->device);
  return found ? TREADLE_STATUS_OK : TREADLE_STATUS_DEVICE;
}

/// With the device's context current.
static treadle_status fillDevice(Opening *opening, const treadle_model *model,
                                 const char *name, Level level) {
  treadle_status status = loadModule(opening, name, level);
  if (status == TREADLE_STATUS_OK)
    status = findKernels(opening);
  if (status == TREADLE_STATUS_OK)
    status = sizeGrids(opening);
  if (status == TREADLE_STATUS_OK)
    status = copyWeights(opening, model);
  return status;
}

treadle_status treadle_cuda_open(treadle_model *model, const char *device,
                                 const char *driver, char *message,
                                 size_t messageSize) {
  int ordinal;
  treadle_cuda_parse(device, &ordinal);
  treadle_cuda *cuda = calloc(1, sizeof(*cuda));
  if (!cuda) {
    treadle_format(message, messageSize, "out of memory");
    return TREADLE_STATUS_OUT_OF_MEMORY;
  }
  model->cuda = cuda;
  treadle_status status =
      treadle_cuda_load(&cuda->driver, driver, message, messageSize);
  if (status != TREADLE_STATUS_OK)
    return status;
  Opening opened = {cuda, message, messageSize}, *opening = &opened;
  char name[64] = "the GPU";
  Level level = {0, 0, 0};
  status = findDevice(opening, ordinal, name, sizeof(name), &level);
  if (status != TREADLE_STATUS_OK)
    return status;
  void *context;
  if (!CALL(cuDevicePrimaryCtxRetain, &context, cuda->device))
    return TREADLE_STATUS_DEVICE;
  cuda->context = context;
  if (!CALL(cuCtxPushCurrent_v2, context))
    return TREADLE_STATUS_DEVICE;
  status = fillDevice(opening, model, name, level);
  treadle_cuda_result popped = cuda->driver.cuCtxPopCurrent_v2(&context);
  // The first error says more.
  if (status == TREADLE_STATUS_OK &&
      !succeeds(opening, popped, "cuCtxPopCurrent_v2"))
    status = TREADLE_STATUS_DEVICE;
  return status;
}

void treadle_cuda_close(treadle_model *model) {
  treadle_cuda *cuda = model->cuda;
  if (!cuda)
    return;
  // There is nobody to tell of an error, and no way to do better: what can be
  // given back is.
  if (cuda->context) {
    void *context;
    bool current = cuda->driver.cuCtxPushCurrent_v2(cuda->context) == 0;
    if (cuda->weights)
      cuda->driver.cuMemFree_v2(cuda->weights);
    if (cuda->module)
      cuda->driver.cuModuleUnload(cuda->module);
    if (current)
      cuda->driver.cuCtxPopCurrent_v2(&context);
    cuda->driver.cuDevicePrimaryCtxRelease_v2(cuda->device);
  }
  free(cuda->grids);
  free(cuda->kernels);
  free(cuda);
}

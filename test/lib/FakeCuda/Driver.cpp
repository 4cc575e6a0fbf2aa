//===- Driver.cpp - The functions of the driver ----------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "FakeCuda.h"

#include <array>
#include <cstring>
#include <functional>
#include <mutex>
#include <set>

using namespace fake;

//===----------------------------------------------------------------------===//
// What the driver keeps
//===----------------------------------------------------------------------===//

namespace {
/// A launch that is noted down.
struct GraphNode {
  Kernel *kernel;
  std::function<void()> work;
};
using Graph = std::vector<GraphNode>;

/// Work waits here until somebody waits for it.
struct Stream {
  std::vector<std::function<void()>> work;
  std::unique_ptr<Graph> capture; ///< where launches go instead, if anywhere
};

/// A call that is to fail.
struct Failure {
  std::string function;
  unsigned call; ///< of those from now on, 1 being the next; 0: none
  int result;
};

struct LoadedModule {
  std::shared_ptr<fake::Module> code; ///< null: code for a real GPU
};

struct Driver {
  std::mutex lock;
  int devices = 1, major = 0, minor = 0;
  uint64_t memoryBytes = uint64_t(1) << 32;
  bool initialized = false;
  unsigned retained = 0; ///< users of the primary context
  std::set<Stream *> streams;
  std::set<LoadedModule *> modules;
  std::set<Graph *> graphs; ///< executable ones, too
  std::map<std::string, unsigned> calls;
  Failure failure{"", 0, 0};
  bool hasMutants = false; ///< in modules that are loaded
  int multiprocessors = 3;
  bool isCooperative = true; ///< the GPU
  unsigned hurry = 0;        ///< a launch, counted as above, that does not wait for its stream
  int broken = success;      ///< what every call answers since something was found
  std::string finding;
  std::string image;               ///< IR that is loaded in place of bitcode
  std::string replaced, replacing; ///< a kernel, and which one its launches mean
  std::string loaded;              ///< what kinds of code were given, in order
};
} // namespace

static Driver driver;
static int contextObject; // its address stands for the context
static thread_local std::vector<void *> current;

/// What all calls begin with.
static int begin(const char *name, bool needsContext) {
  ++driver.calls[name];
  if (driver.failure.call && driver.failure.function == name && !--driver.failure.call)
    return driver.failure.result;
  if (!driver.initialized)
    return notInitialized;
  // Contexts are made current on the host alone.
  if (driver.broken && name != std::string("cuCtxPushCurrent_v2") &&
      name != std::string("cuCtxPopCurrent_v2"))
    return driver.broken;
  if (needsContext && (current.empty() || !driver.retained))
    return invalidContext;
  return success;
}

#define BEGIN(NAME, NEEDS_CONTEXT)                                                                 \
  std::lock_guard<std::mutex> guard(driver.lock);                                                  \
  if (int result = begin(NAME, NEEDS_CONTEXT))                                                     \
  return result

/// From here on nothing works any more.
static void findFault(const std::string &what) {
  if (driver.broken)
    return;
  driver.broken = launchFailed;
  driver.finding = what;
}

static void finishStream(Stream &stream) {
  std::vector<std::function<void()>> work = std::move(stream.work);
  stream.work.clear();
  for (std::function<void()> &step : work)
    if (!driver.broken)
      step();
}

static void finishAll() {
  for (Stream *stream : driver.streams)
    finishStream(*stream);
}

static Stream *anyStreamOf(void *handle) {
  auto *stream = static_cast<Stream *>(handle);
  return driver.streams.count(stream) ? stream : nullptr;
}

/// One that does what it is asked for: those that capture take launches alone.
static Stream *streamOf(void *handle) {
  Stream *stream = anyStreamOf(handle);
  return stream && !stream->capture ? stream : nullptr;
}

//===----------------------------------------------------------------------===//
// Steering
//===----------------------------------------------------------------------===//

extern "C" {

/// The machine: how many GPUs of which level, with how much memory.
void fakeCudaConfigure(int devices, int major, int minor, uint64_t bytes) {
  driver.devices = devices;
  driver.major = major;
  driver.minor = minor;
  driver.memoryBytes = bytes;
}

/// How many multiprocessors a GPU has, and whether its blocks can wait for each other.
void fakeCudaConfigureGrid(int multiprocessors, int isCooperative) {
  driver.multiprocessors = multiprocessors;
  driver.isCooperative = isCooperative;
}

/// The nth call of a function from now on answers `result`; 0: none does.
void fakeCudaFail(const char *function, unsigned nth, int result) {
  driver.failure = {function, nth, result};
}

/// Whether modules that are loaded from now on have mutants.
void fakeCudaAddMutants(int hasMutants) { driver.hasMutants = hasMutants; }

/// The nth launch from now on comes before all work that its stream has; 0: none does.
void fakeCudaHurry(unsigned nth) { driver.hurry = nth; }

/// Code that is loaded from now on in place of any bitcode, as text of LLVM IR; "": none.
void fakeCudaReplaceCode(const char *text) { driver.image = text; }

/// Of the kernels that run together, from now on one runs another one of its module; "": none does.
void fakeCudaReplaceKernel(const char *replaced, const char *replacing) {
  driver.replaced = replaced;
  driver.replacing = replacing;
}

/// How often a function was called.
unsigned fakeCudaCalls(const char *function) { return driver.calls[function]; }

/// What is alive: memory, streams, modules, and users of the context.
unsigned fakeCudaLive() {
  return unsigned(memory.getCount() + driver.streams.size() + driver.modules.size() +
                  driver.graphs.size()) +
         driver.retained;
}

/// What kinds of code were loaded so far: bitcode, cubin, ptx.
const char *fakeCudaLoaded() { return driver.loaded.c_str(); }

/// As a process that starts, but for what is alive and what is counted.
void fakeCudaReset() {
  driver.devices = 1;
  driver.major = driver.minor = 0;
  driver.memoryBytes = uint64_t(1) << 32;
  driver.multiprocessors = 3;
  driver.isCooperative = true;
  driver.failure.call = driver.hurry = 0;
  driver.hasMutants = false;
  driver.image.clear();
  driver.replaced.clear();
  driver.broken = success;
  driver.calls.clear();
  driver.finding.clear();
  driver.loaded.clear();
}

//===----------------------------------------------------------------------===//
// Devices and contexts
//===----------------------------------------------------------------------===//

int cuInit(unsigned) {
  std::lock_guard<std::mutex> guard(driver.lock);
  driver.initialized = driver.devices > 0;
  if (int result = begin("cuInit", false))
    return result == notInitialized ? noDevice : result;
  return success;
}

int cuGetErrorName(int error, const char **name) {
  static const std::map<int, const char *> names = {
      {invalidValue, "CUDA_ERROR_INVALID_VALUE"},
      {outOfMemory, "CUDA_ERROR_OUT_OF_MEMORY"},
      {notInitialized, "CUDA_ERROR_NOT_INITIALIZED"},
      {noDevice, "CUDA_ERROR_NO_DEVICE"},
      {invalidDevice, "CUDA_ERROR_INVALID_DEVICE"},
      {invalidImage, "CUDA_ERROR_INVALID_IMAGE"},
      {invalidContext, "CUDA_ERROR_INVALID_CONTEXT"},
      {invalidHandle, "CUDA_ERROR_INVALID_HANDLE"},
      {notFound, "CUDA_ERROR_NOT_FOUND"},
      {illegalAddress, "CUDA_ERROR_ILLEGAL_ADDRESS"},
      {launchFailed, "CUDA_ERROR_LAUNCH_FAILED"},
      {cooperativeLaunchTooLarge, "CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE"},
  };
  auto found = names.find(error);
  *name = found == names.end() ? nullptr : found->second;
  return *name ? success : invalidValue;
}

int cuGetErrorString(int error, const char **text) {
  *text = "as the fake driver was told";
  if ((error == launchFailed || error == invalidImage) && !driver.finding.empty())
    *text = driver.finding.c_str();
  return success;
}

int cuDeviceGetCount(int *count) {
  BEGIN("cuDeviceGetCount", false);
  *count = driver.devices;
  return success;
}

int cuDeviceGet(int *device, int ordinal) {
  BEGIN("cuDeviceGet", false);
  if (ordinal < 0 || ordinal >= driver.devices)
    return invalidDevice;
  *device = ordinal;
  return success;
}

int cuDeviceGetName(char *name, int size, int) {
  BEGIN("cuDeviceGetName", false);
  std::strncpy(name, "Fake GPU", size_t(size));
  return success;
}

int cuDeviceGetAttribute(int *value, int attribute, int) {
  BEGIN("cuDeviceGetAttribute", false);
  const std::map<int, int> values = {{16, driver.multiprocessors},
                                     {75, driver.major},
                                     {76, driver.minor},
                                     {95, driver.isCooperative}};
  auto found = values.find(attribute);
  if (found == values.end())
    return invalidValue;
  *value = found->second;
  return success;
}

int cuDevicePrimaryCtxRetain(void **context, int) {
  BEGIN("cuDevicePrimaryCtxRetain", false);
  ++driver.retained;
  *context = &contextObject;
  return success;
}

int cuDevicePrimaryCtxRelease_v2(int) {
  std::lock_guard<std::mutex> guard(driver.lock);
  int result = begin("cuDevicePrimaryCtxRelease_v2", false);
  if (!driver.retained)
    return invalidContext;
  if (--driver.retained)
    return result;
  // The context goes, with all that is left in it, and so does what was wrong with it.
  driver.broken = success;
  return result == launchFailed ? success : result;
}

int cuCtxPushCurrent_v2(void *context) {
  BEGIN("cuCtxPushCurrent_v2", false);
  if (context != &contextObject || !driver.retained)
    return invalidContext;
  current.push_back(context);
  return success;
}

int cuCtxPopCurrent_v2(void **context) {
  std::lock_guard<std::mutex> guard(driver.lock);
  int result = begin("cuCtxPopCurrent_v2", true);
  if (current.empty())
    return invalidContext;
  *context = current.back();
  current.pop_back();
  return result;
}

//===----------------------------------------------------------------------===//
// Code
//===----------------------------------------------------------------------===//

static bool isMachineCode(const void *image) { return !std::memcmp(image, "\177ELF", 4); }

/// 80 of sm_80: of the ELF header's flags the second byte, as ptxas 13 writes it.
static unsigned levelOfMachineCode(const void *image) {
  uint32_t flags;
  std::memcpy(&flags, static_cast<const char *>(image) + 48, sizeof flags);
  return flags >> 8 & 0xff;
}

int cuModuleLoadData(void **handle, const void *image) {
  BEGIN("cuModuleLoadData", true);
  auto module = std::make_unique<LoadedModule>();
  bool isBitcode = !isMachineCode(image) && std::memcmp(image, "//", 2);
  if (isBitcode && !driver.image.empty())
    image = driver.image.c_str();
  std::string kind = "bitcode";
  if (isMachineCode(image)) {
    kind = "cubin:sm_" + std::to_string(levelOfMachineCode(image));
  } else if (!std::memcmp(image, "//", 2)) {
    const char *level = std::strstr(static_cast<const char *>(image), ".target ");
    kind = "ptx:" + (level ? std::string(level + 8, std::strcspn(level + 8, ",\n")) : "");
  } else if (llvm::Error error = compile(image, driver.hasMutants).moveInto(module->code)) {
    driver.finding = llvm::toString(std::move(error));
    return invalidImage;
  }
  driver.loaded += (driver.loaded.empty() ? "" : " ") + kind;
  *handle = *driver.modules.insert(module.release()).first;
  return success;
}

int cuModuleUnload(void *handle) {
  std::lock_guard<std::mutex> guard(driver.lock);
  int result = begin("cuModuleUnload", true);
  finishAll();
  auto *module = static_cast<LoadedModule *>(handle);
  if (!driver.modules.erase(module))
    return invalidHandle;
  delete module;
  return result;
}

int cuModuleGetFunction(void **function, void *handle, const char *name) {
  BEGIN("cuModuleGetFunction", true);
  auto *module = static_cast<LoadedModule *>(handle);
  if (!driver.modules.count(module))
    return invalidHandle;
  // Of a real GPU's code there is nothing to run.
  *function = module->code ? module->code->find(name) : static_cast<void *>(module);
  return *function ? success : notFound;
}

/// What the host has at a launch may be gone when it runs.
static std::vector<std::vector<uint8_t>> copyArguments(const Kernel &kernel, void **arguments) {
  std::vector<std::vector<uint8_t>> copies;
  for (size_t i = 0; i < kernel.argumentBytes.size(); ++i) {
    auto *bytes = static_cast<uint8_t *>(arguments[i]);
    copies.emplace_back(bytes, bytes + kernel.argumentBytes[i]);
  }
  return copies;
}

/// A launch of all blocks in one dimension, where it is right.
static int launch(void *function, std::array<unsigned, 3> blocks, std::array<unsigned, 3> threads,
                  unsigned sharedBytes, void *handle, void **arguments, bool together) {
  auto *kernel = static_cast<Kernel *>(function);
  Stream *stream = anyStreamOf(handle);
  if (!stream)
    return invalidHandle;
  bool isKnown = blocks[0] && blocks[1] == 1 && blocks[2] == 1 && threads[0] &&
                 threads[0] <= 1024 && threads[1] == 1 && threads[2] == 1 && !sharedBytes;
  if (!isKnown || (kernel->threads && kernel->threads != threads[0]) ||
      (kernel->mostThreads && threads[0] > kernel->mostThreads))
    return invalidValue;
  unsigned room = kernel->residentBlocks * unsigned(driver.multiprocessors);
  if (together && blocks[0] > std::min(room, mostBlocks))
    return cooperativeLaunchTooLarge;
  auto work = [=, copies = copyArguments(*kernel, arguments)]() mutable {
    std::vector<void *> places;
    for (std::vector<uint8_t> &copy : copies)
      places.push_back(copy.data());
    std::string finding = fake::run(*kernel, blocks[0], threads[0], places.data(), together);
    if (!finding.empty())
      findFault(finding);
  };
  if (stream->capture) {
    stream->capture->push_back({kernel, work});
    return success;
  }
  bool isHurried = driver.hurry && !--driver.hurry;
  stream->work.insert(isHurried ? stream->work.begin() : stream->work.end(), work);
  return success;
}

int cuLaunchKernel(void *function, unsigned blocksX, unsigned blocksY, unsigned blocksZ,
                   unsigned threadsX, unsigned threadsY, unsigned threadsZ, unsigned sharedBytes,
                   void *handle, void **arguments, void **extra) {
  BEGIN("cuLaunchKernel", true);
  if (extra)
    return invalidValue;
  return launch(function, {blocksX, blocksY, blocksZ}, {threadsX, threadsY, threadsZ}, sharedBytes,
                handle, arguments, /*together=*/false);
}

static Kernel *findKernel(const std::string &name) {
  for (LoadedModule *module : driver.modules)
    if (Kernel *kernel = module->code ? module->code->find(name) : nullptr)
      return kernel;
  return nullptr;
}

int cuLaunchCooperativeKernel(void *function, unsigned blocksX, unsigned blocksY, unsigned blocksZ,
                              unsigned threadsX, unsigned threadsY, unsigned threadsZ,
                              unsigned sharedBytes, void *handle, void **arguments) {
  BEGIN("cuLaunchCooperativeKernel", true);
  if (!driver.isCooperative)
    return notSupported;
  if (static_cast<Kernel *>(function)->name == driver.replaced)
    function = findKernel(driver.replacing);
  if (!function)
    return notFound;
  return launch(function, {blocksX, blocksY, blocksZ}, {threadsX, threadsY, threadsZ}, sharedBytes,
                handle, arguments, /*together=*/true);
}

int cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, void *function, int threads,
                                                size_t sharedBytes) {
  BEGIN("cuOccupancyMaxActiveBlocksPerMultiprocessor", true);
  bool isReal = driver.modules.count(static_cast<LoadedModule *>(function));
  const auto *kernel = static_cast<Kernel *>(function);
  if (!isReal && (sharedBytes || unsigned(threads) > kernel->mostThreads))
    return invalidValue;
  *blocks = isReal ? 1 : int(kernel->residentBlocks);
  return success;
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

/// A test may take memory away while it is used.
static uint64_t available() {
  return driver.memoryBytes - std::min(driver.memoryBytes, memory.getUsed());
}

int cuMemGetInfo_v2(size_t *free, size_t *total) {
  BEGIN("cuMemGetInfo_v2", true);
  *free = available();
  *total = driver.memoryBytes;
  return success;
}

int cuMemAlloc_v2(uint64_t *address, size_t size) {
  BEGIN("cuMemAlloc_v2", true);
  if (!size)
    return invalidValue;
  if (size > available())
    return outOfMemory;
  *address = memory.allocate(size);
  return success;
}

int cuMemFree_v2(uint64_t address) {
  std::lock_guard<std::mutex> guard(driver.lock);
  int result = begin("cuMemFree_v2", true);
  finishAll();
  return memory.free(address) ? result : int(invalidValue);
}

/// The device's bytes for a copy or a fill; there are none where it goes wrong.
static Piece findPiece(const char *function, uint64_t address, uint64_t size) {
  Piece found = memory.find(address, size);
  if (!found)
    findFault(std::string(function) + ": " + memory.describe(address, size));
  return found;
}

static void write(Piece to, const void *from, size_t size) {
  if (!to)
    return;
  std::memcpy(to.bytes, from, size);
  std::memset(to.written, true, size);
}

int cuMemcpyHtoDAsync_v2(uint64_t to, const void *from, size_t size, void *handle) {
  BEGIN("cuMemcpyHtoDAsync_v2", true);
  Stream *stream = streamOf(handle);
  if (!stream)
    return invalidHandle;
  stream->work.push_back([=] { write(findPiece("cuMemcpyHtoDAsync_v2", to, size), from, size); });
  return success;
}

int cuMemcpyDtoHAsync_v2(void *to, uint64_t from, size_t size, void *handle) {
  BEGIN("cuMemcpyDtoHAsync_v2", true);
  Stream *stream = streamOf(handle);
  if (!stream)
    return invalidHandle;
  stream->work.push_back([=] {
    if (Piece place = findPiece("cuMemcpyDtoHAsync_v2", from, size)) {
      // Of the last panel of keys the host takes those to come as well, which it does not use.
      if (!std::memchr(place.written, true, size))
        findFault("cuMemcpyDtoHAsync_v2: reads " + memory.describe(from, size) +
                  ", before anything has written them");
      std::memcpy(to, place.bytes, size);
    }
  });
  return success;
}

int cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t size, void *handle) {
  BEGIN("cuMemcpyDtoDAsync_v2", true);
  Stream *stream = streamOf(handle);
  if (!stream)
    return invalidHandle;
  stream->work.push_back([=] {
    Piece source = findPiece("cuMemcpyDtoDAsync_v2", from, size);
    Piece place = findPiece("cuMemcpyDtoDAsync_v2", to, size);
    if (!source || !place)
      return;
    std::memcpy(place.bytes, source.bytes, size);
    std::memcpy(place.written, source.written, size);
  });
  return success;
}

int cuMemsetD8Async(uint64_t to, unsigned char value, size_t count, void *handle) {
  BEGIN("cuMemsetD8Async", true);
  Stream *stream = streamOf(handle);
  if (!stream)
    return invalidHandle;
  stream->work.push_back([=] {
    if (Piece place = findPiece("cuMemsetD8Async", to, count)) {
      std::memset(place.bytes, value, count);
      std::memset(place.written, true, count);
    }
  });
  return success;
}

int cuMemsetD32Async(uint64_t to, unsigned value, size_t count, void *handle) {
  BEGIN("cuMemsetD32Async", true);
  Stream *stream = streamOf(handle);
  if (!stream)
    return invalidHandle;
  if (to % 4)
    return invalidValue;
  stream->work.push_back([=] {
    Piece place = findPiece("cuMemsetD32Async", to, count * 4);
    for (size_t i = 0; place && i < count; ++i)
      write({place.bytes + 4 * i, place.written + 4 * i}, &value, 4);
  });
  return success;
}

//===----------------------------------------------------------------------===//
// Streams
//===----------------------------------------------------------------------===//

int cuStreamCreate(void **handle, unsigned flags) {
  BEGIN("cuStreamCreate", true);
  if (flags > 1)
    return invalidValue;
  *handle = *driver.streams.insert(new Stream).first;
  return success;
}

int cuStreamDestroy_v2(void *handle) {
  std::lock_guard<std::mutex> guard(driver.lock);
  int result = begin("cuStreamDestroy_v2", true);
  Stream *stream = anyStreamOf(handle);
  if (!stream)
    return invalidHandle;
  finishStream(*stream);
  driver.streams.erase(stream);
  delete stream;
  return result;
}

int cuStreamSynchronize(void *handle) {
  BEGIN("cuStreamSynchronize", true);
  Stream *stream = streamOf(handle);
  if (!stream)
    return invalidHandle;
  finishStream(*stream);
  return driver.broken;
}

//===----------------------------------------------------------------------===//
// Graphs
//===----------------------------------------------------------------------===//

int cuStreamBeginCapture_v2(void *handle, int mode) {
  BEGIN("cuStreamBeginCapture_v2", true);
  Stream *stream = streamOf(handle);
  if (!stream)
    return invalidHandle;
  if (mode < 0 || mode > 2)
    return invalidValue;
  stream->capture = std::make_unique<Graph>();
  return success;
}

/// Ends even if it fails.
int cuStreamEndCapture(void *handle, void **graph) {
  std::lock_guard<std::mutex> guard(driver.lock);
  int result = begin("cuStreamEndCapture", true);
  Stream *stream = anyStreamOf(handle);
  if (!stream || !stream->capture)
    return invalidHandle;
  std::unique_ptr<Graph> capture = std::move(stream->capture);
  if (!result)
    *graph = *driver.graphs.insert(capture.release()).first;
  return result;
}

static Graph *graphOf(void *handle) {
  auto *graph = static_cast<Graph *>(handle);
  return driver.graphs.count(graph) ? graph : nullptr;
}

int cuGraphInstantiateWithFlags(void **executable, void *handle, unsigned long long flags) {
  BEGIN("cuGraphInstantiateWithFlags", true);
  Graph *graph = graphOf(handle);
  if (!graph || flags)
    return graph ? invalidValue : invalidHandle;
  *executable = *driver.graphs.insert(new Graph(*graph)).first;
  return success;
}

int cuGraphExecUpdate_v2(void *executable, void *handle, void *) {
  BEGIN("cuGraphExecUpdate_v2", true);
  Graph *updated = graphOf(executable), *graph = graphOf(handle);
  if (!updated || !graph)
    return invalidHandle;
  auto isSame = [](const GraphNode &a, const GraphNode &b) { return a.kernel == b.kernel; };
  if (!std::equal(graph->begin(), graph->end(), updated->begin(), updated->end(), isSame))
    return graphExecUpdateFailure;
  *updated = *graph;
  return success;
}

int cuGraphLaunch(void *executable, void *handle) {
  BEGIN("cuGraphLaunch", true);
  Graph *graph = graphOf(executable);
  Stream *stream = streamOf(handle);
  if (!graph || !stream)
    return invalidHandle;
  for (const GraphNode &node : *graph)
    stream->work.push_back(node.work);
  return success;
}

static int destroyGraph(const char *function, void *handle) {
  std::lock_guard<std::mutex> guard(driver.lock);
  int result = begin(function, true);
  Graph *graph = graphOf(handle);
  if (!graph)
    return invalidHandle;
  driver.graphs.erase(graph);
  delete graph;
  return result;
}

int cuGraphDestroy(void *graph) { return destroyGraph("cuGraphDestroy", graph); }
int cuGraphExecDestroy(void *executable) { return destroyGraph("cuGraphExecDestroy", executable); }

} // extern "C"

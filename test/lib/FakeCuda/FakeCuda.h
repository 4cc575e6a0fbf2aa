//===- FakeCuda.h - A CUDA driver that runs kernels on the CPU --*- C++ -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A libcuda.so.1 for tests: what lib/Runtime/CudaDriver.h asks of a driver. Its
// device is of level 0.0, for which libraries hold LLVM IR (`--gpu=emulated`), the
// very IR that becomes PTX. Each thread of a block is a fiber; all threads of a block
// take part, in an order that changes.
//
// It finds what a GPU would let pass or answer with nonsense: accesses of a kernel that
// are out of bounds, or that no barrier orders, reads of memory that nothing has written,
// waiting for threads that never come; addresses of the device that the host follows; host memory
// that is used again before a stream has read it, since its work is done when somebody waits for it
// and not before. What is found ends the kernel, and every later call says so, as with a real
// driver.
//
//   Background.cpp  copies that an mbarrier counts
//   Driver.cpp      the functions of the driver, and those that tests steer it by
//   InlinePTX.cpp   inline PTX as calls
//   Memory.cpp      memory of the device
//   Mutants.cpp     kernels that are wrong in one place
//   Module.cpp      from bitcode to code of the host
//   Sectors.cpp     what kernels move between the GPU and its memory
//   Tensor.cpp      products of a warp, and copies in the background
//   Threads.cpp     blocks of threads, what they call, and where they meet
//   WarpGroup.cpp   products of four warps
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_TEST_FAKECUDA_H
#define TREADLE_TEST_FAKECUDA_H

#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/Support/Error.h"
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace llvm {
class Function;
class Module;
} // namespace llvm

namespace fake {

/// CUresult, as far as it is used.
enum Result : int {
  success = 0,
  invalidValue = 1,
  outOfMemory = 2,
  notInitialized = 3,
  noDevice = 100,
  invalidDevice = 101,
  invalidImage = 200,
  invalidContext = 201,
  invalidHandle = 400,
  notFound = 500,
  illegalAddress = 700,
  launchFailed = 719,
  cooperativeLaunchTooLarge = 720,
  notSupported = 801,
  graphExecUpdateFailure = 910,
};

//===----------------------------------------------------------------------===//
// Memory.cpp
//===----------------------------------------------------------------------===//

/// An access of one byte: in which launch, by which thread, and how often that had met
/// others before.
struct Access {
  uint32_t launch = 0, block = 0, thread = 0;
  uint32_t blockBarriers = 0, warpBarriers = 0;
};

/// The last accesses of one byte. Of reads, those of two threads: one that writes there may be one
/// of them.
struct Trace {
  Access write, read, otherRead;
};

/// One piece of the device's memory. Its address is one that the host cannot use.
struct Allocation {
  uint64_t address, size;
  int64_t number; ///< counted from the first one
  std::unique_ptr<uint8_t[]> bytes;
  std::vector<uint8_t> written; ///< by byte: whether a copy, a fill or a kernel has
  std::vector<Trace> traces;    ///< by byte; empty before a kernel comes
};

/// Bytes of one allocation, and which of them are written.
struct Piece {
  uint8_t *bytes = nullptr, *written = nullptr;
  explicit operator bool() const { return bytes; }
};

class DeviceMemory {
public:
  uint64_t allocate(uint64_t size);
  bool free(uint64_t address);
  /// Where `size` bytes at `address` are on the host; nothing unless they are of one
  /// allocation.
  Piece find(uint64_t address, uint64_t size);
  /// The traces of the same bytes.
  Trace *findTraces(uint64_t address, uint64_t size);
  /// What is wrong with an access that `find` has no answer to.
  std::string describe(uint64_t address, uint64_t size) const;

  /// The last allocation that begins at or below an address, if any.
  const Allocation *below(uint64_t address) const;

  uint64_t getUsed() const { return used; }
  size_t getCount() const { return allocations.size(); }

private:
  bool findLast(uint64_t address, uint64_t size);

  std::map<uint64_t, Allocation> allocations; ///< by address
  Allocation *last = nullptr;                 ///< where the last access was
  uint64_t used = 0, next = 0, numbers = 0;
};

extern DeviceMemory memory;

//===----------------------------------------------------------------------===//
// Module.cpp
//===----------------------------------------------------------------------===//

/// What one block has of a piece of shared memory, by byte.
struct Share {
  std::vector<uint8_t> bytes, written;
  std::vector<Trace> traces;
  std::vector<uint32_t> unfenced; ///< fences of its thread before the last write, and 1; 0: a copy
  std::vector<uint32_t> arrivals; ///< the copy that comes or came there, counted from 1
};

/// A place in it.
struct SharedPlace {
  Share *share;
  uint64_t offset;
};

/// Memory that a module has of its own. Of shared memory `bytes` is an address alone.
struct Global {
  uint8_t *bytes;
  uint64_t size;
  const char *name;
  mutable std::map<unsigned, Share> shares = {}; ///< by slot of the block
};

struct Kernel {
  std::string name;
  /// Runs one thread. Arguments are as cuLaunchKernel takes them.
  void (*run)(void **arguments) = nullptr;
  std::vector<unsigned> argumentBytes;
  unsigned threads = 0;     ///< that it must be launched with; 0: any number
  unsigned mostThreads = 0; ///< that it may be launched with; 0: any number
  /// Blocks that a multiprocessor runs side by side: what its launch bounds promise, and nothing
  /// without them, since it may then use all registers.
  unsigned residentBlocks = 0;
  std::vector<Global> shared, constants;
};

class Module {
public:
  virtual ~Module();
  virtual Kernel *find(const std::string &name) = 0;
};

/// Compiles bitcode, or says why it cannot; with mutants where these are wanted. The same
/// bitcode is compiled once: tests load it again and again.
llvm::Expected<std::shared_ptr<Module>> compile(const void *bitcode, bool hasMutants);

//===----------------------------------------------------------------------===//
// Mutants.cpp
//===----------------------------------------------------------------------===//

/// Gives every place that might be wrong a switch, which asks `isMutantOn`.
void addMutants(llvm::Module &module);

constexpr char switchFunction[] = "fakeCudaIsMutantOn";
bool isMutantOn(uint32_t number, bool differs);

//===----------------------------------------------------------------------===//
// Sectors.cpp
//===----------------------------------------------------------------------===//

constexpr unsigned warpThreads = 32;

/// What follows does nothing unless a test has asked for counts.
void beginCounting(const Kernel &kernel, unsigned blocks, unsigned threads);
/// The present thread is at the access with the number `site` of its module.
void countAccess(uint64_t address, uint64_t bytes, bool isWrite, uint32_t site);
/// No thread of another block shares what a warp asks for.
void finishBlock();

//===----------------------------------------------------------------------===//
// Threads.cpp
//===----------------------------------------------------------------------===//

/// Blocks that may be there at once.
constexpr unsigned mostBlocks = 16;

/// Runs all blocks, one behind the other, or `together`, so that they may wait for each other.
/// Returns what is wrong with the kernel, or "".
std::string run(const Kernel &kernel, unsigned blocks, unsigned threads, void **arguments,
                bool together);

/// Ends the kernel; the thread never goes on.
[[noreturn]] void fail(const std::string &what);

/// The thread that runs, in its block and among all that are there.
unsigned currentThread();
unsigned currentThreadOfAll();
/// The place of its block among those that are there, and barriers that the block has passed.
unsigned currentSlot();
unsigned currentBarriers();

/// Waits for the whole warp, all at the same site: a call of the module, by a number of its own.
/// The last one to come runs `exchange` with what each thread has brought, if that is not null.
void meetWarp(uint32_t site, void *brought, void (*exchange)(void *const *brought));

/// The same for a group of four warps.
void meetGroup(uint32_t site, void *brought, void (*exchange)(void *const *brought));

/// Waits for somebody to say `goOn` to the thread.
void waitForPhase();
void goOn(unsigned thread);

/// A place in the kernel's shared memory; the one that has these low bits of its address.
SharedPlace findShared(const void *place);
uint8_t *findInWindow(uint32_t address);
constexpr uint64_t windowBytes = 1 << 18;

/// Fences of the present thread between what it has written and what reads by the asynchronous
/// proxy, behind the next barrier; and whether one that followed so many is behind a barrier.
void fenceProxy();
size_t numFences();
bool isFenced(unsigned thread, size_t fences);

/// Between registers and products: none, once something is loaded or waited for.
void fenceRegisters(bool isFenced);
bool areRegistersFenced();

/// What kernels call in place of an intrinsic; null if there is nothing.
void *findFunction(const std::string &intrinsic);

/// Called before each access of memory: where `bytes` bytes are on the host. Accesses of a module
/// are numbered.
void *access(void *pointer, uint64_t bytes, uint32_t alignment, uint32_t isWrite, uint32_t site);

/// The same for what the hardware does by the asynchronous proxy.
void *accessByProxy(void *pointer, uint64_t bytes, uint32_t alignment, uint32_t isWrite,
                    uint32_t site);

/// What kernels call in place of atomic accesses of 32 bits, in the scope of the device: an
/// addition, which gives what was there before, a load that acquires, and a fence that releases.
uint32_t addAtomically(void *pointer, uint32_t value);
uint32_t loadAcquire(void *pointer);
void fenceRelease();

//===----------------------------------------------------------------------===//
// Tensor.cpp
//===----------------------------------------------------------------------===//

/// Replaces what only tensor cores can do, before intrinsics are.
void replaceTensorCode(llvm::Module &module);
void *findTensorFunction(const std::string &name);

/// Copies that no thread of a block has waited for are gone.
void forgetCopies(unsigned firstThread, unsigned threads);
/// Whether the present thread has some under way.
bool hasCopies();

//===----------------------------------------------------------------------===//
// Background.cpp
//===----------------------------------------------------------------------===//

void startBulkCopy(void *to, void *from, uint32_t bytes, void *mbarrier, uint32_t site);
void waitForPhase(void *mbarrier, uint32_t parity);
void *findBackgroundFunction(const std::string &name);

void forgetArrivals(unsigned slot);
/// Whether copies of the present block are under way.
bool hasArrivals();
/// What is copied to these bytes has to be there, and waited for.
void requireArrivals(SharedPlace place, uint64_t bytes, llvm::function_ref<std::string()> where);

//===----------------------------------------------------------------------===//
// WarpGroup.cpp
//===----------------------------------------------------------------------===//

/// The sums of a thread are replaced.
void multiplyInGroup(uint32_t rows, float *sums, uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3,
                     uint64_t descriptor, uint32_t site);
void fenceWarp(uint32_t site);
void waitForProducts(uint32_t count, float *sums, uint32_t site);
void *findGroupFunction(const std::string &name);

/// Of threads of all that are there.
void forgetProducts(unsigned firstThread, unsigned threads);
/// No product of theirs that is under way may read these bytes.
void requireNoProducts(unsigned firstThread, unsigned threads, const void *place, uint64_t bytes,
                       llvm::function_ref<std::string()> where);
/// Whether the present thread has some under way.
bool hasProducts();

//===----------------------------------------------------------------------===//
// InlinePTX.cpp
//===----------------------------------------------------------------------===//

/// Replaces the compiler's inline PTX, or says which text is none of it.
llvm::Error replaceInlinePTX(llvm::Function &function);
void *findInlineFunction(const std::string &name);

} // namespace fake

#endif // TREADLE_TEST_FAKECUDA_H

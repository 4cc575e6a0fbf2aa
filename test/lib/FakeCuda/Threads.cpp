//===- Threads.cpp - Blocks of threads ------------------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A thread runs on a stack of its own until it waits for others: at a barrier of the
// block, or for the members of a mask in its warp, who then exchange values. Which of
// those that can go on does so next is drawn by lot.
//
//===----------------------------------------------------------------------===//

#include "FakeCuda.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <sys/mman.h>

using namespace fake;

namespace {
/// What is ordered before something: of block i everything before its barrier number `[i]`.
using Knowledge = std::vector<unsigned>;

/// A place that is accessed atomically.
struct Sync {
  Knowledge released;
  unsigned changes = 0;
  std::vector<std::pair<unsigned, unsigned>> waiting; ///< slots and threads
};

enum { mostThreads = 1024, stackBytes = 1 << 16 };
enum class Meeting { barrier, warpBarrier, shuffle, exchange, group, phase, change };

struct Thread {
  void *place; ///< where it goes on
  bool isDone;
  /// What it waits at, and what it has brought and gets.
  Meeting meeting;
  uint32_t site;    ///< of the call
  uint32_t members; ///< of its warp; 0: does not wait
  uint32_t value, source, result;
  void *brought;
  /// Barriers of the warp that it has passed, and whom it met at the last one.
  uint32_t warpBarriers, met;
  /// What it has acquired since the last barrier of the block, what its last fence released, and
  /// the change of memory that it has seen last.
  Knowledge acquired, released;
  const Sync *polled;
  unsigned changes;
  /// Barriers of the block before each fence of the asynchronous proxy, and whether registers are
  /// fenced.
  std::vector<unsigned> fences;
  bool areRegistersFenced;
};

struct Block {
  const Kernel *kernel;
  void **arguments;
  unsigned index, slot, blocks, numThreads, current, numLeft;
  std::vector<Thread> threads;
  Knowledge known; ///< by all its threads
  std::vector<unsigned> ready;
  unsigned atBarrier, barriers, launch;
  std::string finding;
};
} // namespace

static std::map<uint64_t, Sync> syncs; // by address, of the launch

static void learn(Knowledge &known, const Knowledge &more) {
  known.resize(std::max(known.size(), more.size()));
  for (size_t i = 0; i < more.size(); ++i)
    known[i] = std::max(known[i], more[i]);
}

static bool isKnown(const Knowledge &known, unsigned index, unsigned barriers) {
  return index < known.size() && barriers < known[index];
}

static Block block;               // the one that runs; its place in `others` is empty meanwhile
static std::vector<Block> others; // that are there
static void *home;                // where the loop over threads goes on

static uint8_t *stackOf(unsigned thread) {
  static auto *stacks = static_cast<uint8_t *>(
      mmap(nullptr, size_t(mostBlocks) * mostThreads * stackBytes, PROT_READ | PROT_WRITE,
           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  return stacks + (size_t(block.slot) * mostThreads + thread) * stackBytes;
}

static Block &blockAt(unsigned slot) { return slot == block.slot ? block : others[slot]; }

/// Makes the block of a slot the one that runs.
static void enterBlock(unsigned slot) {
  if (slot == block.slot)
    return;
  std::swap(block, others[block.slot]);
  std::swap(block, others[slot]);
}

static unsigned nextRandom() {
  static uint32_t state = 1;
  state = state * 1664525u + 1013904223u;
  return state >> 8;
}

__attribute__((naked, noinline)) static void switchTo(void **, void *) {
  __asm__ volatile("pushq %rbp\n pushq %rbx\n pushq %r12\n pushq %r13\n pushq %r14\n"
                   "pushq %r15\n movq %rsp, (%rdi)\n movq %rsi, %rsp\n popq %r15\n"
                   "popq %r14\n popq %r13\n popq %r12\n popq %rbx\n popq %rbp\n ret\n");
}

static void giveWay() { switchTo(&block.threads[block.current].place, home); }

void fake::fail(const std::string &what) {
  if (block.finding.empty())
    block.finding = "kernel " + block.kernel->name + ", block " + std::to_string(block.index) +
                    ", thread " + std::to_string(block.current) + ": " + what;
  giveWay();
  __builtin_unreachable();
}

static void runThread() {
  block.kernel->run(block.arguments);
  if (hasCopies())
    fail("ends before what it copies is there");
  if (hasProducts())
    fail("ends before what it multiplies is there");
  block.threads[block.current].isDone = true;
  --block.numLeft;
  if (!block.numLeft && hasArrivals())
    fail("ends before what the block copies is there");
  giveWay();
}

//===----------------------------------------------------------------------===//
// Meeting
//===----------------------------------------------------------------------===//

static const char *nameOf(Meeting meeting) {
  switch (meeting) {
  case Meeting::barrier:
    return "a barrier of the block";
  case Meeting::warpBarrier:
    return "a barrier of the warp";
  case Meeting::shuffle:
    return "a shuffle";
  case Meeting::exchange:
    return "a product of the warp";
  case Meeting::group:
    return "a product of the warp group";
  case Meeting::phase:
    return "an mbarrier";
  case Meeting::change:
    return "a counter";
  }
  return "";
}

/// The thread of its warp that a shuffle reads from, by PTX's definition of `idx`.
static unsigned sourceLane(unsigned lane, uint32_t source, uint32_t segments) {
  uint32_t mask = segments >> 8 & 31, clamp = segments & 31;
  uint32_t from = (lane & mask) | (source & 31 & ~mask);
  return from <= ((lane & mask) | (clamp & ~mask)) ? from : lane;
}

/// A warp runs what it does together as one instruction.
static void requireSameSite(unsigned other) {
  const Thread &self = block.threads[block.current], &thread = block.threads[other];
  if (thread.site != self.site)
    fail("waits at " + std::string(nameOf(self.meeting)) +
         " for others of its warp, of which thread " + std::to_string(other) +
         " waits at another one");
}

/// Waits for the members of the warp, and exchanges values with them; the last one to come does so
/// by `exchange`, if there is one.
static uint32_t meet(Meeting meeting, uint32_t site, uint32_t members, uint32_t value,
                     uint32_t source, llvm::function_ref<void(unsigned first)> exchange = nullptr) {
  unsigned lane = block.current % warpThreads, first = block.current - lane;
  Thread &self = block.threads[block.current];
  if (!(members >> lane & 1))
    fail("waits at " + std::string(nameOf(meeting)) + " that it is no member of");
  self.meeting = meeting;
  self.site = site;
  self.members = members;
  self.value = value;
  self.source = source;
  unsigned arrived = 0;
  for (unsigned other = 0; other < warpThreads; ++other) {
    const Thread &thread = block.threads[first + other];
    bool isThere = first + other < block.numThreads;
    if (!isThere || thread.isDone || !thread.members)
      continue;
    if ((thread.members & members) && (thread.members != members || thread.meeting != meeting))
      fail("waits at " + std::string(nameOf(meeting)) +
           " for others of its warp, of which thread " + std::to_string(first + other) +
           " waits at " + nameOf(thread.meeting));
    if (thread.members != members)
      continue;
    requireSameSite(first + other);
    ++arrived;
  }
  if (arrived != unsigned(__builtin_popcount(members))) {
    giveWay();
    return self.result;
  }
  if (exchange)
    exchange(first);
  for (unsigned other = 0; other < warpThreads; ++other) {
    if (!(members >> other & 1))
      continue;
    Thread &thread = block.threads[first + other];
    if (meeting == Meeting::shuffle) {
      if (!(members >> thread.source & 1))
        fail("reads the value of a thread that is not there in a shuffle");
      thread.result = block.threads[first + thread.source].value;
    }
    if (meeting == Meeting::warpBarrier) {
      ++thread.warpBarriers;
      thread.met = members;
    }
    thread.members = 0;
    if (first + other != block.current)
      block.ready.push_back(first + other);
  }
  return self.result;
}

static void warpBarrier(uint32_t members, uint32_t site) {
  meet(Meeting::warpBarrier, site, members, 0, 0);
}

static uint32_t shuffleWord(uint32_t members, uint32_t value, uint32_t source, uint32_t segments,
                            uint32_t site) {
  return meet(Meeting::shuffle, site, members, value,
              sourceLane(block.current % warpThreads, source, segments));
}

static float shuffleFloat(uint32_t members, float value, uint32_t source, uint32_t segments,
                          uint32_t site) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  bits = shuffleWord(members, bits, source, segments, site);
  std::memcpy(&value, &bits, sizeof bits);
  return value;
}

void fake::meetWarp(uint32_t site, void *brought, void (*exchange)(void *const *brought)) {
  block.threads[block.current].brought = brought;
  meet(Meeting::exchange, site, ~0u, 0, 0, [&](unsigned first) {
    if (!exchange)
      return;
    void *ofWarp[warpThreads];
    for (unsigned lane = 0; lane < warpThreads; ++lane)
      ofWarp[lane] = block.threads[first + lane].brought;
    exchange(ofWarp);
  });
}

void fake::meetGroup(uint32_t site, void *brought, void (*exchange)(void *const *brought)) {
  constexpr unsigned groupThreads = 4 * warpThreads;
  unsigned first = block.current / groupThreads * groupThreads, arrived = 0;
  if (first + groupThreads > block.numThreads)
    fail("multiplies in a warp group that is not whole");
  Thread &self = block.threads[block.current];
  self.meeting = Meeting::group;
  self.members = ~0u;
  self.site = site;
  self.brought = brought;
  void *ofGroup[groupThreads];
  for (unsigned i = 0; i < groupThreads; ++i) {
    const Thread &thread = block.threads[first + i];
    ofGroup[i] = thread.brought;
    if (thread.isDone || !thread.members || thread.meeting != Meeting::group)
      continue;
    if (thread.site != site)
      fail("multiplies in a warp group of which thread " + std::to_string(first + i) +
           " is at another product");
    ++arrived;
  }
  if (arrived != groupThreads)
    return giveWay();
  exchange(ofGroup);
  for (unsigned i = first; i < first + groupThreads; ++i) {
    block.threads[i].members = 0;
    if (i != block.current)
      block.ready.push_back(i);
  }
}

void fake::waitForPhase() {
  Thread &self = block.threads[block.current];
  self.meeting = Meeting::phase;
  self.members = 1u << block.current % warpThreads;
  giveWay();
  self.members = 0;
}

void fake::goOn(unsigned thread) { block.ready.push_back(thread); }

static void blockBarrier(uint32_t site) {
  Thread &self = block.threads[block.current];
  self.meeting = Meeting::barrier;
  self.site = site;
  // Others of its warp may meet without it.
  self.members = 1u << block.current % warpThreads;
  unsigned first = block.current / warpThreads * warpThreads;
  for (unsigned i = first; i < std::min(first + warpThreads, block.numThreads); ++i)
    if (block.threads[i].members && block.threads[i].meeting == Meeting::barrier)
      requireSameSite(i);
  if (++block.atBarrier != block.numThreads)
    return giveWay();
  block.atBarrier = 0;
  ++block.barriers;
  for (unsigned i = 0; i < block.numThreads; ++i) {
    learn(block.known, block.threads[i].acquired);
    block.threads[i].acquired.clear();
    block.threads[i].members = 0;
    if (i != block.current)
      block.ready.push_back(i);
  }
}
static void blockBarrierOf(uint32_t number, uint32_t site) {
  if (number)
    fail("waits at barrier " + std::to_string(number) + ", of which this driver knows 0 alone");
  blockBarrier(site);
}

unsigned fake::currentThread() { return block.current; }
unsigned fake::currentThreadOfAll() { return block.slot * mostThreads + block.current; }
unsigned fake::currentSlot() { return block.slot; }
unsigned fake::currentBarriers() { return block.barriers; }

void fake::fenceProxy() { block.threads[block.current].fences.push_back(block.barriers); }
size_t fake::numFences() { return block.threads[block.current].fences.size(); }
bool fake::isFenced(unsigned thread, size_t fences) {
  const std::vector<unsigned> &made = block.threads[thread].fences;
  return made.size() > fences && (thread == block.current || made[fences] < block.barriers);
}

void fake::fenceRegisters(bool isFenced) {
  block.threads[block.current].areRegistersFenced = isFenced;
}
bool fake::areRegistersFenced() { return block.threads[block.current].areRegistersFenced; }

static uint32_t zero() { return 0; }
static uint32_t one() { return 1; }
static uint32_t threadIndex() { return block.current; }
static uint32_t blockIndex() { return block.index; }
static uint32_t numThreads() { return block.numThreads; }
static uint32_t numBlocks() { return block.blocks; }

void *fake::findFunction(const std::string &intrinsic) {
  static const std::map<std::string, void *> functions = {
      {"llvm.nvvm.read.ptx.sreg.tid.x", reinterpret_cast<void *>(threadIndex)},
      {"llvm.nvvm.read.ptx.sreg.tid.y", reinterpret_cast<void *>(zero)},
      {"llvm.nvvm.read.ptx.sreg.tid.z", reinterpret_cast<void *>(zero)},
      {"llvm.nvvm.read.ptx.sreg.ctaid.x", reinterpret_cast<void *>(blockIndex)},
      {"llvm.nvvm.read.ptx.sreg.ctaid.y", reinterpret_cast<void *>(zero)},
      {"llvm.nvvm.read.ptx.sreg.ctaid.z", reinterpret_cast<void *>(zero)},
      {"llvm.nvvm.read.ptx.sreg.ntid.x", reinterpret_cast<void *>(numThreads)},
      {"llvm.nvvm.read.ptx.sreg.ntid.y", reinterpret_cast<void *>(one)},
      {"llvm.nvvm.read.ptx.sreg.nctaid.x", reinterpret_cast<void *>(numBlocks)},
      {"llvm.nvvm.shfl.sync.idx.i32", reinterpret_cast<void *>(shuffleWord)},
      {"llvm.nvvm.shfl.sync.idx.f32", reinterpret_cast<void *>(shuffleFloat)},
      {"llvm.nvvm.bar.warp.sync", reinterpret_cast<void *>(warpBarrier)},
      {"llvm.nvvm.barrier0", reinterpret_cast<void *>(blockBarrier)},
      {"llvm.nvvm.barrier.cta.sync.aligned.all", reinterpret_cast<void *>(blockBarrierOf)},
  };
  auto found = functions.find(intrinsic);
  if (found != functions.end())
    return found->second;
  for (auto *find :
       {findTensorFunction, findBackgroundFunction, findGroupFunction, findInlineFunction})
    if (void *function = find(intrinsic))
      return function;
  return nullptr;
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

static bool isWithin(const uint8_t *place, uint64_t bytes, const uint8_t *begin, uint64_t size) {
  return place >= begin && uint64_t(place - begin) <= size &&
         bytes <= size - uint64_t(place - begin);
}

/// The piece of the kernel's own memory that a place is in.
static const Global *findGlobal(const std::vector<Global> &globals, const uint8_t *place) {
  for (const Global &global : globals)
    if (place >= global.bytes && place < global.bytes + global.size)
      return &global;
  return nullptr;
}

SharedPlace fake::findShared(const void *place) {
  auto *byte = static_cast<const uint8_t *>(place);
  const Global *global = findGlobal(block.kernel->shared, byte);
  if (!global)
    fail("uses what is not shared memory as if it were");
  return {&global->shares.at(block.slot), uint64_t(byte - global->bytes)};
}

uint8_t *fake::findInWindow(uint32_t address) {
  uint8_t *found = nullptr;
  for (const Global &global : block.kernel->shared) {
    uint64_t offset = (address - reinterpret_cast<uint64_t>(global.bytes)) % windowBytes;
    if (offset >= global.size)
      continue;
    if (found)
      fail("multiplies by rows in one of two places");
    found = global.bytes + offset;
  }
  if (!found)
    fail("multiplies by rows that are not in shared memory");
  return found;
}

/// Whether an access came before what the present thread does now, in every order that
/// the threads might run in. A shuffle orders nothing.
static bool isOrdered(const Access &access, bool isShared) {
  if (access.launch != block.launch)
    return true;
  const Thread &self = block.threads[block.current];
  // Each block has shared memory of its own.
  if (access.block != block.index)
    return isShared || isKnown(block.known, access.block, access.blockBarriers) ||
           isKnown(self.acquired, access.block, access.blockBarriers);
  if (access.thread == block.current || access.blockBarriers != block.barriers)
    return true;
  bool hasMet = access.thread / warpThreads == block.current / warpThreads &&
                (self.met >> access.thread % warpThreads & 1);
  return hasMet && access.warpBarriers < self.warpBarriers;
}

/// Kernels whose threads have met in shared memory, by name.
static std::set<std::string> crossed;

static bool isOfAnother(const Access &access) {
  return access.launch == block.launch && access.block == block.index &&
         access.thread != block.current;
}

/// Notes an access down, and fails where another one is not ordered before it, or where it
/// reads what nothing has written.
/// Returns whether another thread has left something there, or taken what is now replaced.
static bool trace(Trace *traces, uint8_t *written, uint64_t bytes, bool isWrite, bool isShared,
                  llvm::function_ref<std::string()> where) {
  bool isCrossing = false;
  const Thread &self = block.threads[block.current];
  const Access access{block.launch, block.index, block.current, block.barriers, self.warpBarriers};
  auto race = [&](const Access &other, const char *did) {
    fail((isWrite ? "writes " : "reads ") + where() + ", which thread " +
         std::to_string(other.thread) + " of block " + std::to_string(other.block) + " has " + did +
         " with no barrier in between");
  };
  for (uint64_t i = 0; i < bytes; ++i) {
    if (!isOrdered(traces[i].write, isShared))
      race(traces[i].write, "written");
    for (const Access &read : {traces[i].read, traces[i].otherRead})
      if (isWrite && !isOrdered(read, isShared))
        race(read, "read");
    if (!isWrite && !written[i])
      fail("reads " + where() + ", before anything has written them");
    written[i] = true;
    isCrossing |= isOfAnother(traces[i].write) || (isWrite && isOfAnother(traces[i].read));
    if (!isWrite &&
        (traces[i].read.thread != access.thread || traces[i].read.block != access.block))
      traces[i].otherRead = traces[i].read;
    (isWrite ? traces[i].write : traces[i].read) = access;
  }
  return isCrossing;
}

/// What is written to shared memory by one proxy the other one sees behind a fence and a barrier.
static void requireFences(SharedPlace place, uint64_t bytes,
                          llvm::function_ref<std::string()> where) {
  for (uint64_t i = place.offset; i < place.offset + bytes; ++i) {
    uint32_t fences = place.share->unfenced[i];
    unsigned thread = place.share->traces[i].write.thread;
    if (fences && !isFenced(thread, fences - 1))
      fail("uses " + where() + " by the asynchronous proxy, which thread " +
           std::to_string(thread) + " has written with no fence and barrier behind it");
  }
}

static void *accessAs(bool isProxy, void *pointer, uint64_t bytes, uint32_t alignment,
                      uint32_t isWrite, uint32_t site) {
  auto *place = static_cast<uint8_t *>(pointer);
  auto address = reinterpret_cast<uint64_t>(pointer);
  if (address % alignment)
    fail((isWrite ? "writes " : "reads ") + std::to_string(bytes) +
         " bytes at an address that is no multiple of " + std::to_string(alignment));
  if (Piece piece = memory.find(address, bytes)) {
    trace(memory.findTraces(address, bytes), piece.written, bytes, isWrite, /*isShared=*/false,
          [&] { return memory.describe(address, bytes); });
    countAccess(address, bytes, isWrite, site);
    return piece.bytes;
  }
  for (const auto *globals : {&block.kernel->shared, &block.kernel->constants}) {
    const Global *global = findGlobal(*globals, place);
    if (!global)
      continue;
    if (isWrite && globals == &block.kernel->constants)
      fail("writes to the constant " + std::string(global->name));
    if (!isWithin(place, bytes, global->bytes, global->size))
      fail((isWrite ? "writes over the end of " : "reads over the end of ") +
           std::string(global->name));
    if (globals == &block.kernel->shared) {
      uint64_t offset = place - global->bytes;
      Share &share = global->shares.at(block.slot);
      auto where = [&, offset] {
        return std::to_string(bytes) + " bytes at offset " + std::to_string(offset) + " of " +
               global->name;
      };
      requireArrivals({&share, offset}, bytes, where);
      if (isProxy)
        requireFences({&share, offset}, bytes, where);
      if (isWrite) {
        requireNoProducts(block.slot * mostThreads, mostThreads, place, bytes, where);
        std::fill_n(share.unfenced.begin() + offset, bytes, isProxy ? 0 : numFences() + 1);
        std::fill_n(share.arrivals.begin() + offset, bytes, 0);
      }
      if (trace(share.traces.data() + offset, share.written.data() + offset, bytes, isWrite,
                /*isShared=*/true, where))
        crossed.insert(block.kernel->name);
      return share.bytes.data() + offset;
    }
    return pointer;
  }
  if (isWithin(place, bytes, stackOf(block.current), stackBytes))
    return pointer;
  fail((isWrite ? "writes " : "reads ") + memory.describe(address, bytes));
  return nullptr;
}

void *fake::access(void *pointer, uint64_t bytes, uint32_t alignment, uint32_t isWrite,
                   uint32_t site) {
  if (!isWrite)
    fenceRegisters(false);
  return accessAs(/*isProxy=*/false, pointer, bytes, alignment, isWrite, site);
}

void *fake::accessByProxy(void *pointer, uint64_t bytes, uint32_t alignment, uint32_t isWrite,
                          uint32_t site) {
  return accessAs(/*isProxy=*/true, pointer, bytes, alignment, isWrite, site);
}

//===----------------------------------------------------------------------===//
// Atomic accesses
//===----------------------------------------------------------------------===//

/// Four bytes of the device.
static uint32_t *findWord(void *pointer) {
  auto address = reinterpret_cast<uint64_t>(pointer);
  Piece piece = memory.find(address, sizeof(uint32_t));
  if (!piece || address % sizeof(uint32_t))
    fail("accesses atomically " + memory.describe(address, sizeof(uint32_t)));
  if (!piece.written[0])
    fail("accesses atomically " + memory.describe(address, sizeof(uint32_t)) +
         ", before anything has written them");
  return reinterpret_cast<uint32_t *>(piece.bytes);
}

/// What the block did before its last barrier, and what it knows of others.
void fake::fenceRelease() {
  Thread &self = block.threads[block.current];
  Knowledge own(block.index + 1);
  own[block.index] = block.barriers;
  learn(self.released, own);
  learn(self.released, block.known);
  learn(self.released, self.acquired);
}

uint32_t fake::addAtomically(void *pointer, uint32_t value) {
  uint32_t *word = findWord(pointer), before = *word;
  Sync &sync = syncs[reinterpret_cast<uint64_t>(pointer)];
  *word += value;
  ++sync.changes;
  learn(sync.released, block.threads[block.current].released);
  for (auto [slot, thread] : sync.waiting)
    blockAt(slot).ready.push_back(thread);
  sync.waiting.clear();
  return before;
}

/// Who has seen a value looks again when there is another one.
uint32_t fake::loadAcquire(void *pointer) {
  uint32_t *word = findWord(pointer);
  Sync &sync = syncs[reinterpret_cast<uint64_t>(pointer)];
  Thread &self = block.threads[block.current];
  if (self.polled == &sync && self.changes == sync.changes) {
    self.meeting = Meeting::change;
    self.members = 1u << block.current % warpThreads;
    sync.waiting.push_back({block.slot, block.current});
    giveWay();
  }
  self.members = 0;
  self.polled = &sync;
  self.changes = sync.changes;
  learn(self.acquired, sync.released);
  return *word;
}

/// The kernels whose threads have met in shared memory so far: in others barriers do nothing.
extern "C" const char *fakeCudaCrossed() {
  static std::string text;
  text.clear();
  for (const std::string &name : crossed)
    text += name + "\n";
  return text.c_str();
}

//===----------------------------------------------------------------------===//
// Running
//===----------------------------------------------------------------------===//

static void beginBlock() {
  for (const Global &global : block.kernel->shared) {
    Share &share = global.shares[block.slot];
    share.bytes.assign(global.size, 0xff); // NaN
    share.written.assign(global.size, false);
    share.traces.resize(global.size);
    share.unfenced.assign(global.size, 0);
    share.arrivals.assign(global.size, 0);
  }
  forgetArrivals(block.slot);
  forgetProducts(block.slot * mostThreads, mostThreads);
  forgetCopies(block.slot * mostThreads, mostThreads);
  block.ready.clear();
  block.known.clear();
  block.atBarrier = block.barriers = 0;
  block.numLeft = block.numThreads;
  block.threads.resize(mostThreads);
  for (unsigned i = 0; i < block.numThreads; ++i) {
    auto **top = reinterpret_cast<void **>(stackOf(i) + stackBytes - 64);
    *--top = nullptr; // aligned as behind a call
    *--top = reinterpret_cast<void *>(runThread);
    top -= 6; // registers
    block.threads[i] = {};
    block.threads[i].place = top;
    block.ready.push_back(i);
  }
}

static std::string describeDeadlock() {
  for (unsigned i = 0; i < block.numThreads; ++i)
    if (!block.threads[i].isDone)
      return "kernel " + block.kernel->name + ", block " + std::to_string(block.index) +
             ", thread " + std::to_string(i) + ": waits at " + nameOf(block.threads[i].meeting) +
             " for threads that never come";
  return "";
}

/// Whether a thread of the block that runs could go on; it does.
static bool runThreadByLot() {
  if (block.ready.empty())
    return false;
  std::swap(block.ready[nextRandom() % block.ready.size()], block.ready.back());
  block.current = block.ready.back();
  block.ready.pop_back();
  switchTo(&home, block.threads[block.current].place);
  return true;
}

/// Runs the blocks that are there, until all of them are done or something is found.
static void runBlocks() {
  for (unsigned slot = 0; slot < others.size(); ++slot) {
    enterBlock(slot);
    beginBlock();
  }
  // Each time another block is far ahead of the others, but for now and then.
  static unsigned turn = 0;
  unsigned first = others.size() > 1 ? ++turn % others.size() : 0;
  std::string finding;
  for (unsigned idle = 0; idle < others.size() && finding.empty();) {
    if (idle)
      enterBlock((block.slot + 1) % others.size());
    else
      enterBlock(nextRandom() % 64 ? first : nextRandom() % others.size());
    idle = runThreadByLot() ? 0 : idle + 1;
    finding = block.finding;
  }
  for (unsigned slot = 0; slot < others.size() && finding.empty(); ++slot) {
    enterBlock(slot);
    if (block.numLeft)
      finding = describeDeadlock();
  }
  block.finding = finding;
}

std::string fake::run(const Kernel &kernel, unsigned blocks, unsigned threads, void **arguments,
                      bool together) {
  static unsigned launch = 0;
  ++launch;
  syncs.clear();
  beginCounting(kernel, blocks, threads);
  unsigned step = together ? blocks : 1;
  others.resize(step);
  block.slot = 0;
  block.finding.clear();
  for (unsigned first = 0; first < blocks && block.finding.empty(); first += step) {
    for (unsigned slot = 0; slot < step; ++slot) {
      enterBlock(slot);
      block.kernel = &kernel;
      block.arguments = arguments;
      block.index = first + slot;
      block.slot = slot;
      block.blocks = blocks;
      block.numThreads = threads;
      block.launch = launch;
      block.finding.clear();
    }
    runBlocks();
    finishBlock();
  }
  return block.finding;
}

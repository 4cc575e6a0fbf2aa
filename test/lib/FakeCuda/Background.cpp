//===- Background.cpp - Copies that an mbarrier counts ---------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A bulk copy comes as late as may be: when somebody waits for the phase of its mbarrier, which is
// complete once all have arrived and as many bytes are copied as were expected. Until then nobody
// may touch the place; then those who have waited, and all behind the next barrier of the block.
//
//===----------------------------------------------------------------------===//

#include "FakeCuda.h"

#include <bitset>
#include <cstring>

using namespace fake;

namespace {
enum { mostThreads = 1024, mbarrierBytes = 8 };

/// A copy.
struct Arrival {
  std::vector<uint8_t> bytes; ///< until it is there
  void *to;
  bool isThere = false;
  std::bitset<mostThreads> seen = {}; ///< by those who have waited, the first one behind so many
  unsigned barriers = ~0u;            ///< barriers of the block
};

struct MBarrier {
  uint32_t count, pending, phase = 0;
  int64_t expected = 0, copied = 0; ///< bytes of the present phase
  std::vector<size_t> copies, last; ///< of the present phase and of the one before
  std::vector<unsigned> waiting;    ///< threads
  unsigned maker, barriers;         ///< who has made it, behind how many barriers of the block
  size_t fences;                    ///< and fences of his
  std::map<unsigned, unsigned> uses = {}; ///< by thread: barriers of the block before the last
};

struct Block {
  std::vector<Arrival> arrivals;
  std::map<void *, MBarrier> mbarriers;
};
} // namespace

static std::map<unsigned, Block> blocks; // by slot

static Block &own() { return blocks[currentSlot()]; }

void fake::forgetArrivals(unsigned slot) { blocks.erase(slot); }

bool fake::hasArrivals() {
  for (const Arrival &arrival : own().arrivals)
    if (!arrival.isThere)
      return true;
  return false;
}

void fake::requireArrivals(SharedPlace place, uint64_t bytes,
                           llvm::function_ref<std::string()> where) {
  for (uint64_t i = 0; i < bytes; ++i) {
    uint32_t number = place.share->arrivals[place.offset + i];
    if (!number)
      continue;
    const Arrival &arrival = own().arrivals[number - 1];
    if (!arrival.isThere)
      fail("touches " + where() + ", to which a copy is under way");
    if (!arrival.seen[currentThread()] && arrival.barriers >= currentBarriers())
      fail("touches " + where() + ", whose copy it has not waited for");
  }
}

//===----------------------------------------------------------------------===//
// MBarriers
//===----------------------------------------------------------------------===//

/// What the memory of an mbarrier holds: whoever writes there destroys it.
static uint64_t signatureOf(const void *place) {
  return reinterpret_cast<uint64_t>(place) * 0x9e3779b97f4a7c15u;
}

static uint8_t *bytesOf(void *place) {
  SharedPlace found = findShared(place);
  return found.share->bytes.data() + found.offset;
}

static MBarrier &find(void *place) {
  auto found = own().mbarriers.find(place);
  uint64_t signature = signatureOf(place);
  if (found == own().mbarriers.end() || std::memcmp(bytesOf(place), &signature, mbarrierBytes))
    fail("uses an mbarrier where there is none");
  MBarrier &mbarrier = found->second;
  if (mbarrier.maker != currentThread() && mbarrier.barriers >= currentBarriers())
    fail("uses an mbarrier that thread " + std::to_string(mbarrier.maker) +
         " has made, with no barrier in between");
  mbarrier.uses[currentThread()] = currentBarriers();
  return mbarrier;
}

static void wake(MBarrier &mbarrier) {
  for (unsigned thread : mbarrier.waiting)
    goOn(thread);
  mbarrier.waiting.clear();
}

static void initMBarrier(void *place, uint32_t count) {
  if (own().mbarriers.count(place))
    fail("makes an mbarrier where there is one");
  if (!count)
    fail("makes an mbarrier for nobody");
  access(place, mbarrierBytes, mbarrierBytes, true, /*site=*/0);
  uint64_t signature = signatureOf(place);
  std::memcpy(bytesOf(place), &signature, mbarrierBytes);
  MBarrier made{};
  made.count = made.pending = count;
  made.maker = currentThread();
  made.barriers = currentBarriers();
  made.fences = numFences();
  own().mbarriers.emplace(place, made);
}

static void endMBarrier(void *place) {
  MBarrier &mbarrier = find(place);
  if (!mbarrier.copies.empty() || mbarrier.pending != mbarrier.count)
    fail("ends an mbarrier in the middle of a phase");
  for (auto [thread, barriers] : mbarrier.uses)
    if (thread != currentThread() && barriers >= currentBarriers())
      fail("ends an mbarrier that thread " + std::to_string(thread) +
           " has used, with no barrier in between");
  own().mbarriers.erase(place);
}

static uint64_t arriveAndExpect(void *place, uint32_t bytes) {
  MBarrier &mbarrier = find(place);
  if (!mbarrier.pending)
    fail("arrives at an mbarrier that waits for nobody");
  mbarrier.expected += bytes;
  --mbarrier.pending;
  wake(mbarrier);
  return 0;
}

/// Ends the phase, if all that it waits for is there.
static void complete(MBarrier &mbarrier) {
  if (mbarrier.pending)
    return;
  if (mbarrier.copied > mbarrier.expected)
    fail("waits at an mbarrier for " + std::to_string(mbarrier.expected) + " bytes, of which " +
         std::to_string(mbarrier.copied) + " come");
  if (mbarrier.copied < mbarrier.expected)
    return;
  for (size_t number : mbarrier.copies) {
    Arrival &arrival = own().arrivals[number];
    SharedPlace place = findShared(arrival.to);
    std::memcpy(place.share->bytes.data() + place.offset, arrival.bytes.data(),
                arrival.bytes.size());
    std::memset(place.share->written.data() + place.offset, true, arrival.bytes.size());
    arrival.isThere = true;
    arrival.bytes.clear();
  }
  mbarrier.last = std::move(mbarrier.copies);
  mbarrier.copies.clear();
  mbarrier.expected = mbarrier.copied = 0;
  mbarrier.pending = mbarrier.count;
  ++mbarrier.phase;
}

void fake::waitForPhase(void *place, uint32_t parity) {
  MBarrier *mbarrier = &find(place);
  while ((mbarrier->phase & 1) == (parity & 1)) {
    uint32_t phase = mbarrier->phase;
    complete(*mbarrier);
    if (mbarrier->phase != phase)
      continue;
    mbarrier->waiting.push_back(currentThread());
    waitForPhase();
    mbarrier = &find(place);
  }
  wake(*mbarrier);
  for (size_t number : mbarrier->last) {
    Arrival &arrival = own().arrivals[number];
    arrival.seen.set(currentThread());
    arrival.barriers = std::min(arrival.barriers, currentBarriers());
  }
}

//===----------------------------------------------------------------------===//
// Copies
//===----------------------------------------------------------------------===//

void fake::startBulkCopy(void *to, void *from, uint32_t bytes, void *place, uint32_t site) {
  enum { border = 16 };
  if (!bytes || bytes % border)
    fail("copies " + std::to_string(bytes) + " bytes, which are no multiple of 16");
  MBarrier &mbarrier = find(place);
  if (!isFenced(mbarrier.maker, mbarrier.fences))
    fail("copies with an mbarrier that is not fenced");
  auto *source = static_cast<uint8_t *>(access(from, bytes, border, false, site));
  accessByProxy(to, bytes, border, true, site);
  SharedPlace target = findShared(to);
  std::memset(target.share->bytes.data() + target.offset, 0xff, bytes); // NaN
  std::memset(target.share->written.data() + target.offset, false, bytes);
  own().arrivals.push_back({{source, source + bytes}, to});
  for (uint64_t i = target.offset; i < target.offset + bytes; ++i) {
    target.share->arrivals[i] = uint32_t(own().arrivals.size());
    target.share->traces[i].write = {}; // who may read it, the mbarrier says
  }
  mbarrier.copies.push_back(own().arrivals.size() - 1);
  mbarrier.copied += bytes;
  wake(mbarrier);
}

void *fake::findBackgroundFunction(const std::string &name) {
  static const std::map<std::string, void *> functions = {
      {"llvm.nvvm.mbarrier.init.shared", reinterpret_cast<void *>(initMBarrier)},
      {"llvm.nvvm.mbarrier.inval.shared", reinterpret_cast<void *>(endMBarrier)},
      {"llvm.nvvm.mbarrier.arrive.expect.tx.scope.cta.space.cta",
       reinterpret_cast<void *>(arriveAndExpect)},
      {"llvm.nvvm.fence.proxy.async.shared_cta", reinterpret_cast<void *>(fenceProxy)},
  };
  auto found = functions.find(name);
  return found == functions.end() ? nullptr : found->second;
}

//===- Sectors.cpp - What kernels move ------------------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A GPU moves its memory in sectors of 32 bytes. Two counts bound what a launch moves: the
// sectors that it touches, each once, which is all that a perfect cache would let through;
// and those that its warps ask for, each once for an instruction that a warp runs, which is
// what there is without a cache. The threads of a warp run an instruction together when each
// of them is at it for the nth time.
//
// In between lies what a second-level cache of a stated size lets through to memory, over all
// launches since counting began, when it is empty.
//
//===----------------------------------------------------------------------===//

#include "FakeCuda.h"

#include <algorithm>
#include <array>
#include <list>
#include <set>
#include <tuple>
#include <unordered_map>

using namespace fake;

namespace {
constexpr uint64_t sectorBytes = 32;

/// Of reads and of writes.
template <typename T> using Both = std::array<T, 2>;

struct Launch {
  std::string kernel;
  unsigned blocks, threads;
  Both<std::set<uint64_t>> sectors;
  Both<uint64_t> requests;
};

/// A cache of sectors, of which the one that was used longest ago gives way. It knows which bytes
/// of a sector are there: those that were written, or after a read all of them. What is written
/// goes to memory when its sector gives way, together with the bytes that were not there, which are
/// read for that: memory with error correction takes whole sectors.
class Cache {
public:
  void empty(uint64_t bytes) {
    capacity = bytes / sectorBytes;
    lines.clear();
    order.clear();
    moved = {};
  }

  void access(uint64_t sector, uint32_t bytes, bool isWrite) {
    auto [found, isNew] = lines.try_emplace(sector);
    Line &line = found->second;
    if (isNew)
      line.place = order.insert(order.begin(), sector);
    else
      order.splice(order.begin(), order, line.place);
    if (isWrite) {
      line.isChanged = true;
      line.known |= bytes;
    } else if (bytes & ~line.known) {
      line.known = allBytes;
      ++moved[0];
    }
    if (lines.size() > capacity) {
      add(moved, lines.at(order.back()));
      lines.erase(order.back());
      order.pop_back();
    }
  }

  /// What it has read and written of memory, if it were emptied now.
  Both<uint64_t> total() const {
    Both<uint64_t> total = moved;
    for (const auto &[sector, line] : lines)
      add(total, line);
    return total;
  }

private:
  static constexpr uint32_t allBytes = ~uint32_t(0);
  struct Line {
    std::list<uint64_t>::iterator place;
    uint32_t known = 0; // by byte
    bool isChanged = false;
  };

  static void add(Both<uint64_t> &moved, const Line &line) {
    moved[0] += line.isChanged && line.known != allBytes;
    moved[1] += line.isChanged;
  }

  uint64_t capacity = 0;
  std::unordered_map<uint64_t, Line> lines;
  std::list<uint64_t> order; // the last used first
  Both<uint64_t> moved = {};
};

/// What the threads of a warp ask for together: the warp, the instruction, how often it ran
/// before, and one sector.
using Request = std::tuple<unsigned, uint32_t, uint32_t, uint64_t>;
} // namespace

static bool isCounting;
static std::vector<Launch> launches;
static Cache cache;
/// Of the open block.
static Both<std::vector<Request>> requests;
static std::unordered_map<uint64_t, uint32_t> timesRun; // by thread and instruction

void fake::beginCounting(const Kernel &kernel, unsigned blocks, unsigned threads) {
  if (isCounting)
    launches.push_back({kernel.name, blocks, threads, {}, {}});
}

void fake::countAccess(uint64_t address, uint64_t bytes, bool isWrite, uint32_t site) {
  if (!isCounting)
    return;
  unsigned thread = currentThreadOfAll();
  uint32_t times = timesRun[uint64_t(thread) << 32 | site]++;
  for (uint64_t sector = address / sectorBytes; sector * sectorBytes < address + bytes; ++sector) {
    uint64_t begin = std::max(address, sector * sectorBytes) % sectorBytes;
    uint64_t end = std::min(address + bytes - sector * sectorBytes, sectorBytes);
    cache.access(sector, uint32_t((uint64_t(1) << end) - (uint64_t(1) << begin)), isWrite);
    launches.back().sectors[isWrite].insert(sector);
    requests[isWrite].push_back({thread / warpThreads, site, times, sector});
  }
}

void fake::finishBlock() {
  timesRun.clear();
  for (unsigned isWrite : {0, 1}) {
    std::vector<Request> &asked = requests[isWrite];
    std::sort(asked.begin(), asked.end());
    auto end = std::unique(asked.begin(), asked.end());
    if (isCounting)
      launches.back().requests[isWrite] += uint64_t(end - asked.begin());
    asked.clear();
  }
}

//===----------------------------------------------------------------------===//
// Steering
//===----------------------------------------------------------------------===//

/// A line of words and numbers.
template <typename... Part> static std::string line(const Part &...parts) {
  std::string text;
  auto add = [&](const auto &part) {
    if constexpr (std::is_integral_v<std::decay_t<decltype(part)>>)
      text += "\t" + std::to_string(part);
    else
      text += (text.empty() ? "" : "\t") + std::string(part);
  };
  (add(parts), ...);
  return text + "\n";
}

extern "C" {

/// Counts from here on, with a cache of so many bytes, or no more; what was counted before is gone.
void fakeCudaCountSectors(int wanted, uint64_t cacheBytes) {
  isCounting = wanted;
  launches.clear();
  cache.empty(cacheBytes);
}

/// What was counted, in sectors. For each launch a line "launch", with its kernel, blocks and
/// threads, what it reads and writes, and the same as its warps ask for it; behind it a line
/// "touched" for each piece of memory, with its number, and what the launch reads and writes of it.
/// For each piece of memory a line "buffer", with its number, its bytes, and what all launches
/// together read and write of it. A line "cache" with what the cache reads and writes of memory in
/// all.
const char *fakeCudaSectors() {
  static std::string text;
  text.clear();
  using Sectors = Both<std::set<uint64_t>>;
  std::map<const Allocation *, Sectors> ofAll;
  for (const Launch &launch : launches) {
    text += line("launch", launch.kernel, launch.blocks, launch.threads, launch.sectors[0].size(),
                 launch.sectors[1].size(), launch.requests[0], launch.requests[1]);
    std::map<const Allocation *, Both<uint64_t>> touched;
    for (unsigned isWrite : {0, 1})
      for (uint64_t sector : launch.sectors[isWrite]) {
        const Allocation *allocation = memory.below(sector * sectorBytes);
        ++touched[allocation][isWrite];
        ofAll[allocation][isWrite].insert(sector);
      }
    for (auto [allocation, counts] : touched)
      text += line("touched", allocation->number, counts[0], counts[1]);
  }
  for (const auto &[allocation, sectors] : ofAll)
    text +=
        line("buffer", allocation->number, allocation->size, sectors[0].size(), sectors[1].size());
  auto [read, written] = cache.total();
  text += line("cache", read, written);
  return text.c_str();
}

} // extern "C"

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
//===----------------------------------------------------------------------===//

#include "FakeCuda.h"

#include <algorithm>
#include <array>
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

/// What the threads of a warp ask for together: the warp, the instruction, how often it ran
/// before, and one sector.
using Request = std::tuple<unsigned, uint32_t, uint32_t, uint64_t>;
} // namespace

static bool isCounting;
static std::vector<Launch> launches;
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

/// Counts from here on, or no more; what was counted before is gone.
void fakeCudaCountSectors(int wanted) {
  isCounting = wanted;
  launches.clear();
}

/// What was counted, in sectors. For each launch a line "launch", with its kernel, blocks and
/// threads, what it reads and writes, and the same as its warps ask for it. For each piece of
/// memory a line "buffer", with its number, its bytes, and what all launches together read and
/// write of it.
const char *fakeCudaSectors() {
  static std::string text;
  text.clear();
  std::map<const Allocation *, Both<std::set<uint64_t>>> touched;
  for (const Launch &launch : launches) {
    text += line("launch", launch.kernel, launch.blocks, launch.threads, launch.sectors[0].size(),
                 launch.sectors[1].size(), launch.requests[0], launch.requests[1]);
    for (unsigned isWrite : {0, 1})
      for (uint64_t sector : launch.sectors[isWrite])
        touched[memory.below(sector * sectorBytes)][isWrite].insert(sector);
  }
  for (const auto &[allocation, sectors] : touched)
    text +=
        line("buffer", allocation->number, allocation->size, sectors[0].size(), sectors[1].size());
  return text.c_str();
}

} // extern "C"

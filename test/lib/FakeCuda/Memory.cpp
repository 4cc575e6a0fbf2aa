//===- Memory.cpp - Memory of the device ----------------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "FakeCuda.h"

#include <cstring>
#include <sys/mman.h>

using namespace fake;

DeviceMemory fake::memory;

/// Addresses that no host memory will ever have: whoever follows one on the host dies.
static uint64_t reserveAddresses(uint64_t size) {
  void *place = mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return place == MAP_FAILED ? 0 : reinterpret_cast<uint64_t>(place);
}

uint64_t DeviceMemory::allocate(uint64_t size) {
  const uint64_t unit = 256;
  if (!next)
    next = reserveAddresses(uint64_t(1) << 40);
  uint64_t address = next;
  // No address is given twice, and there is a gap behind each piece.
  next += (size + 2 * unit - 1) / unit * unit;
  Allocation allocation{address,
                        size,
                        int64_t(numbers++),
                        std::make_unique<uint8_t[]>(size),
                        std::vector<uint8_t>(size),
                        {}};
  // A signalling NaN as f32 and as bf16.
  for (uint64_t i = 0; i < size; ++i)
    allocation.bytes[i] = i % 2 ? 0x7f : 0xa0;
  allocations.emplace(address, std::move(allocation));
  used += size;
  return address;
}

bool DeviceMemory::free(uint64_t address) {
  auto found = allocations.find(address);
  if (found == allocations.end())
    return false;
  used -= found->second.size;
  last = nullptr;
  allocations.erase(found);
  return true;
}

const Allocation *DeviceMemory::below(uint64_t address) const {
  auto above = allocations.upper_bound(address);
  return above == allocations.begin() ? nullptr : &std::prev(above)->second;
}

static bool holds(const Allocation *allocation, uint64_t address, uint64_t size) {
  return allocation && address >= allocation->address &&
         address - allocation->address <= allocation->size &&
         size <= allocation->size - (address - allocation->address);
}

bool DeviceMemory::findLast(uint64_t address, uint64_t size) {
  if (!holds(last, address, size))
    last = const_cast<Allocation *>(below(address));
  return holds(last, address, size);
}

Piece DeviceMemory::find(uint64_t address, uint64_t size) {
  if (!findLast(address, size))
    return {};
  uint64_t offset = address - last->address;
  return {last->bytes.get() + offset, last->written.data() + offset};
}

Trace *DeviceMemory::findTraces(uint64_t address, uint64_t size) {
  if (!findLast(address, size))
    return nullptr;
  if (last->traces.empty())
    last->traces.resize(last->size);
  return last->traces.data() + (address - last->address);
}

std::string DeviceMemory::describe(uint64_t address, uint64_t size) const {
  std::string text = std::to_string(size) + " bytes";
  const Allocation *allocation = below(address);
  if (!allocation || address - allocation->address > allocation->size + (1 << 20))
    return text + " that are not the device's";
  return text + " at offset " + std::to_string(address - allocation->address) + " of buffer " +
         std::to_string(allocation->number) + ", which has " + std::to_string(allocation->size);
}

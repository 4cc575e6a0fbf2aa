//===- WarpGroup.cpp - Products of four warps ------------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A warp group multiplies when all of its 128 threads are there, as a warp does (Tensor.cpp). The
// sums are a thread's when it has waited for them: until then its registers hold NaNs that
// only another product knows what to do with, and what the product reads nobody may write.
//
//===----------------------------------------------------------------------===//

#include "FakeCuda.h"

#include "llvm/ADT/STLExtras.h"
#include <bitset>
#include <cstring>

using namespace fake;

namespace {
enum { groupThreads = 128, outputs = 64, numbers = 16, pieceRows = 8, pieceBytes = 128 };

/// What a thread brings: four words of A in PTX's order of fragments, a descriptor of B, and sums.
struct Operands {
  uint32_t rows, a[4];
  uint64_t descriptor;
  float *sums;
  uint32_t site;
};

/// Sums of a thread that are under way, and behind how many groups that were committed.
struct Product {
  uint32_t number, group;
  std::vector<float> sums;
};

struct Products {
  std::vector<Product> open;
  uint32_t groups = 0, count = 0;
};

/// Memory that products under way read, and threads that have not waited for them.
struct Reading {
  const uint8_t *begin, *end;
  uint32_t group;
  std::bitset<groupThreads> left;
};
} // namespace

static std::map<unsigned, Products> products;             // by thread of all that are there
static std::map<unsigned, std::vector<Reading>> readings; // by warp group of all that are there

void fake::forgetProducts(unsigned firstThread, unsigned threads) {
  products.erase(products.lower_bound(firstThread), products.lower_bound(firstThread + threads));
  readings.erase(readings.lower_bound(firstThread / groupThreads),
                 readings.lower_bound((firstThread + threads) / groupThreads));
}

bool fake::hasProducts() {
  auto own = products.find(currentThreadOfAll());
  return own != products.end() && !own->second.open.empty();
}

void fake::requireNoProducts(unsigned firstThread, unsigned threads, const void *place,
                             uint64_t bytes, llvm::function_ref<std::string()> where) {
  auto *begin = static_cast<const uint8_t *>(place);
  auto last = readings.lower_bound((firstThread + threads) / groupThreads);
  for (auto it = readings.lower_bound(firstThread / groupThreads); it != last; ++it)
    for (const Reading &reading : it->second)
      if (begin < reading.end && reading.begin < begin + bytes)
        fail("writes " + where() + ", which a product under way reads");
}

//===----------------------------------------------------------------------===//
// Registers
//===----------------------------------------------------------------------===//

/// The NaN in place of a sum: no result of an operation has its bits.
static uint32_t placeholder(uint32_t product, size_t sum) {
  return 0xffe00000u | (product % 0x1fff + 1) << 8 | uint32_t(sum);
}

static bool isPlaceholder(float sum) {
  uint32_t bits;
  std::memcpy(&bits, &sum, sizeof bits);
  return bits > 0xffe00000u && (bits >> 8 & 0x1fff);
}

static void hide(const Product &product, float *sums) {
  for (size_t i = 0; i < product.sums.size(); ++i) {
    uint32_t bits = placeholder(product.number, i);
    std::memcpy(&sums[i], &bits, sizeof bits);
  }
}

/// Of registers, whether they are those of a product.
static bool isOf(const Product &product, const float *sums, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    uint32_t bits = placeholder(product.number, i);
    if (std::memcmp(&sums[i], &bits, sizeof bits))
      return false;
  }
  return product.sums.size() == count;
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

static float numberOf(uint32_t word, unsigned odd) {
  uint32_t bits = odd ? word & 0xffff0000 : word << 16;
  float number;
  std::memcpy(&number, &bits, sizeof number);
  return number;
}

/// Reads B by its descriptor, PTX's "Matrix Descriptor Format": pieces of 8 rows and 16 bytes of K.
static void readRows(const Operands &of, float (*b)[numbers]) {
  auto field = [&](unsigned bit) { return uint32_t(of.descriptor >> bit & 0x3fff) << 4; };
  const uint64_t fields = 0x3fff | uint64_t(0x3fff) << 16 | uint64_t(0x3fff) << 32;
  if (of.descriptor & ~fields)
    fail("multiplies by a descriptor with bits that this driver does not know");
  uint8_t *start = findInWindow(field(0));
  uint32_t ofK = field(16), ofRows = field(32);
  std::vector<Reading> &open = readings[currentThreadOfAll() / groupThreads];
  for (unsigned half = 0; half < 2; ++half)
    for (unsigned row = 0; row < of.rows; ++row) {
      uint8_t *place = start + half * ofK + row / pieceRows * ofRows + row % pieceRows * 16;
      auto *words = static_cast<uint32_t *>(accessByProxy(place, 16, 16, false, of.site));
      for (unsigned k = 0; k < 8; ++k)
        b[row][half * 8 + k] = numberOf(words[k / 2], k % 2);
      Reading reading{place, place + 16, products[currentThreadOfAll()].groups, {}};
      reading.left.set();
      if (!open.empty() && open.back().end == place && open.back().group == reading.group)
        open.back().end = reading.end;
      else
        open.push_back(reading);
    }
}

/// The sums that a thread brings, of a product under way or of registers.
static std::vector<float> takeSums(Products &own, const Operands &of) {
  size_t count = of.rows / 2;
  if (!own.open.empty() && isOf(own.open.back(), of.sums, count)) {
    std::vector<float> sums = std::move(own.open.back().sums);
    own.open.pop_back();
    return sums;
  }
  for (size_t i = 0; i < count; ++i)
    if (isPlaceholder(of.sums[i]))
      fail("multiplies into sums that it has not waited for");
  return {of.sums, of.sums + count};
}

/// D[64][rows] += A[64][16] B[16][rows]. Of warp w, thread 4 g + t holds rows 16 w + g and 16 w + g
/// + 8 at K 2 t, 2 t + 1, 2 t + 8 and 2 t + 9, and of each 8 columns 2 t and 2 t + 1.
static void multiplyGroup(void *const *group) {
  auto operandsOf = [&](unsigned thread) -> Operands & {
    return *static_cast<Operands *>(group[thread]);
  };
  const Operands &any = operandsOf(0);
  for (unsigned thread = 0; thread < groupThreads; ++thread)
    if (operandsOf(thread).descriptor != any.descriptor)
      fail("multiplies by rows that others of its group do not multiply by");
  std::vector<float> b(any.rows * numbers);
  auto *rows = reinterpret_cast<float (*)[numbers]>(b.data());
  readRows(any, rows);

  unsigned first = currentThreadOfAll() / groupThreads * groupThreads;
  for (unsigned thread = 0; thread < groupThreads; ++thread) {
    Operands &of = operandsOf(thread);
    Products &own = products[first + thread];
    Product made{own.count++, own.groups, takeSums(own, of)};
    unsigned warp = thread / warpThreads * warpThreads, g = thread % warpThreads / 4,
             t = thread % 4;
    for (size_t i = 0; i < made.sums.size(); ++i) {
      size_t row = i / 4 * 8 + 2 * t + i % 2; // of B
      for (unsigned k = 0; k < numbers; ++k) {
        // Who of the warp holds that number of A.
        const Operands &holder = operandsOf(warp + 4 * g + k % 8 / 2);
        made.sums[i] += numberOf(holder.a[i / 2 % 2 + k / 8 * 2], k % 2) * rows[row][k];
      }
    }
    hide(made, of.sums);
    own.open.push_back(std::move(made));
  }
}

void fake::multiplyInGroup(uint32_t rows, float *sums, uint32_t a0, uint32_t a1, uint32_t a2,
                           uint32_t a3, uint64_t descriptor, uint32_t site) {
  if (!areRegistersFenced())
    fail("multiplies what it has loaded or waited for, with no fence of registers in between");
  Operands operands{rows, {a0, a1, a2, a3}, descriptor, sums, site};
  meetGroup(site, &operands, multiplyGroup);
}

void fake::fenceWarp(uint32_t site) {
  meetWarp(site, nullptr, nullptr);
  fenceRegisters(true);
}

static void commit(uint32_t site) {
  meetWarp(site, nullptr, nullptr);
  ++products[currentThreadOfAll()].groups;
}

void fake::waitForProducts(uint32_t count, float *sums, uint32_t site) {
  meetWarp(site, nullptr, nullptr);
  unsigned thread = currentThreadOfAll();
  Products &own = products[thread];
  auto isDone = [&](uint32_t group) { return group < own.groups; };
  for (const Product &product : own.open)
    if (isDone(product.group) && !isOf(product, sums, count))
      fail("waits for products, but not with their sums");
  llvm::erase_if(own.open, [&](const Product &product) {
    if (!isDone(product.group))
      return false;
    std::memcpy(sums, product.sums.data(), count * sizeof(float));
    return true;
  });
  fenceRegisters(false);
  llvm::erase_if(readings[thread / groupThreads], [&](Reading &reading) {
    if (isDone(reading.group))
      reading.left.reset(thread % groupThreads);
    return reading.left.none();
  });
}

void *fake::findGroupFunction(const std::string &name) {
  static const std::map<std::string, void *> functions = {
      {"llvm.nvvm.wgmma.commit_group.sync.aligned", reinterpret_cast<void *>(commit)},
  };
  auto found = functions.find(name);
  return found == functions.end() ? nullptr : found->second;
}

//===- Slices.cpp - Sums over K in slices ---------------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Slices.h"

using namespace mlir;
using namespace treadle;

/// Words of weights that a slice asks for before it uses the first of them.
static constexpr int64_t wordsUnderWay = 8;

/// The chains of one slice.
SmallVector<Value> Slices::sumSlice(Value slice, int64_t count, AddWord addWord) {
  int64_t whole = words / slices;
  int64_t atOnce = std::clamp<int64_t>(wordsUnderWay / count, 1, whole);
  auto addWords = [&](Value round, int64_t rounds, ValueRange sums) {
    SmallVector<Value> next(sums);
    for (int64_t i = 0; i < rounds; ++i) {
      Value begin = b.mul(b.add(round, b.index(i)), b.index(slices));
      next = addWord(b.add(begin, slice), next);
    }
    return next;
  };
  SmallVector<Value> sums(count, b.splat(0.0f));
  int64_t rest = whole % atOnce;
  sums = llvm::to_vector(
      b.loop(b.index(0), b.index(whole - rest), atOnce, sums,
             [&](Value round, ValueRange sums) { return addWords(round, atOnce, sums); }));
  sums = addWords(b.index(whole - rest), rest, sums);
  if (words % slices == 0)
    return sums;
  // One word more for some slices, none for the others.
  Value word = b.add(b.index(whole * slices), slice);
  return llvm::to_vector(b.loop(word, b.index(words), slices, sums, addWord));
}

void Slices::sum(int64_t count, AddWord addWord, Value partials, Value totals) {
  b.loop(b.index(0), b.index(slices), 1, [&](Value slice) {
    for (auto [i, sum] : llvm::enumerate(sumSlice(slice, count, addWord)))
      b.store(sum, partials, {slice, b.index(i), b.index(0)});
  });
  b.loop(b.index(0), b.index(count), 1, [&](Value i) {
    ValueRange total = b.loop(b.index(0), b.index(slices), 1, b.splat(0.0f),
                              [&](Value slice, ValueRange total) -> SmallVector<Value> {
                                Value partial = b.load(partials, {slice, i, b.index(0)});
                                return {arith::AddFOp::create(b, total[0], partial)};
                              });
    b.store(total[0], totals, {i, b.index(0)});
  });
}

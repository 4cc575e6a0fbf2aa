//===- RowSums.cpp - Sums over the columns of a row -----------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "StageKernel.h"

using namespace mlir;
using namespace treadle;

/// Slices of a long row: as many as a block of 256 threads has groups of 16.
static constexpr int64_t rowSlices = 16;

SmallVector<Value> treadle::sumColumns(StageKernel &kernel, int64_t columns, int64_t count,
                                       AddColumns addColumns) {
  LaneBuilder &b = kernel.builder();
  SmallVector<Value> zeros(count, b.splat(0.0f));
  if (kernel.getOptions().slices == 1 || columns < longRow)
    return b.forLanes(columns, zeros, addColumns);

  int64_t vectors = columns / numLanes, perSlice = vectors / rowSlices;
  auto sumSlice = [&](Value slice) {
    auto add = [&](Value vector, ValueRange sums) {
      return addColumns(b.mul(vector, b.index(numLanes)), {}, sums);
    };
    ValueRange sums =
        b.loop(b.index(0), b.index(perSlice), 1, zeros, [&](Value i, ValueRange sums) {
          return add(b.add(b.mul(i, b.index(rowSlices)), slice), sums);
        });
    if (vectors % rowSlices == 0)
      return sums;
    // One vector more for some slices, none for the others.
    return b.loop(b.add(b.index(perSlice * rowSlices), slice), b.index(vectors), rowSlices, sums,
                  add);
  };
  auto addAll = [&](ValueRange sums, ValueRange totals) {
    SmallVector<Value> next;
    for (auto [sum, total] : llvm::zip(sums, totals))
      next.push_back(arith::AddFOp::create(b, total, sum));
    return next;
  };

  ValueRange totals;
  if (kernel.isSliced()) {
    Value partials = kernel.allocateForStep({rowSlices, count, numLanes}, b.getF32Type());
    b.loop(b.index(0), b.index(rowSlices), 1, [&](Value slice) {
      for (auto [i, sum] : llvm::enumerate(sumSlice(slice)))
        b.store(sum, partials, {slice, b.index(i), b.index(0)});
    });
    totals = b.loop(b.index(0), b.index(rowSlices), 1, zeros, [&](Value slice, ValueRange totals) {
      SmallVector<Value> sums;
      for (int64_t i = 0; i < count; ++i)
        sums.push_back(b.load(partials, {slice, b.index(i), b.index(0)}));
      return addAll(sums, totals);
    });
  } else {
    totals = b.loop(b.index(0), b.index(rowSlices), 1, zeros, [&](Value slice, ValueRange totals) {
      return addAll(sumSlice(slice), totals);
    });
  }
  if (columns % numLanes == 0)
    return llvm::to_vector(totals);
  int64_t rest = vectors * numLanes;
  return addColumns(b.index(rest), b.maskFirst(columns - rest), totals);
}

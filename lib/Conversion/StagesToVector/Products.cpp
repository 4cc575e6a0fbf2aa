//===- Products.cpp - Products that run together --------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Products.h"

using namespace mlir;
using namespace treadle;

SmallVector<SmallVector<unsigned>> Products::findAlike() const {
  SmallVector<SmallVector<unsigned>> alike;
  for (unsigned i = 0; i < matrices.size(); ++i) {
    auto isAlike = [&](ArrayRef<unsigned> others) {
      return matrices[others[0]].outputs == matrices[i].outputs;
    };
    auto found = llvm::find_if(alike, isAlike);
    (found == alike.end() ? alike.emplace_back() : *found).push_back(i);
  }
  return alike;
}

void treadle::storeSums(StageKernel &kernel, const Products &work, Value group,
                        ArrayRef<unsigned> matrices, ArrayRef<Value> sums, Value row,
                        Value column) {
  LaneBuilder &b = kernel.builder();
  int64_t perMatrix = work.perMatrix();
  int64_t outputs = work.matrices[matrices[0]].outputs;
  Value mask = outputs % panelWidth == 0 ? Value() : b.maskBelow(b.sub(b.index(outputs), column));
  StageKernel::Lanes results;
  for (auto [i, sum] : llvm::enumerate(sums)) {
    unsigned matrix = matrices[i / perMatrix];
    Value finished = sum;
    if (Value bias = work.matrices[matrix].bias) {
      SmallVector<Value> place = {column};
      if (work.isStack())
        place.insert(place.begin(), group);
      finished = arith::AddFOp::create(b, sum, b.load(bias, place, mask));
    }
    results[work.productsOf(matrix)[i % perMatrix].result] = finished;
  }
  Value origin = b.mul(group, b.index(outputs));
  kernel.storeResults(results, row, b.add(origin, column), mask);
}

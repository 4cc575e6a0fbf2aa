//===- KernelOps.cpp - What kernels are made of ---------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "treadle/Dialect/Treadle/IR/Layout.h"
#include "treadle/Dialect/Treadle/IR/Treadle.h"

using namespace mlir;
using namespace treadle;

//===----------------------------------------------------------------------===//
// MultiplyPanelsOp
//===----------------------------------------------------------------------===//

/// As many as 8 warps have halves.
static constexpr int64_t mostSlices = 16;

MultiplyPanelsOp::Slicing MultiplyPanelsOp::getSlicing(int64_t inner) {
  int64_t all = llvm::divideCeilSigned(inner, stepNumbers);
  int64_t steps = llvm::alignTo(llvm::divideCeilSigned(all, mostSlices), blockSteps);
  return {llvm::divideCeilSigned(all, steps), steps};
}

int64_t MultiplyPanelsOp::getRoom(int64_t inner, int64_t inputs, int64_t mostRows,
                                  int64_t mostPanels) {
  int64_t sums = inputs * mostPanels * mostRows;
  if (mostRows <= fewRows) // those of all slices beside the result
    return (getSlicing(inner).slices + 1) * sums;
  int64_t block = mostPanels * blockWords + mostRows * stagedRowWords / panelWidth;
  return std::max(sums, stagedBlocks * block);
}

LogicalResult MultiplyPanelsOp::verify() {
  int64_t inner = getInner(), rows = getMostRows(), panels = getMostPanels();
  int64_t inputs = getInputs().size();
  // multiply_panels_c1
  auto weight = cast<MemRefType>(getWeight().getType());
  ArrayRef<int64_t> shape = weight.getShape();
  int64_t words = llvm::divideCeilSigned(inner, 2);
  if (inner < 1 || shape.back() != panelWidth || shape.end()[-2] != words)
    return emitOpError("expects panels of ")
           << words << " words of 16 outputs for " << inner << " numbers of K, got " << weight;
  if ((shape.size() == 4) != bool(getGroup()))
    return emitOpError("expects a group of a stack of matrices, and of nothing else");
  // multiply_panels_c2
  if (inputs == 0)
    return emitOpError("expects an input");
  // multiply_panels_c4
  if (rows < 1 || (rows > fewRows && rows % 64 != 0))
    return emitOpError("expects 1 to 16 rows or a multiple of 64, got ") << rows;
  if (rows > fewRows && inputs > 1)
    return emitOpError("expects one input of ") << rows << " rows, got " << inputs;
  // multiply_panels_c5
  if (panels < 1 || (rows > fewRows && panels != 4 && panels != 8))
    return emitOpError("expects a positive number of panels, 4 or 8 of many rows, got ") << panels;
  // multiply_panels_c6
  for (Type type : getInputs().getTypes()) {
    auto input = cast<MemRefType>(type);
    if (!input.getElementType().isF32() && (inner % 2 != 0 || input.getDimSize(1) % 2 != 0))
      return emitOpError("expects f32 where rows have an odd number of columns, got ") << input;
  }
  // multiply_panels_c3
  auto sums = cast<MemRefType>(getSums().getType());
  int64_t room = getRoom(inner, inputs, rows, panels);
  if (sums.getDimSize(0) < room || sums.getDimSize(1) != panelWidth)
    return emitOpError("expects sums in ") << room << " rows of 16 words or more, got " << sums;
  return success();
}

//===- CrossLaneMemory.cpp - Memory between the lanes of a tile -----------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "CrossLaneMemory.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "treadle/Dialect/Treadle/IR/Layout.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace treadle;

/// Whether an index is a multiple of 16, as its making shows.
static bool isAligned(Value index) {
  if (std::optional<int64_t> constant = getConstantIntValue(index))
    return *constant % panelWidth == 0;
  if (auto argument = dyn_cast<BlockArgument>(index)) {
    auto loop = dyn_cast<scf::ForOp>(argument.getOwner()->getParentOp());
    return loop && argument == loop.getInductionVar() && isAligned(loop.getLowerBound()) &&
           isAligned(loop.getStep());
  }
  Operation *op = index.getDefiningOp();
  if (isa<arith::AddIOp, arith::SubIOp>(op))
    return llvm::all_of(op->getOperands(), isAligned);
  return isa<arith::MulIOp>(op) && llvm::any_of(op->getOperands(), isAligned);
}

namespace {
/// How a kernel uses one memory.
struct Uses {
  bool isLoaded = false, isStored = false, isAligned = true;
};
} // namespace

llvm::DenseSet<Value> treadle::findCrossLaneMemory(func::FuncOp kernel) {
  llvm::MapVector<Value, Uses> memory;
  auto load = [&](Value base, bool isAligned) {
    memory[base].isLoaded = true;
    memory[base].isAligned &= isAligned;
  };
  auto store = [&](Value base, bool isAligned) {
    memory[base].isStored = true;
    memory[base].isAligned &= isAligned;
  };
  kernel.walk([&](Operation *op) {
    llvm::TypeSwitch<Operation *>(op)
        .Case([&](memref::LoadOp op) { load(op.getMemRef(), false); })
        .Case([&](memref::StoreOp op) { store(op.getMemRef(), false); })
        .Case([&](vector::GatherOp op) { load(op.getBase(), false); })
        .Case<vector::LoadOp, vector::MaskedLoadOp>(
            [&](auto op) { load(op.getBase(), isAligned(op.getIndices().back())); })
        .Case<vector::StoreOp, vector::MaskedStoreOp>(
            [&](auto op) { store(op.getBase(), isAligned(op.getIndices().back())); });
  });
  llvm::DenseSet<Value> crossing;
  for (auto &[base, uses] : memory)
    if (uses.isLoaded && uses.isStored && !uses.isAligned)
      crossing.insert(base);
  return crossing;
}

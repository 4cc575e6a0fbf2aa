//===- MemoryUses.cpp - What a kernel does with memory --------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "MemoryUses.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "treadle/Dialect/Treadle/IR/Layout.h"
#include "treadle/Dialect/Treadle/IR/Treadle.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace treadle;

bool treadle::isMultipleOfLanes(Value index) {
  if (std::optional<int64_t> constant = getConstantIntValue(index))
    return *constant % panelWidth == 0;
  if (auto argument = dyn_cast<BlockArgument>(index)) {
    auto loop = dyn_cast<scf::ForOp>(argument.getOwner()->getParentOp());
    return loop && argument == loop.getInductionVar() && isMultipleOfLanes(loop.getLowerBound()) &&
           isMultipleOfLanes(loop.getStep());
  }
  Operation *op = index.getDefiningOp();
  if (isa<arith::AddIOp, arith::SubIOp>(op))
    return llvm::all_of(op->getOperands(), isMultipleOfLanes);
  return isa<arith::MulIOp>(op) && llvm::any_of(op->getOperands(), isMultipleOfLanes);
}

static int64_t elementsOf(Type type) {
  auto vector = dyn_cast<VectorType>(type);
  return vector ? vector.getNumElements() : 1;
}

llvm::MapVector<Value, SmallVector<MemoryUse>> treadle::collectMemoryUses(Operation *op) {
  llvm::MapVector<Value, SmallVector<MemoryUse>> uses;
  auto add = [&](Value memory, ValueRange indices, Type type, bool isStore) {
    uses[memory].push_back({indices, elementsOf(type), isa<VectorType>(type), isStore});
  };
  op->walk([&](Operation *op) {
    llvm::TypeSwitch<Operation *>(op)
        .Case([&](memref::LoadOp op) {
          add(op.getMemRef(), op.getIndices(), op.getType(), /*isStore=*/false);
        })
        .Case([&](memref::StoreOp op) {
          add(op.getMemRef(), op.getIndices(), op.getValue().getType(), /*isStore=*/true);
        })
        .Case([&](vector::GatherOp op) {
          uses[op.getBase()].push_back({op.getOffsets(), /*elements=*/0, true, /*isStore=*/false});
        })
        .Case([&](MultiplyPanelsOp op) {
          auto anywhere = [&](Value memory, bool isStore) {
            uses[memory].push_back({ValueRange(), /*elements=*/0, true, isStore});
          };
          anywhere(op.getWeight(), /*isStore=*/false);
          for (Value input : op.getInputs())
            anywhere(input, /*isStore=*/false);
          anywhere(op.getSums(), /*isStore=*/true);
        })
        .Case<vector::LoadOp, vector::MaskedLoadOp>([&](auto op) {
          add(op.getBase(), op.getIndices(), op.getVectorType(), /*isStore=*/false);
        })
        .Case<vector::StoreOp, vector::MaskedStoreOp>([&](auto op) {
          add(op.getBase(), op.getIndices(), op.getVectorType(), /*isStore=*/true);
        });
  });
  return uses;
}

SharedMemory treadle::findSharedMemory(func::FuncOp kernel) {
  SharedMemory shared;
  auto isStore = [](const MemoryUse &use) { return use.isStore; };
  auto keepsLanesApart = [](const MemoryUse &use) {
    return use.isVector && use.elements && isMultipleOfLanes(use.indices.back());
  };
  for (auto &[memory, uses] : collectMemoryUses(kernel)) {
    if (llvm::none_of(uses, isStore) || llvm::all_of(uses, isStore))
      continue;
    shared.ofAll.insert(memory);
    if (!llvm::all_of(uses, keepsLanesApart))
      shared.ofLanes.insert(memory);
  }
  return shared;
}

//===- GridAccess.cpp - What stages of a grid kernel touch ----------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "GridAccess.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mlir/Interfaces/ViewLikeInterface.h"

using namespace mlir;
using namespace treadle;

static StringAttr getThreadsName(MLIRContext *context) {
  return gpu::GPUDialect::KnownBlockSizeAttrHelper(context).getName();
}

std::optional<int64_t> treadle::getBlockThreads(func::FuncOp function) {
  auto size = function->getAttrOfType<DenseI32ArrayAttr>(getThreadsName(function.getContext()));
  return size ? std::optional<int64_t>(size[0]) : std::nullopt;
}

void treadle::setBlockThreads(func::FuncOp function, int64_t threads) {
  Builder builder(function.getContext());
  function->setAttr(getThreadsName(function.getContext()),
                    builder.getDenseI32ArrayAttr({static_cast<int32_t>(threads), 1, 1}));
}

//===----------------------------------------------------------------------===//
// Where an operand lies
//===----------------------------------------------------------------------===//

namespace {
/// What a number may be, both ends included.
struct Bounds {
  int64_t least, most;
};
} // namespace

/// The values of an index in all iterations, if these are known.
static std::optional<Bounds> getRange(Value value) {
  if (std::optional<int64_t> constant = getConstantIntValue(value))
    return Bounds{*constant, *constant};
  if (auto argument = dyn_cast<BlockArgument>(value)) {
    auto loop = dyn_cast<scf::ForOp>(argument.getOwner()->getParentOp());
    if (!loop || argument != loop.getInductionVar())
      return std::nullopt;
    std::optional<Bounds> begin = getRange(loop.getLowerBound());
    std::optional<Bounds> end = getRange(loop.getUpperBound());
    if (!begin || !end || begin->least >= end->most)
      return std::nullopt;
    return Bounds{begin->least, end->most - 1};
  }
  Operation *op = value.getDefiningOp();
  if (!isa<arith::AddIOp, arith::MulIOp>(op))
    return std::nullopt;
  std::optional<Bounds> a = getRange(op->getOperand(0)), b = getRange(op->getOperand(1));
  if (!a || !b || a->least < 0 || b->least < 0)
    return std::nullopt;
  return isa<arith::AddIOp>(op) ? Bounds{a->least + b->least, a->most + b->most}
                                : Bounds{a->least * b->least, a->most * b->most};
}

static int64_t getBytes(MemRefType type) {
  return type.hasStaticShape()
             ? type.getNumElements() * llvm::divideCeil(type.getElementTypeBitWidth(), 8)
             : std::numeric_limits<int64_t>::max();
}

static constexpr GridPlace anywhere{GridPlace::anywhere, 0, 0};

/// Where `memory` lies; nothing for workgroup memory.
static std::optional<GridPlace> getPlace(Value memory) {
  if (auto argument = dyn_cast<BlockArgument>(memory)) {
    auto kernel = dyn_cast<gpu::GPUFuncOp>(argument.getOwner()->getParentOp());
    if (!kernel)
      return anywhere;
    if (argument.getArgNumber() >= kernel.getNumArguments())
      return std::nullopt;
    return GridPlace{argument.getArgNumber(), 0, getBytes(cast<MemRefType>(argument.getType()))};
  }
  auto view = dyn_cast<ViewLikeOpInterface>(memory.getDefiningOp());
  if (!view)
    return anywhere;
  std::optional<GridPlace> place = getPlace(view.getViewSource());
  auto bytes = dyn_cast<memref::ViewOp>(memory.getDefiningOp());
  if (!place || !bytes)
    return place;
  std::optional<Bounds> offset = getRange(bytes.getByteShift());
  if (!offset)
    return place;
  int64_t begin = place->begin + offset->least;
  return GridPlace{place->argument, begin, place->begin + offset->most + getBytes(bytes.getType())};
}

//===----------------------------------------------------------------------===//
// What a block function does with it
//===----------------------------------------------------------------------===//

namespace {
struct Use {
  bool reads = false, writes = false;
};
} // namespace

/// What becomes of memory, and of the views that are taken of it.
static void addUses(Value memory, Use &use) {
  for (Operation *user : memory.getUsers()) {
    auto view = dyn_cast<ViewLikeOpInterface>(user);
    if (view && view.getViewSource() == memory) {
      addUses(view->getResult(0), use);
      continue;
    }
    auto effects = dyn_cast<MemoryEffectOpInterface>(user);
    if (!effects || user->getNumRegions()) {
      use.reads = use.writes = true;
      continue;
    }
    SmallVector<MemoryEffects::EffectInstance> instances;
    effects.getEffects(instances);
    for (const MemoryEffects::EffectInstance &effect : instances) {
      // One that does not say on what may be on this.
      if (effect.getValue() && effect.getValue() != memory)
        continue;
      use.reads |= isa<MemoryEffects::Read>(effect.getEffect());
      use.writes |= isa<MemoryEffects::Write>(effect.getEffect());
    }
    // Whoever makes a pointer of it may do anything with that.
    if (isMemoryEffectFree(user) && user->getNumResults())
      use.reads = use.writes = true;
  }
}

SmallVector<GridAccess> treadle::getGridAccesses(func::CallOp stage) {
  SmallVector<GridAccess> accesses;
  auto function = SymbolTable::lookupNearestSymbolFrom<func::FuncOp>(stage, stage.getCalleeAttr());
  for (auto [operand, argument] : llvm::zip(stage.getOperands(), function.getArguments())) {
    if (!isa<MemRefType>(operand.getType()))
      continue;
    std::optional<GridPlace> place = getPlace(operand);
    if (!place)
      continue;
    Use use;
    addUses(argument, use);
    if (use.reads || use.writes)
      accesses.push_back({*place, use.writes});
  }
  return accesses;
}

bool treadle::areInConflict(ArrayRef<GridAccess> some, ArrayRef<GridAccess> others) {
  return llvm::any_of(some, [&](const GridAccess &a) {
    return llvm::any_of(others, [&](const GridAccess &b) {
      return (a.writes || b.writes) && a.place.overlaps(b.place);
    });
  });
}

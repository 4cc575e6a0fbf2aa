//===- PlaceBarriers.cpp - Where the members of a team wait ---------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

//
// Member m of n runs tiles [m T / n, (m + 1) T / n) of a stage of T tiles, so two
// stages with equal grids of tiles have the same owner for each tile. The pass walks
// an entry point with the set of what was touched since the last barrier.
//
//===----------------------------------------------------------------------===//

#include "treadle/Dialect/Treadle/Analysis/StageWork.h"
#include "treadle/Dialect/Treadle/IR/Layout.h"
#include "treadle/Dialect/Treadle/IR/Treadle.h"
#include "treadle/Target/CPU/Passes.h"

#include "llvm/ADT/SetVector.h"

namespace treadle {
#define GEN_PASS_DEF_PLACEBARRIERSPASS
#include "treadle/Target/CPU/Passes.h.inc"
} // namespace treadle

using namespace mlir;
using namespace treadle;

//===----------------------------------------------------------------------===//
// What a stage touches
//===----------------------------------------------------------------------===//

namespace {
/// A piece of memory: bytes of the arena, the entry point's output, or a state in all its slots.
struct Place {
  enum Kind { arena, output, state } kind;
  int64_t begin = 0, end = 0; // arena
  StringAttr symbol;          // state

  bool overlaps(const Place &other) const {
    if (kind != other.kind)
      return false;
    if (kind == arena)
      return begin < other.end && other.begin < end;
    return symbol == other.symbol;
  }
  bool operator==(const Place &other) const {
    return kind == other.kind && begin == other.begin && end == other.end && symbol == other.symbol;
  }
};

/// What the tiles of a stage do to one operand or result.
struct Touch {
  StageOp stage;
  Place place;
  Type type;
  AccessAttr access;
  bool writes;
};
} // namespace

static int64_t getBytes(RankedTensorType type) {
  return llvm::alignTo(type.getNumElements() * type.getElementTypeBitWidth() / 8, slotAlignment);
}

/// Where an activation or a state lies; nothing for what is never written.
static std::optional<Place> getPlace(Value value) {
  if (auto get = value.getDefiningOp<GetStateOp>())
    return Place{Place::state, 0, 0, get.getSymbolAttr().getAttr()};
  auto type = dyn_cast<RankedTensorType>(value.getType());
  if (!type)
    return std::nullopt;
  // What a loop carries lies where its init lies.
  if (auto argument = dyn_cast<BlockArgument>(value)) {
    auto loop = dyn_cast<LoopOp>(argument.getOwner()->getParentOp());
    return loop ? getPlace(loop.getInits()[argument.getArgNumber() - 1]) : std::nullopt;
  }
  unsigned number = cast<OpResult>(value).getResultNumber();
  if (auto loop = value.getDefiningOp<LoopOp>())
    return getPlace(loop.getInits()[number]);
  int64_t offset = (*value.getDefiningOp<StageOp>().getOffsets())[number];
  if (offset == StageOp::outputPlace)
    return Place{Place::output, 0, 0, {}};
  return Place{Place::arena, offset, offset + getBytes(type), {}};
}

static SmallVector<Touch> getTouches(StageOp stage) {
  SmallVector<Touch> touches;
  auto add = [&](Value value, Attribute access, bool writes) {
    if (std::optional<Place> place = getPlace(value))
      touches.push_back({stage, *place, value.getType(), cast<AccessAttr>(access), writes});
  };
  for (auto [i, input] : llvm::enumerate(stage.getInputs()))
    add(input, stage.getAccesses()[i], getStateUse(stage, i).writes);
  for (auto [i, result] : llvm::enumerate(stage.getResults()))
    add(result, stage.getResultAccesses()[i], true);
  return touches;
}

//===----------------------------------------------------------------------===//
// Who touches it
//===----------------------------------------------------------------------===//

/// The iteration dimensions that are cut, fastest first.
static SmallVector<int64_t> getCutDims(StageOp stage) {
  SmallVector<int64_t> dims;
  for (int64_t dim = 0, e = stage.getIterations().size(); dim < e; ++dim)
    if (stage.getNumTiles(dim) > 1)
      dims.push_back(dim);
  return dims;
}

/// True if every tile of the one stage touches, of the operand, what the tile of the same number
/// of the other stage touches, and no other tile.
static bool isTileByTile(const Touch &a, const Touch &b) {
  StageOp stageA = a.stage, stageB = b.stage;
  SmallVector<int64_t> cutA = getCutDims(stageA), cutB = getCutDims(stageB);
  if (cutA.size() != cutB.size())
    return false;
  for (auto [dimA, dimB] : llvm::zip(cutA, cutB))
    if (stageA.getNumTiles(dimA) != stageB.getNumTiles(dimB))
      return false;
  if (cutA.empty())
    return true; // one tile each, of one owner
  if (!(a.place == b.place) || a.type != b.type)
    return false;

  auto state = dyn_cast<StateType>(a.type);
  ArrayRef<int64_t> shape = state ? state.getShape() : cast<RankedTensorType>(a.type).getShape();
  SmallVector<bool> isCut(cutA.size(), false);
  for (auto [size, dimA, dimB] : llvm::zip(shape, a.access.getDims(), b.access.getDims())) {
    const int64_t *foundA = llvm::find(cutA, dimA), *foundB = llvm::find(cutB, dimB);
    if (foundA - cutA.begin() != foundB - cutB.begin() || dimA == AccessAttr::position ||
        dimB == AccessAttr::position)
      return false;
    if (foundA == cutA.end())
      continue;
    // A tile's interval of the operand: tile size times size / extent.
    auto interval = [size = size](StageOp stage, int64_t dim) {
      return stage.getTile().value().getSizes()[dim] * (size / stage.getExtent(dim));
    };
    if (interval(stageA, dimA) != interval(stageB, dimB))
      return false;
    isCut[foundA - cutA.begin()] = true;
  }
  return llvm::all_of(isCut, [](bool cut) { return cut; });
}

static bool needsBarrier(const Touch &before, const Touch &after) {
  return (before.writes || after.writes) && before.place.overlaps(after.place) &&
         !isTileByTile(before, after);
}

//===----------------------------------------------------------------------===//
// What a stage costs
//===----------------------------------------------------------------------===//

namespace {
/// Nanoseconds of one thread; a part of them for each key that the rows see.
struct Cost {
  double fixed = 0, ofKey = 0;
};
} // namespace

/// One tile after the other on one thread. Rough: it tells large from small.
static Cost estimateCost(StageOp stage) {
  constexpr double bytesPerNs = 30, operationsPerNs = 150;
  // Of what is not counted as operations: those for a byte of an activation, and of a state.
  constexpr double perRowByte = 2, perStateByte = 0.5;
  StageWork work = computeWork(stage);
  double rows = stage.getRows();
  double ofRow = work.flops + perRowByte * work.rowBytes + perStateByte * work.stateBytes;
  return {work.weightBytes / bytesPerNs + rows * ofRow / operationsPerNs,
          std::max(work.keyBytes / bytesPerNs, rows * work.keyFlops / operationsPerNs)};
}

//===----------------------------------------------------------------------===//
// Pass
//===----------------------------------------------------------------------===//

namespace {
class PlaceBarriers : public treadle::impl::PlaceBarriersPassBase<PlaceBarriers> {
  void runOnOperation() override;
  void visit(Block &block);
  void visit(LoopOp loop);
  void visit(StageOp stage);
  void count(Block &block, double times);

  /// Stages that ran since the last barrier, on some way to here.
  llvm::SetVector<Operation *> pending;
  bool hasChanged = false;
  Cost work;
  double serial = 0, barriers = 0;
};
} // namespace

void PlaceBarriers::visit(StageOp stage) {
  SmallVector<Touch> touches = getTouches(stage);
  bool isNeeded = llvm::any_of(pending, [&](Operation *earlier) {
    return llvm::any_of(getTouches(cast<StageOp>(earlier)), [&](const Touch &before) {
      return llvm::any_of(touches, [&](const Touch &after) { return needsBarrier(before, after); });
    });
  });
  if (isNeeded) {
    OpBuilder builder(stage);
    BarrierOp::create(builder, stage.getLoc());
    pending.clear();
    hasChanged = true;
  }
  pending.insert(stage);
}

/// A loop runs at least once, and what it leaves pending meets its own beginning.
void PlaceBarriers::visit(LoopOp loop) {
  llvm::SetVector<Operation *> begin = pending;
  size_t known;
  do {
    hasChanged = false;
    known = begin.size();
    pending = begin;
    visit(*loop.getBody());
    begin.insert(pending.begin(), pending.end());
  } while (hasChanged || begin.size() != known);
}

void PlaceBarriers::visit(Block &block) {
  for (Operation &op : block) {
    if (auto stage = dyn_cast<StageOp>(op))
      visit(stage);
    else if (auto loop = dyn_cast<LoopOp>(op))
      visit(loop);
    else if (isa<BarrierOp>(op))
      pending.clear();
  }
}

void PlaceBarriers::count(Block &block, double times) {
  for (Operation &op : block) {
    if (auto stage = dyn_cast<StageOp>(op)) {
      Cost cost = estimateCost(stage);
      work.fixed += times * cost.fixed;
      work.ofKey += times * cost.ofKey;
      serial += stage.getNumTiles() == 1 ? times * cost.fixed : 0;
    } else if (auto loop = dyn_cast<LoopOp>(op))
      count(*loop.getBody(), times * loop.getMax());
    else if (isa<BarrierOp>(op))
      barriers += times;
  }
}

void PlaceBarriers::runOnOperation() {
  func::FuncOp entry = getOperation();
  if (!entry->hasAttr("treadle.entry"))
    return;
  pending.clear();
  work = {};
  serial = barriers = 0;
  visit(entry.getBody().front());
  count(entry.getBody().front(), 1);
  Builder builder(&getContext());
  auto set = [&](StringRef name, double value) {
    entry->setAttr(name, builder.getI64IntegerAttr(static_cast<int64_t>(value)));
  };
  set("treadle.work", work.fixed);
  set("treadle.key_work", 1000 * work.ofKey);
  set("treadle.serial", serial);
  set("treadle.barriers", barriers);
}

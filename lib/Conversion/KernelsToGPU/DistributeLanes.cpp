//===- DistributeLanes.cpp - From 16 lanes to 16 threads ------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

//
// Thread i holds lane i of every vector; of one with fewer than 16 lanes the threads behind
// hold anything. What is no vector is equal in all threads, so all of them take the same way
// through the kernel, and meet at every exchange of lanes.
//
// Where a block runs a tile together, each of its groups does so, but the first one alone
// stores. Loops with independent iterations are dealt out, to groups, or to quads, whose threads
// hold four lanes each.
//
//===----------------------------------------------------------------------===//

#include "DistributeLanes.h"

#include "IndependentLoops.h"
#include "MemoryUses.h"
#include "MultiplyPanels.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "treadle/Conversion/ConstantTable.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace treadle;

namespace {
/// Who runs a piece of code together.
enum class Team { group, block, quad };

/// What of a loop is dealt out: its own iterations, those of loops in it, or none.
enum class Deal { here, inside, nothing };

class LaneDistributor {
public:
  LaneDistributor(func::FuncOp kernel, gpu::GPUModuleOp module, std::optional<int64_t> groups,
                  LaneThreads &threads, ImplicitLocOpBuilder &builder, IRMapping &mapping)
      : kernel(kernel), module(module), threads(threads), b(builder), mapping(mapping),
        shared(findSharedMemory(kernel)), team(groups ? Team::block : Team::group),
        groups(groups.value_or(0)) {}

  /// Everything of `block` but its terminator.
  LogicalResult distribute(Block &block);

private:
  LogicalResult distribute(Operation *op);
  LogicalResult distributeVector(Operation *op);
  LogicalResult clone(Operation *op);
  int64_t countTeams(scf::ForOp loop);
  int64_t countSteps(scf::ForOp loop, Deal deal);
  bool isDealtOut(scf::ForOp loop);
  LogicalResult dealOut(scf::ForOp loop);

  Value distributeConstant(arith::ConstantOp op);
  Value distributeShuffle(vector::ShuffleOp op);
  Value distributeSlice(vector::ExtractStridedSliceOp op);
  Value distributeGather(vector::GatherOp op);
  Value tableOf(memref::GetGlobalOp op);

  /// The thread's part of a vector type; other types stay.
  Type laneType(Type type) {
    auto vector = dyn_cast<VectorType>(type);
    if (!vector)
      return type;
    Type element = vector.getElementType();
    return team == Team::quad ? Type(VectorType::get({quadLanes}, element)) : element;
  }
  static bool isLanes(Type type) {
    auto vector = dyn_cast<VectorType>(type);
    return !vector || (vector.getRank() == 1 && vector.getDimSize(0) <= groupThreads);
  }

  Value lookup(Value value) { return mapping.lookup(value); }
  SmallVector<Value> lookup(ValueRange values) {
    return llvm::map_to_vector(values, [&](Value value) { return lookup(value); });
  }
  /// The thread's first element of the 16 that start at `indices`.
  SmallVector<Value> laneIndices(ValueRange indices) {
    SmallVector<Value> place = lookup(indices);
    Value lane = team == Team::quad ? threads.getFirstLaneOfQuad() : threads.getLane();
    place.back() = arith::AddIOp::create(b, place.back(), lane);
    return place;
  }
  /// The thread's elements of the 16 that start at `indices`.
  Value loadLanes(Value memory, ValueRange indices) {
    Type type = laneType(VectorType::get({panelWidth}, getElementTypeOrSelf(memory.getType())));
    if (auto vector = dyn_cast<VectorType>(type))
      return vector::LoadOp::create(b, vector, lookup(memory), laneIndices(indices),
                                    /*nontemporal=*/false, alignmentOf(vector));
    return memref::LoadOp::create(b, lookup(memory), laneIndices(indices));
  }
  void storeLanes(Value lanes, Value memory, ValueRange indices) {
    if (auto vector = dyn_cast<VectorType>(lanes.getType()))
      vector::StoreOp::create(b, lanes, lookup(memory), laneIndices(indices),
                              /*nontemporal=*/false, alignmentOf(vector));
    else
      memref::StoreOp::create(b, lanes, lookup(memory), laneIndices(indices));
  }
  static llvm::MaybeAlign alignmentOf(VectorType vector) {
    return llvm::MaybeAlign(vector.getNumElements() * vector.getElementTypeBitWidth() / 8);
  }

  /// Runs `body`, which stores to `memory`, between fences where other threads may read it.
  void store(Value memory, function_ref<void()> body) {
    bool isBlock = team == Team::block;
    bool meets = isBlock ? shared.ofAll.contains(memory)
                         : team == Team::group && shared.ofLanes.contains(memory);
    auto fence = [&] {
      if (meets)
        isBlock ? threads.barrier() : threads.fence();
    };
    fence();
    if (isBlock)
      threads.runIf(threads.isFirstGroup(), body);
    else
      body();
    fence();
  }

  func::FuncOp kernel;
  gpu::GPUModuleOp module;
  LaneThreads &threads;
  ImplicitLocOpBuilder &b;
  IRMapping &mapping;
  SharedMemory shared;
  Team team;
  int64_t groups; // of the block, where it is a team
};
} // namespace

LogicalResult LaneDistributor::distribute(Block &block) {
  for (Operation &op : block.without_terminator()) {
    b.setLoc(op.getLoc());
    if (failed(distribute(&op)))
      return failure();
  }
  return success();
}

LogicalResult LaneDistributor::distribute(Operation *op) {
  // Of two vectors in turn, slices take 16 lanes each.
  if (isa<vector::InterleaveOp>(op))
    return success();
  bool isSlice = isa<vector::ExtractStridedSliceOp>(op);
  if ((!isSlice && !llvm::all_of(op->getOperandTypes(), isLanes)) ||
      !llvm::all_of(op->getResultTypes(), isLanes))
    return op->emitOpError(
        "works on vectors of more than 16 lanes, for which a tile has no threads");
  return llvm::TypeSwitch<Operation *, LogicalResult>(op)
      .Case([&](memref::AllocaOp) { return success(); }) // mapped already
      // Other groups run while one waits for its memory.
      .Case([&](memref::PrefetchOp) { return success(); })
      .Case([&](memref::GetGlobalOp get) {
        mapping.map(get.getResult(), tableOf(get));
        return success();
      })
      .Case([&](MultiplyPanelsOp op) {
        assert(team == Team::block && "no loop is dealt out that makes sums anywhere in memory");
        if (!op.hasFewRows()) // in a form that depends on the chip
          return clone(op);
        multiplyFewRows(op, groups * groupThreads, b, mapping);
        return success();
      })
      .Case([&](memref::StoreOp op) {
        store(op.getMemRef(), [&] {
          Value value = lookup(op.getValue()), memory = lookup(op.getMemRef());
          SmallVector<Value> place = lookup(op.getIndices());
          threads.runIf(threads.isLaneBelow(threads.index(1)),
                        [&] { memref::StoreOp::create(b, value, memory, place); });
        });
        return success();
      })
      .Case([&](scf::ForOp loop) { return isDealtOut(loop) ? dealOut(loop) : clone(loop); })
      .Case([&](arith::ConstantOp constant) {
        mapping.map(constant.getResult(), distributeConstant(constant));
        return success();
      })
      .Default([&](Operation *op) {
        return isa<vector::VectorDialect>(op->getDialect()) ? distributeVector(op) : clone(op);
      });
}

/// An op that does to each lane what it does to a number, with its regions.
LogicalResult LaneDistributor::clone(Operation *op) {
  SmallVector<Type> types =
      llvm::map_to_vector(op->getResultTypes(), [&](Type type) { return laneType(type); });
  Operation *copy =
      Operation::create(b.getLoc(), op->getName(), types, lookup(op->getOperands()),
                        op->getDiscardableAttrDictionary(), op->getPropertiesStorage(),
                        BlockRange(), op->getNumRegions());
  b.insert(copy);
  mapping.map(op->getResults(), copy->getResults());
  for (auto [from, to] : llvm::zip(op->getRegions(), copy->getRegions())) {
    if (from.empty())
      continue;
    OpBuilder::InsertionGuard guard(b);
    Block *block = b.createBlock(&to);
    for (BlockArgument argument : from.getArguments())
      mapping.map(argument, block->addArgument(laneType(argument.getType()), argument.getLoc()));
    if (failed(distribute(from.front())) || failed(clone(from.front().getTerminator())))
      return failure();
  }
  return success();
}

int64_t LaneDistributor::countTeams(scf::ForOp loop) {
  return isOfPanelRows(loop) ? groups * quadThreads : groups;
}

/// The iterations that pass one after another, each with a step for what stands around the loops in
/// it.
int64_t LaneDistributor::countSteps(scf::ForOp loop, Deal deal) {
  constexpr int64_t unknownTrips = 256;
  int64_t trips = getTrips(loop).value_or(unknownTrips), steps = 1;
  loop.getRegion().walk<WalkOrder::PreOrder>([&](scf::ForOp inner) {
    if (deal != Deal::inside)
      steps += countSteps(inner, Deal::nothing);
    else if (int64_t inside = countSteps(inner, Deal::inside); isIndependent(inner))
      steps += std::min(inside, countSteps(inner, Deal::here));
    else
      steps += inside;
    return WalkResult::skip();
  });
  return (deal == Deal::here ? llvm::divideCeilSigned(trips, countTeams(loop)) : trips) * steps;
}

/// Of loops in each other that may be, the one is dealt out with which fewer steps are left.
bool LaneDistributor::isDealtOut(scf::ForOp loop) {
  // Each block has one tile.
  if (team != Team::block || loop.getUpperBound() == kernel.getArguments().back())
    return false;
  return isIndependent(loop) && countSteps(loop, Deal::here) <= countSteps(loop, Deal::inside);
}

/// for i in [begin, end) by step   =>   for i in [begin + n step, end) by N step,
/// by the nth of the N groups, or quads, of the block.
LogicalResult LaneDistributor::dealOut(scf::ForOp loop) {
  bool meets = llvm::any_of(collectMemoryUses(loop), [&](auto &uses) {
    return shared.ofAll.contains(uses.first) &&
           llvm::any_of(uses.second, [](const MemoryUse &use) { return use.isStore; });
  });
  if (meets)
    threads.barrier();
  team = isOfPanelRows(loop) ? Team::quad : Team::group;
  Value number = team == Team::quad ? threads.getQuad() : threads.getGroup();
  Value step = lookup(loop.getStep());
  Value first = arith::AddIOp::create(b, lookup(loop.getLowerBound()),
                                      Value(arith::MulIOp::create(b, number, step)));
  auto share = scf::ForOp::create(b, first, lookup(loop.getUpperBound()),
                                  arith::MulIOp::create(b, step, threads.index(countTeams(loop))));
  mapping.map(loop.getInductionVar(), share.getInductionVar());
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(share.getBody());
    if (failed(distribute(*loop.getBody())))
      return failure();
  }
  team = Team::block;
  if (meets)
    threads.barrier();
  return success();
}

LogicalResult LaneDistributor::distributeVector(Operation *op) {
  auto give = [&](Value result) {
    mapping.map(op->getResult(0), result);
    return success();
  };
  return llvm::TypeSwitch<Operation *, LogicalResult>(op)
      .Case([&](vector::BroadcastOp op) {
        // Of one number: a vector of fewer lanes would have to be repeated.
        if (isa<VectorType>(op.getSource().getType()))
          return LogicalResult(op.emitOpError("of a vector has no form for one lane"));
        Value number = lookup(op.getSource());
        auto vector = dyn_cast<VectorType>(laneType(op.getType()));
        return give(vector ? Value(vector::BroadcastOp::create(b, vector, number)) : number);
      })
      .Case([&](vector::FMAOp op) {
        return give(
            math::FmaOp::create(b, lookup(op.getLhs()), lookup(op.getRhs()), lookup(op.getAcc())));
      })
      .Case([&](vector::CreateMaskOp op) {
        return give(threads.isLaneBelow(lookup(op.getOperand(0))));
      })
      .Case([&](vector::ConstantMaskOp op) {
        return give(threads.isLaneBelow(threads.index(op.getMaskDimSizes()[0])));
      })
      .Case([&](vector::LoadOp op) { return give(loadLanes(op.getBase(), op.getIndices())); })
      .Case([&](vector::MaskedLoadOp op) {
        Value memory = lookup(op.getBase());
        SmallVector<Value> place = laneIndices(op.getIndices());
        return give(threads.selectIf(
            lookup(op.getMask()), [&] { return memref::LoadOp::create(b, memory, place); },
            lookup(op.getPassThru())));
      })
      .Case([&](vector::StoreOp op) {
        store(op.getBase(),
              [&] { storeLanes(lookup(op.getValueToStore()), op.getBase(), op.getIndices()); });
        return success();
      })
      .Case([&](vector::MaskedStoreOp op) {
        store(op.getBase(), [&] {
          Value memory = lookup(op.getBase());
          SmallVector<Value> place = laneIndices(op.getIndices());
          threads.runIf(lookup(op.getMask()), [&] {
            memref::StoreOp::create(b, lookup(op.getValueToStore()), memory, place);
          });
        });
        return success();
      })
      .Case([&](vector::ExtractOp op) {
        return give(
            threads.shuffle(lookup(op.getSource()), threads.index(op.getStaticPosition().front())));
      })
      .Case([&](vector::ShuffleOp op) { return give(distributeShuffle(op)); })
      .Case([&](vector::ExtractStridedSliceOp op) { return give(distributeSlice(op)); })
      .Case([&](vector::GatherOp op) { return give(distributeGather(op)); })
      .Default([](Operation *op) { return op->emitOpError("has no form for one lane"); });
}

Value LaneDistributor::tableOf(memref::GetGlobalOp op) {
  auto global = SymbolTable::lookupNearestSymbolFrom<memref::GlobalOp>(op, op.getNameAttr());
  return getConstantTable(b, module, cast<DenseElementsAttr>(*global.getInitialValue()));
}

Value LaneDistributor::distributeConstant(arith::ConstantOp op) {
  auto values = dyn_cast<DenseElementsAttr>(op.getValue());
  if (!values)
    return arith::ConstantOp::create(b, op.getValue());
  if (values.isSplat()) {
    auto number = cast<TypedAttr>(values.getSplatValue<Attribute>());
    auto vector = dyn_cast<VectorType>(laneType(op.getType()));
    return arith::ConstantOp::create(
        b, vector ? TypedAttr(DenseElementsAttr::get(vector, Attribute(number))) : number);
  }
  ShapedType type = values.getType();
  auto table = values.reshape(RankedTensorType::get(type.getShape(), type.getElementType()));
  return memref::LoadOp::create(b, getConstantTable(b, module, table), threads.getLane());
}

/// Lane i is lane index[i] of the two vectors behind each other.
Value LaneDistributor::distributeShuffle(vector::ShuffleOp op) {
  ArrayRef<int64_t> indices = op.getMask();
  auto isSecond = [](int64_t index) { return index >= groupThreads; };
  Value source = threads.pickNibble(indices);
  if (llvm::none_of(indices, isSecond))
    return threads.shuffle(lookup(op.getV1()), source);
  Value first = threads.shuffle(lookup(op.getV1()), source);
  Value second = threads.shuffle(lookup(op.getV2()), source);
  SmallVector<bool> seconds = llvm::map_to_vector(indices, isSecond);
  return arith::SelectOp::create(b, threads.pickBit(seconds), second, first);
}

/// Lanes from `offset` on; of two interleaved vectors, in turn.
Value LaneDistributor::distributeSlice(vector::ExtractStridedSliceOp op) {
  int64_t offset = cast<IntegerAttr>(op.getOffsets()[0]).getInt();
  if (auto both = op.getSource().getDefiningOp<vector::InterleaveOp>()) {
    SmallVector<int64_t> sources;
    SmallVector<bool> seconds;
    for (int64_t lane = 0; lane < groupThreads; ++lane) {
      sources.push_back((offset + lane) / 2);
      seconds.push_back((offset + lane) % 2);
    }
    Value source = threads.pickNibble(sources);
    Value even = threads.shuffle(lookup(both.getLhs()), source);
    Value odd = threads.shuffle(lookup(both.getRhs()), source);
    return arith::SelectOp::create(b, threads.pickBit(seconds), odd, even);
  }
  Value lanes = lookup(op.getSource());
  if (offset == 0)
    return lanes;
  // Lanes that the slice lacks may come from anywhere in the group.
  Value source = arith::AddIOp::create(b, threads.getLane(), threads.index(offset));
  return threads.shuffle(lanes, source);
}

Value LaneDistributor::distributeGather(vector::GatherOp op) {
  Value memory = lookup(op.getBase());
  SmallVector<Value> place = lookup(op.getOffsets());
  Value distance = arith::IndexCastOp::create(b, b.getIndexType(), lookup(op.getIndices()));
  place.back() = arith::AddIOp::create(b, place.back(), distance);
  return threads.selectIf(
      lookup(op.getMask()), [&] { return memref::LoadOp::create(b, memory, place); },
      lookup(op.getPassThru()));
}

LogicalResult treadle::distributeLanes(func::FuncOp kernel, gpu::GPUModuleOp module,
                                       std::optional<int64_t> groups, LaneThreads &threads,
                                       ImplicitLocOpBuilder &builder, IRMapping &mapping) {
  return LaneDistributor(kernel, module, groups, threads, builder, mapping)
      .distribute(kernel.getBody().front());
}

//===- IndependentLoops.cpp - Loops that many threads share ---------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "IndependentLoops.h"

#include "MemoryUses.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "treadle/Dialect/Treadle/IR/Layout.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace treadle;

//===----------------------------------------------------------------------===//
// Iterations
//===----------------------------------------------------------------------===//

static bool isOutside(scf::ForOp loop, Value value) {
  return !loop->isAncestor(value.getParentBlock()->getParentOp());
}

/// The most that `index` may be, if it is the variable of a loop with known borders, none of them
/// below 0.
static std::optional<int64_t> getMost(Value index) {
  auto argument = dyn_cast<BlockArgument>(index);
  auto loop = argument ? dyn_cast<scf::ForOp>(argument.getOwner()->getParentOp()) : scf::ForOp();
  if (!loop || index != loop.getInductionVar())
    return std::nullopt;
  std::optional<int64_t> begin = getConstantIntValue(loop.getLowerBound());
  std::optional<int64_t> end = getConstantIntValue(loop.getUpperBound());
  std::optional<int64_t> step = getConstantIntValue(loop.getStep());
  if (!begin || !end || !step || *begin < 0 || *end <= *begin)
    return std::nullopt;
  return *begin + (*end - 1 - *begin) / *step * *step;
}

/// If `index` is the loop's variable, but for a distance that is the same in all iterations and the
/// variables of loops inside: the most that the latter are.
static std::optional<int64_t> movesWith(scf::ForOp loop, Value index) {
  if (index == loop.getInductionVar())
    return 0;
  Operation *op = index.getDefiningOp();
  if (!op || !isa<arith::AddIOp, arith::SubIOp>(op))
    return std::nullopt;
  Value a = op->getOperand(0), b = op->getOperand(1);
  if (isa<arith::AddIOp>(op) && !movesWith(loop, a))
    std::swap(a, b);
  std::optional<int64_t> before = movesWith(loop, a);
  if (!before || isOutside(loop, b))
    return before;
  std::optional<int64_t> most = getMost(b);
  return most && isa<arith::AddIOp>(op) ? std::optional(*before + *most) : std::nullopt;
}

/// Whether a dimension exists at whose index all of `accesses`, of one memory, move with the loop,
/// far enough that iterations do not meet.
static bool keepApart(scf::ForOp loop, ArrayRef<MemoryUse> accesses) {
  std::optional<int64_t> step = getConstantIntValue(loop.getStep());
  for (unsigned dim = 0, e = accesses.front().indices.size(); dim < e; ++dim) {
    Value index = accesses.front().indices[dim];
    int64_t elements = dim + 1 == e ? accesses.front().elements : 1;
    auto isAlike = [&](const MemoryUse &use) {
      return use.elements && use.indices[dim] == index && (dim + 1 < e || use.elements <= elements);
    };
    std::optional<int64_t> distance = movesWith(loop, index);
    if (step && distance && *step >= *distance + elements && llvm::all_of(accesses, isAlike))
      return true;
  }
  return false;
}

bool treadle::isIndependent(scf::ForOp loop) {
  if (loop.getNumRegionIterArgs() != 0)
    return false;
  for (auto &[memory, uses] : collectMemoryUses(loop))
    if (llvm::any_of(uses, [](const MemoryUse &use) { return use.isStore; }) &&
        !keepApart(loop, uses))
      return false;
  return true;
}

//===----------------------------------------------------------------------===//
// Lanes
//===----------------------------------------------------------------------===//

/// 16 numbers that are a row of memory, or start at a multiple of 16 in a longer one.
static bool isRow(MemRefType memory, VectorType vector, ValueRange indices) {
  return vector.getShape() == ArrayRef<int64_t>{panelWidth} &&
         !memory.isDynamicDim(indices.size() - 1) && memory.getShape().back() % panelWidth == 0 &&
         isMultipleOfLanes(indices.back());
}

static bool isOfPanelRows(Operation *op) {
  return llvm::TypeSwitch<Operation *, bool>(op)
      .Case([](vector::LoadOp op) {
        return isRow(op.getMemRefType(), op.getVectorType(), op.getIndices());
      })
      .Case([](vector::StoreOp op) {
        return isRow(op.getMemRefType(), op.getVectorType(), op.getIndices());
      })
      .Case([](vector::BroadcastOp op) { return !isa<VectorType>(op.getSourceType()); })
      .Case([](arith::ConstantOp op) {
        auto values = dyn_cast<DenseElementsAttr>(op.getValue());
        return !values || values.isSplat();
      })
      .Case<memref::LoadOp, vector::FMAOp, scf::ForOp, scf::YieldOp>([](auto) { return true; })
      .Default([](Operation *op) {
        return isa<arith::ArithDialect, math::MathDialect>(op->getDialect());
      });
}

/// Whether a number of what the loop stores by rows is loaded for itself: other lanes may have it.
static bool readsOtherLanes(scf::ForOp loop) {
  auto isStore = [](const MemoryUse &use) { return use.isStore; };
  auto isNumber = [](const MemoryUse &use) { return !use.isVector; };
  return llvm::any_of(collectMemoryUses(loop), [&](auto &uses) {
    return llvm::any_of(uses.second, isStore) && llvm::any_of(uses.second, isNumber);
  });
}

bool treadle::isOfPanelRows(scf::ForOp loop) {
  if (readsOtherLanes(loop))
    return false;
  WalkResult result = loop.walk([&](Operation *op) {
    auto isStrange = [&](Value operand) {
      return isa<VectorType>(operand.getType()) && isOutside(loop, operand);
    };
    if (op != loop && (!::isOfPanelRows(op) || llvm::any_of(op->getOperands(), isStrange)))
      return WalkResult::interrupt();
    return WalkResult::advance();
  });
  return !result.wasInterrupted();
}

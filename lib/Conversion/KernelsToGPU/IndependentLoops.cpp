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

std::optional<int64_t> treadle::getTrips(scf::ForOp loop) {
  if (std::optional<APInt> trips = loop.getStaticTripCount())
    return trips->getSExtValue();
  auto end = loop.getUpperBound().getDefiningOp<arith::AddIOp>();
  std::optional<int64_t> step = getConstantIntValue(loop.getStep());
  if (!end || !step || end.getLhs() != loop.getLowerBound())
    return std::nullopt;
  std::optional<int64_t> distance = getConstantIntValue(end.getRhs());
  return distance ? std::optional(llvm::divideCeilSigned(*distance, *step)) : std::nullopt;
}

static bool isOutside(scf::ForOp loop, Value value) {
  return !loop->isAncestor(value.getParentBlock()->getParentOp());
}

/// Whether `value` is the same in all iterations of the loop.
static bool isFixed(scf::ForOp loop, Value value) {
  if (isOutside(loop, value))
    return true;
  Operation *op = value.getDefiningOp();
  return op && isa<arith::ArithDialect>(op->getDialect()) &&
         llvm::all_of(op->getOperands(), [&](Value operand) { return isFixed(loop, operand); });
}

namespace {
/// Where an access goes in one dimension: to [low, high) from `speed` times the loop's variable,
/// and from what is the same in all iterations.
struct Span {
  int64_t speed = 0, low = 0, high = 1;
  SmallVector<std::pair<Value, int64_t>> fixed; // each with a factor

  void add(const Span &other, int64_t factor) {
    speed += factor * other.speed;
    int64_t first = factor * other.low, last = factor * (other.high - 1);
    low += std::min(first, last);
    high += std::max(first, last);
    for (auto [value, times] : other.fixed)
      fixed.push_back({value, factor * times});
  }

  bool isFrom(const Span &other) const {
    auto sorted = [](SmallVector<std::pair<Value, int64_t>> values) {
      llvm::sort(values, [](const auto &a, const auto &b) {
        return std::pair(a.first.getAsOpaquePointer(), a.second) <
               std::pair(b.first.getAsOpaquePointer(), b.second);
      });
      return values;
    };
    return speed == other.speed && sorted(fixed) == sorted(other.fixed);
  }
};
} // namespace

/// The span of one index. Variables of loops inside, which have known borders, widen it.
static std::optional<Span> getSpan(scf::ForOp loop, Value index) {
  Span span;
  if (index == loop.getInductionVar()) {
    span.speed = 1;
    return span;
  }
  if (std::optional<int64_t> constant = getConstantIntValue(index)) {
    span.low = *constant;
    span.high = *constant + 1;
    return span;
  }
  Operation *op = index.getDefiningOp();
  if (isa_and_present<arith::AddIOp, arith::SubIOp>(op)) {
    std::optional<Span> a = getSpan(loop, op->getOperand(0)), b = getSpan(loop, op->getOperand(1));
    if (a && b)
      a->add(*b, isa<arith::AddIOp>(op) ? 1 : -1);
    return b ? a : std::nullopt;
  }
  if (isa_and_present<arith::MulIOp>(op)) {
    for (auto [value, factor] : {std::pair(op->getOperand(0), op->getOperand(1)),
                                 std::pair(op->getOperand(1), op->getOperand(0))})
      if (std::optional<int64_t> times = getConstantIntValue(factor)) {
        std::optional<Span> of = getSpan(loop, value);
        if (!of)
          return std::nullopt;
        span.add(*of, *times);
        return span;
      }
  }
  if (isFixed(loop, index)) {
    span.fixed.push_back({index, 1});
    return span;
  }
  auto argument = dyn_cast<BlockArgument>(index);
  auto inner = argument ? dyn_cast<scf::ForOp>(argument.getOwner()->getParentOp()) : scf::ForOp();
  if (!inner || index != inner.getInductionVar())
    return std::nullopt;
  std::optional<int64_t> begin = getConstantIntValue(inner.getLowerBound());
  std::optional<int64_t> end = getConstantIntValue(inner.getUpperBound());
  std::optional<int64_t> step = getConstantIntValue(inner.getStep());
  if (!begin || !end || !step || *end <= *begin)
    return std::nullopt;
  span.low = *begin;
  span.high = *begin + (*end - 1 - *begin) / *step * *step + 1;
  return span;
}

/// Whether `a` in an iteration may go where `b` goes in an earlier one: by `stride` from one to the
/// next of `trips`.
static bool mayMeet(const Span &a, const Span &b, int64_t stride, int64_t trips) {
  int64_t distance = std::max<int64_t>(1, llvm::divideFloorSigned(b.low - a.high, stride) + 1);
  return distance < trips && distance * stride < b.high - a.low;
}

/// Whether a dimension exists in which no access of one memory goes where another iteration
/// stores.
static bool keepApart(scf::ForOp loop, ArrayRef<MemoryUse> accesses) {
  std::optional<int64_t> step = getConstantIntValue(loop.getStep());
  int64_t trips = getTrips(loop).value_or(std::numeric_limits<int64_t>::max());
  auto isSomewhere = [](const MemoryUse &use) { return use.elements != 0; };
  if (!step || !llvm::all_of(accesses, isSomewhere))
    return false;
  auto isApartIn = [&](unsigned dim, bool isLast) {
    SmallVector<Span> spans;
    for (const MemoryUse &use : accesses) {
      std::optional<Span> span = getSpan(loop, use.indices[dim]);
      if (!span || span->speed <= 0 || (!spans.empty() && !span->isFrom(spans.front())))
        return false;
      span->high += isLast ? use.elements - 1 : 0;
      spans.push_back(*span);
    }
    for (auto [use, span] : llvm::zip(accesses, spans))
      for (const Span &other : spans)
        if (use.isStore && (mayMeet(span, other, span.speed * *step, trips) ||
                            mayMeet(other, span, span.speed * *step, trips)))
          return false;
    return true;
  };
  unsigned rank = accesses.front().indices.size();
  return llvm::any_of(llvm::seq(rank),
                      [&](unsigned dim) { return isApartIn(dim, dim + 1 == rank); });
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

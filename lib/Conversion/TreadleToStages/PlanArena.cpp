//===- PlanArena.cpp - Places of activations in the arena -----------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

//
// Every stage reads and writes at a point in time; loops take the span between
// the point where they begin and the point where they end. A value is live from
// the point that writes it to the last that reads it. What a loop carries is one
// buffer: init, argument, yielded value and result. The planner first makes these
// buffers legal (inserting copies), then packs all buffers by lifetime.
//
//===----------------------------------------------------------------------===//

#include "treadle/Conversion/TreadleToStages/TreadleToStages.h"
#include "treadle/Dialect/Treadle/IR/Layout.h"
#include "treadle/Dialect/Treadle/IR/Treadle.h"

#include "llvm/ADT/EquivalenceClasses.h"

namespace treadle {
#define GEN_PASS_DEF_PLANARENAPASS
#include "treadle/Conversion/TreadleToStages/Passes.h.inc"
} // namespace treadle

using namespace mlir;
using namespace treadle;

/// A stage that copies `value`, placed at the builder.
static Value createCopy(OpBuilder &builder, Value value) {
  auto type = cast<RankedTensorType>(value.getType());
  SmallVector<Attribute> iterations;
  SmallVector<int64_t> dims;
  const IterationKind kinds[] = {IterationKind::rows, IterationKind::outputs};
  for (int64_t dim = 0; dim < type.getRank(); ++dim) {
    dims.push_back(dim);
    iterations.push_back(
        IterationAttr::get(builder.getContext(), kinds[dim], type.getDimSize(dim)));
  }
  ArrayAttr cell = builder.getArrayAttr(AccessAttr::get(builder.getContext(), dims));
  auto copy =
      StageOp::create(builder, value.getLoc(), type, value, builder.getArrayAttr(iterations), cell,
                      cell, TileAttr(), DenseI64ArrayAttr());
  OpBuilder::InsertionGuard guard(builder);
  Block *body = builder.createBlock(&copy.getBodyRegion());
  YieldOp::create(builder, value.getLoc(), ValueRange(body->addArgument(type, value.getLoc())));
  return copy.getResult(0);
}

/// True if every tile of `stage` reads of `value` just the cells that it writes, and only
/// elementwise, so that the result may overwrite it.
static bool mayOverwrite(StageOp stage, Value value) {
  for (auto [input, access, argument] :
       llvm::zip(stage.getInputs(), stage.getAccesses(), stage.getBody()->getArguments())) {
    if (input != value)
      continue;
    auto isElementwise = [](Operation *user) { return !isa<StageCoreOpInterface>(user); };
    if (stage.getNumResults() != 1 || access != stage.getResultAccesses()[0] ||
        input.getType() != stage.getResult(0).getType() ||
        !llvm::all_of(argument.getUsers(), isElementwise))
      return false;
  }
  return true;
}

namespace {
/// Lifetimes of all activations of one function. Invalid once the function changes.
class Lifetimes {
public:
  struct Interval {
    int64_t begin, end;
  };

  explicit Lifetimes(func::FuncOp function) {
    number(function.getBody().front());
    auto add = [&](Value value) {
      if (isa<RankedTensorType>(value.getType()))
        intervals[value] = {beginOf(value), endOf(value)};
    };
    function.walk([&](Operation *op) {
      if (isa<StageOp>(op) || isa<LoopOp>(op))
        llvm::for_each(op->getResults(), add);
      if (auto loop = dyn_cast<LoopOp>(op))
        llvm::for_each(loop.getCarried(), add);
    });
  }

  const llvm::MapVector<Value, Interval> &get() const { return intervals; }

  /// True if one buffer can hold both values: one is dead when the other is written, or the
  /// stage that reads the one for the last time may overwrite it with the other.
  bool mayShare(Value a, Value b) const {
    if (intervals.lookup(a).begin > intervals.lookup(b).begin)
      std::swap(a, b);
    const Interval &first = intervals.find(a)->second, &second = intervals.find(b)->second;
    if (first.end < second.begin)
      return true;
    if (first.end > second.begin || first.begin == second.begin)
      return false;
    auto stage = b.getDefiningOp<StageOp>();
    return stage ? mayOverwrite(stage, a) : true; // a loop passes its values on in place
  }

private:
  struct Span {
    int64_t begin, end;
  };

  void number(Block &block) {
    for (Operation &op : block) {
      int64_t begin = next++;
      if (auto loop = dyn_cast<LoopOp>(op))
        number(*loop.getBody());
      spans[&op] = {begin, next++};
    }
  }

  /// A stage writes at its begin; a loop's argument at the loop's begin, its result at the end.
  int64_t beginOf(Value value) const {
    if (auto argument = dyn_cast<BlockArgument>(value))
      return spans.lookup(argument.getOwner()->getParentOp()).begin;
    Operation *op = value.getDefiningOp();
    return isa<LoopOp>(op) ? spans.lookup(op).end : spans.lookup(op).begin;
  }

  /// The last read, where a read inside a loop that the value is defined outside of lasts to the
  /// end of that loop, and a yielded value to the end of its own.
  int64_t endOf(Value value) const {
    int64_t end = beginOf(value);
    Block *home = value.getParentBlock();
    for (Operation *user : value.getUsers()) {
      Operation *ancestor = home->findAncestorOpInBlock(*user);
      int64_t read = spans.lookup(ancestor).begin;
      if (ancestor != user)
        read = spans.lookup(ancestor).end;
      else if (isa<YieldOp>(user))
        read = spans.lookup(user->getParentOp()).end;
      end = std::max(end, read);
    }
    return end;
  }

  DenseMap<Operation *, Span> spans;
  llvm::MapVector<Value, Interval> intervals;
  int64_t next = 0;
};

/// The buffers of one function: classes of values that share a place.
class Buffers {
public:
  explicit Buffers(func::FuncOp function) : lifetimes(function) {
    for (auto &[value, interval] : lifetimes.get())
      classes.insert(value);
  }

  /// Puts two values into one buffer; fails if that would overwrite a live value.
  LogicalResult unite(Value a, Value b) {
    if (!lifetimes.get().contains(a) || !lifetimes.get().contains(b))
      return failure(); // an argument of the function has a place of its own
    if (classes.isEquivalent(a, b))
      return success();
    for (Value left : classes.members(a))
      for (Value right : classes.members(b))
        if (!lifetimes.mayShare(left, right))
          return failure();
    classes.unionSets(a, b);
    return success();
  }

  /// The leader of each buffer with its whole lifetime, in program order.
  llvm::MapVector<Value, Lifetimes::Interval> getBuffers() const {
    llvm::MapVector<Value, Lifetimes::Interval> buffers;
    for (auto &[value, interval] : lifetimes.get()) {
      auto [it, isNew] = buffers.insert({classes.getLeaderValue(value), interval});
      it->second.begin = std::min(it->second.begin, interval.begin);
      it->second.end = std::max(it->second.end, interval.end);
    }
    return buffers;
  }

  Value getLeader(Value value) const { return classes.getLeaderValue(value); }

private:
  Lifetimes lifetimes;
  llvm::EquivalenceClasses<Value> classes;
};
} // namespace

/// Unites what `function` must keep in one place. On a conflict, puts in a copy that solves it
/// and returns false: the lifetimes have changed and the caller starts again.
static bool uniteCarriedValues(func::FuncOp function, Buffers &buffers) {
  WalkResult result = function.walk<WalkOrder::PostOrder>([&](LoopOp loop) {
    Operation *yield = loop.getBody()->getTerminator();
    for (auto [i, init] : llvm::enumerate(loop.getInits())) {
      Value argument = loop.getCarried()[i];
      [[maybe_unused]] LogicalResult united = buffers.unite(argument, loop.getResult(i));
      assert(succeeded(united) && "a loop's result is born when its argument is dead");
      if (failed(buffers.unite(argument, yield->getOperand(i)))) {
        OpBuilder builder(yield);
        yield->setOperand(i, createCopy(builder, yield->getOperand(i)));
        return WalkResult::interrupt();
      }
      if (failed(buffers.unite(argument, init))) {
        OpBuilder builder(loop);
        loop.getInitsMutable()[i].set(createCopy(builder, init));
        return WalkResult::interrupt();
      }
    }
    return WalkResult::advance();
  });
  return !result.wasInterrupted();
}

/// The first free place for each buffer, in order of birth: disjoint from all buffers that live
/// at the same time. Returns the size of the arena.
static int64_t placeBuffers(const llvm::MapVector<Value, Lifetimes::Interval> &buffers,
                            Value output, DenseMap<Value, int64_t> &places) {
  struct Placed {
    Lifetimes::Interval interval;
    int64_t begin, end;
  };
  SmallVector<Placed> placed; // by begin
  int64_t arena = 0;
  for (auto &[leader, interval] : buffers) {
    if (leader == output) {
      places[leader] = StageOp::outputPlace;
      continue;
    }
    auto type = cast<RankedTensorType>(leader.getType());
    int64_t bytes =
        llvm::alignTo(type.getNumElements() * (type.getElementTypeBitWidth() / 8), slotAlignment);
    int64_t begin = 0;
    for (const Placed &other : placed) {
      bool together = other.interval.begin <= interval.end && interval.begin <= other.interval.end;
      if (together && other.begin < begin + bytes && begin < other.end)
        begin = other.end;
    }
    Placed entry{interval, begin, begin + bytes};
    placed.insert(
        llvm::upper_bound(placed, entry,
                          [](const Placed &a, const Placed &b) { return a.begin < b.begin; }),
        entry);
    places[leader] = begin;
    arena = std::max(arena, entry.end);
  }
  return arena;
}

namespace {
struct PlanArena : public treadle::impl::PlanArenaPassBase<PlanArena> {
  void runOnOperation() override {
    func::FuncOp function = getOperation();
    if (!function->hasAttr("treadle.entry"))
      return;
    auto returnOp = cast<func::ReturnOp>(function.getBody().front().getTerminator());
    if (returnOp.getNumOperands() > 1) {
      function.emitOpError("expects an entry point with at most one result");
      return signalPassFailure();
    }
    for (OpOperand &result : returnOp->getOpOperands())
      if (isa<BlockArgument>(result.get())) {
        OpBuilder builder(returnOp);
        result.set(createCopy(builder, result.get()));
      }

    std::optional<Buffers> buffers;
    do
      buffers.emplace(function);
    while (!uniteCarriedValues(function, *buffers));

    DenseMap<Value, int64_t> places;
    Value output = returnOp.getNumOperands() ? buffers->getLeader(returnOp.getOperand(0)) : Value();
    int64_t arena = placeBuffers(buffers->getBuffers(), output, places);

    Builder builder(&getContext());
    function.walk([&](StageOp stage) {
      SmallVector<int64_t> offsets;
      for (Value result : stage.getResults())
        offsets.push_back(places.lookup(buffers->getLeader(result)));
      if (!offsets.empty())
        stage.setOffsets(offsets);
    });
    function->setAttr("treadle.arena_bytes", builder.getI64IntegerAttr(arena));
  }
};
} // namespace

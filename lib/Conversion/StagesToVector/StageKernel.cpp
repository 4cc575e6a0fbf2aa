//===- StageKernel.cpp - One stage as a function over tiles ---------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Multiplier.h"

#include "llvm/ADT/TypeSwitch.h"

#include <numeric>

using namespace mlir;
using namespace treadle;

Type treadle::getKernelType(Type type) {
  Builder builder(type.getContext());
  auto memory = [&](Type element) -> Type {
    return element.isBF16() ? builder.getI16Type() : element;
  };
  return llvm::TypeSwitch<Type, Type>(type)
      .Case([&](RankedTensorType tensor) {
        return MemRefType::get(tensor.getShape(), memory(tensor.getElementType()));
      })
      .Case<StateType, WeightType>([&](auto reference) {
        Type element = reference.getElementType();
        SmallVector<int64_t> shape = getStorageShape(reference);
        if (reference.getPacking() == Packing::plain)
          return MemRefType::get(shape, memory(element));
        // k elements side by side make one 32-bit word.
        shape.pop_back();
        Type word = element.isF32() ? Type(builder.getF32Type()) : Type(builder.getI32Type());
        return MemRefType::get(shape, word);
      })
      .Default(type);
}

StageKernel::StageKernel(StageOp stage, func::FuncOp function,
                         const ConvertStagesToVectorPassOptions &options, SpanRole role)
    : stage(stage), function(function), options(options),
      b(stage.getLoc(), function.getBody().front()), spanRole(role) {
  Block &block = function.getBody().front();
  unsigned numInputs = stage.getInputs().size();
  operands.map(stage.getBody()->getArguments(), block.getArguments().take_front(numInputs));
  llvm::append_range(results, block.getArguments().slice(numInputs, stage.getNumResults()));
  if (role != SpanRole::all)
    spans = block.getArgument(numInputs + stage.getNumResults());
  func::ReturnOp::create(b);
  b.setInsertionPointToStart(&block);
  for (Value argument : block.getArguments())
    if (auto memory = dyn_cast<MemRefType>(argument.getType());
        !openRows && memory && memory.getRank() > 0 && memory.isDynamicDim(0))
      openRows = memref::DimOp::create(b, argument, b.index(0));
  planSteps();
  planParts();
  planStores();
}

//===----------------------------------------------------------------------===//
// Steps
//===----------------------------------------------------------------------===//

/// The nearest core ops, before `value`, that it depends on: the results of theirs that it is made
/// of, elementwise.
static void collectParts(Value value, SmallVectorImpl<Value> &parts) {
  Operation *op = value.getDefiningOp();
  if (!op)
    return;
  if (!isa<StageCoreOpInterface>(op)) {
    for (Value operand : op->getOperands())
      collectParts(operand, parts);
  } else if (!llvm::is_contained(parts, value)) {
    parts.push_back(value);
  }
}

/// The extents of core ops that are cut alike: what divides those of each.
static SmallVector<int64_t> commonExtents(ArrayRef<StageCoreOpInterface> cores) {
  SmallVector<int64_t> extents;
  for (StageCoreOpInterface core : cores)
    for (auto [dim, iteration] : llvm::enumerate(core.getIterationDims())) {
      if (dim == extents.size())
        extents.push_back(iteration.getExtent());
      else if (extents[dim] != iteration.getExtent()) // of what is not rows: known
        extents[dim] = std::gcd(extents[dim], iteration.getExtent());
    }
  return extents;
}

/// Products that take as much of K share their loop over it. The same share of each must be whole
/// panels.
static bool runTogether(ArrayRef<StageCoreOpInterface> cores) {
  int64_t outputs = commonExtents(cores)[1];
  Operation *front = cores.front();
  WeightType first = cast<LinearOp>(front).getWeight().getType();
  return llvm::all_of(cores, [&](StageCoreOpInterface core) {
    auto type = cast<LinearOp>(core.getOperation()).getWeight().getType();
    return type.getElementType() == first.getElementType() &&
           type.getShape()[1] == first.getShape()[1] &&
           (type.getShape()[0] == outputs || outputs % panelWidth == 0);
  });
}

static bool isPlainLinear(Operation *op) {
  auto linear = dyn_cast<LinearOp>(op);
  return linear && linear.getGroups() == 1;
}

/// Gathers core ops, first those of the prologue, with those behind them that can run in the same
/// step.
void StageKernel::planSteps() {
  SmallVector<StageCoreOpInterface> cores = stage.getCores();
  std::stable_partition(cores.begin(), cores.end(), StageOp::isPrologue);
  if (cores.empty())
    addStep({});
  for (auto [i, core] : llvm::enumerate(cores)) {
    if (stepOf.contains(core))
      continue;
    unsigned index = steps.size();
    auto isComputedBefore = [&](Value part) {
      auto known = stepOf.find(part.getDefiningOp());
      return known != stepOf.end() && known->second < index;
    };
    SmallVector<StageCoreOpInterface> group = {core};
    stepOf[core] = index;
    for (StageCoreOpInterface next : ArrayRef(cores).drop_front(i + 1)) {
      SmallVector<Value> parts;
      for (Value operand : next->getOperands())
        collectParts(operand, parts);
      if (stepOf.contains(next) || !isPlainLinear(core) || !isPlainLinear(next) ||
          StageOp::isPrologue(core) != StageOp::isPrologue(next) ||
          !llvm::all_of(parts, isComputedBefore))
        continue;
      group.push_back(next);
      if (runTogether(group))
        stepOf[next] = index;
      else
        group.pop_back();
    }
    addStep(group);
  }
}

void StageKernel::addStep(ArrayRef<StageCoreOpInterface> cores) {
  Step &added = steps.emplace_back();
  llvm::append_range(added.cores, cores);
  added.isPrologue = !cores.empty() && StageOp::isPrologue(cores.front());
  if (cores.empty())
    for (unsigned dim = 0, e = stage.getIterations().size(); dim < e; ++dim)
      added.extents.push_back(stage.getExtent(dim));
  else
    added.extents = commonExtents(cores);
  added.sizes = added.extents;
  if (!added.isPrologue)
    for (auto [dim, size] : llvm::enumerate(stage.getTile()->getSizes()))
      added.sizes[dim] = size * shareOf(added, dim);
}

static constexpr StringLiteral partsName = "treadle.parts";

int64_t treadle::getNumParts(func::FuncOp kernel) {
  auto parts = kernel->getAttrOfType<IntegerAttr>(partsName);
  return parts ? parts.getInt() : 1;
}

void StageKernel::planParts() {
  SmallVector<const Step *> tiled;
  for (const Step &step : steps)
    if (!step.isPrologue)
      tiled.push_back(&step);
  if (spanRole == SpanRole::one) {
    numParts = getNumSpans(cast<AttentionOp>(stage.getCore().getOperation()));
    function->setAttr(partsName, b.getIndexAttr(numParts));
    return;
  }
  if (!isSliced() || tiled.size() > 1 || !isPlainLinear(tiled[0]->cores.front()))
    return;
  llvm::SmallSetVector<int64_t, 4> heights;
  for (StageCoreOpInterface core : tiled[0]->cores)
    heights.insert(cast<LinearOp>(core.getOperation()).getWeight().getType().getShape()[0]);
  numParts = 0;
  for (int64_t height : heights)
    numParts += height / tiled[0]->extents[1];
  if (numParts > 1)
    function->setAttr(partsName, b.getIndexAttr(numParts));
}

/// How many of a tiled step's numbers stand for one of the stage's in a dimension.
int64_t StageKernel::shareOf(const Step &of, unsigned dim) {
  return of.extents[dim] / stage.getExtent(dim); // 1 of open rows
}

/// What core ops take and what the stage yields is stored.
void StageKernel::planStores() {
  for (StageCoreOpInterface core : stage.getCores())
    for (Value operand : core->getOperands())
      if (isa<RankedTensorType>(operand.getType()) && !operands.contains(operand))
        planScratch(operand);
  for (auto [value, memory] : llvm::zip(stage.getBody()->getTerminator()->getOperands(), results))
    planStore(value, memory);
}

void StageKernel::planScratch(Value value) {
  auto type = cast<RankedTensorType>(value.getType());
  Value memory = allocate(type.getShape(), type.getElementType());
  operands.map(value, memory);
  planStore(value, memory);
}

/// A value is stored in the last of the steps that compute parts of it; what earlier ones
/// contribute is in memory by then.
void StageKernel::planStore(Value value, Value memory) {
  SmallVector<Value> parts;
  collectParts(value, parts);
  auto stepOfPart = [&](Value part) { return stepOf.lookup(part.getDefiningOp()); };
  Stored stored{value, memory, {}, std::nullopt};
  for (Value part : parts)
    stored.step = std::max(stored.step.value_or(0), stepOfPart(part));
  if (stage.getCores().empty())
    stored.step = 0;
  for (Value part : parts) {
    if (stepOfPart(part) == *stored.step)
      stored.parts.push_back(part);
    else if (!operands.contains(part))
      planScratch(part);
  }
  stores.push_back(std::move(stored));
}

//===----------------------------------------------------------------------===//
// Code
//===----------------------------------------------------------------------===//

LogicalResult StageKernel::emit() {
  Block &block = function.getBody().front();
  Value first = block.getArgument(block.getNumArguments() - 2);
  Value end = block.getArgument(block.getNumArguments() - 1);
  auto isOfInputs = [](const Stored &stored) { return !stored.step; };
  bool hasPrologue = llvm::any_of(steps, [](const Step &step) { return step.isPrologue; }) ||
                     llvm::any_of(stores, isOfInputs);
  if (hasPrologue && spanRole != SpanRole::merge) {
    // A member without tiles must not even read: what the prologue takes may not be there yet.
    Value hasTiles = arith::CmpIOp::create(b, arith::CmpIPredicate::slt, first, end);
    auto guarded = scf::IfOp::create(b, hasTiles, /*withElseRegion=*/false);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(guarded.thenBlock());
    for (const Stored &stored : llvm::make_filter_range(stores, isOfInputs))
      storeWhole(stored);
    if (failed(emitSteps(/*isPrologue=*/true)))
      return failure();
  }
  openTileLoop(first, end);
  return emitSteps(/*isPrologue=*/false);
}

/// Of a tile whose spans are parts, the one with the row's own key does what comes before
/// attention, and nobody does it again behind all spans.
LogicalResult StageKernel::emitSteps(bool isPrologue) {
  for (const Step &next : steps) {
    if (next.isPrologue != isPrologue)
      continue;
    StageCoreOpInterface core = next.cores.empty() ? StageCoreOpInterface() : next.cores.front();
    bool isAttention = core && isa<AttentionOp>(core.getOperation());
    OpBuilder::InsertionGuard guard(b);
    if (!isPrologue && !isAttention && spanRole != SpanRole::all) {
      if (spanRole == SpanRole::merge)
        continue;
      auto attention = cast<AttentionOp>(stage.getCore().getOperation());
      Value last = arith::DivUIOp::create(b, operand(attention.getPosition()), b.index(spanKeys));
      Value isLast = arith::CmpIOp::create(b, arith::CmpIPredicate::eq, part(), last);
      auto choice = scf::IfOp::create(b, isLast, /*withElseRegion=*/false);
      b.setInsertionPointToStart(choice.thenBlock());
    }
    beginStep(next);
    if (failed(emitStep(*this)))
      return failure();
  }
  return success();
}

void StageKernel::openTileLoop(Value first, Value end) {
  auto loop = scf::ForOp::create(b, first, end, b.index(1));
  b.setInsertionPointToStart(loop.getBody());
  // Dimension 0 runs fastest: the rows of a matrix pass by while a block of weights is in cache.
  Value rest = loop.getInductionVar();
  if (numParts > 1) {
    currentPart = arith::RemUIOp::create(b, rest, b.index(numParts));
    rest = arith::DivUIOp::create(b, rest, b.index(numParts));
  }
  for (unsigned dim = 0, e = stage.getIterations().size(); dim < e; ++dim) {
    int64_t extent = stage.getExtent(dim), tile = stage.getTile()->getSizes()[dim];
    bool isOpen = ShapedType::isDynamic(extent);
    Value size = b.index(tile), limit = limitOf(extent);
    Value position = rest;
    if (!isOpen && stage.getNumTiles(dim) == 1) {
      position = b.index(0);
    } else if (dim + 1 != e) {
      Value tiles = arith::CeilDivUIOp::create(b, limit, size);
      position = arith::RemUIOp::create(b, rest, tiles);
      rest = arith::DivUIOp::create(b, rest, tiles);
    }
    Value begin = b.mul(position, size);
    tileBegins.push_back(begin);
    Value whole = b.add(begin, size);
    bool isEven = (isOpen ? rowGranule : extent) % tile == 0;
    tileEnds.push_back(isEven ? whole : b.minimum(whole, limit));
  }
}

void StageKernel::beginStep(const Step &next) {
  step = &next;
  for (StepMemory &shared : stepMemories)
    shared.isTaken = false;
  begins.clear();
  ends.clear();
  for (auto [dim, extent] : llvm::enumerate(next.extents)) {
    if (next.isPrologue) {
      begins.push_back(b.index(0));
      ends.push_back(limitOf(extent));
      continue;
    }
    int64_t share = shareOf(next, dim);
    auto scaled = [&](Value value) { return share == 1 ? value : b.mul(value, b.index(share)); };
    begins.push_back(scaled(tileBegins[dim]));
    ends.push_back(scaled(tileEnds[dim]));
  }
}

bool StageKernel::isSliced() { return function->hasAttr("treadle.sliced"); }

bool StageKernel::hasWholeGranules() {
  int64_t rows = step->extents[0];
  return ShapedType::isDynamic(rows) || rows % rowGranule == 0;
}

Value StageKernel::limitOf(int64_t extent) {
  return ShapedType::isDynamic(extent) ? openRows : b.index(extent);
}

void StageKernel::forColumns(unsigned dim, function_ref<void(Value, Value)> body) {
  bool isEven = extent(dim) % numLanes == 0;
  b.loop(begin(dim), end(dim), numLanes, [&](Value column) {
    body(column, isEven ? Value() : b.maskBelow(b.sub(end(dim), column)));
  });
}

Value StageKernel::allocate(ArrayRef<int64_t> shape, Type element) {
  // In the tile loop it would grow the stack by each tile.
  return b.onceAtStart([&] {
    return memref::AllocaOp::create(b, MemRefType::get(shape, element),
                                    b.getI64IntegerAttr(slotAlignment));
  });
}

Value StageKernel::allocateForStep(ArrayRef<int64_t> shape, Type element) {
  for (StepMemory &shared : stepMemories) {
    auto type = cast<MemRefType>(shared.memory.getType());
    if (shared.isTaken || type.getElementType() != element ||
        type.getRank() != int64_t(shape.size()))
      continue;
    shared.isTaken = true;
    SmallVector<int64_t> larger;
    for (auto [ours, theirs] : llvm::zip(type.getShape(), shape))
      larger.push_back(std::max(ours, theirs));
    shared.memory.setType(MemRefType::get(larger, element));
    return shared.memory;
  }
  return stepMemories.emplace_back(StepMemory{allocate(shape, element), true}).memory;
}

Value StageKernel::constantTable(DenseElementsAttr values) {
  return b.onceAtStart(
      [&] { return getConstantTable(b, function->getParentOfType<ModuleOp>(), values); });
}

Value StageKernel::evaluate(Value bodyValue, Value row, Value column, Value mask, Lanes &known) {
  if (Value lanes = known.lookup(bodyValue))
    return lanes;
  Value lanes;
  Operation *op = bodyValue.getDefiningOp();
  if (!op || isa<StageCoreOpInterface>(op)) {
    lanes = operand(bodyValue);
    auto weight = dyn_cast<WeightType>(bodyValue.getType());
    if (isa<RankedTensorType>(bodyValue.getType()))
      lanes = b.load(lanes, {row, column}, mask);
    else if (weight && weight.getShape().size() == 1)
      lanes = b.load(lanes, {column}, mask);
  } else {
    SmallVector<Value> arguments;
    for (Value argument : op->getOperands())
      arguments.push_back(evaluate(argument, row, column, mask, known));
    lanes = emitLanes(b, op, arguments, row, column);
  }
  known[bodyValue] = lanes;
  return lanes;
}

void StageKernel::storeResults(const Lanes &lanes, Value row, Value column, Value mask) {
  unsigned current = step - steps.begin();
  Lanes known = lanes;
  for (const Stored &stored : stores)
    if (stored.step == current &&
        llvm::all_of(stored.parts, [&](Value part) { return lanes.contains(part); }))
      storeLanes(evaluate(stored.value, row, column, mask, known), stored.memory, {row, column},
                 mask);
}

void StageKernel::storeLanes(Value lanes, Value memory, ValueRange place, Value mask) {
  bool isBF16 = cast<MemRefType>(memory.getType()).getElementType().isInteger(16);
  b.store(isBF16 && options.bf16Dot ? roundForDot(b, lanes) : lanes, memory, place, mask);
}

void StageKernel::storeResult(Value lanes, Value row, Value column, Value mask, unsigned index) {
  Lanes results;
  if (!step->cores.empty())
    results[step->cores.front()->getResult(index)] = lanes;
  storeResults(results, row, column, mask);
}

void StageKernel::storeWhole(const Stored &stored) {
  ArrayRef<int64_t> shape = cast<RankedTensorType>(stored.value.getType()).getShape();
  b.loop(b.index(0), b.index(shape[0]), 1, [&](Value row) {
    b.forLanes(shape[1], [&](Value column, Value mask) {
      Lanes known;
      storeLanes(evaluate(stored.value, row, column, mask, known), stored.memory, {row, column},
                 mask);
    });
  });
}

LogicalResult treadle::emitStep(StageKernel &kernel) {
  if (kernel.cores().empty())
    return emitElementwise(kernel), success();
  return llvm::TypeSwitch<Operation *, LogicalResult>(kernel.cores().front())
      .Case([&](AddScaledOp op) { return emitAddScaled(kernel, op), success(); })
      .Case([&](AppendOp op) { return emitAppend(kernel, op), success(); })
      .Case([&](AttentionOp op) { return emitAttention(kernel, op), success(); })
      .Case([&](CarryIdsOp op) { return emitCarryIds(kernel, op), success(); })
      .Case([&](CausalConvOp op) { return emitCausalConv(kernel, op), success(); })
      .Case([&](ConcatOp op) { return emitConcat(kernel, op), success(); })
      .Case([&](CopeBiasOp op) { return emitCopeBias(kernel, op), success(); })
      .Case([&](DifferentialOp op) { return emitDifferential(kernel, op), success(); })
      .Case([&](EmbeddingOp op) { return emitEmbedding(kernel, op), success(); })
      .Case([&](FanOp op) { return emitFan(kernel, op), success(); })
      .Case([&](GatedDeltaRuleOp op) { return emitGatedDeltaRule(kernel, op), success(); })
      .Case([&](JointLinearOp op) { return emitJointLinear(kernel, op), success(); })
      .Case([&](L2NormOp op) { return emitL2Norm(kernel, op), success(); })
      .Case([&](LayerNormOp op) { return emitLayerNorm(kernel, op), success(); })
      .Case([&](LinearOp) { return emitLinears(kernel), success(); })
      .Case([&](NgramEmbeddingOp op) { return emitNgramEmbedding(kernel, op), success(); })
      .Case([&](PolyNormOp op) { return emitPolyNorm(kernel, op), success(); })
      .Case([&](RMSNormOp op) { return emitRMSNorm(kernel, op), success(); })
      .Case([&](ReadRowsOp op) { return emitReadRows(kernel, op), success(); })
      .Case([&](ReadStateOp op) { return emitReadState(kernel, op), success(); })
      .Case([&](RopeOp op) { return emitRope(kernel, op), success(); })
      .Case([&](RotaryTableOp op) { return emitRotaryTable(kernel, op), success(); })
      .Case([&](RunningSumOp op) { return emitRunningSum(kernel, op), success(); })
      .Case([&](SliceOp op) { return emitSlice(kernel, op), success(); })
      .Case([&](WriteStateOp op) { return emitWriteState(kernel, op), success(); })
      .Default([](Operation *op) { return op->emitOpError("has no vector kernel"); });
}

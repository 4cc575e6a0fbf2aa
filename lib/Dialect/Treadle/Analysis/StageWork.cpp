//===- StageWork.cpp - What a stage needs ---------------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "treadle/Dialect/Treadle/Analysis/StageWork.h"

#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;
using namespace treadle;

static int64_t getElementBytes(Type type) { return type.getIntOrFloatBitWidth() / 8; }

static int64_t getBytes(RankedTensorType type) {
  return type.getNumElements() * getElementBytes(type.getElementType());
}

FlatSymbolRefAttr treadle::getSymbol(Value input) {
  if (auto get = input.getDefiningOp<GetWeightOp>())
    return get.getSymbolAttr();
  if (auto get = input.getDefiningOp<GetStateOp>())
    return get.getSymbolAttr();
  return {};
}

StateUse treadle::getStateUse(StageOp stage, unsigned input) {
  Value argument = stage.getBody()->getArgument(input);
  StateUse use;
  for (Operation *user : argument.getUsers()) {
    auto effects = dyn_cast<MemoryEffectOpInterface>(user);
    if (!effects)
      return {true, true};
    SmallVector<MemoryEffects::EffectInstance> found;
    effects.getEffectsOnValue(argument, found);
    for (const MemoryEffects::EffectInstance &effect : found) {
      use.reads |= isa<MemoryEffects::Read>(effect.getEffect());
      use.writes |= isa<MemoryEffects::Write>(effect.getEffect());
    }
  }
  return use;
}

bool treadle::readsAllRows(Value argument) {
  return llvm::any_of(argument.getUses(), [](OpOperand &use) {
    auto core = dyn_cast<StageCoreOpInterface>(use.getOwner());
    return core && core.readsAllRows(use.getOperandNumber());
  });
}

int64_t treadle::getLookups(Value argument) {
  int64_t lookups = 0;
  for (OpOperand &use : argument.getUses())
    if (auto core = dyn_cast<StageCoreOpInterface>(use.getOwner()))
      lookups = std::max(lookups, core.getLookups(use.getOperandNumber()));
  return lookups;
}

//===----------------------------------------------------------------------===//
// Inputs
//===----------------------------------------------------------------------===//

namespace {
/// A value that a stage takes, however many of its inputs that is: a slot is read once.
struct Taken {
  Value value;
  SmallVector<Value> arguments; // of the body
  StateUse use;                 // of a state, by all of them
};
} // namespace

static SmallVector<Taken> getTaken(StageOp stage) {
  llvm::MapVector<Value, Taken> taken;
  for (auto [i, input] : llvm::enumerate(stage.getInputs())) {
    Value argument = stage.getBody()->getArgument(i);
    if (argument.use_empty())
      continue;
    Taken &of = taken[input];
    of.value = input;
    of.arguments.push_back(argument);
    if (!isa<StateType>(input.getType()))
      continue;
    StateUse use = getStateUse(stage, i);
    of.use = {of.use.reads || use.reads, of.use.writes || use.writes};
  }
  return llvm::map_to_vector(taken, [](auto &entry) { return entry.second; });
}

static int64_t getLookups(const Taken &weight) {
  int64_t lookups = 0;
  for (Value argument : weight.arguments)
    lookups = std::max(lookups, getLookups(argument));
  return lookups;
}

static void addSymbol(SmallVector<Attribute> &symbols, Attribute symbol) {
  if (!llvm::is_contained(symbols, symbol))
    symbols.push_back(symbol);
}

static void addWeight(StageWork &work, const Taken &weight, FlatSymbolRefAttr symbol) {
  auto type = cast<WeightType>(weight.value.getType());
  int64_t element = getElementBytes(type.getElementType());
  if (int64_t lookups = getLookups(weight)) {
    addSymbol(work.tables, symbol);
    work.lookupBytes += lookups * llvm::product_of(type.getShape().drop_front()) * element;
  } else {
    addSymbol(work.weights, symbol);
    work.weightBytes += llvm::product_of(type.getShape()) * element;
  }
}

static void addState(StageWork &work, const Taken &state, FlatSymbolRefAttr symbol) {
  auto type = cast<StateType>(state.value.getType());
  int64_t element = getElementBytes(type.getElementType());
  int64_t times = state.use.reads + state.use.writes;
  if (type.getKind() != StateKind::append) {
    work.stateBytes += times * llvm::product_of(type.getShape()) * element;
    return;
  }
  int64_t row = llvm::product_of(type.getRowShape()) * element;
  if (llvm::any_of(state.arguments, readsAllRows)) {
    addSymbol(work.attended, symbol);
    work.keyBytes += row;
    times = state.use.writes; // of the row that is appended first
  }
  work.rowBytes += times * row;
}

static void addActivation(StageWork &work, Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  if (tensor && tensor.getRank() > 0)
    work.rowBytes += getBytes(tensor) / tensor.getDimSize(0);
}

//===----------------------------------------------------------------------===//
// Stages
//===----------------------------------------------------------------------===//

StageWork treadle::computeWork(StageOp stage) {
  StageWork work;
  for (const Taken &taken : getTaken(stage)) {
    FlatSymbolRefAttr symbol = getSymbol(taken.value);
    if (!symbol)
      addActivation(work, taken.value.getType());
    else if (isa<WeightType>(taken.value.getType()))
      addWeight(work, taken, symbol);
    else
      addState(work, taken, symbol);
  }
  for (Type type : stage.getResultTypes())
    addActivation(work, type);
  for (Operation &op : *stage.getBody())
    if (auto core = dyn_cast<StageCoreOpInterface>(op)) {
      work.flops += core.getRowFlops();
      work.keyFlops += core.getKeyFlops();
    }
  return work;
}

std::string treadle::describeStage(StageOp stage) {
  std::string text;
  for (Operation &op : stage.getBody()->without_terminator())
    if (!op.hasTrait<OpTrait::ConstantLike>())
      text += (text.empty() ? "" : " + ") + op.getName().stripDialect().str();
  if (text.empty())
    text = "copy";
  llvm::SmallSetVector<Attribute, 8> symbols;
  for (Value input : stage.getInputs())
    if (FlatSymbolRefAttr symbol = getSymbol(input); symbol && symbols.insert(symbol))
      text += " " + symbol.getValue().str();
  return text;
}

WorkAttr treadle::getWorkAttr(StageOp stage, Trips trips) {
  StageWork work = computeWork(stage);
  Builder builder(stage.getContext());
  auto list = [&](ArrayRef<Attribute> symbols) {
    return symbols.empty() ? ArrayAttr() : builder.getArrayAttr(symbols);
  };
  return WorkAttr::get(builder.getContext(), describeStage(stage), trips.calls, trips.looped,
                       list(work.weights), list(work.tables), list(work.attended), work.weightBytes,
                       work.stateBytes, work.rowBytes, work.lookupBytes, work.keyBytes, work.flops,
                       work.keyFlops);
}

void treadle::walkStages(Block &block, llvm::function_ref<void(StageOp, Trips)> visit,
                         Trips trips) {
  for (Operation &op : block) {
    if (auto stage = dyn_cast<StageOp>(op)) {
      visit(stage, trips);
    } else if (auto loop = dyn_cast<LoopOp>(op)) {
      Trips inner = trips;
      if (loop.getTrips())
        inner.looped = true;
      else
        inner.calls *= loop.getMax();
      walkStages(*loop.getBody(), visit, inner);
    }
  }
}

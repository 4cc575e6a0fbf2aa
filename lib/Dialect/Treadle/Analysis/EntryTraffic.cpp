//===- EntryTraffic.cpp - What an entry point must move -------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "treadle/Dialect/Treadle/Analysis/EntryTraffic.h"

#include "treadle/Dialect/Treadle/Analysis/StageWork.h"
#include "treadle/Dialect/Treadle/IR/Layout.h"
#include "llvm/ADT/MapVector.h"

using namespace mlir;
using namespace treadle;

namespace {
/// What all stages together do with a symbol.
struct SymbolNeed {
  int64_t lookups = 0; ///< rows of a table, for each row of the call
  bool isWhole = false, isWritten = false, readsAllRows = false;
};
using Needs = llvm::MapVector<Attribute, SymbolNeed>;
} // namespace

static void addNeeds(StageOp stage, Needs &needs) {
  for (auto [i, input] : llvm::enumerate(stage.getInputs())) {
    Value argument = stage.getBody()->getArgument(i);
    FlatSymbolRefAttr symbol = getSymbol(input);
    if (!symbol || argument.use_empty())
      continue;
    SymbolNeed &need = needs[symbol];
    if (isa<WeightType>(input.getType())) {
      int64_t lookups = getLookups(argument);
      need.isWhole |= !lookups;
      need.lookups = std::max(need.lookups, lookups);
      continue;
    }
    StateUse use = getStateUse(stage, i);
    need.isWhole |= use.reads;
    need.isWritten |= use.writes;
    need.readsAllRows |= readsAllRows(argument);
  }
}

static int64_t getElementBytes(Type type) { return type.getIntOrFloatBitWidth() / 8; }

static void addWeight(EntryTraffic &traffic, WeightOp weight, SymbolNeed need, int64_t rows) {
  WeightType type = weight.getType();
  if (need.isWhole)
    traffic.weights += getSlotBytes(type) * llvm::product_of(weight.getSlots());
  else
    traffic.lookups += rows * need.lookups * llvm::product_of(type.getShape().drop_front()) *
                       getElementBytes(type.getElementType());
}

/// What an append state has before the rows of a call.
static int64_t getRowsBefore(StateOp state, EntryAttr entry, CallPlace place) {
  return entry.getKind() == EntryKind::open ? 0 : state.getLead() + place.row;
}

static void addState(EntryTraffic &traffic, StateOp state, SymbolNeed need, EntryAttr entry,
                     CallPlace place) {
  StateType type = state.getType();
  SmallVector<int64_t> slots(state.getSlots());
  if (std::optional<int64_t> loop = state.getLoopSlot())
    slots[*loop] = std::min(slots[*loop], place.passes);
  int64_t count = llvm::product_of(slots);
  if (type.getKind() != StateKind::append) {
    int64_t bytes = count * getSlotBytes(type);
    traffic.stateReads += need.isWhole * bytes;
    traffic.stateWrites += need.isWritten * bytes;
    return;
  }
  // A call has the rows that it appends, and need not read them.
  int64_t row =
      count * llvm::product_of(type.getRowShape()) * getElementBytes(type.getElementType());
  traffic.stateReads += need.readsAllRows * row * getRowsBefore(state, entry, place);
  traffic.stateWrites += need.isWritten * row * entry.getRows();
}

EntryTraffic treadle::computeTraffic(func::FuncOp function, CallPlace place) {
  auto entry = function->getAttrOfType<EntryAttr>("treadle.entry");
  auto module = function->getParentOfType<ModuleOp>();
  Needs needs;
  walkStages(function.getBody().front(), [&](StageOp stage, Trips) { addNeeds(stage, needs); });
  EntryTraffic traffic;
  for (auto [symbol, need] : needs) {
    Operation *op = module.lookupSymbol(cast<FlatSymbolRefAttr>(symbol).getValue());
    if (auto weight = dyn_cast_if_present<WeightOp>(op))
      addWeight(traffic, weight, need, entry.getRows());
    else if (auto state = dyn_cast_if_present<StateOp>(op))
      addState(traffic, state, need, entry, place);
  }
  return traffic;
}

//===- WorkFacts.cpp - What a model's entry points need -------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "WorkFacts.h"

#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;
using namespace treadle;
using llvm::json::Array;
using llvm::json::Object;

namespace {
using Symbols = llvm::SetVector<Attribute>;

/// What one entry point needs, all stages together.
struct EntryWork {
  Symbols weights, attended;
  llvm::MapVector<Attribute, int64_t> lookups; ///< tables -> bytes a row
  int64_t flops = 0, loopFlops = 0, keyFlops = 0, loopKeyFlops = 0;
};
} // namespace

static ArrayRef<Attribute> elementsOf(ArrayAttr symbols) {
  return symbols ? symbols.getValue() : ArrayRef<Attribute>();
}

static EntryWork sum(ArrayAttr stages) {
  EntryWork sum;
  for (auto work : stages.getAsRange<WorkAttr>()) {
    sum.weights.insert_range(elementsOf(work.getWeights()));
    sum.attended.insert_range(elementsOf(work.getAttended()));
    // Larger n-grams look up the tokens of smaller ones.
    for (Attribute table : elementsOf(work.getTables()))
      sum.lookups[table] = std::max(sum.lookups.lookup(table), work.getLookupBytes());
    (work.getLooped() ? sum.loopFlops : sum.flops) += work.getCalls() * work.getFlops();
    (work.getLooped() ? sum.loopKeyFlops : sum.keyFlops) += work.getCalls() * work.getKeyFlops();
  }
  return sum;
}

/// Bytes of weights with all their slots, by their logical shapes.
static int64_t getWeightBytes(ModuleOp module, const Symbols &weights) {
  int64_t bytes = 0;
  for (auto name : weights) {
    auto weight = module.lookupSymbol<WeightOp>(cast<FlatSymbolRefAttr>(name).getValue());
    if (!weight)
      continue; // a stage that a plugin made may say what it likes
    WeightType type = weight.getType();
    bytes += llvm::product_of(type.getShape()) * llvm::product_of(weight.getSlots()) *
             (type.getElementType().getIntOrFloatBitWidth() / 8);
  }
  return bytes;
}

static Object describe(ModuleOp module, const EntryWork &work) {
  return Object{{"weight_bytes", getWeightBytes(module, work.weights)},
                {"flops", work.flops},
                {"loop_flops", work.loopFlops},
                {"key_flops", work.keyFlops},
                {"loop_key_flops", work.loopKeyFlops}};
}

static Object describe(WorkAttr work) {
  Object stage{{"name", work.getName()}, {"calls", work.getCalls()}};
  if (work.getLooped())
    stage["looped"] = true;
  auto add = [&](StringRef key, int64_t count) {
    if (count)
      stage[key] = count;
  };
  add("weight_bytes", work.getWeightBytes());
  add("state_bytes", work.getStateBytes());
  add("row_bytes", work.getRowBytes() + work.getLookupBytes());
  add("key_bytes", work.getKeyBytes());
  add("flops", work.getFlops());
  add("key_flops", work.getKeyFlops());
  return stage;
}

static Array namesOf(const Symbols &symbols) {
  std::vector<StringRef> names;
  for (Attribute symbol : symbols)
    names.push_back(cast<FlatSymbolRefAttr>(symbol).getValue());
  llvm::sort(names);
  return Array(names);
}

std::optional<Object> treadle::makeWorkFacts(ModuleOp module, llvm::ArrayRef<EntryPoint> entries) {
  Object facts;
  llvm::MapVector<Attribute, size_t> distinct;
  Array entryStages;
  EntryWork token; // of a row and its logits
  Symbols attended;
  for (const EntryPoint &entry : entries) {
    auto function = module.lookupSymbol<FunctionOpInterface>(entry.function);
    auto stages = function->getAttrOfType<ArrayAttr>("treadle.stages");
    if (!stages)
      return std::nullopt;
    Array indices;
    for (Attribute stage : stages)
      indices.push_back(distinct.insert({stage, distinct.size()}).first->second);
    entryStages.push_back(std::move(indices));

    // Entry points of one kind need the same for each row; the first has the fewest.
    StringRef kind = stringifyEntryKind(entry.kind);
    EntryWork work = sum(stages);
    attended.insert_range(work.attended);
    if (!facts.try_emplace(kind, describe(module, work)).second)
      continue;
    if (entry.kind == EntryKind::forward || entry.kind == EntryKind::head) {
      token.weights.insert_range(work.weights);
      for (auto lookup : work.lookups)
        token.lookups.insert(lookup);
    }
  }
  int64_t tokenBytes = getWeightBytes(module, token.weights);
  for (auto [table, bytes] : token.lookups)
    if (!token.weights.contains(table))
      tokenBytes += bytes;
  Array stages;
  for (auto [work, index] : distinct)
    stages.push_back(describe(cast<WorkAttr>(work)));
  facts["token_weight_bytes"] = tokenBytes;
  facts["attended"] = namesOf(attended);
  facts["stages"] = std::move(stages);
  facts["entry_stages"] = std::move(entryStages);
  return facts;
}

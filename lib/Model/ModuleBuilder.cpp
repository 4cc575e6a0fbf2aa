//===- ModuleBuilder.cpp - Symbols, loops and entry points ----------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "treadle/Model/ModuleBuilder.h"

using namespace mlir;
using namespace treadle;

//===----------------------------------------------------------------------===//
// Scope
//===----------------------------------------------------------------------===//

Value Scope::weight(StringRef symbol, StringRef tensor, WeightType type) const {
  SmallVector<std::string> sources;
  for (const std::string &tensorPrefix : tensorPrefixes)
    sources.push_back((tensorPrefix + tensor).str());
  SmallVector<int64_t> slots;
  SmallVector<Value> indices;
  for (const SlotDim &dim : layers) {
    slots.push_back(dim.size);
    indices.push_back(dim.index);
  }
  WeightOp weight = builder->declare((prefix + symbol).str(), type, slots, sources);
  return GetWeightOp::create(builder->builder, builder->getLoc(), type,
                             FlatSymbolRefAttr::get(weight.getSymNameAttr()), indices);
}

Value Scope::matrix(StringRef symbol, StringRef tensor, ArrayRef<int64_t> shape,
                    Type element) const {
  return weight(symbol, tensor,
                WeightType::get(element.getContext(), shape, element, Packing::panels));
}

Value Scope::matrix(StringRef symbol, StringRef tensor, int64_t outputs, int64_t inputs) const {
  return matrix(symbol, tensor, {outputs, inputs}, builder->getStorageType());
}

Value Scope::plain(StringRef symbol, StringRef tensor, ArrayRef<int64_t> shape) const {
  Type element = builder->builder.getF32Type();
  return weight(symbol, tensor,
                WeightType::get(element.getContext(), shape, element, Packing::plain));
}

Value Scope::vector(StringRef symbol, StringRef tensor, int64_t size) const {
  return plain(symbol, tensor, {size});
}

Value Scope::scalar(StringRef symbol, StringRef tensor) const { return plain(symbol, tensor, {}); }

Value Scope::appendState(StringRef symbol, int64_t columns, Type element) const {
  SmallVector<int64_t> shape = {builder->getCapacity()};
  if (columns)
    shape.push_back(columns);
  return state(symbol, StateType::get(element.getContext(), StateKind::append, shape, element));
}

Value Scope::state(StringRef symbol, StateType type) const {
  SmallVector<SlotDim> dims(layers);
  if (pass)
    dims.insert(dims.begin(), *pass);
  SmallVector<int64_t> slots;
  SmallVector<Value> indices;
  for (const SlotDim &dim : dims) {
    slots.push_back(dim.size);
    indices.push_back(dim.index);
  }
  StateOp state = builder->declare((prefix + symbol).str(), type, slots,
                                   pass ? std::optional<int64_t>(0) : std::nullopt);
  return GetStateOp::create(builder->builder, builder->getLoc(), type,
                            FlatSymbolRefAttr::get(state.getSymNameAttr()), indices);
}

Value Scope::pick(function_ref<double(int64_t)> formula) const {
  SmallVector<float> numbers;
  for (int64_t layer : layerNumbers)
    numbers.push_back(static_cast<float>(formula(layer)));
  SmallVector<int64_t> shape;
  SmallVector<Value> indices;
  for (const SlotDim &dim : layers) {
    shape.push_back(dim.size);
    indices.push_back(dim.index);
  }
  assert(!shape.empty() && "expected a layer");
  auto type = RankedTensorType::get(shape, builder->builder.getF32Type());
  return PickOp::create(builder->builder, builder->getLoc(), indices,
                        DenseElementsAttr::get(type, ArrayRef(numbers)));
}

//===----------------------------------------------------------------------===//
// Symbols
//===----------------------------------------------------------------------===//

ModuleBuilder::ModuleBuilder(ModuleOp module, const ModelOptions &options, int64_t capacity,
                             int64_t maxLoops)
    : module(module), builder(module.getBodyRegion()), options(options), capacity(capacity),
      maxLoops(maxLoops) {}

Type ModuleBuilder::getStorageType() {
  return options.storage == Storage::bf16 ? Type(builder.getBF16Type())
                                          : Type(builder.getF32Type());
}

RankedTensorType ModuleBuilder::getRowsType(int64_t columns) {
  return RankedTensorType::get({ShapedType::kDynamic, columns}, builder.getF32Type());
}

/// Weights come first in a module, then states, each in the order of their first use.
static void setAfter(OpBuilder &builder, ModuleOp module, Operation *last) {
  if (last)
    builder.setInsertionPointAfter(last);
  else
    builder.setInsertionPointToStart(module.getBody());
}

WeightOp ModuleBuilder::declare(StringRef name, WeightType type, ArrayRef<int64_t> slots,
                                ArrayRef<std::string> sources) {
  WeightOp &weight = weights[name];
  if (!weight) {
    OpBuilder::InsertionGuard guard(builder);
    setAfter(builder, module, lastWeight);
    SmallVector<StringRef> names(sources.begin(), sources.end());
    weight = WeightOp::create(builder, getLoc(), name, type, slots, builder.getStrArrayAttr(names),
                              /*view=*/ViewAttr());
    lastWeight = weight;
  }
  assert(weight.getType() == type && weight.getSlots() == slots && "expected equal declarations");
  return weight;
}

StateOp ModuleBuilder::declare(StringRef name, StateType type, ArrayRef<int64_t> slots,
                               std::optional<int64_t> loopSlot) {
  StateOp &state = states[name];
  assert(!state && "expected each state to belong to one block");
  OpBuilder::InsertionGuard guard(builder);
  setAfter(builder, module, lastState ? lastState : lastWeight);
  state = StateOp::create(builder, getLoc(), name, type, slots,
                          loopSlot ? builder.getI64IntegerAttr(*loopSlot) : IntegerAttr(),
                          /*lead=*/0, /*by_turn=*/false, /*initial=*/FlatSymbolRefAttr(),
                          /*fill=*/IntegerAttr());
  lastState = state;
  return state;
}

//===----------------------------------------------------------------------===//
// Entry points
//===----------------------------------------------------------------------===//

func::FuncOp ModuleBuilder::buildEntry(StringRef name, EntryKind kind, TypeRange inputs,
                                       Type result, function_ref<Value(Block &)> body) {
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToEnd(module.getBody());
  auto function =
      func::FuncOp::create(builder, getLoc(), name, builder.getFunctionType(inputs, {result}));
  function->setAttr("treadle.entry", EntryAttr::get(builder.getContext(), kind, /*rows=*/0));
  Block *block = function.addEntryBlock();
  builder.setInsertionPointToStart(block);
  func::ReturnOp::create(builder, getLoc(), body(*block));
  return function;
}

void ModuleBuilder::buildForward(int64_t hidden,
                                 function_ref<Value(const Scope &, const Tokens &)> body) {
  Type index = builder.getIndexType();
  auto perRow = [](Type element) { return RankedTensorType::get({ShapedType::kDynamic}, element); };
  buildEntry("forward", EntryKind::forward,
             {perRow(builder.getI32Type()), perRow(builder.getI8Type()), index, index, index},
             getRowsType(hidden), [&](Block &block) {
               Scope scope(*this);
               Tokens tokens = {block.getArgument(0), block.getArgument(2), block.getArgument(3),
                                block.getArgument(4),
                                scope.appendState("mask", 0, builder.getI8Type())};
               AppendOp::create(builder, getLoc(), block.getArgument(1), tokens.mask,
                                tokens.position, tokens.valid);
               return body(scope, tokens);
             });
}

void ModuleBuilder::buildHead(int64_t hidden, int64_t vocabulary,
                              function_ref<Value(const Scope &, Value)> body) {
  buildEntry("head", EntryKind::head, {getRowsType(hidden)}, getRowsType(vocabulary),
             [&](Block &block) { return body(Scope(*this), block.getArgument(0)); });
}

//===----------------------------------------------------------------------===//
// Loops
//===----------------------------------------------------------------------===//

namespace {
/// `count` times the same `period` layers.
struct Repeat {
  int64_t period, count;
};
} // namespace

/// The repetition at the front of `kinds` that takes in the most layers, the shortest of these.
static Repeat findRepeat(ArrayRef<StringRef> kinds) {
  Repeat best = {1, 1};
  for (size_t period = 1; 2 * period <= kinds.size(); ++period) {
    size_t end = period;
    while (end < kinds.size() && kinds[end] == kinds[end - period])
      ++end;
    Repeat repeat = {int64_t(period), int64_t(end / period)};
    if (repeat.count > 1 && repeat.period * repeat.count > best.period * best.count)
      best = repeat;
  }
  return best;
}

SmallVector<Value> ModuleBuilder::buildSlots(const Scope &scope, int64_t count, ValueRange carried,
                                             LayersBody body) {
  auto loop = LoopOp::create(builder, getLoc(), /*trips=*/Value(), count, carried,
                             [&](OpBuilder &, Value index, ValueRange values) {
                               Scope inner = scope;
                               inner.layers.push_back({count, index});
                               return body(inner, values);
                             });
  return llvm::to_vector(ValueRange(loop.getResults()));
}

SmallVector<Value> ModuleBuilder::buildLayers(const Scope &scope, ArrayRef<StringRef> kinds,
                                              StringRef tensor, ValueRange inits,
                                              MixedLayersBody body) {
  assert(scope.layers.empty() && "expected no layers within layers");
  llvm::StringMap<int64_t> places; // of each kind so far

  // A run of `length` equal layers from `first` on, and those that repeat it.
  auto buildRun = [&](const Scope &group, Repeat repeat, int64_t first, int64_t length,
                      ValueRange values) {
    StringRef kind = kinds[first];
    int64_t place = places[kind]++;
    Scope layer = group;
    layer.prefix += (kind + (place ? Twine(place) : Twine()) + ".").str();
    layer.tensorPrefixes.clear();
    for (int64_t i = 0; i < repeat.count; ++i)
      for (int64_t j = 0; j < length; ++j) {
        int64_t number = first + i * repeat.period + j;
        layer.layerNumbers.push_back(number);
        layer.tensorPrefixes.push_back(
            (scope.tensorPrefixes[0] + tensor + "." + Twine(number) + ".").str());
      }
    auto run = [&](const Scope &inner, ValueRange carried) { return body(inner, kind, carried); };
    return length == 1 ? run(layer, values) : buildSlots(layer, length, values, run);
  };

  SmallVector<Value> values(inits);
  for (int64_t first = 0, count = kinds.size(); first < count;) {
    Repeat repeat = findRepeat(kinds.drop_front(first));
    values = buildSlots(scope, repeat.count, values, [&](const Scope &group, ValueRange carried) {
      SmallVector<Value> next(carried);
      for (int64_t begin = first; begin < first + repeat.period;) {
        int64_t end = begin + 1;
        while (end < first + repeat.period && kinds[end] == kinds[begin])
          ++end;
        next = buildRun(group, repeat, begin, end - begin, next);
        begin = end;
      }
      return next;
    });
    first += repeat.period * repeat.count;
  }
  return values;
}

SmallVector<Value> ModuleBuilder::buildLayers(const Scope &scope, StringRef symbol,
                                              StringRef tensor, int64_t count, ValueRange carried,
                                              LayersBody body) {
  return buildLayers(
      scope, SmallVector<StringRef>(count, symbol), tensor, carried,
      [&](const Scope &layer, StringRef, ValueRange values) { return body(layer, values); });
}

Value ModuleBuilder::buildLayers(const Scope &scope, StringRef symbol, StringRef tensor,
                                 int64_t count, Value x, LayerBody body) {
  return buildLayers(scope, symbol, tensor, count, ValueRange(x),
                     [&](const Scope &layer, ValueRange carried) {
                       return SmallVector<Value>{body(layer, carried[0])};
                     })[0];
}

Value ModuleBuilder::buildPasses(const Scope &scope, Value loops, Value x,
                                 function_ref<Value(const Scope &, Value, Value)> body) {
  auto loop = LoopOp::create(
      builder, getLoc(), loops, maxLoops, x, [&](OpBuilder &, Value index, ValueRange carried) {
        Scope inner = scope;
        inner.pass = SlotDim{maxLoops, index};
        Value one = arith::ConstantIndexOp::create(builder, getLoc(), 1);
        Value next = arith::AddIOp::create(builder, getLoc(), index, one);
        Value again =
            arith::CmpIOp::create(builder, getLoc(), arith::CmpIPredicate::ult, next, loops);
        return SmallVector<Value>{body(inner, carried[0], again)};
      });
  return loop.getResult(0);
}

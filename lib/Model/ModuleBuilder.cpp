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

FlatSymbolRefAttr Scope::declare(StringRef symbol, ArrayRef<std::string> tensors, WeightType type,
                                 ViewAttr view) const {
  SmallVector<std::string> sources;
  for (const std::string &tensorPrefix : tensorPrefixes)
    for (const std::string &tensor : tensors)
      sources.push_back(tensorPrefix + tensor);
  SmallVector<int64_t> slots;
  for (const SlotDim &dim : layers)
    slots.push_back(dim.size);
  WeightOp weight = builder->declare((prefix + symbol).str(), type, slots, sources, view);
  return FlatSymbolRefAttr::get(weight.getSymNameAttr());
}

Value Scope::weight(StringRef symbol, ArrayRef<std::string> tensors, WeightType type,
                    ViewAttr view) const {
  SmallVector<Value> indices;
  for (const SlotDim &dim : layers)
    indices.push_back(dim.index);
  return GetWeightOp::create(builder->builder, builder->getLoc(), type,
                             declare(symbol, tensors, type, view), indices);
}

Value Scope::matrix(StringRef symbol, StringRef tensor, ArrayRef<int64_t> shape, Type element,
                    ViewAttr view) const {
  return weight(symbol, tensor.str(),
                WeightType::get(element.getContext(), shape, element, Packing::panels), view);
}

Value Scope::matrix(StringRef symbol, StringRef tensor, int64_t outputs, int64_t inputs,
                    ViewAttr view) const {
  return matrix(symbol, tensor, {outputs, inputs}, builder->getStorageType(), view);
}

Value Scope::plain(StringRef symbol, StringRef tensor, ArrayRef<int64_t> shape,
                   ViewAttr view) const {
  return plain(symbol, tensor, shape, builder->builder.getF32Type(), view);
}

Value Scope::plain(StringRef symbol, StringRef tensor, ArrayRef<int64_t> shape, Type element,
                   ViewAttr view) const {
  return weight(symbol, tensor.str(),
                WeightType::get(element.getContext(), shape, element, Packing::plain), view);
}

Value Scope::vector(StringRef symbol, StringRef tensor, int64_t size, ViewAttr view) const {
  return plain(symbol, tensor, {size}, view);
}

Value Scope::scalar(StringRef symbol, StringRef tensor) const { return plain(symbol, tensor, {}); }

Value Scope::joined(StringRef symbol, ArrayRef<std::string> tensors,
                    ArrayRef<int64_t> shape) const {
  Type element = builder->builder.getF32Type();
  return weight(symbol, tensors,
                WeightType::get(element.getContext(), shape, element, Packing::plain), ViewAttr());
}

Value Scope::state(StringRef symbol, StateType type, function_ref<void(StateOp)> finish) const {
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
                                   pass ? std::optional<int64_t>(0) : std::nullopt, finish);
  return GetStateOp::create(builder->builder, builder->getLoc(), type,
                            FlatSymbolRefAttr::get(state.getSymNameAttr()), indices);
}

Value Scope::state(StringRef symbol, StateType type) const {
  return state(symbol, type, [](StateOp) {});
}

Value Scope::appendState(StringRef symbol, int64_t columns, Type element, Packing packing) const {
  SmallVector<int64_t> shape = {builder->getCapacity()};
  if (columns)
    shape.push_back(columns);
  auto type = StateType::get(element.getContext(), StateKind::append, shape, element, packing);
  return state(symbol, type, [&](StateOp op) { op.setLead(builder->period.lead); });
}

Value Scope::tokenState(StringRef symbol, Type element) const {
  auto type = StateType::get(element.getContext(), StateKind::append, builder->capacity, element);
  return state(symbol, type);
}

Value Scope::fixedState(StringRef symbol, const FixedState &fixed) const {
  MLIRContext *context = fixed.element.getContext();
  FlatSymbolRefAttr initial;
  if (!fixed.initial.empty())
    initial =
        declare((symbol + ".initial").str(), fixed.initial,
                WeightType::get(context, fixed.shape, fixed.element, Packing::plain), ViewAttr());
  auto type = StateType::get(context, StateKind::fixed, fixed.shape, fixed.element);
  return state(symbol, type, [&](StateOp op) {
    op.setByTurn(fixed.byTurn);
    if (initial)
      op.setInitialAttr(initial);
    if (fixed.fill)
      op.setFillAttr(builder->builder.getI32IntegerAttr(*fixed.fill));
  });
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

Scope Scope::narrow(StringRef symbol, int64_t count) const {
  Scope part = *this;
  part.prefix = (symbol + ".").str();
  if (alone) {
    part.layers.clear();
    part.tensorPrefixes = {tensorPrefixes[*alone]};
    part.layerNumbers.clear();
  } else {
    assert(layers.size() == 1 && "expected one loop over layers");
    part.layers[0].size = count;
    part.tensorPrefixes.resize(count);
    part.layerNumbers.resize(count);
  }
  return part;
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

RankedTensorType ModuleBuilder::getRowsType(int64_t columns, Value like) {
  return RankedTensorType::get({cast<ShapedType>(like.getType()).getDimSize(0), columns},
                               builder.getF32Type());
}

void ModuleBuilder::setPeriod(Period newPeriod) {
  assert(states.empty() && "expected no state before the period is known");
  period = newPeriod;
  capacity = period.length;
}

/// Weights come first in a module, then states, each in the order of their first use.
static void setAfter(OpBuilder &builder, ModuleOp module, Operation *last) {
  if (last)
    builder.setInsertionPointAfter(last);
  else
    builder.setInsertionPointToStart(module.getBody());
}

WeightOp ModuleBuilder::declare(StringRef name, WeightType type, ArrayRef<int64_t> slots,
                                ArrayRef<std::string> sources, ViewAttr view) {
  WeightOp &weight = weights[name];
  if (!weight) {
    OpBuilder::InsertionGuard guard(builder);
    setAfter(builder, module, lastWeight);
    SmallVector<StringRef> names(sources.begin(), sources.end());
    weight = WeightOp::create(builder, getLoc(), name, type, slots, builder.getStrArrayAttr(names),
                              view);
    lastWeight = weight;
  }
  assert(weight.getType() == type && weight.getSlots() == slots && "expected equal declarations");
  return weight;
}

/// A state that several entry points use is declared by the first of them.
StateOp ModuleBuilder::declare(StringRef name, StateType type, ArrayRef<int64_t> slots,
                               std::optional<int64_t> loopSlot,
                               function_ref<void(StateOp)> finish) {
  StateOp &state = states[name];
  if (!state) {
    OpBuilder::InsertionGuard guard(builder);
    setAfter(builder, module, lastState ? lastState : lastWeight);
    state = StateOp::create(builder, getLoc(), name, type, slots,
                            loopSlot ? builder.getI64IntegerAttr(*loopSlot) : IntegerAttr(),
                            /*lead=*/0, /*by_turn=*/false, /*initial=*/FlatSymbolRefAttr(),
                            /*fill=*/IntegerAttr());
    finish(state);
    lastState = state;
  }
  assert(state.getType() == type && state.getSlots() == slots && "expected equal declarations");
  return state;
}

//===----------------------------------------------------------------------===//
// Entry points
//===----------------------------------------------------------------------===//

func::FuncOp ModuleBuilder::buildEntry(StringRef name, EntryKind kind, int64_t rows,
                                       TypeRange inputs, TypeRange results,
                                       function_ref<SmallVector<Value>(Block &)> body) {
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToEnd(module.getBody());
  auto function =
      func::FuncOp::create(builder, getLoc(), name, builder.getFunctionType(inputs, results));
  function->setAttr("treadle.entry", EntryAttr::get(builder.getContext(), kind, rows));
  Block *block = function.addEntryBlock();
  builder.setInsertionPointToStart(block);
  func::ReturnOp::create(builder, getLoc(), body(*block));
  return function;
}

/// index + rows, without an addition of 0.
static Value addRows(OpBuilder &builder, Location loc, Value index, int64_t rows) {
  if (rows == 0)
    return index;
  Value constant = arith::ConstantIndexOp::create(builder, loc, rows);
  return arith::AddIOp::create(builder, loc, index, constant);
}

void ModuleBuilder::buildForward(int64_t hidden,
                                 function_ref<Value(const Scope &, const Tokens &)> body) {
  Type index = builder.getIndexType();
  auto perRow = [](Type element) { return RankedTensorType::get({ShapedType::kDynamic}, element); };
  buildEntry("forward", EntryKind::forward, /*rows=*/0,
             {perRow(builder.getI32Type()), perRow(builder.getI8Type()), index, index, index},
             getRowsType(hidden), [&](Block &block) -> SmallVector<Value> {
               Scope scope(*this);
               Tokens tokens;
               tokens.ids = block.getArgument(0);
               tokens.position = block.getArgument(2);
               tokens.valid = block.getArgument(3);
               tokens.loops = block.getArgument(4);
               tokens.row = addRows(builder, getLoc(), tokens.position, period.lead);
               tokens.mask = scope.appendState("mask", 0, builder.getI8Type());
               AppendOp::create(builder, getLoc(), block.getArgument(1), tokens.mask, tokens.row,
                                tokens.valid);
               return {body(scope, tokens)};
             });
}

void ModuleBuilder::buildTurn(StringRef name, EntryKind kind, int64_t rows, int64_t firstRow,
                              function_ref<void(const Scope &, const Turn &)> body) {
  Type index = builder.getIndexType();
  buildEntry(name, kind, rows, {index, index, index}, {}, [&](Block &block) -> SmallVector<Value> {
    Scope scope(*this);
    Turn turn;
    turn.count = block.getArgument(0);
    turn.valid = block.getArgument(1);
    turn.loops = block.getArgument(2);
    turn.row = addRows(builder, getLoc(), turn.count, firstRow);
    turn.mask = scope.appendState("mask", 0, builder.getI8Type()); // the runtime sets these rows
    body(scope, turn);
    return {};
  });
}

void ModuleBuilder::buildOpen(function_ref<void(const Scope &, const Turn &)> body) {
  buildTurn("open", EntryKind::open, period.lead, /*firstRow=*/0, body);
}

void ModuleBuilder::buildClose(function_ref<void(const Scope &, const Turn &)> body) {
  buildTurn("close", EntryKind::close, period.trail, /*firstRow=*/period.lead, body);
}

void ModuleBuilder::buildHead(int64_t hidden, int64_t vocabulary,
                              function_ref<Value(const Scope &, Value)> body) {
  buildEntry("head", EntryKind::head, /*rows=*/0, getRowsType(hidden), getRowsType(vocabulary),
             [&](Block &block) -> SmallVector<Value> {
               return {body(Scope(*this), block.getArgument(0))};
             });
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

Scope ModuleBuilder::enterLayers(const Scope &scope, StringRef symbol, StringRef tensor,
                                 int64_t count, Value index) const {
  assert(scope.layers.empty() && "expected no layers within layers");
  Scope inner = scope;
  inner.prefix += (symbol + ".").str();
  inner.layers.push_back({count, index});
  inner.tensorPrefixes.clear();
  for (int64_t i = 0; i < count; ++i) {
    inner.layerNumbers.push_back(i);
    inner.tensorPrefixes.push_back((scope.tensorPrefixes[0] + tensor + "." + Twine(i) + ".").str());
  }
  return inner;
}

Value ModuleBuilder::buildFirstLayers(const Scope &scope, StringRef symbol, StringRef tensor,
                                      int64_t count, int64_t run, Value x, LayerBody body) {
  if (run == 0)
    return x;
  auto loop = LoopOp::create(builder, getLoc(), /*trips=*/Value(), run, x,
                             [&](OpBuilder &, Value index, ValueRange carried) {
                               Scope inner = enterLayers(scope, symbol, tensor, count, index);
                               return SmallVector<Value>{body(inner, carried[0])};
                             });
  return loop.getResult(0);
}

Value ModuleBuilder::buildLayer(const Scope &scope, StringRef symbol, StringRef tensor,
                                int64_t count, int64_t index, Value x, LayerBody body) {
  Scope inner = enterLayers(scope, symbol, tensor, count,
                            arith::ConstantIndexOp::create(builder, getLoc(), index));
  inner.alone = index;
  return body(inner, x);
}

Value ModuleBuilder::buildSteps(int64_t count, Value x, function_ref<Value(Value)> body) {
  if (count == 1)
    return body(x);
  auto loop = LoopOp::create(
      builder, getLoc(), /*trips=*/Value(), count, x,
      [&](OpBuilder &, Value, ValueRange carried) { return SmallVector<Value>{body(carried[0])}; });
  return loop.getResult(0);
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

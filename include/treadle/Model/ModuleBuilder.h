//===- ModuleBuilder.h - Symbols, loops and entry points --------*- C++ -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What blocks and families build with. A block asks its scope for a weight or a
// state by name and gets a reference; the symbol is declared at the first use,
// with a slot for every layer (and pass) that the scope stands for.
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_MODEL_MODULEBUILDER_H
#define TREADLE_MODEL_MODULEBUILDER_H

#include "mlir/IR/Builders.h"
#include "treadle/Dialect/Treadle/IR/Treadle.h"
#include "treadle/Model/ModelOptions.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/ADT/StringMap.h"
#include <optional>

namespace treadle {

class ModuleBuilder;

/// Where the rows of an entry point stand in the append states.
struct Place {
  mlir::Value row;   ///< of row 0: behind the lead, where there is a period
  mlir::Value valid; ///< rows that count
  mlir::Value mask;  ///< the state @mask, with these rows
};

/// What `@forward` is given, and what every attention needs of it.
struct Tokens : Place {
  mlir::Value ids;      ///< tensor<?xi32>
  mlir::Value position; ///< of row 0, in the sequence or in the open period
  mlir::Value loops;    ///< the session's trip count
};

/// What `@open` and `@close` are given.
struct Turn : Place {
  mlir::Value count; ///< tokens of the period: 0 in `@open`
  mlir::Value loops; ///< the session's trip count
};

/// Tokens after which the append states begin anew, and how many rows of these `@open` and
/// `@close` have in front of them and behind.
struct Period {
  int64_t lead, length, trail;
};

/// How a fixed state begins, and who writes it.
struct FixedState {
  llvm::SmallVector<int64_t> shape;
  mlir::Type element;
  bool byTurn = false;         ///< only `@open` and `@close`
  std::string initial;         ///< a tensor of its shape within the scope; or
  std::optional<int32_t> fill; ///< what stands in every element; or it is 0
};

/// One dimension of slots: a loop whose iterations use equal symbols.
struct SlotDim {
  int64_t size;
  mlir::Value index;
};

/// Where a block stands: how its symbols and tensors are called, and which slot
/// an iteration of the enclosing loops uses.
class Scope {
public:
  explicit Scope(ModuleBuilder &builder) : builder(&builder) {}

  ModuleBuilder &getBuilder() const { return *builder; }

  /// A reference to a weight. `tensor` is the canonical name within the scope; `view` says how it
  /// is stored, where not as the weight is.
  mlir::Value matrix(llvm::StringRef symbol, llvm::StringRef tensor, int64_t outputs,
                     int64_t inputs, ViewAttr view = {}) const;
  /// A matrix or a stack of them, in panels of a type of its own.
  mlir::Value matrix(llvm::StringRef symbol, llvm::StringRef tensor, llvm::ArrayRef<int64_t> shape,
                     mlir::Type element, ViewAttr view = {}) const;
  mlir::Value vector(llvm::StringRef symbol, llvm::StringRef tensor, int64_t size,
                     ViewAttr view = {}) const;
  /// f32 in row-major order.
  mlir::Value plain(llvm::StringRef symbol, llvm::StringRef tensor, llvm::ArrayRef<int64_t> shape,
                    ViewAttr view = {}) const;
  /// The same in a type of its own.
  mlir::Value plain(llvm::StringRef symbol, llvm::StringRef tensor, llvm::ArrayRef<int64_t> shape,
                    mlir::Type element, ViewAttr view = {}) const;
  /// A plain weight that several tensors make, one behind the other along the first dimension.
  mlir::Value joined(llvm::StringRef symbol, llvm::ArrayRef<std::string> tensors,
                     llvm::ArrayRef<int64_t> shape) const;
  mlir::Value scalar(llvm::StringRef symbol, llvm::StringRef tensor) const;

  /// A reference to a state with one row of `columns` entries per token (0: a
  /// row is one entry).
  mlir::Value appendState(llvm::StringRef symbol, int64_t columns, mlir::Type element,
                          Packing packing = Packing::plain) const;
  /// A state with one element per token of the capacity or the period, without a lead.
  mlir::Value tokenState(llvm::StringRef symbol, mlir::Type element) const;
  mlir::Value fixedState(llvm::StringRef symbol, const FixedState &state) const;

  /// The same place for weights that only some of the layers have: the first `count` of them or, of
  /// a layer on its own, it alone. Their symbols begin with `<symbol>.` instead.
  Scope narrow(llvm::StringRef symbol, int64_t count) const;

  /// A reference to a state of any kind.
  mlir::Value state(llvm::StringRef symbol, StateType type) const;

  /// The number that `formula` makes of the number of the layer, as its tensors
  /// count it from 0.
  mlir::Value pick(llvm::function_ref<double(int64_t layer)> formula) const;

private:
  friend class ModuleBuilder;

  mlir::FlatSymbolRefAttr declare(llvm::StringRef symbol, llvm::ArrayRef<std::string> tensors,
                                  WeightType type, ViewAttr view) const;
  mlir::Value weight(llvm::StringRef symbol, llvm::ArrayRef<std::string> tensors, WeightType type,
                     ViewAttr view) const;
  /// A reference to a state of that type; what is not said of it here `finish` adds.
  mlir::Value state(llvm::StringRef symbol, StateType type,
                    llvm::function_ref<void(StateOp)> finish) const;

  ModuleBuilder *builder;
  std::string prefix;                                ///< of symbols: `shared.`
  llvm::SmallVector<std::string> tensorPrefixes{""}; ///< one per weight slot
  llvm::SmallVector<int64_t> layerNumbers;           ///< likewise; none outside of layers
  llvm::SmallVector<SlotDim> layers;                 ///< of weights and states, outermost first
  std::optional<int64_t> alone;                      ///< the layer, where it is known
  std::optional<SlotDim> pass;                       ///< of states
};

class ModuleBuilder {
public:
  /// `capacity` and `maxLoops` have their final values.
  ModuleBuilder(mlir::ModuleOp module, const ModelOptions &options, int64_t capacity,
                int64_t maxLoops);

  mlir::OpBuilder &getBuilder() { return builder; }
  mlir::Location getLoc() { return module.getLoc(); }
  /// Rows of an append state.
  int64_t getCapacity() const { return period.lead + capacity + period.trail; }

  /// Comes before all entry points. `capacity` is then the length of the period.
  void setPeriod(Period newPeriod);
  const Period &getPeriod() const { return period; }

  ViewAttr getView(llvm::ArrayRef<int64_t> shape, llvm::ArrayRef<int64_t> order) {
    return ViewAttr::get(module.getContext(), shape, order);
  }

  /// The storage type of matrices, and of keys and values.
  mlir::Type getStorageType();
  /// tensor<? x columns x f32>
  mlir::RankedTensorType getRowsType(int64_t columns);
  /// The same with the rows of `like`: a turn has a known number of them.
  mlir::RankedTensorType getRowsType(int64_t columns, mlir::Value like);

  /// `@forward`, with the tokens' mask appended; the body returns hidden rows.
  void buildForward(int64_t hidden,
                    llvm::function_ref<mlir::Value(const Scope &, const Tokens &)> body);

  /// `@open` and `@close` of a model with a period.
  void buildOpen(llvm::function_ref<void(const Scope &, const Turn &)> body);
  void buildClose(llvm::function_ref<void(const Scope &, const Turn &)> body);

  /// `@head`; the body turns hidden rows into logits.
  void buildHead(int64_t hidden, int64_t vocabulary,
                 llvm::function_ref<mlir::Value(const Scope &, mlir::Value)> body);

  using LayerBody = llvm::function_ref<mlir::Value(const Scope &, mlir::Value)>;
  using LayersBody =
      llvm::function_ref<llvm::SmallVector<mlir::Value>(const Scope &, mlir::ValueRange)>;

  /// `count` equal layers as one loop over some activations. Their symbols begin with
  /// `<symbol>.`, their tensors with `<tensor>.<i>.`. No layers: the activations themselves.
  llvm::SmallVector<mlir::Value> buildLayers(const Scope &scope, llvm::StringRef symbol,
                                             llvm::StringRef tensor, int64_t count,
                                             mlir::ValueRange carried, LayersBody body);
  /// The same over one activation.
  mlir::Value buildLayers(const Scope &scope, llvm::StringRef symbol, llvm::StringRef tensor,
                          int64_t count, mlir::Value x, LayerBody body);
  /// The first `run` of them as a loop, and layer `index` of them alone.
  mlir::Value buildFirstLayers(const Scope &scope, llvm::StringRef symbol, llvm::StringRef tensor,
                               int64_t count, int64_t run, mlir::Value x, LayerBody body);
  mlir::Value buildLayer(const Scope &scope, llvm::StringRef symbol, llvm::StringRef tensor,
                         int64_t count, int64_t index, mlir::Value x, LayerBody body);

  /// A loop of `count` equal steps over x within the scope: weights and states are the same in
  /// each.
  mlir::Value buildSteps(int64_t count, mlir::Value x,
                         llvm::function_ref<mlir::Value(mlir::Value)> body);

  using MixedLayersBody = llvm::function_ref<llvm::SmallVector<mlir::Value>(
      const Scope &, llvm::StringRef kind, mlir::ValueRange)>;

  /// Layers of several kinds, that of layer i named by `kinds[i]`. A run of one kind
  /// is one loop, and so is a sequence of runs that repeats, so that code follows the
  /// pattern and not the depth. Symbols begin with `<kind>.`, those of a further place
  /// of a kind with `<kind>1.` and so on; tensors with `<tensor>.<i>.`.
  llvm::SmallVector<mlir::Value> buildLayers(const Scope &scope,
                                             llvm::ArrayRef<llvm::StringRef> kinds,
                                             llvm::StringRef tensor, mlir::ValueRange carried,
                                             MixedLayersBody body);

  /// The run-time loop of `loops` passes over x. The body also gets an i1 that
  /// says whether another pass follows.
  mlir::Value buildPasses(
      const Scope &scope, mlir::Value loops, mlir::Value x,
      llvm::function_ref<mlir::Value(const Scope &, mlir::Value x, mlir::Value again)> body);

private:
  friend class Scope;

  mlir::func::FuncOp
  buildEntry(llvm::StringRef name, EntryKind kind, int64_t rows, mlir::TypeRange inputs,
             mlir::TypeRange results,
             llvm::function_ref<llvm::SmallVector<mlir::Value>(mlir::Block &)> body);
  void buildTurn(llvm::StringRef name, EntryKind kind, int64_t rows, int64_t firstRow,
                 llvm::function_ref<void(const Scope &, const Turn &)> body);
  Scope enterLayers(const Scope &scope, llvm::StringRef symbol, llvm::StringRef tensor,
                    int64_t count, mlir::Value index) const;
  WeightOp declare(llvm::StringRef name, WeightType type, llvm::ArrayRef<int64_t> slots,
                   llvm::ArrayRef<std::string> sources, ViewAttr view);
  StateOp declare(llvm::StringRef name, StateType type, llvm::ArrayRef<int64_t> slots,
                  std::optional<int64_t> loopSlot, llvm::function_ref<void(StateOp)> finish);

  /// A loop over a dimension of slots.
  llvm::SmallVector<mlir::Value> buildSlots(const Scope &scope, int64_t count,
                                            mlir::ValueRange carried, LayersBody body);

  mlir::ModuleOp module;
  mlir::OpBuilder builder;
  ModelOptions options;
  int64_t capacity, maxLoops;
  Period period = {0, 0, 0};
  llvm::StringMap<WeightOp> weights;
  llvm::StringMap<StateOp> states;
  mlir::Operation *lastWeight = nullptr, *lastState = nullptr;
};

} // namespace treadle

#endif // TREADLE_MODEL_MODULEBUILDER_H

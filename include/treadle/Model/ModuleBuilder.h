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

/// What `@forward` is given, and what every attention needs of it.
struct Tokens {
  mlir::Value ids;      ///< tensor<?xi32>
  mlir::Value position; ///< of row 0
  mlir::Value valid;    ///< rows that are tokens
  mlir::Value loops;    ///< the session's trip count
  mlir::Value mask;     ///< the state @mask, with these tokens' rows
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

  /// A reference to a weight. `tensor` is the canonical name within the scope.
  mlir::Value matrix(llvm::StringRef symbol, llvm::StringRef tensor, int64_t outputs,
                     int64_t inputs) const;
  /// A matrix or a stack of them, in panels of a type of its own.
  mlir::Value matrix(llvm::StringRef symbol, llvm::StringRef tensor, llvm::ArrayRef<int64_t> shape,
                     mlir::Type element) const;
  mlir::Value vector(llvm::StringRef symbol, llvm::StringRef tensor, int64_t size) const;
  /// f32 in row-major order.
  mlir::Value plain(llvm::StringRef symbol, llvm::StringRef tensor,
                    llvm::ArrayRef<int64_t> shape) const;
  mlir::Value scalar(llvm::StringRef symbol, llvm::StringRef tensor) const;

  /// A reference to a state with one row of `columns` entries per token (0: a
  /// row is one entry).
  mlir::Value appendState(llvm::StringRef symbol, int64_t columns, mlir::Type element) const;

  /// A reference to a state of any kind.
  mlir::Value state(llvm::StringRef symbol, StateType type) const;

  /// The number that `formula` makes of the number of the layer, as its tensors
  /// count it from 0.
  mlir::Value pick(llvm::function_ref<double(int64_t layer)> formula) const;

private:
  friend class ModuleBuilder;

  mlir::Value weight(llvm::StringRef symbol, llvm::StringRef tensor, WeightType type) const;

  ModuleBuilder *builder;
  std::string prefix;                                ///< of symbols: `shared.`
  llvm::SmallVector<std::string> tensorPrefixes{""}; ///< one per weight slot
  llvm::SmallVector<int64_t> layerNumbers;           ///< likewise; none outside of layers
  llvm::SmallVector<SlotDim> layers;                 ///< of weights and states, outermost first
  std::optional<SlotDim> pass;                       ///< of states
};

class ModuleBuilder {
public:
  /// `capacity` and `maxLoops` have their final values.
  ModuleBuilder(mlir::ModuleOp module, const ModelOptions &options, int64_t capacity,
                int64_t maxLoops);

  mlir::OpBuilder &getBuilder() { return builder; }
  mlir::Location getLoc() { return module.getLoc(); }
  int64_t getCapacity() const { return capacity; }

  /// The storage type of matrices, and of keys and values.
  mlir::Type getStorageType();
  /// tensor<? x columns x f32>
  mlir::RankedTensorType getRowsType(int64_t columns);

  /// `@forward`, with the tokens' mask appended; the body returns hidden rows.
  void buildForward(int64_t hidden,
                    llvm::function_ref<mlir::Value(const Scope &, const Tokens &)> body);

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

  mlir::func::FuncOp buildEntry(llvm::StringRef name, EntryKind kind, mlir::TypeRange inputs,
                                mlir::Type result,
                                llvm::function_ref<mlir::Value(mlir::Block &)> body);
  WeightOp declare(llvm::StringRef name, WeightType type, llvm::ArrayRef<int64_t> slots,
                   llvm::ArrayRef<std::string> sources);
  StateOp declare(llvm::StringRef name, StateType type, llvm::ArrayRef<int64_t> slots,
                  std::optional<int64_t> loopSlot);

  /// A loop over a dimension of slots.
  llvm::SmallVector<mlir::Value> buildSlots(const Scope &scope, int64_t count,
                                            mlir::ValueRange carried, LayersBody body);

  mlir::ModuleOp module;
  mlir::OpBuilder builder;
  ModelOptions options;
  int64_t capacity, maxLoops;
  llvm::StringMap<WeightOp> weights;
  llvm::StringMap<StateOp> states;
  mlir::Operation *lastWeight = nullptr, *lastState = nullptr;
};

} // namespace treadle

#endif // TREADLE_MODEL_MODULEBUILDER_H

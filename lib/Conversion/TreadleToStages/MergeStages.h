//===- MergeStages.h - One stage out of several ----------------*- C++ -*--===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_LIB_CONVERSION_TREADLETOSTAGES_MERGESTAGES_H
#define TREADLE_LIB_CONVERSION_TREADLETOSTAGES_MERGESTAGES_H

#include "treadle/Dialect/Treadle/IR/Treadle.h"

#include "mlir/IR/PatternMatch.h"

namespace treadle {

/// Puts the bodies of stages one behind the other. Where a stage takes what an earlier one yields,
/// it takes the value itself. Equal inputs with equal accesses become one.
class StageMerger {
public:
  explicit StageMerger(mlir::MLIRContext *context) : builder(context) {
    builder.setInsertionPointToEnd(&region.emplaceBlock());
  }

  /// Appends the body of `stage`, as prologue of what follows or with the tiles of the whole. The
  /// stage itself stays as it is.
  void add(StageOp stage, bool isPrologue = false);

  /// Creates the stage that yields `results`, each a result of an added stage, without what these
  /// do not need.
  StageOp create(mlir::OpBuilder &at, mlir::Location location, mlir::ArrayAttr iterations,
                 mlir::ArrayRef<mlir::OpResult> results);

private:
  mlir::Value getArgument(mlir::Value input, mlir::Attribute access);
  void eraseUnused();

  mlir::Region region;
  mlir::OpBuilder builder;
  mlir::SmallVector<mlir::Value> inputs;
  mlir::SmallVector<mlir::Attribute> accesses;
  mlir::DenseMap<mlir::Value, mlir::Value> yielded; // by result of an added stage
};

/// Merges `later` into `earlier`, which stands before it in the block, and where it stood. Fails
/// where `later` takes what is not there by then, but for what `earlier` yields elementwise.
/// The merged stage yields what is still used, over the given dimensions.
mlir::FailureOr<StageOp> mergeUp(mlir::RewriterBase &rewriter, StageOp earlier, StageOp later,
                                 mlir::ArrayAttr iterations);

/// True if the activations of `stage` have a known number of rows, at most `most`.
bool hasFewRows(StageOp stage, int64_t most);

} // namespace treadle

#endif // TREADLE_LIB_CONVERSION_TREADLETOSTAGES_MERGESTAGES_H

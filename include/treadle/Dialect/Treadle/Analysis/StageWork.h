//===- StageWork.h - What a stage needs ----------------------- -*- C++ -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_DIALECT_TREADLE_ANALYSIS_STAGEWORK_H
#define TREADLE_DIALECT_TREADLE_ANALYSIS_STAGEWORK_H

#include "treadle/Dialect/Treadle/IR/Treadle.h"

namespace treadle {

/// The symbol that an input of a stage refers to; null for an activation or a scalar.
mlir::FlatSymbolRefAttr getSymbol(mlir::Value input);

/// Of an argument of a stage's body, by its core ops: how many rows of a table one row looks up, 0
/// where the whole weight is needed; whether all rows of an append state are read.
int64_t getLookups(mlir::Value argument);
bool readsAllRows(mlir::Value argument);

/// What a stage does to a state among its inputs.
struct StateUse {
  bool reads = false, writes = false;
};
StateUse getStateUse(StageOp stage, unsigned input);

/// How often something runs in one call of an entry point.
struct Trips {
  int64_t calls = 1;
  bool looped = false; ///< and again for each pass of the run-time loop
};

/// What the fields of `#treadle.work` say, without how often it runs.
struct StageWork {
  llvm::SmallVector<mlir::Attribute> weights, tables, attended;
  int64_t weightBytes = 0, stateBytes = 0, rowBytes = 0, lookupBytes = 0, keyBytes = 0;
  int64_t flops = 0, keyFlops = 0;
};
StageWork computeWork(StageOp stage);

/// The ops of a stage and the symbols that it touches: "linear + addf layers.down".
std::string describeStage(StageOp stage);

WorkAttr getWorkAttr(StageOp stage, Trips trips);

/// Calls `visit` for each stage below `block`, in their order.
void walkStages(mlir::Block &block, llvm::function_ref<void(StageOp, Trips)> visit,
                Trips trips = {});

} // namespace treadle

#endif // TREADLE_DIALECT_TREADLE_ANALYSIS_STAGEWORK_H

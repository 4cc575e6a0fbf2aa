//===- EntryTraffic.h - What an entry point must move --------- -*- C++ -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_DIALECT_TREADLE_ANALYSIS_ENTRYTRAFFIC_H
#define TREADLE_DIALECT_TREADLE_ANALYSIS_ENTRYTRAFFIC_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "treadle/Dialect/Treadle/IR/Treadle.h"

namespace treadle {

/// Bytes that a call of an entry point cannot do without, of the memory that outlives it.
struct EntryTraffic {
  int64_t weights = 0; ///< those that are read whole, once and as they are stored
  int64_t lookups = 0; ///< rows of others, for each row of the call
  int64_t stateReads = 0, stateWrites = 0;

  int64_t total() const { return weights + lookups + stateReads + stateWrites; }
};

/// Where the call stands.
struct CallPlace {
  int64_t row;    ///< rows of append states before its own, without their lead
  int64_t passes; ///< of the run-time loop
};

/// Of an entry point at the end of the phase `stages`.
EntryTraffic computeTraffic(mlir::func::FuncOp entry, CallPlace place);

} // namespace treadle

#endif // TREADLE_DIALECT_TREADLE_ANALYSIS_ENTRYTRAFFIC_H

//===- WorkFacts.h - What a model's entry points need --------- -*- C++ -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_LIB_PIPELINES_WORKFACTS_H
#define TREADLE_LIB_PIPELINES_WORKFACTS_H

#include "treadle/Target/ProgramImage.h"
#include "llvm/Support/JSON.h"

namespace treadle {

/// The fact "work" of a library, of the `treadle.stages` of its entry points:
///
///   token_weight_bytes  weights that a row and its logits need, each once; of a table that is not
///                       read whole as well, the rows that are looked up
///   attended            append states of which each row reads all rows
///   forward, head, open, close
///                       weight_bytes of a call; flops a row, and loop_flops more for each pass of
///                       the run-time loop; key_flops a row and key, and loop_key_flops likewise
///   stages              the distinct stages: `name`, and the fields of `#treadle.work` that are
///   not 0,
///                       `row_bytes` with those that are looked up
///   entry_stages        for each entry point, in their order, the indices of its stages
///
/// Nothing where some entry point does not say what its stages need.
std::optional<llvm::json::Object> makeWorkFacts(mlir::ModuleOp module,
                                                llvm::ArrayRef<EntryPoint> entries);

} // namespace treadle

#endif // TREADLE_LIB_PIPELINES_WORKFACTS_H

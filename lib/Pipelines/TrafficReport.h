//===- TrafficReport.h - What a call must move ---------------- -*- C++ -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_LIB_PIPELINES_TRAFFICREPORT_H
#define TREADLE_LIB_PIPELINES_TRAFFICREPORT_H

#include "treadle/Target/ProgramImage.h"

namespace treadle {

/// A table of the least bytes that each entry point moves between a GPU and its memory, whatever
/// its kernels are: the weights that it needs once, as they are stored, the rows that it looks up,
/// and the states that live from call to call. Entry points of one row run behind `context`
/// tokens, others at the start; run-time loops make as many passes as the config says.
std::string printTrafficReport(mlir::ModuleOp module, llvm::ArrayRef<EntryPoint> entries,
                               int64_t context);

} // namespace treadle

#endif // TREADLE_LIB_PIPELINES_TRAFFICREPORT_H

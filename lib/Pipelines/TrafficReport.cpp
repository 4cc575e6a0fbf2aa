//===- TrafficReport.cpp - What a call must move --------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "TrafficReport.h"

#include "treadle/Dialect/Treadle/Analysis/EntryTraffic.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace treadle;

/// Where a call of an entry point stands: one row goes on with what is there, and a turn with a
/// whole period.
static CallPlace placeOf(const EntryPoint &entry, ModelAttr model, int64_t context) {
  int64_t row = entry.kind == EntryKind::close ? model.getPeriod() : entry.rows == 1 ? context : 0;
  return {row, model.getConfigLoops()};
}

std::string treadle::printTrafficReport(ModuleOp module, llvm::ArrayRef<EntryPoint> entries,
                                        int64_t context) {
  auto model = module->getAttrOfType<ModelAttr>("treadle.model");
  std::string text;
  llvm::raw_string_ostream os(text);
  const char *line = "{0,-8} {1,5} {2,7} {3,14} {4,10} {5,12} {6,12} {7,14}\n";
  os << llvm::formatv(line, "entry", "rows", "behind", "weights", "lookups", "states read",
                      "written", "bytes");
  for (const EntryPoint &entry : entries) {
    CallPlace place = placeOf(entry, model, context);
    EntryTraffic traffic = computeTraffic(module.lookupSymbol<func::FuncOp>(entry.function), place);
    os << llvm::formatv(line, stringifyEntryKind(entry.kind), entry.rows, place.row,
                        traffic.weights, traffic.lookups, traffic.stateReads, traffic.stateWrites,
                        traffic.total());
  }
  return text;
}

//===- CountWork.cpp - What the stages of an entry point need -------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "treadle/Conversion/TreadleToStages/TreadleToStages.h"
#include "treadle/Dialect/Treadle/Analysis/StageWork.h"

namespace treadle {
#define GEN_PASS_DEF_COUNTWORKPASS
#include "treadle/Conversion/TreadleToStages/Passes.h.inc"
} // namespace treadle

using namespace mlir;
using namespace treadle;

namespace {
struct CountWork : public treadle::impl::CountWorkPassBase<CountWork> {
  void runOnOperation() override {
    func::FuncOp entry = getOperation();
    if (!entry->hasAttr("treadle.entry"))
      return;
    SmallVector<Attribute> stages;
    walkStages(entry.getBody().front(),
               [&](StageOp stage, Trips trips) { stages.push_back(getWorkAttr(stage, trips)); });
    entry->setAttr("treadle.stages", ArrayAttr::get(&getContext(), stages));
  }
};
} // namespace

//===- CountLinears.cpp - A pass in a plugin, outside of the project ------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Tools/Plugins/PassPlugin.h"
#include "treadle/Dialect/Treadle/IR/Treadle.h"

using namespace mlir;

namespace {
/// Remarks on each module how many `treadle.linear` it holds.
struct CountLinears : public PassWrapper<CountLinears, OperationPass<ModuleOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(CountLinears)

  StringRef getArgument() const override { return "count-linears"; }
  StringRef getDescription() const override { return "count the treadle.linear ops"; }

  void runOnOperation() override {
    int64_t count = 0;
    getOperation().walk([&](treadle::LinearOp) { ++count; });
    getOperation().emitRemark("linears: ") << count;
  }
};
} // namespace

extern "C" LLVM_ATTRIBUTE_WEAK PassPluginLibraryInfo mlirGetPassPluginInfo() {
  return {MLIR_PLUGIN_API_VERSION, "CountLinears", LLVM_VERSION_STRING,
          []() { PassRegistration<CountLinears>(); }};
}

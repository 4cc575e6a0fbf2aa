//===- TestPlugin.cpp - A plugin that says where it runs ------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Tools/Plugins/PassPlugin.h"
#include "treadle/Dialect/Treadle/IR/Treadle.h"
#include "treadle/Pipelines/Hooks.h"

using namespace mlir;

namespace {
/// Warns of the hook, and of how much there is at that point.
struct ReportPass : PassWrapper<ReportPass, OperationPass<ModuleOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(ReportPass)

  explicit ReportPass(std::string hook = "no-hook") : hook(std::move(hook)) {}

  StringRef getArgument() const override { return "test-report"; }

  void runOnOperation() override {
    int64_t functions = 0, stages = 0, planned = 0;
    getOperation()->walk([&](func::FuncOp) { ++functions; });
    getOperation()->walk([&](treadle::StageOp stage) {
      ++stages;
      planned += stage.getOffsets().has_value();
    });
    getOperation()->emitWarning() << hook << ": " << functions << " functions, " << stages
                                  << " stages, " << planned << " planned";
  }

  std::string hook;
};
} // namespace

extern "C" void treadleRegisterHooks(treadle::HookRegistry &hooks) {
  for (treadle::Hook hook : {treadle::Hook::modelEnd, treadle::Hook::programEnd,
                             treadle::Hook::stagesBegin, treadle::Hook::stagesEnd})
    hooks.add(hook, [hook](OpPassManager &passes) {
      passes.addPass(std::make_unique<ReportPass>(treadle::getHookName(hook).str()));
    });
}

extern "C" PassPluginLibraryInfo mlirGetPassPluginInfo() {
  return {MLIR_PLUGIN_API_VERSION, "TreadleTestPlugin", "1",
          [] { PassRegistration<ReportPass>(); }};
}

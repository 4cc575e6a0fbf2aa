//===- TestLayout.cpp - Print where weights and states lie ----------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "TestPasses.h"
#include "treadle/Dialect/Treadle/IR/Layout.h"

#include "mlir/Pass/Pass.h"

using namespace mlir;
using namespace treadle;

static void print(StringRef noun, const Layout &layout) {
  for (const auto &[name, slots] : layout.symbols)
    llvm::outs() << noun << " @" << name.getValue() << ": offset " << slots.offset << ", stride "
                 << slots.stride << "\n";
  llvm::outs() << noun << " bytes: " << layout.bytes << "\n";
}

namespace {
struct TestLayout : public PassWrapper<TestLayout, OperationPass<ModuleOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(TestLayout)

  StringRef getArgument() const override { return "test-layout"; }
  StringRef getDescription() const override { return "print where weights and states lie"; }

  void runOnOperation() override {
    print("weight", layoutWeights(getOperation()));
    print("state", layoutStates(getOperation()));
  }
};
} // namespace

void treadle::test::registerTestLayoutPass() { PassRegistration<TestLayout>(); }

//===- CheckStack.cpp - What kernels keep on the stack -------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "treadle/Conversion/StagesToVector/StagesToVector.h"
#include "treadle/Target/CPU/Passes.h"

namespace treadle {
#define GEN_PASS_DEF_CHECKSTACKPASS
#include "treadle/Target/CPU/Passes.h.inc"
} // namespace treadle

using namespace mlir;
using namespace treadle;

/// model.h says 512 KB; the rest is for frames, of the runtime and of kernels.
static constexpr int64_t stackBytes = 480 << 10;

namespace {
struct CheckStack : public treadle::impl::CheckStackPassBase<CheckStack> {
  void runOnOperation() override {
    for (auto kernel : getOperation().getOps<func::FuncOp>())
      if (int64_t bytes = getScratchBytes(kernel); bytes > stackBytes) {
        kernel.emitError("'") << kernel.getSymName() << "' keeps " << bytes
                              << " bytes of one tile on the stack, expected at most " << stackBytes
                              << ": too much for a CPU, such as very many or very wide heads";
        signalPassFailure();
      }
  }
};
} // namespace

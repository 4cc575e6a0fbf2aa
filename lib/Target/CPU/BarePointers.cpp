//===- BarePointers.cpp - Memory of known size is a pointer ---------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "treadle/Target/CPU/Passes.h"

namespace treadle {
#define GEN_PASS_DEF_BAREPOINTERSPASS
#include "treadle/Target/CPU/Passes.h.inc"
} // namespace treadle

using namespace mlir;

static bool isOfKnownSize(Type type) {
  auto memory = dyn_cast<MemRefType>(type);
  return !memory || memory.hasStaticShape();
}

namespace {
struct BarePointers : public treadle::impl::BarePointersPassBase<BarePointers> {
  void runOnOperation() override {
    // The attribute that convert-func-to-llvm looks for.
    if (llvm::all_of(getOperation().getArgumentTypes(), isOfKnownSize))
      getOperation()->setAttr("llvm.bareptr", UnitAttr::get(&getContext()));
  }
};
} // namespace

//===- CheckSelfContained.cpp - Kernels call nothing outside --------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "treadle/Target/CPU/Passes.h"

namespace treadle {
#define GEN_PASS_DEF_CHECKSELFCONTAINEDPASS
#include "treadle/Target/CPU/Passes.h.inc"
} // namespace treadle

using namespace mlir;
using namespace treadle;

/// The first thing that no emitted function may do, or success.
static LogicalResult checkOp(Operation *op, SymbolTable &symbols) {
  if (auto call = dyn_cast<LLVM::CallOp>(op)) {
    std::optional<StringRef> callee = call.getCallee();
    if (!callee)
      return op->emitOpError("is indirect, expected a call of a kernel");
    auto function = symbols.lookup<LLVM::LLVMFuncOp>(*callee);
    if (!isRuntimeFunction(*callee) && (!function || function.isExternal()))
      return op->emitOpError("calls '") << *callee << "', which no library provides";
  }
  // LLVM has no instruction for the remainder of floats.
  if (isa<LLVM::FRemOp>(op))
    return op->emitOpError("has no inline form and would call a mathematical library");
  if (auto fast = dyn_cast<LLVM::FastmathFlagsInterface>(op))
    if (LLVM::FastmathFlagsAttr flags = fast.getFastmathAttr())
      if (flags.getValue() != LLVM::FastmathFlags::none)
        return op->emitOpError("has a fast-math flag, which lets bits depend on optimisation");
  return success();
}

namespace {
struct CheckSelfContainedPass : treadle::impl::CheckSelfContainedPassBase<CheckSelfContainedPass> {
  void runOnOperation() override {
    SymbolTable symbols(getOperation());
    WalkResult result =
        getOperation()->walk([&](Operation *op) { return WalkResult(checkOp(op, symbols)); });
    if (result.wasInterrupted())
      signalPassFailure();
  }
};
} // namespace

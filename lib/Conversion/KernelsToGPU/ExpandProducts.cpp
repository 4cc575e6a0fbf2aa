//===- ExpandProducts.cpp - Products of many rows for a chip --------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "MultiplyPanels.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/NVGPU/IR/NVGPUDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "treadle/Conversion/KernelsToGPU/KernelsToGPU.h"

namespace treadle {
#define GEN_PASS_DEF_EXPANDPRODUCTSPASS
#include "treadle/Conversion/KernelsToGPU/Passes.h.inc"
} // namespace treadle

using namespace mlir;
using namespace treadle;

namespace {
struct ExpandProducts : public treadle::impl::ExpandProductsPassBase<ExpandProducts> {
  using ExpandProductsPassBase::ExpandProductsPassBase;

  void expand(MultiplyPanelsOp op) {
    auto kernel = op->getParentOfType<gpu::GPUFuncOp>();
    int64_t threads = (*kernel.getKnownBlockSize())[0];
    ImplicitLocOpBuilder b(op.getLoc(), op);
    IRMapping mapping;
    for (Value operand : op.getOperands())
      mapping.map(operand, operand);
    if (warpGroups && canMultiplyByWarpGroups(op, threads)) {
      multiplyByWarpGroups(op, threads, b, mapping);
      // What one block loads while the other one multiplies: registers are shared out for that.
      kernel->setAttr(NVVM::NVVMDialect::getMinctasmAttrName(), b.getI32IntegerAttr(2));
    } else {
      multiplyManyRows(op, threads, b, mapping);
    }
    op.erase();
  }

  void runOnOperation() override {
    getOperation().walk([&](MultiplyPanelsOp op) { expand(op); });
  }
};
} // namespace

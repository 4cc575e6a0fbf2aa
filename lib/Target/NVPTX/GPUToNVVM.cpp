//===- GPUToNVVM.cpp - GPU kernels in the LLVM dialect --------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "GridToNVVM.h"
#include "treadle/Target/NVPTX/Passes.h"

#include "mlir/Analysis/DataLayoutAnalysis.h"
#include "mlir/Conversion/ArithToLLVM/ArithToLLVM.h"
#include "mlir/Conversion/ControlFlowToLLVM/ControlFlowToLLVM.h"
#include "mlir/Conversion/FuncToLLVM/ConvertFuncToLLVM.h"
#include "mlir/Conversion/GPUToNVVM/GPUToNVVMPass.h"
#include "mlir/Conversion/LLVMCommon/TypeConverter.h"
#include "mlir/Conversion/MathToLLVM/MathToLLVM.h"
#include "mlir/Conversion/MemRefToLLVM/MemRefToLLVM.h"
#include "mlir/Conversion/NVGPUToNVVM/NVGPUToNVVM.h"
#include "mlir/Conversion/VectorToLLVM/ConvertVectorToLLVM.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/NVGPU/IR/NVGPUDialect.h"
#include "mlir/Transforms/DialectConversion.h"

namespace treadle {
#define GEN_PASS_DEF_GPUTONVVMPASS
#include "treadle/Target/NVPTX/Passes.h.inc"
} // namespace treadle

using namespace mlir;
using namespace treadle;

/// What a loop wants of LLVM comes by the branch that closes it, as an attribute that the branch
/// has a place for.
static void annotateLoops(gpu::GPUModuleOp module) {
  module.walk([](LLVM::BrOp branch) {
    if (Attribute annotation = branch->removeDiscardableAttr("llvm.loop_annotation"))
      branch.setLoopAnnotationAttr(cast<LLVM::LoopAnnotationAttr>(annotation));
  });
}

namespace {
struct GPUToNVVM : public treadle::impl::GPUToNVVMPassBase<GPUToNVVM> {
  void runOnOperation() override {
    // Without it the assembler would rather spill than have fewer blocks side by side.
    auto oneBlock = IntegerAttr::get(IntegerType::get(&getContext(), 32), 1);
    for (auto kernel : getOperation().getOps<gpu::GPUFuncOp>())
      if (!kernel->hasAttr(NVVM::NVVMDialect::getMinctasmAttrName()))
        kernel->setAttr(NVVM::NVVMDialect::getMinctasmAttrName(), oneBlock);

    LowerToLLVMOptions options(&getContext(), DataLayout(getOperation()));
    options.useBarePtrCallConv = true;
    LLVMTypeConverter converter(&getContext(), options);
    configureGpuToNVVMTypeConverter(converter);
    // Copies are waited for by their number, not by their tokens.
    converter.addConversion([](nvgpu::DeviceAsyncTokenType type) -> Type {
      return IntegerType::get(type.getContext(), 32);
    });

    RewritePatternSet patterns(&getContext());
    arith::populateArithToLLVMConversionPatterns(converter, patterns);
    cf::populateControlFlowToLLVMConversionPatterns(converter, patterns);
    populateFuncToLLVMConversionPatterns(converter, patterns);
    populateGridToNVVMPatterns(converter, patterns);
    populateFinalizeMemRefToLLVMConversionPatterns(converter, patterns);
    populateMathToLLVMConversionPatterns(converter, patterns);
    populateNVGPUToNVVMConversionPatterns(converter, patterns);
    populateVectorToLLVMConversionPatterns(converter, patterns);
    // Last of all, since some of them call a library for what others do with an instruction.
    populateGpuToNVVMConversionPatterns(converter, patterns, /*benefit=*/0);

    ConversionTarget target(getContext());
    target.addLegalDialect<LLVM::LLVMDialect, NVVM::NVVMDialect>();
    target.addLegalOp<gpu::GPUModuleOp>();
    if (failed(applyPartialConversion(getOperation(), target, std::move(patterns))))
      return signalPassFailure();
    annotateLoops(getOperation());
    // The block functions of a grid kernel stay functions: registers are assigned to each by
    // itself, and all who call one share it.
    for (auto function : getOperation().getOps<LLVM::LLVMFuncOp>()) {
      if (function->hasAttr(NVVM::NVVMDialect::getKernelFuncAttrName()))
        continue;
      function.setLinkage(LLVM::Linkage::Internal);
      function.setNoInline(true);
    }
    getOperation().walk([&](Operation *op) {
      if (isa<LLVM::LLVMDialect, NVVM::NVVMDialect>(op->getDialect()) ||
          isa<gpu::GPUModuleOp, UnrealizedConversionCastOp>(op))
        return;
      op->emitOpError("has no form on a GPU");
      signalPassFailure();
    });
  }
};
} // namespace

//===- KernelsToLLVM.cpp - From kernels to the LLVM dialect ---------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"
#include "treadle/Target/CPU/Passes.h"

using namespace mlir;
using namespace treadle;

void treadle::buildKernelsToLLVMPipeline(OpPassManager &passes, const CPUTarget &target) {
  passes.addPass(createCheckStackPass());
  passes.addPass(createShareTilesPass());
  passes.addPass(createMarkStagesPass());

  // Arithmetic that LLVM would turn into library calls. The conversion between
  // f32 and bf16 is integer arithmetic on every CPU: the instruction for it
  // flushes denormals, so its bits would depend on the level. What vdpbf16ps takes, which
  // flushes them anyway, is rounded by it (Multiplier.h).
  passes.addNestedPass<func::FuncOp>(createApproximateMathPass());
  arith::ArithExpandOpsPassOptions expand;
  expand.includeBf16 = true;
  passes.addNestedPass<func::FuncOp>(arith::createArithExpandOpsPass(expand));

  // Vectors of rank one, then control flow without structure.
  passes.addNestedPass<func::FuncOp>(createConvertVectorToSCFPass());
  passes.addPass(memref::createExpandStridedMetadataPass());
  passes.addPass(createLowerAffinePass());
  passes.addPass(createCanonicalizerPass());
  passes.addPass(createCSEPass());
  passes.addPass(createSCFToControlFlowPass());

  // Reductions keep their order: no reassociation.
  ConvertVectorToLLVMPassOptions vector;
  vector.reassociateFPReductions = false;
  vector.x86Vector = target.isX86() && target.vectorBits == 512;
  vector.armNeon = !target.isX86();
  passes.addPass(createConvertVectorToLLVMPass(vector));
  passes.addNestedPass<func::FuncOp>(createBarePointersPass());
  // All that is left at once, by the interfaces of its dialects: each conversion rebuilds what it
  // walks.
  passes.addPass(createConvertToLLVMPass());
  passes.addPass(createReconcileUnrealizedCastsPass());
  passes.addPass(createCanonicalizerPass());
  passes.addPass(createCSEPass());
  passes.addPass(createCheckSelfContainedPass());
}

namespace {
struct KernelsToLLVMOptions : PassPipelineOptions<KernelsToLLVMOptions> {
  Option<std::string> cpu{*this, "cpu", llvm::cl::desc("as --cpu of treadle-compile"),
                          llvm::cl::init("native")};
  Option<std::string> triple{*this, "triple", llvm::cl::desc("as --triple of treadle-compile")};
};
} // namespace

void treadle::registerKernelsToLLVMPipeline() {
  PassPipelineRegistration<KernelsToLLVMOptions>(
      "treadle-kernels-to-llvm", "from the kernels phase to the LLVM dialect",
      [](OpPassManager &passes, const KernelsToLLVMOptions &options) {
        llvm::Expected<CPUTarget> target = resolveCPUTarget(options.cpu, options.triple);
        if (!target)
          llvm::report_fatal_error(target.takeError());
        buildKernelsToLLVMPipeline(passes, *target);
      });
}

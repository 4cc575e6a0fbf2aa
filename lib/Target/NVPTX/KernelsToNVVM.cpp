//===- KernelsToNVVM.cpp - From stages to kernels in the LLVM dialect -----===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"
#include "treadle/Conversion/KernelsToGPU/KernelsToGPU.h"
#include "treadle/Conversion/StagesToVector/StagesToVector.h"
#include "treadle/Target/CPU/Passes.h"
#include "treadle/Target/NVPTX/Passes.h"

using namespace mlir;
using namespace treadle;

void treadle::buildStagesToGPUPipeline(OpPassManager &passes, bool chunked) {
  passes.addPass(createAssignGPUTilesPass());
  // As many slices as a block has quads, each of which has four numbers of up to 4 sums in
  // registers, and 64 bytes of workgroup memory for each sum.
  ConvertStagesToVectorPassOptions vector;
  vector.slices = 64;
  vector.registerRows = 4;
  vector.registerPanels = 1;
  vector.singleRowPanels = 4;
  // A lane that reads nothing costs nothing, and what the memory of a new session holds is
  // anything.
  vector.maskedKeys = true;
  vector.packValues = false; // workgroup memory is small
  vector.chunked = chunked;
  passes.addPass(createConvertStagesToVectorPass(vector));
  passes.addPass(createConvertKernelsToGPUPass());
  passes.addPass(createCanonicalizerPass());
  passes.addPass(createCSEPass());
  passes.addPass(createJoinLaunchesPass());
  passes.addPass(createCanonicalizerPass());
  passes.addPass(createCSEPass());
  passes.addPass(createVerifyGridKernelsPass());
}

void treadle::buildKernelsToNVVMPipeline(OpPassManager &passes, bool warpGroups) {
  OpPassManager &kernels = passes.nest<gpu::GPUModuleOp>();
  kernels.addPass(createExpandProductsPass({warpGroups}));
  // The same polynomials as on the CPU: no library of functions is linked.
  kernels.addPass(createApproximateMathPass());
  kernels.addPass(arith::createArithExpandOpsPass());
  kernels.addPass(memref::createExpandStridedMetadataPass());
  kernels.addPass(createLowerAffinePass());
  kernels.addPass(createCanonicalizerPass());
  kernels.addPass(createCSEPass());
  kernels.addPass(createSCFToControlFlowPass());
  kernels.addPass(createGPUToNVVMPass());
  kernels.addPass(createReconcileUnrealizedCastsPass());
  kernels.addPass(createCanonicalizerPass());
  kernels.addPass(createCSEPass());
}

/// As any chip runs them.
static void buildCommonKernelsToNVVMPipeline(OpPassManager &passes) {
  buildKernelsToNVVMPipeline(passes, /*warpGroups=*/false);
}

namespace {
struct StagesToGPUOptions : PassPipelineOptions<StagesToGPUOptions> {
  Option<bool> chunked{*this, "chunked", llvm::cl::desc("run recurrences in chunks of rows"),
                       llvm::cl::init(false)};
};
} // namespace

void treadle::registerNVPTXPipelines() {
  PassPipelineRegistration<StagesToGPUOptions>(
      "treadle-stages-to-gpu", "from the stages phase to GPU kernels and their launches",
      [](OpPassManager &passes, const StagesToGPUOptions &options) {
        buildStagesToGPUPipeline(passes, options.chunked);
      });
  PassPipelineRegistration<>("treadle-kernels-to-nvvm", "from GPU kernels to the LLVM dialect",
                             buildCommonKernelsToNVVMPipeline);
}

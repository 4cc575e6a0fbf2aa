//===- PhasePasses.cpp - The passes of each phase -------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "PhasePasses.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Transforms/Passes.h"
#include "treadle/Conversion/StagesToVector/StagesToVector.h"
#include "treadle/Conversion/TreadleToStages/TreadleToStages.h"
#include "treadle/Dialect/Treadle/Transforms/Passes.h"
#include "treadle/Target/CPU/Passes.h"

using namespace mlir;
using namespace treadle;

/// The contract is checked last, so that it holds whatever a plugin did.
static void buildProgram(const CompileOptions &options, const HookRegistry &hooks,
                         OpPassManager &passes) {
  SpecializeRowsPassOptions specialize;
  llvm::append_range(specialize.rows, options.rows);
  passes.addPass(createSpecializeRowsPass(specialize));
  passes.addPass(createDecomposeLowRankPass());
  passes.addPass(createCanonicalizerPass());
  passes.addPass(createCSEPass());
  hooks.populate(Hook::programEnd, passes);
  passes.addPass(createCheckContractPass());
}

/// Activations are rounded and the arena planned last, from the stages that plugins leave; their
/// work is counted behind that, since planning may add copies.
static void buildStages(const HookRegistry &hooks, OpPassManager &passes) {
  hooks.populate(Hook::stagesBegin, passes);
  passes.addPass(createConvertTreadleToStagesPass());
  passes.addPass(createFuseSharedInputsPass());
  passes.addPass(createFuseEpiloguesPass());
  passes.addPass(createFuseAppendsPass());
  passes.addPass(createFuseProloguesPass());
  hooks.populate(Hook::stagesEnd, passes);
  passes.addPass(createRoundActivationsPass());
  passes.addNestedPass<func::FuncOp>(createPlanArenaPass());
  passes.addNestedPass<func::FuncOp>(createCountWorkPass());
}

/// Register blocks: accumulators, the weights of one k and a broadcast must fit
/// the registers. A vector of 16 lanes takes one, two or four of them.
static ConvertStagesToVectorPassOptions chooseRegisterBlocks(const CPUTarget &target) {
  ConvertStagesToVectorPassOptions options;
  bool wide = target.vectorBits == 512;
  options.registerRows = 6;
  options.registerPanels = wide ? 4 : 1;
  options.singleRowPanels = wide ? 8 : 4;
  options.bf16Dot = target.hasBF16Dot;
  return options;
}

static void buildKernels(const CompileOptions &options, const CPUTarget &target,
                         OpPassManager &passes) {
  passes.addPass(createAssignTilesPass());
  passes.addNestedPass<func::FuncOp>(createPlaceBarriersPass());
  ConvertStagesToVectorPassOptions vector = chooseRegisterBlocks(target);
  vector.chunked = options.recurrenceForm == "chunked";
  passes.addPass(createConvertStagesToVectorPass(vector));
  passes.addPass(createCanonicalizerPass());
  passes.addPass(createCSEPass());
}

void treadle::buildPhase(Phase phase, const CompileOptions &options, const CPUTarget &target,
                         const HookRegistry &hooks, OpPassManager &passes) {
  switch (phase) {
  case Phase::model:
    hooks.populate(Hook::modelEnd, passes);
    return;
  case Phase::program:
    return buildProgram(options, hooks, passes);
  case Phase::stages:
    return buildStages(hooks, passes);
  case Phase::kernels:
    return buildKernels(options, target, passes);
  case Phase::config:
  case Phase::binary:
    llvm_unreachable("not made by passes on one module");
  }
}

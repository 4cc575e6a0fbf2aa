//===- EmitObject.cpp - Optimise and emit ---------------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "treadle/Support/Error.h"
#include "treadle/Target/CPU/EmitKernels.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Transforms/IPO/DeadArgumentElimination.h"
#include "llvm/Transforms/IPO/SCCP.h"
#include "llvm/Transforms/InstCombine/InstCombine.h"
#include "llvm/Transforms/Instrumentation/AddressSanitizer.h"
#include "llvm/Transforms/Scalar/EarlyCSE.h"
#include "llvm/Transforms/Scalar/GVN.h"
#include "llvm/Transforms/Scalar/IndVarSimplify.h"
#include "llvm/Transforms/Scalar/LICM.h"
#include "llvm/Transforms/Scalar/LoopPassManager.h"
#include "llvm/Transforms/Scalar/LoopRotation.h"
#include "llvm/Transforms/Scalar/SROA.h"
#include "llvm/Transforms/Scalar/SimplifyCFG.h"

using namespace llvm;
using namespace treadle;

Expected<std::unique_ptr<TargetMachine>> treadle::createTargetMachine(const CPUTarget &target) {
  Triple triple(target.triple);
  std::string message;
  const Target *llvmTarget = TargetRegistry::lookupTarget(triple, message);
  if (!llvmTarget)
    return makeError(message);
  TargetOptions options;
  options.AllowFPOpFusion = FPOpFusion::Strict;
  options.FunctionSections = true;
  options.DataSections = true;
  std::unique_ptr<TargetMachine> machine(
      llvmTarget->createTargetMachine(triple, target.cpu, target.features, options, Reloc::PIC_,
                                      std::nullopt, CodeGenOptLevel::Aggressive));
  if (!machine)
    return makeError("LLVM has no code generator for " + target.triple);
  return machine;
}

void treadle::addAddressSanitizer(Module &module) {
  for (Function &function : module)
    if (!function.isDeclaration())
      function.addFnAttr(Attribute::SanitizeAddress);
}

static bool asksForSanitizer(const Module &module) {
  return any_of(module, [](const Function &function) {
    return function.hasFnAttribute(Attribute::SanitizeAddress);
  });
}

/// What kernels gain from LLVM. They come vectorised, in register blocks that fill the registers
/// and with few calls, so O3's unrolling spills them and the rest of it finds nothing: it takes
/// twice the time for code that is a twentieth larger and no faster.
static ModulePassManager buildPasses(bool sanitizes) {
  FunctionPassManager function;
  function.addPass(SROAPass(SROAOptions::ModifyCFG));
  function.addPass(EarlyCSEPass());
  function.addPass(SimplifyCFGPass());
  function.addPass(InstCombinePass());
  LoopPassManager hoist;
  hoist.addPass(LoopRotatePass());
  hoist.addPass(LICMPass(LICMOptions()));
  function.addPass(createFunctionToLoopPassAdaptor(std::move(hoist), /*UseMemorySSA=*/true));
  function.addPass(GVNPass());
  function.addPass(createFunctionToLoopPassAdaptor(IndVarSimplifyPass()));
  function.addPass(InstCombinePass());
  function.addPass(SimplifyCFGPass());

  ModulePassManager passes;
  // Sizes and places that all callers of a stage agree on become constants of it.
  passes.addPass(IPSCCPPass());
  passes.addPass(DeadArgumentEliminationPass());
  passes.addPass(createModuleToFunctionPassAdaptor(std::move(function)));
  if (sanitizes) {
    AddressSanitizerOptions options;
    options.UseAfterReturn = AsanDetectStackUseAfterReturnMode::Never;
    passes.addPass(AddressSanitizerPass(options));
  }
  return passes;
}

void treadle::optimize(Module &module, TargetMachine &machine) {
  LoopAnalysisManager loops;
  FunctionAnalysisManager functions;
  CGSCCAnalysisManager components;
  ModuleAnalysisManager modules;
  PassBuilder builder(&machine);
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(components);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, components, modules);
  buildPasses(asksForSanitizer(module)).run(module, modules);
}

Error treadle::emitObject(Module &module, TargetMachine &machine, raw_pwrite_stream &os) {
  legacy::PassManager passes;
  if (machine.addPassesToEmitFile(passes, os, nullptr, CodeGenFileType::ObjectFile))
    return makeError("LLVM cannot emit object code for " + module.getTargetTriple().str());
  passes.run(module);
  return Error::success();
}

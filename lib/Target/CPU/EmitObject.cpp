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
#include "llvm/Transforms/Instrumentation/AddressSanitizer.h"

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

void treadle::optimize(Module &module, TargetMachine &machine) {
  LoopAnalysisManager loops;
  FunctionAnalysisManager functions;
  CGSCCAnalysisManager components;
  ModuleAnalysisManager modules;
  // Kernels come vectorised and in register blocks that fill the registers: unrolling them spills.
  PipelineTuningOptions tuning;
  tuning.LoopVectorization = false;
  tuning.SLPVectorization = false;
  tuning.LoopUnrolling = false;
  PassBuilder builder(&machine, tuning);
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(components);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, components, modules);
  if (asksForSanitizer(module))
    builder.registerOptimizerLastEPCallback(
        [](ModulePassManager &passes, OptimizationLevel, ThinOrFullLTOPhase) {
          AddressSanitizerOptions options;
          options.UseAfterReturn = AsanDetectStackUseAfterReturnMode::Never;
          passes.addPass(AddressSanitizerPass(options));
        });
  builder.buildPerModuleDefaultPipeline(OptimizationLevel::O3).run(module, modules);
}

Error treadle::emitObject(Module &module, TargetMachine &machine, raw_pwrite_stream &os) {
  legacy::PassManager passes;
  if (machine.addPassesToEmitFile(passes, os, nullptr, CodeGenFileType::ObjectFile))
    return makeError("LLVM cannot emit object code for " + module.getTargetTriple().str());
  passes.run(module);
  return Error::success();
}

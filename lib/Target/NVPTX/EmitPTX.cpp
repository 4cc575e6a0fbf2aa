//===- EmitPTX.cpp - From GPU kernels to PTX ------------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "treadle/Target/NVPTX/EmitPTX.h"

#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/GPU/GPUToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/NVVM/NVVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "treadle/Support/Error.h"
#include "llvm/Bitcode/BitcodeWriter.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/IR/PassInstrumentation.h"
#include "llvm/MC/MCSubtargetInfo.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/Transforms/Vectorize/VectorCombine.h"

using namespace mlir;
using namespace treadle;
using llvm::Error;
using llvm::Expected;

static const llvm::Triple gpuTriple("nvptx64-nvidia-cuda");

/// Makes LLVM's code generator known. LLVM keeps them in a process-wide list, and adding one twice
/// is harmless.
static const llvm::Target *getGPUTarget() {
  static const bool once = [] {
    LLVMInitializeNVPTXTargetInfo();
    LLVMInitializeNVPTXTarget();
    LLVMInitializeNVPTXTargetMC();
    LLVMInitializeNVPTXAsmPrinter();
    return true;
  }();
  (void)once;
  std::string message;
  return llvm::TargetRegistry::lookupTarget(gpuTriple, message);
}

static constexpr llvm::StringLiteral emulated = "emulated", emulated90a = "emulated_90a",
                                     hopper = "sm_90a";

bool treadle::isEmulated(StringRef gpu) { return gpu == emulated || gpu == emulated90a; }

bool treadle::hasWarpGroups(StringRef gpu) { return gpu == hopper || gpu == emulated90a; }

Error treadle::checkGPU(StringRef gpu) {
  unsigned level = 0;
  StringRef digits = gpu;
  bool isLevel = digits.consume_front("sm_") && !digits.consumeInteger(10, level) && level >= 80;
  const llvm::Target *target = getGPUTarget();
  std::unique_ptr<llvm::MCSubtargetInfo> info(
      target ? target->createMCSubtargetInfo(gpuTriple, "", "") : nullptr);
  if (isEmulated(gpu) || (isLevel && info && info->isCPUStringValid(gpu)))
    return Error::success();
  return makeError("--gpu: expected sm_80, sm_90a or a later level, got '" + gpu + "'");
}

/// Ampere and what follows it, and Hopper with all that it has.
std::vector<std::string> treadle::getUsualGPUs() { return {"sm_80", hopper.str()}; }

static Expected<std::unique_ptr<llvm::TargetMachine>> createGPUMachine(StringRef gpu) {
  llvm::TargetOptions options;
  options.AllowFPOpFusion = llvm::FPOpFusion::Strict;
  const llvm::Target *target = getGPUTarget();
  std::unique_ptr<llvm::TargetMachine> machine(
      target ? target->createTargetMachine(gpuTriple, gpu, "", options, std::nullopt, std::nullopt,
                                           llvm::CodeGenOptLevel::Aggressive)
             : nullptr);
  if (!machine)
    return makeError("LLVM has no code generator for " + gpuTriple.str());
  return machine;
}

/// As LLVM does, but for one pass: it makes two loads of 8 bytes of one whose halves go to two
/// products, and a thread of a GPU reads 16 as fast as 8.
static void optimize(llvm::Module &module, llvm::TargetMachine &machine) {
  llvm::PassInstrumentationCallbacks callbacks;
  callbacks.registerShouldRunOptionalPassCallback(
      [](llvm::StringRef pass, llvm::Any) { return pass != llvm::VectorCombinePass::name(); });
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager components;
  llvm::ModuleAnalysisManager modules;
  llvm::PassBuilder builder(&machine, llvm::PipelineTuningOptions(), std::nullopt, &callbacks);
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(components);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, components, modules);
  builder.buildPerModuleDefaultPipeline(llvm::OptimizationLevel::O3).run(module, modules);
}

static Expected<std::string> printPTX(llvm::Module &module, llvm::TargetMachine &machine) {
  llvm::SmallString<0> text;
  llvm::raw_svector_ostream os(text);
  llvm::legacy::PassManager passes;
  if (machine.addPassesToEmitFile(passes, os, nullptr, llvm::CodeGenFileType::AssemblyFile))
    return makeError("LLVM cannot emit PTX");
  passes.run(module);
  return text.str().str();
}

/// All threads of a warp take part in its products, and in what inline PTX does. LLVM does not know
/// that, and might move one to where only those go who need its result. Nor does it know of a
/// function what its threads meet at: all are said to have something, which LLVM takes back where
/// there is nothing.
static void keepWarpsTogether(llvm::Module &module) {
  for (llvm::Function &function : module) {
    if (!function.isDeclaration())
      function.setConvergent();
    for (llvm::Instruction &instruction : llvm::instructions(function))
      if (auto *call = dyn_cast<llvm::CallBase>(&instruction)) {
        const llvm::Function *callee = call->getCalledFunction();
        if (call->isInlineAsm() || (callee && callee->getName().starts_with("llvm.nvvm.mma.")))
          call->setConvergent();
      }
  }
}

/// Optimised, and without calls of what is not there.
static Expected<std::unique_ptr<llvm::Module>>
emitModule(gpu::GPUModuleOp kernels, llvm::TargetMachine &machine, llvm::LLVMContext &context) {
  DialectRegistry registry;
  registerBuiltinDialectTranslation(registry);
  registerGPUDialectTranslation(registry);
  registerLLVMDialectTranslation(registry);
  registerNVVMDialectTranslation(registry);
  kernels->getContext()->appendDialectRegistry(registry);
  std::unique_ptr<llvm::Module> module = translateModuleToLLVMIR(kernels, context, "kernels");
  if (!module)
    return makeError("cannot translate the GPU kernels to LLVM IR");
  module->setTargetTriple(gpuTriple);
  module->setDataLayout(machine.createDataLayout());
  keepWarpsTogether(*module);
  optimize(*module, machine);
  for (const llvm::Function &function : *module)
    if (function.isDeclaration() && !function.isIntrinsic())
      return makeError("the GPU kernels call '" + function.getName() +
                       "', which no library provides");
  return module;
}

Expected<std::string> treadle::emitPTX(gpu::GPUModuleOp kernels, StringRef gpu) {
  Expected<std::unique_ptr<llvm::TargetMachine>> machine = createGPUMachine(gpu);
  if (!machine)
    return machine.takeError();
  llvm::LLVMContext context;
  Expected<std::unique_ptr<llvm::Module>> module = emitModule(kernels, **machine, context);
  if (!module)
    return module.takeError();
  return printPTX(**module, **machine);
}

Expected<GPUIR> treadle::emitIR(gpu::GPUModuleOp kernels, StringRef gpu) {
  Expected<std::unique_ptr<llvm::TargetMachine>> machine =
      createGPUMachine(gpu == emulated90a ? StringRef(hopper) : "sm_80");
  if (!machine)
    return machine.takeError();
  llvm::LLVMContext context;
  Expected<std::unique_ptr<llvm::Module>> module = emitModule(kernels, **machine, context);
  if (!module)
    return module.takeError();
  std::string bitcode;
  llvm::raw_string_ostream os(bitcode);
  llvm::WriteBitcodeToFile(**module, os);
  // Whoever loads code is given its address alone, so the wrapper that LLVM has for bitcode says
  // its size: magic, version, offset, size, processor.
  enum { headerBytes = 20 };
  char header[headerBytes];
  const uint32_t words[] = {0x0b17c0de, 0, headerBytes, uint32_t(bitcode.size()), 0};
  for (auto [i, word] : llvm::enumerate(words))
    llvm::support::endian::write32le(header + 4 * i, word);
  GPUIR ir;
  llvm::raw_string_ostream(ir.text) << **module;
  ir.bitcode = std::string(header, headerBytes) + bitcode;
  return ir;
}

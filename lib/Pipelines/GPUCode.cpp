//===- GPUCode.cpp - Machine code for GPUs --------------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "GPUCode.h"

#include "OutputFile.h"
#include "mlir/Pass/PassManager.h"
#include "treadle/Support/Error.h"
#include "treadle/Target/NVPTX/EmitPTX.h"
#include "treadle/Target/NVPTX/Passes.h"
#include <map>

using namespace mlir;
using namespace treadle;
using llvm::Error;
using llvm::Expected;

std::vector<std::string> treadle::getGPULevels(const CompileOptions &options) {
  if (!hasGPU(options) || !options.gpus.empty())
    return options.gpus;
  return getUsualGPUs();
}

bool treadle::needsAssembler(const CompileOptions &options) {
  return llvm::any_of(getGPULevels(options), [](StringRef gpu) { return !isEmulated(gpu); });
}

static std::string getIRDump(StringRef gpu) { return ("binary." + gpu + ".ll").str(); }
static std::string getPTXDump(StringRef gpu) { return ("binary." + gpu + ".ptx").str(); }
static std::string getResourcesDump(StringRef gpu) { return ("binary." + gpu + ".txt").str(); }

std::vector<std::string> treadle::getGPUDumps(const CompileOptions &options) {
  std::vector<std::string> files = {gpuKernelsDump.str()};
  for (const std::string &gpu : getGPULevels(options))
    if (isEmulated(gpu))
      files.push_back(getIRDump(gpu));
    else
      files.insert(files.end(), {getPTXDump(gpu), getResourcesDump(gpu)});
  return files;
}

/// One line per kernel, and remarks.
static std::string printResources(const GPUCode &code) {
  std::string text;
  llvm::raw_string_ostream os(text);
  for (const KernelResources &kernel : code.kernels)
    os << kernel.kernel << ": " << kernel.registers << " registers, " << kernel.sharedBytes
       << " bytes of shared memory, " << kernel.stackBytes << " of stack, " << kernel.spillBytes
       << " spilled\n";
  for (const std::string &remark : code.remarks)
    os << remark << "\n";
  return text;
}

static Error dump(const CompileOptions &options, StringRef name, StringRef text) {
  if (options.dumpPhases.empty())
    return Error::success();
  return writeOutputFile(getDumpFile(options, name), text);
}

std::vector<std::string> treadle::getGPUKernels(const BinaryInput &input) {
  std::vector<std::string> names;
  if (ModuleOp module = input.gpuModule)
    for (auto kernels : module.getOps<gpu::GPUModuleOp>())
      for (auto kernel : kernels.getOps<gpu::GPUFuncOp>())
        names.push_back(kernel.getName().str());
  return names;
}

llvm::StringMap<GridKernel> treadle::getGridKernels(const BinaryInput &input) {
  llvm::StringMap<GridKernel> grids;
  for (auto [number, name] : llvm::enumerate(getGPUKernels(input))) {
    ModuleOp module = input.gpuModule;
    if (!module.lookupSymbol(name))
      continue;
    gpu::GPUModuleOp kernels = *module.getOps<gpu::GPUModuleOp>().begin();
    auto kernel = kernels.lookupSymbol<gpu::GPUFuncOp>(name);
    grids[name] = {uint32_t(number), uint32_t((*kernel.getKnownBlockSize())[0])};
  }
  return grids;
}

static Expected<GPUCode> emitForEmulation(const BinaryInput &input, gpu::GPUModuleOp kernels,
                                          StringRef gpu) {
  Expected<GPUIR> ir = emitIR(kernels, gpu);
  if (!ir)
    return ir.takeError();
  if (Error error = dump(input.options, getIRDump(gpu), ir->text))
    return std::move(error);
  GPUCode code;
  code.gpu = gpu.str();
  code.cubin = std::move(ir->bitcode);
  return code;
}

static Expected<GPUCode> emitForGPU(const BinaryInput &input, gpu::GPUModuleOp kernels,
                                    StringRef gpu) {
  Expected<std::string> ptx = emitPTX(kernels, gpu);
  if (!ptx)
    return ptx.takeError();
  if (Error error = dump(input.options, getPTXDump(gpu), *ptx))
    return std::move(error);
  Expected<GPUCode> code = assemble(input.assembler, gpu, std::move(*ptx));
  if (!code)
    return code.takeError();
  if (Error error = dump(input.options, getResourcesDump(gpu), printResources(*code)))
    return std::move(error);
  return code;
}

static Expected<OwningOpRef<ModuleOp>> lowerToNVVM(ModuleOp module, bool warpGroups) {
  OwningOpRef<ModuleOp> lowered(module.clone());
  PassManager passes(lowered->getContext());
  buildKernelsToNVVMPipeline(passes, warpGroups);
  if (failed(passes.run(*lowered)))
    return makeError("cannot lower the GPU kernels");
  return std::move(lowered);
}

Expected<std::vector<GPUCode>> treadle::emitGPUCode(const BinaryInput &input) {
  std::vector<GPUCode> codes;
  if (!input.gpuModule)
    return codes;
  std::map<bool, OwningOpRef<ModuleOp>> forms; // of the kernels, with warp groups and without
  for (const std::string &gpu : getGPULevels(input.options)) {
    OwningOpRef<ModuleOp> &form = forms[hasWarpGroups(gpu)];
    if (!form) {
      Expected<OwningOpRef<ModuleOp>> lowered = lowerToNVVM(input.gpuModule, hasWarpGroups(gpu));
      if (!lowered)
        return lowered.takeError();
      form = std::move(*lowered);
    }
    gpu::GPUModuleOp kernels = *form->getOps<gpu::GPUModuleOp>().begin();
    Expected<GPUCode> code =
        isEmulated(gpu) ? emitForEmulation(input, kernels, gpu) : emitForGPU(input, kernels, gpu);
    if (!code)
      return code.takeError();
    codes.push_back(std::move(*code));
  }
  return codes;
}

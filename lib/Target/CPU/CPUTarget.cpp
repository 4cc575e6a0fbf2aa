//===- CPUTarget.cpp - What the code generator knows of a CPU -------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "treadle/Target/CPU/CPUTarget.h"

#include "treadle/Support/Error.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/MC/MCSubtargetInfo.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/TargetParser/Host.h"
#include "llvm/TargetParser/SubtargetFeature.h"
#include "llvm/TargetParser/Triple.h"
#include <memory>
#include <vector>

using namespace llvm;
using namespace treadle;

/// Makes LLVM's code generators known. LLVM keeps them in a process-wide list,
/// and adding one twice is harmless.
static void initializeTargets() {
  static const bool once = [] {
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
    LLVMInitializeX86AsmParser();
    LLVMInitializeAArch64TargetInfo();
    LLVMInitializeAArch64Target();
    LLVMInitializeAArch64TargetMC();
    LLVMInitializeAArch64AsmPrinter();
    LLVMInitializeAArch64AsmParser();
    return true;
  }();
  (void)once;
}

static std::string getHostFeatures() {
  SubtargetFeatures features;
  // Sorted, so that the same host gives the same bytes.
  std::vector<std::pair<std::string, bool>> sorted;
  for (const auto &feature : sys::getHostCPUFeatures())
    sorted.emplace_back(feature.getKey().str(), feature.getValue());
  llvm::sort(sorted);
  for (const auto &[name, enabled] : sorted)
    features.AddFeature(name, enabled);
  return features.getString();
}

/// What to write instead of an unknown CPU: a name that looks like it, or examples.
static std::string suggestCPU(StringRef cpu, const Triple &triple, const MCSubtargetInfo &info) {
  constexpr unsigned farthest = 2;
  for (unsigned distance = 1; distance <= farthest; ++distance)
    for (const SubtargetSubTypeKV &candidate : info.getAllProcessorDescriptions())
      if (cpu.edit_distance(candidate.Key) == distance)
        return (Twine("did you mean '") + candidate.Key + "'?").str();
  return triple.isAArch64() ? "expected native, neoverse-v1, neoverse-n2, ..."
                            : "expected native, x86-64-v3, x86-64-v4, znver4, ...";
}

StringRef CPUTarget::getArch() const { return Triple::getArchTypeName(Triple(triple).getArch()); }

Expected<CPUTarget> treadle::resolveCPUTarget(StringRef cpu, StringRef tripleName) {
  initializeTargets();
  Triple host(sys::getDefaultTargetTriple());
  Triple triple(tripleName.empty() ? host.str() : Triple::normalize(tripleName));
  if (!triple.isOSLinux() || !(triple.isX86_64() || triple.isAArch64(64)) ||
      !triple.isLittleEndian())
    return makeError("--triple: expected x86_64 or aarch64 Linux, got '" + quote(tripleName) + "'");

  CPUTarget target;
  target.triple = triple.str();
  target.cpu = cpu.str();
  if (cpu == "native") {
    if (triple.getArch() != host.getArch())
      return makeError("--cpu: native means this machine, which is no " + target.getArch() +
                       "; name a CPU, for instance " +
                       (triple.isAArch64() ? "neoverse-v1" : "x86-64-v3"));
    target.cpu = sys::getHostCPUName().str();
    target.features = getHostFeatures();
  }

  std::string error;
  const Target *llvmTarget = TargetRegistry::lookupTarget(triple, error);
  if (!llvmTarget)
    return makeError("--triple: " + error);
  // Looked up without a CPU first: LLVM prints its own complaint about an unknown one.
  std::unique_ptr<MCSubtargetInfo> info(llvmTarget->createMCSubtargetInfo(triple, "", ""));
  if (!info->isCPUStringValid(target.cpu))
    return makeError("--cpu: unknown CPU '" + quote(target.cpu) + "' for " + target.getArch() +
                     "; " + suggestCPU(target.cpu, triple, *info));
  info.reset(llvmTarget->createMCSubtargetInfo(triple, target.cpu, target.features));

  if (triple.isAArch64()) {
    target.vectorBits = 128;
    target.vectorRegisters = 32;
    return target;
  }
  // Kernels are written with fused multiply-adds on whole vectors.
  if (!info->checkFeatures("+avx2,+fma,+f16c"))
    return makeError("--cpu: expected a CPU with AVX2 and FMA (x86-64-v3 or later), got '" +
                     target.cpu + "'");
  bool avx512 = info->checkFeatures("+avx512f,+avx512bw,+avx512dq,+avx512vl");
  target.vectorBits = avx512 ? 512 : 256;
  target.vectorRegisters = avx512 ? 32 : 16;
  target.hasBF16Dot = avx512 && info->checkFeatures("+avx512bf16");
  return target;
}

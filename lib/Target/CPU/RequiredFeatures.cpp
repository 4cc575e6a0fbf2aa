//===- RequiredFeatures.cpp - What a machine must be able to do -----------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "treadle/Target/CPU/RequiredFeatures.h"

#include "llvm/MC/MCSubtargetInfo.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/TargetParser/Triple.h"

using namespace llvm;
using namespace treadle;

// Registers that the system must save.
static constexpr uint64_t none = 0, avx = 0x6, avx512 = 0xe6, apx = 0x80000;

/// Every feature by which LLVM chooses instructions for arithmetic, moves and
/// jumps. Those that only an intrinsic can ask for (aes, sha, rdrand, ...) and
/// those of the system do not occur in emitted code: a machine may lack them.
static constexpr CPUFeature x86Features[] = {
    {"cmov", 1, 0, 3, 15, none},
    {"sse3", 1, 0, 2, 0, none},
    {"ssse3", 1, 0, 2, 9, none},
    {"cx16", 1, 0, 2, 13, none},
    {"sse4.1", 1, 0, 2, 19, none},
    {"sse4.2", 1, 0, 2, 20, none},
    {"movbe", 1, 0, 2, 22, none},
    {"popcnt", 1, 0, 2, 23, none},
    {"avx", 1, 0, 2, 28, avx},
    {"f16c", 1, 0, 2, 29, avx},
    {"fma", 1, 0, 2, 12, avx},
    {"bmi", 7, 0, 1, 3, none},
    {"avx2", 7, 0, 1, 5, avx},
    {"bmi2", 7, 0, 1, 8, none},
    {"avx512f", 7, 0, 1, 16, avx512},
    {"avx512dq", 7, 0, 1, 17, avx512},
    {"avx512ifma", 7, 0, 1, 21, avx512},
    {"avx512cd", 7, 0, 1, 28, avx512},
    {"avx512bw", 7, 0, 1, 30, avx512},
    {"avx512vl", 7, 0, 1, 31, avx512},
    {"avx512vbmi", 7, 0, 2, 1, avx512},
    {"avx512vbmi2", 7, 0, 2, 6, avx512},
    {"gfni", 7, 0, 2, 8, none},
    {"avx512vnni", 7, 0, 2, 11, avx512},
    {"avx512bitalg", 7, 0, 2, 12, avx512},
    {"avx512vpopcntdq", 7, 0, 2, 14, avx512},
    {"avx512fp16", 7, 0, 3, 23, avx512},
    {"avxvnni", 7, 1, 0, 4, avx},
    {"avx512bf16", 7, 1, 0, 5, avx512},
    {"avxifma", 7, 1, 0, 23, avx},
    {"avxvnniint8", 7, 1, 3, 4, avx},
    {"avxneconvert", 7, 1, 3, 5, avx},
    {"avxvnniint16", 7, 1, 3, 10, avx},
    {"avx10.1", 7, 1, 3, 19, avx512},
    {"egpr", 7, 1, 3, 21, apx},
    {"sahf", 0x80000001, 0, 2, 0, none},
    {"lzcnt", 0x80000001, 0, 2, 5, none},
    {"sse4a", 0x80000001, 0, 2, 6, none},
    {"xop", 0x80000001, 0, 2, 11, avx},
    {"fma4", 0x80000001, 0, 2, 16, avx},
    {"tbm", 0x80000001, 0, 2, 21, none},
};

std::vector<CPUFeature> treadle::getRequiredFeatures(const CPUTarget &target) {
  if (!target.isX86())
    return {};
  Triple triple(target.triple);
  std::string message;
  const Target *llvmTarget = TargetRegistry::lookupTarget(triple, message);
  assert(llvmTarget && "expected a resolved target");
  std::unique_ptr<MCSubtargetInfo> info(
      llvmTarget->createMCSubtargetInfo(triple, target.cpu, target.features));
  std::vector<CPUFeature> required;
  for (const CPUFeature &feature : x86Features)
    if (info->checkFeatures(("+" + feature.name).str()))
      required.push_back(feature);
  return required;
}

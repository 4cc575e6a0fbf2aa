//===- ProgramImage.h - What the compiler tells the runtime -----*- C++ -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Makes the constant `treadle_program` of lib/Runtime/Program.h from the symbols
// and attributes of a module.
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_TARGET_PROGRAMIMAGE_H
#define TREADLE_TARGET_PROGRAMIMAGE_H

#include "mlir/IR/BuiltinOps.h"
#include "treadle/Dialect/Treadle/IR/Treadle.h"
#include "treadle/Support/Sha256.h"
#include "treadle/Target/NVPTX/Toolkit.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/Error.h"
#include <string>
#include <vector>

namespace treadle {

/// A function that the runtime calls.
struct EntryPoint {
  std::string function; ///< its symbol
  EntryKind kind;
  int64_t rows;
  int64_t arenaBytes;
  int64_t work;     ///< what a call costs on one thread, in ns, roughly
  int64_t keyWork;  ///< and for each position that it sees, in ps
  int64_t serial;   ///< the part of it that no second thread can take over
  int64_t barriers; ///< where the members of a team meet during a call
};

/// The function that launches GPU kernels for the same calls as the entry point `function`.
inline std::string getScheduleFunction(llvm::StringRef function) {
  return (function + ".schedule").str();
}

/// The entry points of a module in the `kernels` phase, by kind and rows. Fails
/// where one kind has no entry of one row.
llvm::Expected<std::vector<EntryPoint>> getEntryPoints(mlir::ModuleOp module);

/// What the library knows of its packed weights; Program.h explains the fields.
struct WeightsImage {
  enum class Mode { none, embed, external } mode = Mode::none;
  uint64_t fileBytes = 0;
  uint64_t headerBytes = 0;
  uint64_t digestOffset = 0;
  Sha256Digest headerDigest{};
  Sha256Digest contentDigest{}; ///< zero: any content
};

/// Something that entry points may execute; Program.h explains the fields.
struct CPUFeature {
  llvm::StringRef name;
  uint32_t leaf, subleaf, reg, bit;
  uint64_t xcr0;
};

/// What the reference says of one input.
struct GoldenVector {
  std::vector<int32_t> ids;
  std::vector<uint8_t> mask; ///< one per id, or empty
  std::vector<float> logits; ///< one row per id
  int64_t loops = 1;
  float tolerance = 0;
};

/// The kernel that is the whole schedule of an entry point.
struct GridKernel {
  uint32_t number = 0;  ///< in `gpuKernels`
  uint32_t threads = 0; ///< of a block; 0: there is none
};

/// What the module does not say.
struct ProgramFacts {
  std::string name;
  std::string infoJson;
  Sha256Digest configDigest{};
  Sha256Digest libraryId{};
  std::string cpu;
  std::vector<CPUFeature> cpuFeatures;
  std::vector<GPUCode> gpuCode;
  std::vector<std::string> gpuKernels;     ///< with code, their names by number
  llvm::StringMap<GridKernel> gridKernels; ///< by entry point
  WeightsImage weights;
  std::vector<GoldenVector> golden;
};

/// The image, byte for byte. The module has a `treadle.model` and its states.
llvm::Expected<std::string> buildProgramImage(mlir::ModuleOp module,
                                              llvm::ArrayRef<EntryPoint> entries,
                                              const ProgramFacts &facts);

/// Digests what packed weights depend on: the config, and the weights' storage.
/// Libraries of any CPU, context or rows that share it can share a file.
Sha256Digest computeWeightsId(mlir::ModuleOp module, const Sha256Digest &configDigest);

/// Digests what saved sessions depend on: all that, the states and their layout,
/// and `device` (a CPU level), on which the bits depend.
Sha256Digest computeLibraryId(mlir::ModuleOp module, const Sha256Digest &configDigest,
                              llvm::StringRef device);

/// The attribute that every module carries.
llvm::Expected<ModelAttr> getModelAttr(mlir::ModuleOp module);

} // namespace treadle

#endif // TREADLE_TARGET_PROGRAMIMAGE_H

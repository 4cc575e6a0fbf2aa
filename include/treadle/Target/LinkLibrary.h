//===- LinkLibrary.h - From object code to a shared library -----*- C++ -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_TARGET_LINKLIBRARY_H
#define TREADLE_TARGET_LINKLIBRARY_H

#include "treadle/Target/ProgramImage.h"
#include "treadle/Target/RuntimeLibrary.h"
#include "llvm/IR/Module.h"
#include "llvm/Support/Error.h"
#include <string>
#include <vector>

namespace treadle {

/// Adds the image and the tables of entry points and their schedules to `kernels`, as Program.h
/// asks it of the emitter, and makes everything else internal. Without `embedWeights` the module
/// defines empty weights.
void defineProgram(llvm::Module &kernels, llvm::StringRef image, llvm::ArrayRef<EntryPoint> entries,
                   bool embedWeights);

/// The name of the one exported function: `PREFIX_treadle_model_query`.
std::string getQuerySymbol(llvm::StringRef prefix);

/// Writes an object file that reserves `bytes` bytes for weights, at
/// `treadle_weights_begin`.
void writeWeightsObject(uint64_t bytes, llvm::StringRef triple, llvm::raw_pwrite_stream &os);

/// Puts `weightsFile` into a library that was linked with such an object. The
/// bytes are copied piece by piece: large weights never stand in memory.
llvm::Error embedWeights(llvm::StringRef libraryFile, llvm::StringRef weightsFile,
                         llvm::function_ref<void(uint64_t done, uint64_t total)> progress);

/// What the linker is given.
struct LinkInputs {
  std::vector<std::string> objects; ///< files
  std::string libc, libm;           ///< files: stubs of the system's libraries
  std::string symbol;               ///< the query function's name, which is exported
  std::string versionScript;        ///< file
  std::string triple;
  std::string soname;
  /// Calls of the address sanitizer's runtime stay open.
  bool allowUndefined = false;
};

/// Links a shared library with the linker that is built into the compiler. The
/// same inputs give the same bytes, wherever their files lie.
llvm::Error linkLibrary(const LinkInputs &inputs, llvm::StringRef out);

/// Exports `symbol` and nothing else.
std::string makeVersionScript(llvm::StringRef symbol);

} // namespace treadle

#endif // TREADLE_TARGET_LINKLIBRARY_H

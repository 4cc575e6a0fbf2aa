//===- WeightPacker.h - The container of packed weights ---------*- C++ -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// OUT.weights is a safetensors file whose data region is what `layoutWeights`
// says: one entry per weight symbol, in the order of the module, without holes.
// The header follows from the module alone, but for the 64 digits of the data's
// SHA-256 at a fixed place.
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_MODEL_WEIGHTPACKER_H
#define TREADLE_MODEL_WEIGHTPACKER_H

#include "treadle/Model/TensorSource.h"
#include "treadle/Support/Error.h"
#include "treadle/Support/Sha256.h"
#include "llvm/Support/raw_ostream.h"

namespace mlir {
class ModuleOp;
} // namespace mlir

namespace treadle {

/// What a library knows of its container without having it.
struct PackedHeader {
  std::string bytes;     ///< length field and JSON, '0' for each content digit; a multiple of 64
  uint64_t digestOffset; ///< of the 64 content digits, from the container's first byte
  Sha256Digest digest;   ///< SHA-256 of `bytes`
  uint64_t dataBytes;    ///< of the data region that follows

  uint64_t getFileBytes() const { return bytes.size() + dataBytes; }
};

/// `libraryId` names the library that the container belongs to (hex digits).
PackedHeader makePackedHeader(mlir::ModuleOp module, llvm::StringRef libraryId);

struct PackOptions {
  /// Called between pieces of work with the data bytes written so far.
  llvm::function_ref<void(uint64_t done, uint64_t total)> progress = nullptr;
  WarningHandler warn = nullptr;
};

/// Writes the container at the current end of `os`, which must be 0, and returns
/// the SHA-256 of the data region. The module's weights are bound to `source`
/// (see `bindWeights`). At most one panel is held in memory.
llvm::Expected<Sha256Digest> packWeights(mlir::ModuleOp module, const TensorSource &source,
                                         llvm::StringRef libraryId, llvm::raw_pwrite_stream &os,
                                         const PackOptions &options = {});

/// Lower-case hexadecimal digits.
std::string toHex(llvm::ArrayRef<uint8_t> bytes);

} // namespace treadle

#endif // TREADLE_MODEL_WEIGHTPACKER_H

//===- TensorSource.h - The tensors of a checkpoint -------------*- C++ -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_MODEL_TENSORSOURCE_H
#define TREADLE_MODEL_TENSORSOURCE_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/MemoryBuffer.h"
#include <memory>
#include <string>
#include <vector>

namespace treadle {

/// An element type of the safetensors format.
struct ElementType {
  llvm::StringRef name; ///< as the format spells it: `F32`
  int64_t bytes;
  bool readable; ///< F64, F32, F16 and BF16: may be read as weights
};

/// The type of that name, or null.
const ElementType *findElementType(llvm::StringRef name);

/// One tensor of a checkpoint: row-major, little-endian, not aligned.
struct Tensor {
  std::string name;
  const ElementType *type;
  llvm::SmallVector<int64_t, 4> shape;
  llvm::ArrayRef<uint8_t> data;
  llvm::StringRef file; ///< for messages

  int64_t getNumElements() const;

  /// `F32 [16, 256]`
  std::string describe() const;

  /// Converts elements `first`, `first + stride`, ... to f32. The type is readable.
  void read(int64_t first, int64_t stride, llvm::MutableArrayRef<float> out) const;
};

/// `[16, 256]`
std::string describeShape(llvm::ArrayRef<int64_t> shape);

/// Whether two readable tensors have one shape and equal numbers. Where not,
/// `difference`, if given, becomes the index of the first that differs.
bool haveEqualNumbers(const Tensor &a, const Tensor &b, int64_t *difference = nullptr);

/// The tensors of a checkpoint, mapped into memory.
class TensorSource {
public:
  /// Opens a .safetensors file, or a directory with model.safetensors or with
  /// model.safetensors.index.json and its shards. Everything that the headers
  /// say is checked here: whoever holds a source can read all of its tensors.
  static llvm::Expected<TensorSource> open(llvm::StringRef path);

  /// In the order of the files.
  llvm::ArrayRef<Tensor> getTensors() const { return tensors; }
  /// The tensor of that name, or null.
  const Tensor *find(llvm::StringRef name) const;

  /// The file or directory, for messages.
  llvm::StringRef getPath() const { return path; }

  /// Lets the system drop the pages read so far.
  void releasePages() const;

private:
  llvm::Error addFile(llvm::StringRef file);
  llvm::Error addShards(llvm::StringRef indexFile);

  std::string path;
  std::vector<std::unique_ptr<llvm::MemoryBuffer>> files;
  std::vector<Tensor> tensors;
  llvm::StringMap<size_t> byName;
};

} // namespace treadle

#endif // TREADLE_MODEL_TENSORSOURCE_H

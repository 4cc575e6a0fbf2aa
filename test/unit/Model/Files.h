//===- Files.h - Files that tests write -------------------------*- C++ -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_TEST_UNIT_MODEL_FILES_H
#define TREADLE_TEST_UNIT_MODEL_FILES_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/FileSystem.h"
#include <string>
#include <vector>

namespace treadle::test {

/// An empty directory that is gone when the test ends.
class Directory {
public:
  Directory();
  ~Directory() { llvm::sys::fs::remove_directories(path); }
  Directory(const Directory &) = delete;
  Directory &operator=(const Directory &) = delete;

  /// Writes a file and returns its path.
  std::string write(llvm::StringRef name, llvm::StringRef bytes) const;

  std::string str() const { return path.str().str(); }

  /// `message` without the path of this directory.
  std::string strip(std::string message) const;

private:
  llvm::SmallString<128> path;
};

/// The error's text, or `success`.
std::string toText(llvm::Error error);
template <typename T> std::string toText(const llvm::Expected<T> &) = delete;
template <typename T> std::string toText(llvm::Expected<T> &&result) {
  return toText(result.takeError());
}

/// A tensor to be stored.
struct StoredTensor {
  std::string name;
  std::string type;
  std::vector<int64_t> shape;
  std::string bytes;
};

/// A tensor of type F32.
StoredTensor makeF32(llvm::StringRef name, std::vector<int64_t> shape,
                     llvm::ArrayRef<float> values);

/// A safetensors file with that header text and that much data.
std::string makeFile(llvm::StringRef header, size_t dataBytes);

/// A well-formed safetensors file.
std::string makeFile(llvm::ArrayRef<StoredTensor> tensors);

} // namespace treadle::test

#endif // TREADLE_TEST_UNIT_MODEL_FILES_H

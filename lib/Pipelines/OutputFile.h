//===- OutputFile.h - Files that appear whole or not at all -----*- C++ -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_LIB_PIPELINES_OUTPUTFILE_H
#define TREADLE_LIB_PIPELINES_OUTPUTFILE_H

#include "llvm/Support/Error.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/raw_ostream.h"
#include <memory>
#include <string>

namespace treadle {

/// A file under a temporary name beside its own, which it gets when it is
/// kept. Otherwise, or when the process is interrupted, it is removed.
class OutputFile {
public:
  static llvm::Expected<OutputFile> create(llvm::StringRef path);
  OutputFile(OutputFile &&) = default;
  OutputFile &operator=(OutputFile &&) = delete;
  ~OutputFile();

  llvm::raw_pwrite_stream &os() { return *stream; }
  const std::string &getTemporaryName() const { return file.TmpName; }

  /// Writes out what is buffered, for others to read under the temporary name.
  llvm::Error flush();

  /// Renames the file.
  llvm::Error keep();

private:
  OutputFile(std::string path, llvm::sys::fs::TempFile file);

  std::string path;
  llvm::sys::fs::TempFile file;
  /// Null once the file has been kept, or moved from.
  std::unique_ptr<llvm::raw_fd_ostream> stream;
};

/// Writes `text` to `path`.
llvm::Error writeOutputFile(llvm::StringRef path, llvm::StringRef text);

} // namespace treadle

#endif // TREADLE_LIB_PIPELINES_OUTPUTFILE_H

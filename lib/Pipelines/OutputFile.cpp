//===- OutputFile.cpp - Files that appear whole or not at all -------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "OutputFile.h"

#include "treadle/Support/Error.h"
#include <csignal>

using namespace llvm;
using namespace treadle;

OutputFile::OutputFile(std::string path, sys::fs::TempFile file)
    : path(std::move(path)), file(std::move(file)),
      stream(std::make_unique<raw_fd_ostream>(this->file.FD, /*shouldClose=*/false)) {}

Expected<OutputFile> OutputFile::create(StringRef path) {
  // Renaming onto a folder would fail after all the work; renaming onto a device or
  // a pipe would put a file in its place, for root also where /dev/null was.
  sys::fs::file_status status;
  if (!sys::fs::status(path, status) && !sys::fs::is_regular_file(status))
    return makeError(path + ": expected the name of a file, got a " +
                     (sys::fs::is_directory(status) ? "directory" : "device or pipe"));
  // Creating it makes LLVM handle signals. A file beyond the size that the process may write is an
  // error like any other, not an end with a stack dump, where the process says so.
  struct sigaction beyondSize;
  sigaction(SIGXFSZ, nullptr, &beyondSize);
  Expected<sys::fs::TempFile> file = sys::fs::TempFile::create(path + ".%%%%%%.tmp");
  sigaction(SIGXFSZ, &beyondSize, nullptr);
  if (!file)
    return makeError(path + ": cannot write: " + toString(file.takeError()));
  return OutputFile(path.str(), std::move(*file));
}

OutputFile::~OutputFile() {
  if (!stream)
    return;
  // A stream that ends with an error that nobody has seen ends the process. Here
  // nobody cares any more what could not be written.
  stream->flush();
  stream->clear_error();
  stream.reset();
  consumeError(file.discard());
}

Error OutputFile::flush() {
  stream->flush();
  if (!stream->has_error())
    return Error::success();
  std::error_code code = stream->error();
  stream->clear_error();
  return makeError(path + ": cannot write: " + code.message());
}

Error OutputFile::keep() {
  if (Error error = flush())
    return error;
  stream.reset();
  if (Error error = file.keep(path))
    return makeError(path + ": cannot write: " + toString(std::move(error)));
  return Error::success();
}

Error treadle::writeOutputFile(StringRef path, StringRef text) {
  Expected<OutputFile> file = OutputFile::create(path);
  if (!file)
    return file.takeError();
  file->os() << text;
  return file->keep();
}

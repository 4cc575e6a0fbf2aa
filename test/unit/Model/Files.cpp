//===- Files.cpp - Files that tests write ---------------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Files.h"

#include "treadle/Model/TensorSource.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"

using namespace llvm;
using namespace treadle::test;

Directory::Directory() {
  if (sys::fs::createUniqueDirectory("treadle-test", path))
    report_fatal_error("cannot make a directory for the test");
}

std::string Directory::write(StringRef name, StringRef bytes) const {
  SmallString<128> file = path;
  sys::path::append(file, name);
  std::error_code error;
  raw_fd_ostream(file, error) << bytes;
  if (error)
    report_fatal_error("cannot write a file for the test");
  return file.str().str();
}

std::string Directory::strip(std::string message) const {
  for (size_t at; (at = message.find(str())) != std::string::npos;)
    message.erase(at, path.size() + (message[at + path.size()] == '/'));
  return message;
}

std::string treadle::test::toText(Error error) {
  return error ? llvm::toString(std::move(error)) : "success";
}

StoredTensor treadle::test::makeF32(StringRef name, std::vector<int64_t> shape,
                                    ArrayRef<float> values) {
  std::string bytes(values.size() * sizeof(float), 0);
  for (auto [i, value] : enumerate(values))
    support::endian::write32le(&bytes[i * sizeof(float)], bit_cast<uint32_t>(value));
  return {name.str(), "F32", std::move(shape), std::move(bytes)};
}

std::string treadle::test::makeFile(StringRef header, size_t dataBytes) {
  std::string bytes(sizeof(uint64_t), 0);
  support::endian::write64le(bytes.data(), header.size());
  return bytes + header.str() + std::string(dataBytes, 0);
}

std::string treadle::test::makeFile(ArrayRef<StoredTensor> tensors) {
  std::string header = "{", data;
  for (const StoredTensor &tensor : tensors) {
    size_t begin = data.size();
    data += tensor.bytes;
    header += (header.size() > 1 ? ",\"" : "\"") + tensor.name + "\":{\"dtype\":\"" + tensor.type +
              "\",\"shape\":" + describeShape(tensor.shape) + ",\"data_offsets\":[" +
              std::to_string(begin) + "," + std::to_string(data.size()) + "]}";
  }
  return makeFile(header + "}", 0) + data;
}

//===- Safetensors.cpp - Reading safetensors files ------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A file is 8 bytes of header length, a JSON header and the data:
//
//   {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ...}
//
// Nothing of it is trusted: sizes are checked before they are used, and the
// tensors must tile the data without holes or overlap.
//
//===----------------------------------------------------------------------===//

#include "treadle/Model/TensorSource.h"
#include "treadle/Support/Error.h"
#include "treadle/Support/Json.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MathExtras.h"
#include "llvm/Support/Path.h"
#include <sys/mman.h>

using namespace llvm;
using namespace treadle;

/// The format's own bound.
static constexpr uint64_t maxHeaderBytes = 100'000'000;
static constexpr uint64_t maxIndexBytes = 100'000'000;
static constexpr size_t maxRank = 8;

//===----------------------------------------------------------------------===//
// One entry of a header
//===----------------------------------------------------------------------===//

/// A message about a tensor: `<file>: <tensor>: <message>`.
static Error tensorError(StringRef file, StringRef tensor, const Twine &message) {
  return makeError(file + ": " + quote(tensor) + ": " + message);
}

static Error readShape(const JsonValue &json, Tensor &tensor) {
  if (!json.is(JsonValue::Kind::array) || json.items.size() > maxRank)
    return tensorError(tensor.file, tensor.name,
                       "expected a shape of at most " + Twine(maxRank) + " dimensions, got " +
                           json.describe());
  for (const JsonValue &size : json.items) {
    if (!size.is(JsonValue::Kind::integer) || size.integer < 0)
      return tensorError(tensor.file, tensor.name,
                         "expected dimensions of 0 or more, got " + size.describe());
    tensor.shape.push_back(size.integer);
  }
  return Error::success();
}

/// Checks the offsets against shape, type and the data's size, and sets `data`.
static Error readData(const JsonValue &json, ArrayRef<uint8_t> region, Tensor &tensor) {
  bool isPair = json.is(JsonValue::Kind::array) && json.items.size() == 2 &&
                all_of(json.items, [](const JsonValue &offset) {
                  return offset.is(JsonValue::Kind::integer) && offset.integer >= 0;
                });
  if (!isPair)
    return tensorError(tensor.file, tensor.name,
                       "expected data_offsets [begin, end] of 0 or more, got " + json.describe());
  int64_t begin = json.items[0].integer, end = json.items[1].integer;
  std::string offsets = "[" + std::to_string(begin) + ", " + std::to_string(end) + "]";
  if (begin > end || end > static_cast<int64_t>(region.size()))
    return tensorError(tensor.file, tensor.name,
                       "expected data_offsets within " + Twine(region.size()) +
                           " bytes of data, got " + offsets);

  int64_t bytes = tensor.type->bytes;
  for (int64_t size : tensor.shape)
    if (MulOverflow(bytes, size, bytes))
      return tensorError(tensor.file, tensor.name,
                         "expected a size of at most 63 bits, got shape " +
                             describeShape(tensor.shape));
  if (bytes != end - begin)
    return tensorError(tensor.file, tensor.name,
                       "expected " + Twine(bytes) + " bytes for " + tensor.describe() +
                           ", got data_offsets " + offsets);
  tensor.data = region.slice(begin, end - begin);
  return Error::success();
}

static Error readEntry(const JsonValue &json, ArrayRef<uint8_t> region, Tensor &tensor) {
  const JsonValue *type = json.find("dtype"), *shape = json.find("shape"),
                  *offsets = json.find("data_offsets");
  if (!type || !shape || !offsets || json.members.size() != 3)
    return tensorError(
        tensor.file, tensor.name,
        "expected an object of dtype, shape and data_offsets, got " +
            Twine(json.is(JsonValue::Kind::object) ? "other members" : json.describe()));
  tensor.type = type->is(JsonValue::Kind::string) ? findElementType(type->text) : nullptr;
  if (!tensor.type)
    return tensorError(tensor.file, tensor.name,
                       "expected a known dtype such as F32 or BF16, got " + type->describe());
  if (Error error = readShape(*shape, tensor))
    return error;
  return readData(*offsets, region, tensor);
}

/// The tensors lie one behind the other and cover the data.
static Error checkTiling(ArrayRef<Tensor> tensors, ArrayRef<uint8_t> region, StringRef file) {
  std::vector<const Tensor *> sorted;
  for (const Tensor &tensor : tensors)
    sorted.push_back(&tensor);
  llvm::sort(sorted, [](const Tensor *a, const Tensor *b) {
    return std::make_tuple(a->data.begin(), a->data.end(), a) <
           std::make_tuple(b->data.begin(), b->data.end(), b);
  });
  const uint8_t *at = region.begin();
  for (const Tensor *tensor : sorted) {
    if (tensor->data.begin() != at)
      return tensorError(file, tensor->name,
                         "expected data at offset " + Twine(at - region.begin()) +
                             ", where the tensor before it ends, got " +
                             Twine(tensor->data.begin() - region.begin()));
    at = tensor->data.end();
  }
  if (at != region.end())
    return makeError(file + ": expected tensors that cover " + Twine(region.size()) +
                     " bytes of data, got " + Twine(at - region.begin()));
  return Error::success();
}

//===----------------------------------------------------------------------===//
// One file
//===----------------------------------------------------------------------===//

/// Opens a regular file; `what` names the expected in the message.
static Expected<std::unique_ptr<MemoryBuffer>> openFile(StringRef file, StringRef what) {
  sys::fs::file_status status;
  if (std::error_code error = sys::fs::status(file, status))
    return makeError(file + ": expected " + what + ", got: " + error.message());
  if (status.type() != sys::fs::file_type::regular_file)
    return makeError(file + ": expected " + what + ", got something that is no file");
  ErrorOr<std::unique_ptr<MemoryBuffer>> buffer =
      MemoryBuffer::getFile(file, /*IsText=*/false, /*RequiresNullTerminator=*/false);
  if (!buffer)
    return makeError(file + ": expected " + what + ", got: " + buffer.getError().message());
  return std::move(*buffer);
}

/// The JSON header of a file, and the data behind it.
static Expected<std::pair<JsonValue, ArrayRef<uint8_t>>> readHeader(StringRef bytes,
                                                                    StringRef file) {
  if (bytes.starts_with("PK\x03\x04"))
    return makeError(file + ": expected a safetensors file, got a zip archive; if it is a torch "
                            "checkpoint, convert it with treadle.convert");
  if (bytes.size() < 8)
    return makeError(file + ": expected a safetensors file of at least 8 bytes, got " +
                     Twine(bytes.size()));
  uint64_t length = support::endian::read64le(bytes.data());
  if (length > maxHeaderBytes || length > bytes.size() - 8)
    return makeError(file + ": expected a header of at most " +
                     Twine(std::min<uint64_t>(maxHeaderBytes, bytes.size() - 8)) + " bytes, got " +
                     Twine(length) + "; this is no safetensors file, or it is truncated");
  Expected<JsonValue> header = parseJson(bytes.substr(8, length), file);
  if (!header)
    return header.takeError();
  if (!header->is(JsonValue::Kind::object))
    return makeError(file + ": expected a header that is a JSON object, got " + header->describe());
  return std::make_pair(std::move(*header), arrayRefFromStringRef(bytes.substr(8 + length)));
}

static Error checkMetadata(const JsonValue &metadata, StringRef file) {
  bool isText = metadata.is(JsonValue::Kind::object) &&
                all_of(metadata.members, [](const JsonValue::Member &member) {
                  return member.second.is(JsonValue::Kind::string);
                });
  if (!isText)
    return tensorError(file, "__metadata__", "expected an object of strings");
  const JsonValue *format = metadata.find("format");
  if (format && format->text == "treadle-packed")
    return makeError(file + ": expected the model's own safetensors, got weights that are already "
                            "packed for a library");
  return Error::success();
}

Error TensorSource::addFile(StringRef file) {
  Expected<std::unique_ptr<MemoryBuffer>> buffer = openFile(file, "a safetensors file");
  if (!buffer)
    return buffer.takeError();
  files.push_back(std::move(*buffer));
  StringRef name = files.back()->getBufferIdentifier();
  auto header = readHeader(files.back()->getBuffer(), name);
  if (!header)
    return header.takeError();

  size_t firstOfFile = tensors.size();
  for (const auto &[key, json] : header->first.members) {
    if (key == "__metadata__") {
      if (Error error = checkMetadata(json, name))
        return error;
      continue;
    }
    Tensor tensor;
    tensor.name = key;
    tensor.file = name;
    if (Error error = readEntry(json, header->second, tensor))
      return error;
    auto [it, isNew] = byName.try_emplace(key, tensors.size());
    if (!isNew)
      return tensorError(name, key,
                         "expected each tensor in one shard, got it in " +
                             tensors[it->second].file + " too");
    tensors.push_back(std::move(tensor));
  }
  return checkTiling(ArrayRef(tensors).drop_front(firstOfFile), header->second, name);
}

//===----------------------------------------------------------------------===//
// Several files
//===----------------------------------------------------------------------===//

Error TensorSource::addShards(StringRef indexFile) {
  Expected<std::unique_ptr<MemoryBuffer>> buffer = openFile(indexFile, "an index of shards");
  if (!buffer)
    return buffer.takeError();
  if ((*buffer)->getBufferSize() > maxIndexBytes)
    return makeError(indexFile + ": expected an index of at most " + Twine(maxIndexBytes) +
                     " bytes, got " + Twine((*buffer)->getBufferSize()));
  Expected<JsonValue> index = parseJson((*buffer)->getBuffer(), indexFile);
  if (!index)
    return index.takeError();
  const JsonValue *map = index->find("weight_map");
  if (!map || !map->is(JsonValue::Kind::object) || map->members.empty())
    return makeError(indexFile +
                     ": /weight_map: expected an object that names each tensor's "
                     "shard, got " +
                     (map ? map->members.empty() && map->is(JsonValue::Kind::object)
                                ? "an empty one"
                                : map->describe()
                          : "none"));

  StringMap<std::string> opened; // shard -> its path
  for (const auto &[tensor, shard] : map->members) {
    std::string place = (indexFile + ": /weight_map" + jsonPointer(tensor) + ": ").str();
    bool isFileName =
        shard.is(JsonValue::Kind::string) && !shard.text.empty() &&
        StringRef(shard.text).find_first_of(StringRef("/\\\0", 3)) == StringRef::npos &&
        shard.text != "." && shard.text != "..";
    if (!isFileName)
      return makeError(place + "expected the name of a file in the same directory, got " +
                       shard.describe());
    auto [it, isNew] = opened.try_emplace(shard.text);
    if (isNew) {
      SmallString<128> file = sys::path::parent_path(indexFile);
      sys::path::append(file, shard.text);
      if (!sys::fs::exists(file))
        return makeError(place + "expected the shard " + shard.describe() +
                         " beside the index, got none");
      it->second = file.str();
      if (Error error = addFile(file))
        return error;
    }
    const Tensor *found = find(tensor);
    if (!found || found->file != it->second)
      return makeError(place + "expected the tensor in " + shard.describe() + ", got none");
  }
  return Error::success();
}

Expected<TensorSource> TensorSource::open(StringRef path) {
  TensorSource source;
  source.path = path.str();
  if (!sys::fs::is_directory(path)) {
    if (Error error = source.addFile(path))
      return std::move(error);
    return std::move(source);
  }
  SmallString<128> file = path, index = path;
  sys::path::append(file, "model.safetensors");
  sys::path::append(index, "model.safetensors.index.json");
  if (!sys::fs::exists(file) && !sys::fs::exists(index))
    return makeError(path +
                     ": expected a directory with model.safetensors or "
                     "model.safetensors.index.json, got neither; name the .safetensors file");
  if (Error error = sys::fs::exists(file) ? source.addFile(file) : source.addShards(index))
    return std::move(error);
  return std::move(source);
}

const Tensor *TensorSource::find(StringRef name) const {
  auto it = byName.find(name);
  return it == byName.end() ? nullptr : &tensors[it->second];
}

void TensorSource::releasePages() const {
  // MemoryBuffer::dontNeedIfMmap asks posix_madvise, which does nothing in glibc.
  for (const std::unique_ptr<MemoryBuffer> &file : files)
    if (file->getBufferKind() == MemoryBuffer::MemoryBuffer_MMap)
      ::madvise(const_cast<char *>(file->getBufferStart()), file->getBufferSize(), MADV_DONTNEED);
}

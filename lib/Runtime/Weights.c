//===- Weights.c - Finding and checking the packed weights ----------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Libc.h"
#include "Runtime.h"

//===----------------------------------------------------------------------===//
// Checking a container
//===----------------------------------------------------------------------===//

static bool decodeDigest(const uint8_t *digits, uint8_t digest[32]) {
  for (unsigned i = 0; i < 64; ++i) {
    uint8_t c = digits[i], value;
    if (c >= '0' && c <= '9')
      value = (uint8_t)(c - '0');
    else if (c >= 'a' && c <= 'f')
      value = (uint8_t)(c - 'a' + 10);
    else
      return false;
    digest[i / 2] = (uint8_t)(i % 2 ? digest[i / 2] | value : value << 4);
  }
  return true;
}

/// The digest of the header as if the 64 digits were all '0', since what the
/// library expects of the layout must not depend on the values.
static void hashHeader(const uint8_t *container,
                       const treadle_program_weights *expected,
                       uint8_t digest[32]) {
  uint8_t zeros[64];
  memset(zeros, '0', sizeof(zeros));
  size_t after = expected->digest_offset + sizeof(zeros);
  treadle_sha256 hash;
  treadle_sha256_init(&hash);
  treadle_sha256_update(&hash, container, expected->digest_offset);
  treadle_sha256_update(&hash, zeros, sizeof(zeros));
  treadle_sha256_update(&hash, container + after,
                        expected->header_size - after);
  treadle_sha256_final(&hash, digest);
}

static bool isZero(const uint8_t digest[32]) {
  uint8_t any = 0;
  for (unsigned i = 0; i < 32; ++i)
    any |= digest[i];
  return !any;
}

/// Whether file_size bytes at `container` are laid out as the program expects,
/// and claim to hold the values that it was compiled for.
static treadle_status checkContainer(treadle_model *model,
                                     const uint8_t *container, const char *name,
                                     char *message, size_t messageSize) {
  const treadle_program_weights *expected = &treadle_header()->weights;
  uint64_t jsonSize;
  memcpy(&jsonSize, container, sizeof(jsonSize));
  uint8_t digest[32];
  bool matches = jsonSize == expected->header_size - 8;
  if (matches) {
    hashHeader(container, expected, digest);
    matches = !memcmp(digest, expected->header_digest, sizeof(digest)) &&
              decodeDigest(container + expected->digest_offset,
                           model->weights_digest);
  }
  if (!matches) {
    treadle_format(message, messageSize,
                   "%s is not packed for this library; pack the model's "
                   "safetensors with treadle-compile --pack",
                   name);
    return TREADLE_STATUS_MISMATCH;
  }
  if (!isZero(expected->content_digest) &&
      memcmp(expected->content_digest, model->weights_digest, 32)) {
    treadle_format(message, messageSize,
                   "%s holds other values than this library was compiled with",
                   name);
    return TREADLE_STATUS_MISMATCH;
  }
  model->container = container;
  model->weights = container + expected->header_size;
  return TREADLE_STATUS_OK;
}

//===----------------------------------------------------------------------===//
// External weights
//===----------------------------------------------------------------------===//

static treadle_status failToOpen(const char *path, char *message,
                                 size_t messageSize) {
  int error = *__errno_location();
  if (error == ENOENT)
    treadle_format(message, messageSize, "cannot open %s: no such file", path);
  else if (error == EACCES)
    treadle_format(message, messageSize, "cannot open %s: permission denied",
                   path);
  else if (error == EISDIR || error == ESPIPE)
    treadle_format(message, messageSize, "cannot open %s: not a file", path);
  else
    treadle_format(message, messageSize, "cannot open %s: error %d", path,
                   (int64_t)error);
  return TREADLE_STATUS_IO;
}

/// A file of another size is refused before it is mapped. The likely mistake is
/// to pass the model's own safetensors.
static treadle_status refuseSize(int file, int64_t size, const char *path,
                                 char *message, size_t messageSize) {
  uint8_t start[9];
  uint64_t jsonSize;
  bool isSafetensors = false;
  if (pread(file, start, sizeof(start), 0) == (int64_t)sizeof(start)) {
    memcpy(&jsonSize, start, sizeof(jsonSize));
    isSafetensors = start[8] == '{' && jsonSize <= (uint64_t)size - 8;
  }
  treadle_format(message, messageSize,
                 isSafetensors
                     ? "%s is a safetensors file, but not packed for this "
                       "library (expected %u bytes, got %d); pack it with "
                       "treadle-compile --pack"
                     : "%s is not the packed weights of this library: expected "
                       "%u bytes, got %d",
                 path, treadle_header()->weights.file_size, size);
  return TREADLE_STATUS_MISMATCH;
}

static treadle_status mapFile(treadle_model *model, int file, const char *path,
                              char *message, size_t messageSize) {
  uint64_t expected = treadle_header()->weights.file_size;
  // Of a folder, lseek would give a size.
  uint8_t first;
  int64_t size = pread(file, &first, 1, 0) < 0 ? -1 : lseek(file, 0, SEEK_END);
  if (size < 0)
    return failToOpen(path, message, messageSize);
  if ((uint64_t)size != expected)
    return refuseSize(file, size, path, message, messageSize);
  void *container = mmap(NULL, expected, PROT_READ, MAP_PRIVATE, file, 0);
  if (container == MAP_FAILED)
    return failToOpen(path, message, messageSize);
  treadle_status status =
      checkContainer(model, container, path, message, messageSize);
  if (status == TREADLE_STATUS_OK)
    model->mapped_size = expected;
  else
    munmap(container, expected);
  return status;
}

static treadle_status openExternal(treadle_model *model, const char *path,
                                   char *message, size_t messageSize) {
  // Without O_NONBLOCK, opening a named pipe would wait for a writer.
  int file = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (file < 0)
    return failToOpen(path, message, messageSize);
  treadle_status status = mapFile(model, file, path, message, messageSize);
  close(file);
  return status;
}

treadle_status treadle_weights_open(treadle_model *model, const char *path,
                                    char *message, size_t messageSize) {
  uint32_t mode = treadle_header()->weights.mode;
  if (mode == TREADLE_PROGRAM_WEIGHTS_EXTERNAL) {
    if (path)
      return openExternal(model, path, message, messageSize);
    treadle_format(message, messageSize,
                   "expects the path of the packed weights: this library holds "
                   "none");
    return TREADLE_STATUS_INVALID_ARGUMENT;
  }
  if (path) {
    treadle_format(message, messageSize,
                   "expects no path of weights (got %s): this library %s", path,
                   mode == TREADLE_PROGRAM_WEIGHTS_EMBED ? "holds its own"
                                                         : "needs none");
    return TREADLE_STATUS_INVALID_ARGUMENT;
  }
  if (mode == TREADLE_PROGRAM_WEIGHTS_EMBED)
    return checkContainer(model, treadle_weights_begin,
                          "the content of the library", message, messageSize);
  model->weights = treadle_weights_begin;
  return TREADLE_STATUS_OK;
}

void treadle_weights_close(treadle_model *model) {
  if (model->mapped_size)
    munmap((void *)(uintptr_t)model->container, model->mapped_size);
}

//===----------------------------------------------------------------------===//
// Verify
//===----------------------------------------------------------------------===//

treadle_status treadle_model_verify(const treadle_model *model, char *message,
                                    size_t messageSize) {
  treadle_format(message, messageSize, "");
  if (!model)
    return TREADLE_STATUS_INVALID_ARGUMENT;
  if (!model->container)
    return TREADLE_STATUS_OK;
  const treadle_program_weights *weights = &treadle_header()->weights;
  treadle_sha256 hash;
  treadle_sha256_init(&hash);
  treadle_sha256_update(&hash, model->weights,
                        weights->file_size - weights->header_size);
  uint8_t digest[32];
  treadle_sha256_final(&hash, digest);
  if (!memcmp(digest, model->weights_digest, sizeof(digest)))
    return TREADLE_STATUS_OK;
  treadle_format(message, messageSize,
                 "the weights do not match the digest in their header: the "
                 "file is damaged");
  return TREADLE_STATUS_CORRUPT;
}

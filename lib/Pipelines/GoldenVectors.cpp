//===- GoldenVectors.cpp - What the reference says ------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "GoldenVectors.h"

#include "treadle/Model/TensorSource.h"
#include "treadle/Support/Error.h"
#include <cmath>
#include <cstring>

using namespace llvm;
using namespace treadle;

template <typename T> static std::vector<T> readElements(const Tensor &tensor) {
  std::vector<T> elements(tensor.getNumElements());
  std::memcpy(elements.data(), tensor.data.data(), elements.size() * sizeof(T));
  return elements;
}

static Error makeTensorError(const Tensor &tensor, const Twine &expected) {
  return makeError(tensor.file + ": " + quote(tensor.name) + ": expected " + expected + ", got " +
                   tensor.describe());
}

/// Whole numbers that fit 32 bits.
static Expected<std::vector<int32_t>> readIntegers(const Tensor &tensor) {
  if (tensor.type->name == "I32")
    return readElements<int32_t>(tensor);
  if (tensor.type->name != "I64")
    return makeTensorError(tensor, "I32 or I64");
  std::vector<int32_t> numbers;
  for (int64_t number : readElements<int64_t>(tensor)) {
    if (!isInt<32>(number))
      return makeTensorError(tensor, "numbers of 32 bits");
    numbers.push_back(number);
  }
  return numbers;
}

/// Finds the tensors of one case.
class CaseReader {
public:
  CaseReader(const TensorSource &source, StringRef prefix) : source(source), prefix(prefix) {}

  Expected<GoldenVector> read(float defaultTolerance) const {
    GoldenVector golden;
    golden.tolerance = defaultTolerance;
    if (Error error = readIds(golden))
      return error;
    if (Error error = readLogits(golden))
      return error;
    if (Error error = readMask(golden))
      return error;
    if (Error error = readNumbers(golden))
      return error;
    return golden;
  }

private:
  const Tensor *find(StringRef name) const { return source.find((prefix + name).str()); }

  Error readIds(GoldenVector &golden) const {
    const Tensor &ids = *find("ids");
    if (ids.shape.size() != 1)
      return makeTensorError(ids, "one dimension");
    return readIntegers(ids).moveInto(golden.ids);
  }

  Error readLogits(GoldenVector &golden) const {
    const Tensor *logits = find("logits");
    if (!logits)
      return makeError(source.getPath() + ": expected a tensor '" + quote(prefix) + "logits'");
    if (logits->type->name != "F32" || logits->shape.size() != 2 ||
        logits->shape[0] != int64_t(golden.ids.size()))
      return makeTensorError(*logits, "F32 [" + Twine(golden.ids.size()) + ", vocabulary]");
    golden.logits = readElements<float>(*logits);
    // Negative infinity is no token's logit, in a padded vocabulary.
    if (!all_of(golden.logits,
                [](float logit) { return logit <= std::numeric_limits<float>::max(); }))
      return makeTensorError(*logits, "numbers below infinity");
    return Error::success();
  }

  Error readMask(GoldenVector &golden) const {
    const Tensor *mask = find("mask");
    if (!mask)
      return Error::success();
    bool isMask = mask->type->name == "U8" || mask->type->name == "BOOL";
    if (!isMask || mask->getNumElements() != int64_t(golden.ids.size()))
      return makeTensorError(*mask, "U8 or BOOL [" + Twine(golden.ids.size()) + "]");
    for (uint8_t attended : readElements<uint8_t>(*mask))
      golden.mask.push_back(attended != 0);
    return Error::success();
  }

  Error readNumbers(GoldenVector &golden) const {
    if (const Tensor *loops = find("loops")) {
      if (loops->getNumElements() != 1)
        return makeTensorError(*loops, "one number");
      Expected<std::vector<int32_t>> number = readIntegers(*loops);
      if (!number)
        return number.takeError();
      golden.loops = number->front();
    }
    if (const Tensor *tolerance = find("tolerance")) {
      if (tolerance->getNumElements() != 1 || tolerance->type->name != "F32")
        return makeTensorError(*tolerance, "one number of F32");
      golden.tolerance = readElements<float>(*tolerance).front();
      if (!(golden.tolerance > 0 && golden.tolerance < 1))
        return makeTensorError(*tolerance, "a number between 0 and 1");
    }
    return Error::success();
  }

  const TensorSource &source;
  StringRef prefix;
};

Expected<std::vector<GoldenVector>> treadle::readGoldenVectors(StringRef path,
                                                               float defaultTolerance) {
  Expected<TensorSource> source = TensorSource::open(path);
  if (!source)
    return source.takeError();
  std::vector<GoldenVector> vectors;
  for (const Tensor &tensor : source->getTensors()) {
    StringRef prefix = tensor.name;
    if (!prefix.consume_back("ids") || !(prefix.empty() || prefix.ends_with(".")))
      continue;
    Expected<GoldenVector> golden = CaseReader(*source, prefix).read(defaultTolerance);
    if (!golden)
      return golden.takeError();
    vectors.push_back(std::move(*golden));
  }
  if (vectors.empty())
    return makeError(path + ": expected a tensor 'ids'");
  return vectors;
}

//===- Tensor.cpp - One tensor of a checkpoint ----------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "treadle/Model/TensorSource.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/bit.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/MathExtras.h"

#include <cmath>

using namespace llvm;
using namespace treadle;

const ElementType *treadle::findElementType(StringRef name) {
  static constexpr ElementType types[] = {
      {"F64", 8, true},   {"F32", 4, true},      {"F16", 2, true},     {"BF16", 2, true},
      {"I64", 8, false},  {"U64", 8, false},     {"I32", 4, false},    {"U32", 4, false},
      {"I16", 2, false},  {"U16", 2, false},     {"I8", 1, false},     {"U8", 1, false},
      {"BOOL", 1, false}, {"F8_E4M3", 1, false}, {"F8_E5M2", 1, false}};
  for (const ElementType &type : types)
    if (type.name == name)
      return &type;
  return nullptr;
}

std::string treadle::describeShape(ArrayRef<int64_t> shape) {
  return "[" + join(map_range(shape, [](int64_t size) { return std::to_string(size); }), ", ") +
         "]";
}

int64_t Tensor::getNumElements() const { return product_of(shape); }

std::string Tensor::describe() const { return type->name.str() + " " + describeShape(shape); }

//===----------------------------------------------------------------------===//
// Numbers
//===----------------------------------------------------------------------===//

static float fromF16(uint16_t half) {
  uint32_t sign = uint32_t(half & 0x8000) << 16, exponent = half >> 10 & 31, fraction = half & 1023;
  if (exponent == 0) // zero or subnormal: fraction * 2^-24
    return std::copysign(static_cast<float>(fraction) * 0x1p-24f, sign ? -1.0f : 1.0f);
  uint32_t wide = exponent == 31 ? 255 : exponent + 112;
  return bit_cast<float>(sign | wide << 23 | fraction << 13);
}

template <typename Word, typename Convert>
static void readAs(ArrayRef<uint8_t> data, int64_t first, int64_t stride,
                   MutableArrayRef<float> out, Convert convert) {
  auto readEach = [&, at = data.data() + first * sizeof(Word)](auto step) mutable {
    for (float &value : out) {
      value = convert(support::endian::read<Word, endianness::little>(at));
      at += step * sizeof(Word);
    }
  };
  // Neighbours, by far the most, are read several at a time.
  if (stride == 1)
    readEach(std::integral_constant<int64_t, 1>());
  else
    readEach(stride);
}

void Tensor::read(int64_t first, int64_t stride, MutableArrayRef<float> out) const {
  assert(type->readable && "expected a type that holds weights");
  assert((out.empty() ||
          (first >= 0 && first + stride * int64_t(out.size() - 1) < getNumElements())) &&
         "expected elements of this tensor");
  if (type->name == "F32")
    readAs<uint32_t>(data, first, stride, out, [](uint32_t bits) { return bit_cast<float>(bits); });
  else if (type->name == "BF16")
    readAs<uint16_t>(data, first, stride, out,
                     [](uint16_t bits) { return bit_cast<float>(uint32_t(bits) << 16); });
  else if (type->name == "F16")
    readAs<uint16_t>(data, first, stride, out, fromF16);
  else
    readAs<uint64_t>(data, first, stride, out,
                     [](uint64_t bits) { return static_cast<float>(bit_cast<double>(bits)); });
}

bool treadle::haveEqualNumbers(const Tensor &a, const Tensor &b, int64_t *difference) {
  int64_t count = a.getNumElements();
  if (difference)
    *difference = 0;
  if (a.shape != b.shape || !a.type->readable || !b.type->readable)
    return false;
  std::vector<float> left(1 << 14), right(left.size());
  for (int64_t first = 0; first < count; first += left.size()) {
    size_t size = std::min<int64_t>(left.size(), count - first);
    a.read(first, 1, MutableArrayRef(left).take_front(size));
    b.read(first, 1, MutableArrayRef(right).take_front(size));
    for (size_t i = 0; i < size; ++i) {
      if (left[i] == right[i] || (std::isnan(left[i]) && std::isnan(right[i])))
        continue;
      if (difference)
        *difference = first + i;
      return false;
    }
  }
  return true;
}

//===- WeightPacker.cpp - The container of packed weights -----------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "treadle/Model/WeightPacker.h"

#include "treadle/Dialect/Treadle/IR/Layout.h"
#include "treadle/Model/WeightBinding.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/bit.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/MathExtras.h"

#include <cmath>
#include <limits>

using namespace mlir;
using namespace treadle;

static constexpr size_t digestDigits = 64;

/// How many numbers of a vector are converted at a time.
static constexpr int64_t chunkSize = 1 << 14;

/// How many bytes lie between two calls of the progress function, and between
/// two releases of pages that have been read.
static constexpr uint64_t progressBytes = uint64_t(8) << 20;

std::string treadle::toHex(llvm::ArrayRef<uint8_t> bytes) {
  return llvm::toHex(bytes, /*LowerCase=*/true);
}

//===----------------------------------------------------------------------===//
// Header
//===----------------------------------------------------------------------===//

/// The shape under which a weight's slots tile their part of the data: where
/// slots are padded to their border, each is one row of padded numbers.
static llvm::json::Array describeStorage(WeightOp weight, const SlotLayout &place) {
  llvm::json::Array shape;
  for (int64_t slot : weight.getSlots())
    shape.push_back(slot);
  WeightType type = weight.getType();
  if (getSlotBytes(type) == place.stride)
    for (int64_t size : getStorageShape(type))
      shape.push_back(size);
  else
    shape.push_back(place.stride / (type.getElementType().getIntOrFloatBitWidth() / 8));
  return shape;
}

PackedHeader treadle::makePackedHeader(ModuleOp module, llvm::StringRef libraryId) {
  Layout layout = layoutWeights(module);
  std::string json = "{\"__metadata__\":{\"content_sha256\":\"";
  PackedHeader header;
  header.digestOffset = sizeof(uint64_t) + json.size();
  header.dataBytes = layout.bytes;

  llvm::raw_string_ostream os(json);
  os << std::string(digestDigits, '0')
     << "\",\"format\":\"treadle-packed\",\"library\":" << llvm::json::Value(libraryId) << '}';
  for (auto weight : module.getOps<WeightOp>()) {
    const SlotLayout &place = layout.symbols[weight.getSymNameAttr()];
    int64_t end = place.offset + place.stride * llvm::product_of(weight.getSlots());
    os << ',' << llvm::json::Value(weight.getSymName()) << ':'
       << llvm::json::Value(llvm::json::Object{
              {"dtype", weight.getType().getElementType().isBF16() ? "BF16" : "F32"},
              {"shape", describeStorage(weight, place)},
              {"data_offsets", llvm::json::Array{place.offset, end}}});
  }
  os << '}';
  // The data begins on a border of its own alignment.
  size_t bytes = llvm::alignTo(sizeof(uint64_t) + json.size(), slotAlignment);
  json.resize(bytes - sizeof(uint64_t), ' ');

  header.bytes.resize(sizeof(uint64_t));
  llvm::support::endian::write64le(header.bytes.data(), json.size());
  header.bytes += json;
  header.digest = Sha256::hash(header.bytes);
  return header;
}

//===----------------------------------------------------------------------===//
// Data
//===----------------------------------------------------------------------===//

namespace {
/// The data region on its way out: hashed and counted.
class Sink {
public:
  Sink(llvm::raw_ostream &os, const TensorSource &source, const PackOptions &options,
       uint64_t total)
      : os(os), source(source), options(options), total(total) {}

  void write(llvm::ArrayRef<uint8_t> bytes) {
    os.write(reinterpret_cast<const char *>(bytes.data()), bytes.size());
    hash.update(bytes);
    done += bytes.size();
    if (done - reported < progressBytes && done != total)
      return;
    reported = done;
    source.releasePages();
    if (options.progress)
      options.progress(done, total);
  }

  void pad(uint64_t bytes) {
    if (bytes)
      write(std::vector<uint8_t>(bytes));
  }

  Sha256Digest finish() { return hash.finish(); }

private:
  llvm::raw_ostream &os;
  const TensorSource &source;
  const PackOptions &options;
  Sha256 hash;
  uint64_t done = 0, reported = 0, total;
};

/// The numbers of a slot in row-major order, wherever they stand in its sources.
class SlotReader {
public:
  /// `warn`, where given, hears of the first number that is none.
  SlotReader(llvm::ArrayRef<const Tensor *> sources, WeightOp weight, WarningHandler &warn);

  /// Elements `first`, `first + 1`, ... of the slot.
  void read(int64_t first, llvm::MutableArrayRef<float> out);

private:
  llvm::ArrayRef<const Tensor *> sources;
  llvm::SmallVector<int64_t> sizes, strides; ///< of a source, in the order in which it is read
  int64_t elements;                          ///< of one source
  WarningHandler &warn;
};

/// Converts and packs one slot after the other.
class Packer {
public:
  Packer(Sink &sink, const PackOptions &options) : sink(sink), warn(options.warn) {}

  void packSlot(WeightOp weight, llvm::ArrayRef<const Tensor *> sources, int64_t stride);

private:
  template <bool isBF16> void pack(WeightType type, SlotReader &reader);
  template <bool isBF16> void packPlain(WeightType type, SlotReader &reader);
  template <bool isBF16> void packPanels(WeightType type, SlotReader &reader);

  Sink &sink;
  WarningHandler warn; ///< until it has been called
};
} // namespace

/// Nearest, ties to even; a NaN stays one.
static uint16_t toBF16(float value) {
  uint32_t bits = llvm::bit_cast<uint32_t>(value);
  if (std::isnan(value))
    return bits >> 16 | 0x40;
  return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

/// Stores `value` in front of `to`, and moves on.
template <bool isBF16> static void store(uint8_t *&to, float value) {
  if constexpr (isBF16) {
    llvm::support::endian::write16le(to, toBF16(value));
    to += 2;
  } else {
    llvm::support::endian::write32le(to, llvm::bit_cast<uint32_t>(value));
    to += 4;
  }
}

/// Without an early exit, so that it takes several at a time.
static bool areFinite(llvm::ArrayRef<float> values) {
  bool finite = true;
  for (float value : values)
    finite &= std::abs(value) <= std::numeric_limits<float>::max();
  return finite;
}

SlotReader::SlotReader(llvm::ArrayRef<const Tensor *> sources, WeightOp weight,
                       WarningHandler &warn)
    : sources(sources), warn(warn) {
  SourceView view = getSourceView(weight);
  llvm::SmallVector<int64_t> stored(view.shape.size(), 1);
  for (int64_t dim = int64_t(view.shape.size()) - 2; dim >= 0; --dim)
    stored[dim] = stored[dim + 1] * view.shape[dim + 1];
  for (int64_t dim : view.order) {
    sizes.push_back(view.shape[dim]);
    strides.push_back(stored[dim]);
  }
  if (sizes.empty()) { // a scalar
    sizes = {1};
    strides = {1};
  }
  elements = llvm::product_of(sizes);
}

void SlotReader::read(int64_t first, llvm::MutableArrayRef<float> out) {
  // Runs along the last dimension, each at one distance in the source.
  while (!out.empty()) {
    const Tensor &source = *sources[first / elements];
    int64_t rest = first % elements, along = rest % sizes.back(), offset = 0;
    for (auto [size, stride] : llvm::reverse(llvm::zip(sizes, strides))) {
      offset += rest % size * stride;
      rest /= size;
    }
    size_t count = std::min<size_t>(out.size(), sizes.back() - along);
    llvm::MutableArrayRef<float> run = out.take_front(count);
    source.read(offset, strides.back(), run);
    if (warn && !areFinite(run)) {
      warn(source.file + ": " + quote(source.name) +
           ": holds NaN or infinity, and so will the results");
      warn = nullptr;
    }
    out = out.drop_front(count);
    first += count;
  }
}

template <bool isBF16> void Packer::packPlain(WeightType type, SlotReader &reader) {
  int64_t width = isBF16 ? 2 : 4, count = llvm::product_of(type.getShape());
  std::vector<float> values;
  std::vector<uint8_t> bytes;
  for (int64_t first = 0; first < count; first += chunkSize) {
    values.resize(std::min(chunkSize, count - first));
    bytes.resize(values.size() * width);
    reader.read(first, values);
    uint8_t *to = bytes.data();
    for (float value : values)
      store<isBF16>(to, value);
    sink.write(bytes);
  }
}

/// One panel at a time: 16 outputs, K in order, `depth` neighbouring k together. The matrices of a
/// stack follow each other. What lies past the last output or the last k is zero.
template <bool isBF16> void Packer::packPanels(WeightType type, SlotReader &reader) {
  constexpr int64_t depth = isBF16 ? 2 : 1;
  assert(depth == getPanelDepth(type.getElementType()) && "expected the layout of panels");
  int64_t outputs = type.getShape().take_back(2)[0], inputs = type.getShape().back();
  int64_t panels = llvm::divideCeilSigned(outputs, panelWidth);
  int64_t matrices = llvm::product_of(type.getShape().drop_back(2));
  int64_t rowSize = llvm::alignTo(inputs, depth);
  std::vector<float> rows(panelWidth * rowSize);
  std::vector<uint8_t> panel(getSlotBytes(type) / (matrices * panels));
  for (int64_t index = 0; index < matrices * panels; ++index) {
    int64_t origin = index / panels * outputs, first = index % panels * panelWidth;
    int64_t lanes = std::min(panelWidth, outputs - first);
    if (lanes < panelWidth)
      llvm::fill(rows, 0.0f);
    for (int64_t lane = 0; lane < lanes; ++lane)
      reader.read((origin + first + lane) * inputs,
                  llvm::MutableArrayRef(rows).slice(lane * rowSize, inputs));
    uint8_t *to = panel.data();
    for (int64_t k = 0; k < rowSize; k += depth)
      for (int64_t lane = 0; lane < panelWidth; ++lane)
        for (int64_t part = 0; part < depth; ++part)
          store<isBF16>(to, rows[lane * rowSize + k + part]);
    sink.write(panel);
  }
}

template <bool isBF16> void Packer::pack(WeightType type, SlotReader &reader) {
  if (type.getPacking() == Packing::panels)
    packPanels<isBF16>(type, reader);
  else
    packPlain<isBF16>(type, reader);
}

void Packer::packSlot(WeightOp weight, llvm::ArrayRef<const Tensor *> sources, int64_t stride) {
  WeightType type = weight.getType();
  SlotReader reader(sources, weight, warn);
  if (type.getElementType().isBF16())
    pack<true>(type, reader);
  else
    pack<false>(type, reader);
  sink.pad(stride - getSlotBytes(type));
}

llvm::Expected<Sha256Digest> treadle::packWeights(ModuleOp module, const TensorSource &source,
                                                  llvm::StringRef libraryId,
                                                  llvm::raw_pwrite_stream &os,
                                                  const PackOptions &options) {
  assert(os.tell() == 0 && "expected an empty file");
  PackedHeader header = makePackedHeader(module, libraryId);
  os << header.bytes;

  Layout layout = layoutWeights(module);
  Sink sink(os, source, options, header.dataBytes);
  Packer packer(sink, options);
  for (auto weight : module.getOps<WeightOp>()) {
    int64_t stride = layout.symbols[weight.getSymNameAttr()].stride;
    llvm::SmallVector<const Tensor *> sources;
    for (auto name : weight.getSources().getAsValueRange<StringAttr>()) {
      const Tensor *tensor = source.find(name);
      if (!tensor)
        return makeError(source.getPath() + ": " + quote(name) + ": expected a tensor of shape " +
                         describeShape(getSourceView(weight).shape) + ", got none");
      if (llvm::Error error = checkTensor(*tensor, weight))
        return std::move(error);
      sources.push_back(tensor);
    }
    llvm::ArrayRef<const Tensor *> left = sources;
    for (; !left.empty(); left = left.drop_front(weight.getNumParts()))
      packer.packSlot(weight, left.take_front(weight.getNumParts()), stride);
  }
  Sha256Digest digest = sink.finish();
  std::string digits = treadle::toHex(digest);
  os.pwrite(digits.data(), digits.size(), header.digestOffset);
  return digest;
}

//===- WeightPackerTest.cpp - The container of packed weights -------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "TinyModel.h"
#include "mlir/Parser/Parser.h"
#include "treadle/Dialect/Treadle/IR/Layout.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/SHA256.h"
#include "gtest/gtest.h"
#include <cmath>
#include <numeric>

using namespace mlir;
using namespace treadle;
using namespace treadle::test;

namespace {

/// Weights by hand, packed into memory.
class WeightPacker : public testing::Test {
protected:
  void pack(StringRef weights, llvm::ArrayRef<StoredTensor> tensors) {
    model.context.loadDialect<TreadleDialect>();
    module = parseSourceString<ModuleOp>(weights, &model.context);
    ASSERT_TRUE(module);
    auto source = llvm::cantFail(
        TensorSource::open(model.directory.write("w.safetensors", makeFile(tensors))));
    llvm::raw_svector_ostream os(bytes);
    PackOptions options;
    options.warn = model.warn;
    digest = llvm::cantFail(packWeights(*module, source, "abcd", os, options));
    header = makePackedHeader(*module, "abcd");
  }

  llvm::StringRef data() { return bytes.str().drop_front(header.bytes.size()); }
  float f32(size_t index) {
    return llvm::bit_cast<float>(llvm::support::endian::read32le(data().data() + 4 * index));
  }
  uint16_t bf16(size_t index) { return llvm::support::endian::read16le(data().data() + 2 * index); }

  TinyModel model;
  OwningOpRef<ModuleOp> module;
  llvm::SmallString<4096> bytes;
  Sha256Digest digest;
  PackedHeader header;
};

std::vector<float> count(int size) {
  std::vector<float> values(size);
  std::iota(values.begin(), values.end(), 1.0f);
  return values;
}

TEST_F(WeightPacker, PutsOutputsOnLanes) {
  pack(R"(treadle.weight @w : !treadle.weight<17x3xf32, panels> from ["w"])",
       makeF32("w", {17, 3}, count(51)));
  ASSERT_EQ(data().size(), 2u * 3 * 16 * 4);
  for (int n = 0; n < 32; ++n)
    for (int k = 0; k < 3; ++k)
      EXPECT_EQ(f32((n / 16 * 3 + k) * 16 + n % 16), n < 17 ? n * 3 + k + 1 : 0);
}

TEST_F(WeightPacker, PairsNeighboursInBF16) {
  pack(R"(treadle.weight @w : !treadle.weight<2x3xbf16, panels> from ["w"])",
       makeF32("w", {2, 3}, count(6)));
  ASSERT_EQ(data().size(), 2u * 16 * 2 * 2);
  for (int n = 0; n < 16; ++n)
    for (int k = 0; k < 4; ++k) {
      float value = n < 2 && k < 3 ? n * 3 + k + 1 : 0;
      EXPECT_EQ(bf16((k / 2 * 16 + n) * 2 + k % 2), llvm::bit_cast<uint32_t>(value) >> 16);
    }
}

TEST_F(WeightPacker, TurnsTransposedSources) {
  pack(R"(treadle.weight @w : !treadle.weight<2x3xf32, panels> from ["w"]
            view #treadle.view<[3, 2], [1, 0]>)",
       makeF32("w", {3, 2}, count(6)));
  for (int n = 0; n < 2; ++n)
    for (int k = 0; k < 3; ++k)
      EXPECT_EQ(f32(k * 16 + n), k * 2 + n + 1);
}

TEST_F(WeightPacker, PutsMatricesOfAStackOneAfterTheOther) {
  pack(R"(treadle.weight @w : !treadle.weight<3x17x2xf32, panels> from ["w"])",
       makeF32("w", {3, 17, 2}, count(102)));
  ASSERT_EQ(data().size(), 3u * 2 * 2 * 16 * 4);
  for (int g = 0; g < 3; ++g)
    for (int n = 0; n < 32; ++n)
      for (int k = 0; k < 2; ++k)
        EXPECT_EQ(f32(((g * 2 + n / 16) * 2 + k) * 16 + n % 16),
                  n < 17 ? (g * 17 + n) * 2 + k + 1 : 0);
}

TEST_F(WeightPacker, StacksMatricesStoredInputFirst) {
  // [heads][inputs][outputs] as 2 matrices of 3 outputs and 2 inputs; the source has one more
  // dimension.
  pack(R"(treadle.weight @w : !treadle.weight<2x3x2xf32, panels> from ["w"]
            view #treadle.view<[1, 2, 2, 3], [0, 1, 3, 2]>)",
       makeF32("w", {2, 2, 3}, count(12)));
  for (int h = 0; h < 2; ++h)
    for (int n = 0; n < 16; ++n)
      for (int k = 0; k < 2; ++k)
        EXPECT_EQ(f32(h * 32 + k * 16 + n), n < 3 ? h * 6 + k * 3 + n + 1 : 0);
}

TEST_F(WeightPacker, ReadsARowFromSeveralDimensions) {
  // A convolution [outputs][inputs][taps] as a matrix over taps, then inputs.
  pack(R"(treadle.weight @w : !treadle.weight<2x6xf32, panels> from ["w"]
            view #treadle.view<[2, 2, 3], [0, 2, 1]>)",
       makeF32("w", {2, 2, 3}, count(12)));
  for (int n = 0; n < 2; ++n)
    for (int tap = 0; tap < 3; ++tap)
      for (int k = 0; k < 2; ++k)
        EXPECT_EQ(f32((tap * 2 + k) * 16 + n), n * 6 + k * 3 + tap + 1);
}

TEST_F(WeightPacker, JoinsTheSourcesOfASlot) {
  pack(R"(treadle.weight @v : !treadle.weight<4xf32, plain> slots [2] from ["a", "b", "c", "d"]
          treadle.weight @w : !treadle.weight<2x2x2xf32, panels> from ["e", "f"]
            view #treadle.view<[2, 2], [1, 0]>)",
       {makeF32("a", {2}, {1, 2}), makeF32("b", {2}, {3, 4}), makeF32("c", {2}, {5, 6}),
        makeF32("d", {1, 2}, {7, 8}), makeF32("e", {2, 2}, count(4)),
        makeF32("f", {2, 2}, {5, 6, 7, 8})});
  for (int slot = 0; slot < 2; ++slot)
    for (int i = 0; i < 4; ++i)
      EXPECT_EQ(f32(slot * 16 + i), slot * 4 + i + 1);
  for (int h = 0; h < 2; ++h)
    for (int n = 0; n < 2; ++n)
      for (int k = 0; k < 2; ++k)
        EXPECT_EQ(f32(32 + h * 32 + k * 16 + n), h * 4 + k * 2 + n + 1);
}

TEST_F(WeightPacker, RoundsToNearestEven) {
  auto bits = [](uint32_t word) { return llvm::bit_cast<float>(word); };
  pack(R"(treadle.weight @w : !treadle.weight<6xbf16, plain> from ["w"])",
       makeF32("w", {6},
               {bits(0x3f808000), bits(0x3f818000), bits(0x3f808001), bits(0xbf807fff),
                bits(0x7f7fffff), bits(0x7f800001)}));
  uint16_t expected[] = {0x3f80, 0x3f82, 0x3f81, 0xbf80, 0x7f80, 0x7fc0};
  for (int i = 0; i < 6; ++i)
    EXPECT_EQ(bf16(i), expected[i]);
}

TEST_F(WeightPacker, PadsSlotsToTheirBorder) {
  pack(R"(treadle.weight @w : !treadle.weight<5xf32, plain> slots [2] from ["a", "b"]
          treadle.weight @g : !treadle.weight<f32, plain> from ["g"])",
       {makeF32("a", {5}, count(5)), makeF32("b", {5}, count(5)), makeF32("g", {}, 7.0f)});
  ASSERT_EQ(data().size(), 192u);
  EXPECT_EQ(f32(4), 5);
  EXPECT_EQ(f32(5), 0);
  EXPECT_EQ(f32(16), 1);
  EXPECT_EQ(f32(32), 7);
}

TEST_F(WeightPacker, WritesAHeaderThatTilesTheData) {
  pack(
      R"(treadle.weight @w : !treadle.weight<5xf32, plain> slots [2] from ["a", "b"]
          treadle.weight @m : !treadle.weight<17x3xbf16, panels> from ["m"])",
      {makeF32("a", {5}, count(5)), makeF32("b", {5}, count(5)), makeF32("m", {17, 3}, count(51))});
  uint64_t length = llvm::support::endian::read64le(bytes.data());
  EXPECT_EQ((8 + length) % 64, 0u);
  EXPECT_EQ(bytes.size(), header.getFileBytes());
  EXPECT_EQ(bytes.str().substr(8, length).rtrim(' '),
            R"({"__metadata__":{"content_sha256":")" + toHex(digest) +
                R"(","format":"treadle-packed","library":"abcd"},)"
                R"("w":{"data_offsets":[0,128],"dtype":"F32","shape":[2,16]},)"
                R"("m":{"data_offsets":[128,384],"dtype":"BF16","shape":[2,2,16,2]}})");
}

TEST_F(WeightPacker, BindsHeaderAndContentByDigests) {
  pack(R"(treadle.weight @w : !treadle.weight<5xf32, plain> from ["w"])",
       makeF32("w", {5}, count(5)));
  EXPECT_EQ(llvm::SHA256::hash(llvm::arrayRefFromStringRef(data())), digest);
  EXPECT_EQ(bytes.str().substr(header.digestOffset, 64), toHex(digest));
  llvm::SmallString<4096> zeroed = bytes;
  std::fill_n(zeroed.begin() + header.digestOffset, 64, '0');
  EXPECT_EQ(zeroed.str().take_front(header.bytes.size()), header.bytes);
  EXPECT_EQ(llvm::SHA256::hash(llvm::arrayRefFromStringRef(header.bytes)), header.digest);
}

TEST_F(WeightPacker, WarnsOfNaNOnce) {
  pack(R"(treadle.weight @a : !treadle.weight<1xf32, plain> from ["a"]
          treadle.weight @b : !treadle.weight<1xf32, plain> from ["b"])",
       {makeF32("a", {1}, NAN), makeF32("b", {1}, INFINITY)});
  EXPECT_EQ(model.warnings, std::vector<std::string>{"w.safetensors: a: holds NaN or infinity, and "
                                                     "so will the results"});
}

TEST(PackWeights, ReportsProgressAndPacksTheSameTwice) {
  TinyModel model;
  auto tensors = model.makeTensors();
  ASSERT_EQ(model.bind(tensors), "success");
  TensorSource source = model.store(tensors);
  uint64_t last = 0, expected = 0;
  auto progress = [&](uint64_t done, uint64_t total) {
    last = done;
    expected = total;
  };
  PackOptions options;
  options.progress = progress;
  llvm::SmallString<0> files[2];
  for (llvm::SmallString<0> &file : files) {
    llvm::raw_svector_ostream os(file);
    EXPECT_EQ(toText(packWeights(*model.module, source, "id", os, options)), "success");
  }
  EXPECT_EQ(files[0], files[1]);
  EXPECT_EQ(last, static_cast<uint64_t>(layoutWeights(*model.module).bytes));
  EXPECT_EQ(last, expected);
}

TEST(PackWeights, RefusesAModuleThatIsNotBound) {
  TinyModel model;
  auto tensors = model.makeTensors();
  tensors.erase("final_norm.weight");
  OwningOpRef<ModuleOp> module = model.build();
  auto pack = [&] {
    TensorSource source = model.store(tensors);
    llvm::SmallString<0> file;
    llvm::raw_svector_ostream os(file);
    return model.directory.strip(toText(packWeights(*module, source, "id", os)));
  };
  EXPECT_EQ(pack(), "w.safetensors: final_norm.weight: expected a tensor of shape [8], got none");
  tensors["final_norm.weight"] = makeF32("final_norm.weight", {2}, {1.0f, 2.0f});
  EXPECT_EQ(pack(), "w.safetensors: final_norm.weight: expected shape [8], got [2]");
}

} // namespace

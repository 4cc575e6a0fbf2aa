//===- SafetensorsTest.cpp - Good and malformed weight files --------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Files.h"
#include "treadle/Model/TensorSource.h"
#include "gtest/gtest.h"
#include <cmath>

using namespace llvm;
using namespace treadle;
using namespace treadle::test;

namespace {

TEST(Safetensors, ReadsEveryTypeOfWeight) {
  Directory directory;
  auto source = TensorSource::open(directory.write(
      "w.safetensors", makeFile({{"f64", "F64", {1}, std::string("\0\0\0\0\0\0\xf8\xbf", 8)},
                                 {"f32", "F32", {1}, std::string("\0\0\xc0\xbf", 4)},
                                 {"f16", "F16", {4}, std::string("\0\xbe\1\0\0\x80\0\xfc", 8)},
                                 {"bf16", "BF16", {2}, std::string("\xc0\xbf\x80\x7f", 4)}})));
  ASSERT_EQ(toText(source.takeError()), "success");
  auto read = [&](StringRef name, int64_t index) {
    float value;
    source->find(name)->read(index, 1, value);
    return value;
  };
  EXPECT_EQ(read("f64", 0), -1.5f);
  EXPECT_EQ(read("f32", 0), -1.5f);
  EXPECT_EQ(read("f16", 0), -1.5f);
  EXPECT_EQ(read("f16", 1), 0x1p-24f);
  EXPECT_TRUE(std::signbit(read("f16", 2)));
  EXPECT_EQ(read("f16", 3), -INFINITY);
  EXPECT_EQ(read("bf16", 0), -1.5f);
  EXPECT_EQ(read("bf16", 1), INFINITY);
}

TEST(Safetensors, ReadsScalarsAndEmptyTensors) {
  Directory directory;
  auto source = TensorSource::open(directory.write(
      "w.safetensors", makeFile({{"none", "F32", {0, 3}, ""}, makeF32("one", {}, 2.0f)})));
  ASSERT_EQ(toText(source.takeError()), "success");
  EXPECT_EQ(source->find("none")->getNumElements(), 0);
  EXPECT_EQ(source->find("one")->getNumElements(), 1);
  EXPECT_EQ(source->find("two"), nullptr);
}

TEST(Safetensors, ReadsShards) {
  Directory directory;
  directory.write("a.safetensors", makeFile({makeF32("x", {1}, 1.0f)}));
  directory.write("b.safetensors", makeFile({makeF32("y", {1}, 2.0f)}));
  directory.write(
      "model.safetensors.index.json",
      R"({"metadata": {}, "weight_map": {"x": "a.safetensors", "y": "b.safetensors"}})");
  auto source = TensorSource::open(directory.str());
  ASSERT_EQ(toText(source.takeError()), "success");
  EXPECT_TRUE(source->find("x") && source->find("y"));
}

TEST(Safetensors, ReadsWithAStride) {
  Directory directory;
  auto source = TensorSource::open(directory.write(
      "w.safetensors", makeFile({makeF32("x", {2, 3}, {1.0f, 2.0f, 3.0f, 4.0f, 5.0f, 6.0f})})));
  ASSERT_EQ(toText(source.takeError()), "success");
  float column[2];
  source->find("x")->read(1, 3, column);
  EXPECT_EQ(column[0], 2);
  EXPECT_EQ(column[1], 5);
}

//===----------------------------------------------------------------------===//
// Malformed files
//===----------------------------------------------------------------------===//

struct Malformed {
  const char *name;
  std::string bytes;
  std::string message; ///< behind `w.safetensors: `
};

class MalformedFile : public testing::TestWithParam<Malformed> {};

TEST_P(MalformedFile, IsRefused) {
  Directory directory;
  std::string file = directory.write("w.safetensors", GetParam().bytes);
  EXPECT_EQ(directory.strip(toText(TensorSource::open(file))),
            "w.safetensors: " + GetParam().message);
}

/// A file with one tensor `x`, described by hand, and 24 bytes of data.
std::string oneTensor(StringRef type, StringRef shape, StringRef offsets) {
  return makeFile(
      ("{\"x\":{\"dtype\":" + type + ",\"shape\":" + shape + ",\"data_offsets\":" + offsets + "}}")
          .str(),
      24);
}

/// A file with tensors of 3 floats at those offsets, and 24 bytes of data.
std::string tensorsAt(ArrayRef<int> offsets) {
  std::string header = "{";
  for (int offset : offsets)
    header += (header.size() > 1 ? "," : "") + ("\"x" + std::to_string(offset)) +
              R"(":{"dtype":"F32","shape":[3],"data_offsets":[)" + std::to_string(offset) + "," +
              std::to_string(offset + 12) + "]}";
  return makeFile(header + "}", 24);
}

const std::string noHeader = "; this is no safetensors file, or it is truncated";

const Malformed malformed[] = {
    // The file
    {"Empty", "", "expected a safetensors file of at least 8 bytes, got 0"},
    {"SevenBytes", "1234567", "expected a safetensors file of at least 8 bytes, got 7"},
    {"TornHeader", makeFile("{\"x\": 1}", 0).substr(0, 12),
     "expected a header of at most 4 bytes, got 8" + noHeader},
    {"HugeHeader", std::string(8, '\xff'),
     "expected a header of at most 0 bytes, got 18446744073709551615" + noHeader},
    {"TorchArchive", "PK\x03\x04 and so on",
     "expected a safetensors file, got a zip archive; if it is a torch checkpoint, convert it "
     "with treadle.convert"},
    {"TornData", StringRef(oneTensor("\"F32\"", "[2, 3]", "[0, 24]")).drop_back().str(),
     "x: expected data_offsets within 23 bytes of data, got [0, 24]"},
    // The header
    {"NoJSON", makeFile("{x}", 0), "line 1, column 2: expected JSON, got invalid literal"},
    {"NoObject", makeFile("[]", 0), "expected a header that is a JSON object, got an array"},
    {"DeepNesting", makeFile(std::string(100000, '['), 0),
     "expected at most 64 levels of nesting, got more"},
    {"NameThatIsNotUTF8", makeFile("{\"\xc3\": 1}", 0),
     "line 1, column 4: expected JSON, got invalid string: ill-formed UTF-8 byte"},
    {"DuplicateName", makeFile(R"({"x": 1, "x": 1})", 0),
     "/x: expected each key once, got it again"},
    {"MetadataThatIsNoText", makeFile(R"({"__metadata__": {"a": 1}})", 0),
     "__metadata__: expected an object of strings"},
    {"PackedWeights", makeFile(R"({"__metadata__": {"format": "treadle-packed"}})", 0),
     "expected the model's own safetensors, got weights that are already packed for a library"},
    // One tensor
    {"EntryThatIsNoObject", makeFile(R"({"x": 3})", 0),
     "x: expected an object of dtype, shape and data_offsets, got 3"},
    {"EntryWithoutOffsets", makeFile(R"({"x": {"dtype": "F32", "shape": []}})", 0),
     "x: expected an object of dtype, shape and data_offsets, got other members"},
    {"UnknownType", oneTensor("\"F31\"", "[6]", "[0, 24]"),
     "x: expected a known dtype such as F32 or BF16, got \"F31\""},
    {"TypeThatIsNoText", oneTensor("32", "[6]", "[0, 24]"),
     "x: expected a known dtype such as F32 or BF16, got 32"},
    {"NegativeDimension", oneTensor("\"F32\"", "[-2, -3]", "[0, 24]"),
     "x: expected dimensions of 0 or more, got -2"},
    {"FractionalDimension", oneTensor("\"F32\"", "[6.0]", "[0, 24]"),
     "x: expected dimensions of 0 or more, got 6.0"},
    {"ShapeThatIsNoList", oneTensor("\"F32\"", "6", "[0, 24]"),
     "x: expected a shape of at most 8 dimensions, got 6"},
    {"NineDimensions", oneTensor("\"F32\"", "[1,1,1,1,1,1,1,1,6]", "[0, 24]"),
     "x: expected a shape of at most 8 dimensions, got an array"},
    {"SizeThatOverflows", oneTensor("\"F32\"", "[4294967296, 4294967296, 4294967296]", "[0, 24]"),
     "x: expected a size of at most 63 bits, got shape [4294967296, 4294967296, 4294967296]"},
    {"SizeThatWrapsToTheRightOne", oneTensor("\"F32\"", "[4611686018427387910]", "[0, 24]"),
     "x: expected a size of at most 63 bits, got shape [4611686018427387910]"},
    {"ShapeOfAnotherSize", oneTensor("\"F32\"", "[5]", "[0, 24]"),
     "x: expected 20 bytes for F32 [5], got data_offsets [0, 24]"},
    {"OffsetsOutOfTheFile", oneTensor("\"F32\"", "[6]", "[24, 48]"),
     "x: expected data_offsets within 24 bytes of data, got [24, 48]"},
    {"OffsetsBackwards", oneTensor("\"F32\"", "[6]", "[24, 0]"),
     "x: expected data_offsets within 24 bytes of data, got [24, 0]"},
    {"NegativeOffset", oneTensor("\"F32\"", "[6]", "[-24, 0]"),
     "x: expected data_offsets [begin, end] of 0 or more, got an array"},
    {"ThreeOffsets", oneTensor("\"F32\"", "[6]", "[0, 12, 24]"),
     "x: expected data_offsets [begin, end] of 0 or more, got an array"},
    // All tensors
    {"Overlap", tensorsAt({0, 8, 12}),
     "x8: expected data at offset 12, where the tensor before it ends, got 8"},
    {"Hole", tensorsAt({12}),
     "x12: expected data at offset 0, where the tensor before it ends, got 12"},
    {"UncoveredData", tensorsAt({0}), "expected tensors that cover 24 bytes of data, got 12"},
};

INSTANTIATE_TEST_SUITE_P(, MalformedFile, testing::ValuesIn(malformed),
                         [](const auto &info) { return std::string(info.param.name); });

//===----------------------------------------------------------------------===//
// Malformed directories
//===----------------------------------------------------------------------===//

/// The message for a directory with shard a.safetensors (tensor x) and this index.
std::string openWithIndex(StringRef index) {
  Directory directory;
  directory.write("a.safetensors", makeFile({makeF32("x", {1}, 1.0f)}));
  directory.write("b.safetensors", makeFile({makeF32("x", {1}, 1.0f)}));
  directory.write("model.safetensors.index.json", index);
  StringRef prefix = "model.safetensors.index.json: ";
  std::string message = directory.strip(toText(TensorSource::open(directory.str())));
  return StringRef(message).starts_with(prefix) ? message.substr(prefix.size()) : message;
}

TEST(MalformedDirectory, WithoutAModel) {
  Directory directory;
  EXPECT_EQ(directory.strip(toText(TensorSource::open(directory.str()))),
            ": expected a directory with model.safetensors or model.safetensors.index.json, got "
            "neither; name the .safetensors file");
}

TEST(MalformedDirectory, ThatDoesNotExist) {
  EXPECT_EQ(toText(TensorSource::open("/none/w.safetensors")),
            "/none/w.safetensors: expected a safetensors file, got: No such file or directory");
}

TEST(MalformedDirectory, DeviceForAFile) {
  EXPECT_EQ(toText(TensorSource::open("/dev/zero")),
            "/dev/zero: expected a safetensors file, got something that is no file");
}

TEST(MalformedDirectory, IndexWithoutAMap) {
  EXPECT_EQ(openWithIndex("{}"),
            "/weight_map: expected an object that names each tensor's shard, got none");
  EXPECT_EQ(openWithIndex(R"({"weight_map": []})"),
            "/weight_map: expected an object that names each tensor's shard, got an array");
  EXPECT_EQ(openWithIndex(R"({"weight_map": {}})"),
            "/weight_map: expected an object that names each tensor's shard, got an empty one");
}

TEST(MalformedDirectory, IndexThatIsNoJSON) {
  EXPECT_EQ(openWithIndex("{x}"), "line 1, column 2: expected JSON, got invalid literal");
  EXPECT_EQ(openWithIndex("[]"),
            "/weight_map: expected an object that names each tensor's shard, got none");
  EXPECT_EQ(openWithIndex(R"({"weight_map": {"x": 1}})"),
            "/weight_map/x: expected the name of a file in the same directory, got 1");
  EXPECT_EQ(openWithIndex(R"({"weight_map": {"x": "a.safetensors", "x": "b.safetensors"}})"),
            "/weight_map/x: expected each key once, got it again");
}

TEST(MalformedDirectory, IndexThatNamesAMissingShard) {
  EXPECT_EQ(openWithIndex(R"({"weight_map": {"x": "c.safetensors"}})"),
            "/weight_map/x: expected the shard \"c.safetensors\" beside the index, got none");
}

TEST(MalformedDirectory, IndexThatLeavesTheDirectory) {
  for (StringRef shard : {"../a.safetensors", "/etc/passwd", "..", "", "a\\\\b"})
    EXPECT_EQ(
        openWithIndex(("{\"weight_map\": {\"x\": \"" + shard + "\"}}").str()),
        ("/weight_map/x: expected the name of a file in the same directory, got \"" + shard + "\"")
            .str());
}

TEST(MalformedDirectory, TensorInNoOrTwoShards) {
  EXPECT_EQ(openWithIndex(R"({"weight_map": {"y": "a.safetensors"}})"),
            "/weight_map/y: expected the tensor in \"a.safetensors\", got none");
  EXPECT_EQ(openWithIndex(R"({"weight_map": {"x": "a.safetensors", "y": "b.safetensors"}})"),
            "b.safetensors: x: expected each tensor in one shard, got it in a.safetensors too");
}

} // namespace

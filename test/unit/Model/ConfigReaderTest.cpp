//===- ConfigReaderTest.cpp - Good and malformed configs ------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Files.h"
#include "treadle/Model/Family.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/raw_ostream.h"
#include "gtest/gtest.h"

using namespace llvm;
using namespace treadle;
using namespace treadle::test;

namespace {

const char *const base = R"({"model_type": "miniaxion", "vocab_size": 37, "d_model": 40,
"n_heads": 4, "n_layers": 5, "d_ff": 50, "max_seq_len": 64})";

/// The base config with one member replaced, or added.
std::string with(StringRef key, StringRef value) {
  StringRef text = base;
  std::string quoted = ("\"" + key + "\": ").str();
  size_t at = text.find(quoted);
  if (at == StringRef::npos)
    return (text.drop_back() + ", " + quoted + value + "}").str();
  StringRef rest = text.drop_front(at + quoted.size());
  return (text.take_front(at) + quoted + value + rest.drop_front(rest.find_first_of(",}"))).str();
}

std::string repeat(StringRef text, size_t count) {
  std::string all;
  while (count--)
    all += text;
  return all;
}

std::string without(StringRef key) {
  std::string text = with(key, "null");
  text.erase(text.find("\"" + key.str()), key.size() + 10);
  return text;
}

const FamilyRegistry &getFamilies() {
  static FamilyRegistry *families = [] {
    auto *registry = new FamilyRegistry;
    registerAllFamilies(*registry);
    return registry;
  }();
  return *families;
}

/// As messages list them.
std::string getFamilyNames() {
  return join(map_range(getFamilies().getFamilies(),
                        [](const auto &family) { return family->getName().str(); }),
              ", ");
}

Expected<ModelConfig> parse(StringRef text, const ConfigOptions &options = {}) {
  return parseConfig(text, "c.json", getFamilies(), options);
}

TEST(ConfigReader, AppliesDefaults) {
  Expected<ModelConfig> config = parse(base);
  ASSERT_EQ(toText(config.takeError()), "success");
  EXPECT_EQ(config->values.integer("n_kv_heads"), 2);
  EXPECT_EQ(config->values.integer("n_shared_layers"), 2);
  EXPECT_EQ(config->values.integer("lora_rank"), 16);
  EXPECT_EQ(config->values.number("rms_norm_eps"), 1e-6);
  EXPECT_EQ(config->values.number("rope_theta"), 10000);
  EXPECT_EQ(config->values.choice("rope_pairing"), "half");
  EXPECT_EQ(config->values.choice("think_blend"), "pass");
  EXPECT_TRUE(config->values.flag("weight_tying"));
  EXPECT_TRUE(config->values.flag("use_thinking_tokens"));
  EXPECT_EQ(config->values.ids("eos_token_id"), ArrayRef<int64_t>{2});
}

TEST(ConfigReader, TakesNullForAbsent) {
  Expected<ModelConfig> config = parse(with("n_kv_heads", "null"));
  ASSERT_EQ(toText(config.takeError()), "success");
  EXPECT_EQ(config->values.integer("n_kv_heads"), 2);
}

TEST(ConfigReader, TakesIntegersForNumbersAndOneIdForAList) {
  Expected<ModelConfig> config = parse(with("lora_scale", "2"));
  ASSERT_EQ(toText(config.takeError()), "success");
  EXPECT_EQ(config->values.number("lora_scale"), 2);
  config = parse(with("eos_token_id", "7"));
  ASSERT_EQ(toText(config.takeError()), "success");
  EXPECT_EQ(config->values.ids("eos_token_id"), ArrayRef<int64_t>{7});
  config = parse(with("eos_token_id", "[7, 8]"));
  ASSERT_EQ(toText(config.takeError()), "success");
  EXPECT_EQ(config->values.ids("eos_token_id").size(), 2u);
}

TEST(ConfigReader, TakesAnEmptyListOfIdsForNone) {
  Expected<ModelConfig> config = parse(with("eos_token_id", "[]"));
  ASSERT_EQ(toText(config.takeError()), "success");
  EXPECT_TRUE(config->values.ids("eos_token_id").empty());
}

TEST(ConfigReader, TakesOrdinaryKeysThatChangeNothing) {
  for (auto [key, value] : {std::pair("id2label", R"({"0": "LABEL_0"})"),
                            {"pruned_heads", "{}"},
                            {"top_k", "50"},
                            {"problem_type", "null"}}) {
    Expected<ModelConfig> config = parse(with(key, value));
    ASSERT_EQ(toText(config.takeError()), "success") << key;
    EXPECT_TRUE(config->metadata.get(key)) << key;
  }
  // What might change something does not where it is null.
  for (const char *key : {"quantization_config", "sliding_window", "novelty"}) {
    EXPECT_EQ(toText(parse(with(key, "null"))), "success") << key;
    EXPECT_TRUE(StringRef(toText(parse(with(key, "{}")))).contains(": expected a known key"))
        << key;
  }
}

TEST(ConfigReader, KeepsInertKeysAsMetadata) {
  Expected<ModelConfig> config = parse(with("architectures", R"(["A", {"b": 1.5}])"));
  ASSERT_EQ(toText(config.takeError()), "success");
  const json::Array *list = config->metadata.getArray("architectures");
  ASSERT_TRUE(list);
  EXPECT_EQ((*list)[0].getAsString(), StringRef("A"));
}

TEST(ConfigReader, KeepsUnknownKeysWhereAllowed) {
  ConfigOptions options;
  options.allowUnknownKeys = true;
  Expected<ModelConfig> config = parse(with("novelty", "3"), options);
  ASSERT_EQ(toText(config.takeError()), "success");
  EXPECT_EQ(config->metadata.getInteger("novelty"), 3);
}

TEST(ConfigReader, TakesTheFamilyOfTheOption) {
  ConfigOptions options;
  options.family = "miniaxion";
  Expected<ModelConfig> config = parse(with("model_type", "\"other\""), options);
  ASSERT_EQ(toText(config.takeError()), "success");
  EXPECT_EQ(config->family->getName(), "miniaxion");
  options.family = "minaxion";
  EXPECT_EQ(toText(parse(base, options)),
            "--family: expected one of " + getFamilyNames() + ", got minaxion");
}

TEST(ConfigReader, ReadsAFileOrADirectory) {
  Directory directory;
  std::string file = directory.write("config.json", base);
  FamilyRegistry families;
  registerAllFamilies(families);
  EXPECT_EQ(toText(readConfig(file, families)), "success");
  EXPECT_EQ(toText(readConfig(directory.str(), families)), "success");
}

TEST(ConfigReader, NamesFilesThatItCannotRead) {
  Directory directory;
  FamilyRegistry families;
  registerAllFamilies(families);
  auto read = [&](StringRef path) { return directory.strip(toText(readConfig(path, families))); };
  EXPECT_EQ(read(directory.str()),
            ": expected a directory with config.json, got none in it; name the config file");
  EXPECT_EQ(read(directory.str() + "/none.json"),
            "none.json: expected a config file, got: No such file or directory");
  EXPECT_EQ(read("/dev/zero"), "/dev/zero: expected a config file, got something else");
  EXPECT_EQ(read(directory.write("big.json", std::string((16 << 20) + 1, ' '))),
            "big.json: expected a config of at most 16777216 bytes, got 16777217");
}

TEST(ConfigReader, SchemaIsThatOfTheTable) {
  FamilyRegistry families;
  registerAllFamilies(families);
  std::string schema;
  raw_string_ostream os(schema);
  printConfigSchema(families, os);
  auto file = MemoryBuffer::getFile(TREADLE_SOURCE_DIR "/models/schema.json");
  ASSERT_TRUE(file);
  const char *fresh = TREADLE_BINARY_DIR "/schema.json";
  std::error_code error;
  raw_fd_ostream(fresh, error) << schema;
  EXPECT_TRUE((*file)->getBuffer() == schema) << "models/schema.json is stale: copy " << fresh;
}

//===----------------------------------------------------------------------===//
// Malformed configs
//===----------------------------------------------------------------------===//

struct Malformed {
  const char *name;
  std::string text;
  std::string message; ///< behind `c.json: `
};

class MalformedConfig : public testing::TestWithParam<Malformed> {};

TEST_P(MalformedConfig, IsRefused) {
  EXPECT_EQ(toText(parse(GetParam().text)), "c.json: " + GetParam().message);
}

const Malformed malformed[] = {
    // Text
    {"Empty", "",
     "line 1, column 1: expected JSON, got unexpected end of input; expected '[', '{', or a "
     "literal"},
    {"Truncated", StringRef(base).drop_back(10).str(),
     "line 2, column 50: expected JSON, got invalid string: missing closing quote"},
    {"NaN", with("rms_norm_eps", "NaN"), "line 2, column 77: expected JSON, got invalid literal"},
    {"Infinity", with("rms_norm_eps", "1e999"),
     "line 2, column 81: expected a number that a double can hold, got 1e999"},
    {"TrailingText", std::string(base) + "{",
     "line 2, column 60: expected JSON, got unexpected '{'; expected end of input"},
    {"NotUTF8", with("dtype", "\"\xff\""),
     "line 2, column 71: expected JSON, got invalid string: ill-formed UTF-8 byte"},
    {"DeepNesting", std::string(100000, '['), "expected at most 64 levels of nesting, got more"},
    {"DuplicateKey", with("d_model", "40, \"d_model\": 48"),
     "/d_model: expected each key once, got it again"},
    {"NestedDuplicateKey", with("auto_map", R"([{"a": 1, "a": 2}])"),
     "/auto_map/0/a: expected each key once, got it again"},
    {"NoObject", "[1]", "expected a JSON object, got an array"},
    // Keys
    {"NoModelType", without("model_type"),
     "/model_type: expected one of " + getFamilyNames() +
         ", got none; add the key or pass --family"},
    {"UnknownModelType", with("model_type", "\"axion\""),
     "/model_type: expected one of " + getFamilyNames() + ", got \"axion\""},
    {"ModelTypeOfWrongType", with("model_type", "3"),
     "/model_type: expected one of " + getFamilyNames() + ", got 3"},
    {"UnknownKey", with("n_head", "8"),
     "/n_head: expected a known key, the nearest is n_heads; correct it or pass "
     "--allow-unknown-keys"},
    {"UnknownKeyThatNeedsEscapes", with("d~ff/", "8"),
     "/d~0ff~1: expected a known key, the nearest is d_ff; correct it or pass "
     "--allow-unknown-keys"},
    {"MissingKey", without("d_ff"), "/d_ff: expected an integer in 1 ... 1048576, got none"},
    {"NullForARequiredKey", with("d_ff", "null"),
     "/d_ff: expected an integer in 1 ... 1048576, got none"},
    // Types and ranges
    {"ZeroDimension", with("d_model", "0"), "/d_model: expected an integer in 2 ... 65536, got 0"},
    {"NegativeDimension", with("d_ff", "-1"),
     "/d_ff: expected an integer in 1 ... 1048576, got -1"},
    {"HugeDimension", with("vocab_size", "9223372036854775807"),
     "/vocab_size: expected an integer in 1 ... 16777216, got 9223372036854775807"},
    {"IntegerBeyond64Bits", with("vocab_size", "18446744073709551617"),
     "/vocab_size: expected an integer in 1 ... 16777216, got 18446744073709551617"},
    {"FractionForAnInteger", with("n_heads", "4.0"),
     "/n_heads: expected an integer in 1 ... 4096, got 4.0"},
    {"TextForAnInteger", with("n_heads", "\"4\""),
     "/n_heads: expected an integer in 1 ... 4096, got \"4\""},
    {"ObjectForANumber", with("rope_theta", "{}"),
     "/rope_theta: expected a number in 1 ... 1000000000000, got an object"},
    {"ZeroEps", with("rms_norm_eps", "0"),
     "/rms_norm_eps: expected a number in 1e-20 ... 1, got 0"},
    {"SmallTheta", with("rope_theta", "0.5"),
     "/rope_theta: expected a number in 1 ... 1000000000000, got 0.5"},
    {"NumberForAFlag", with("weight_tying", "1"), "/weight_tying: expected true or false, got 1"},
    {"UnknownChoice", with("rope_pairing", "\"neox\""),
     "/rope_pairing: expected \"half\" or \"interleaved\", got \"neox\""},
    {"NegativeId", with("eos_token_id", "-2"),
     "/eos_token_id: expected a token id or a list of at most 64, got -2"},
    {"NegativeIdInAList", with("eos_token_id", "[1, -2]"),
     "/eos_token_id/1: expected a token id, got -2"},
    {"ListInAList", with("eos_token_id", "[[1], 2]"),
     "/eos_token_id/0: expected a token id, got an array"},
    {"ManyIds", with("eos_token_id", "[0" + repeat(", 0", 64) + "]"),
     "/eos_token_id: expected a token id or a list of at most 64, got a list of 65"},
    // Fields that do not fit each other
    {"OddHeadWidth", with("d_model", "44"),
     "/n_heads: expected an even head width, got d_model 44 over 4 heads"},
    {"KeyValueHeadsThatDoNotDivide", with("n_kv_heads", "3"),
     "/n_kv_heads: 3 does not divide n_heads 4"},
    {"MoreSharedLayersThanLayers", with("n_shared_layers", "6"),
     "/n_shared_layers: expected at most n_layers 5, got 6"},
    {"IdBeyondTheVocabulary", with("eos_token_id", "[2, 37]"),
     "/eos_token_id: expected ids below vocab_size 37, got 37"},
};

INSTANTIATE_TEST_SUITE_P(, MalformedConfig, testing::ValuesIn(malformed),
                         [](const auto &info) { return std::string(info.param.name); });

} // namespace

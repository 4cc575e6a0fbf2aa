//===- ConfigReader.cpp - From a config file to a typed config ------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "treadle/Model/Family.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"

#include <cmath>

using namespace llvm;
using namespace treadle;

static constexpr uint64_t maxConfigBytes = uint64_t(16) << 20;
static constexpr size_t maxItems = 64;
static constexpr size_t maxChoices = 512;

//===----------------------------------------------------------------------===//
// One value
//===----------------------------------------------------------------------===//

/// Without the six decimals of `std::to_string`.
static std::string describeNumber(double number) {
  std::string text;
  raw_string_ostream os(text);
  if (number == std::floor(number) && std::fabs(number) < 1e15)
    os << static_cast<int64_t>(number);
  else
    os << format("%g", number);
  return text;
}

/// As a config would spell it.
static std::string describeValue(const ConfigValue &value) {
  struct Visitor {
    std::string operator()(int64_t held) { return std::to_string(held); }
    std::string operator()(double held) { return describeNumber(held); }
    std::string operator()(bool held) { return held ? "true" : "false"; }
    std::string operator()(const std::string &held) { return "\"" + held + "\""; }
    std::string operator()(const std::vector<int64_t> &held) {
      return "[" + join(map_range(held, [](int64_t id) { return std::to_string(id); }), ", ") + "]";
    }
    std::string operator()(const std::vector<std::string> &held) {
      return held.empty() ? "[]" : "[\"" + join(held, "\", \"") + "\"]";
    }
    std::string operator()(const OpenNumbers &held) {
      auto describe = [](std::optional<double> number) {
        return number ? describeNumber(*number) : "null";
      };
      return "[" + join(map_range(held, describe), ", ") + "]";
    }
  };
  return std::visit(Visitor(), value);
}

/// What a field takes: `an integer in 1 ... 64`.
static std::string describeField(const Field &field) {
  std::string range = " in " + describeNumber(field.min) + " ... " + describeNumber(field.max);
  switch (field.kind) {
  case Field::Kind::integer:
    return "an integer" + range;
  case Field::Kind::number:
    return "a number" + range;
  case Field::Kind::flag:
    return "true or false";
  case Field::Kind::choice:
    return "\"" + join(field.choices, "\" or \"") + "\"";
  case Field::Kind::choices:
    return "a list of 1 to " + std::to_string(maxChoices) + " of \"" +
           join(field.choices, "\" or \"") + "\"";
  case Field::Kind::ids:
    return "a token id or a list of at most " + std::to_string(maxItems);
  case Field::Kind::integers:
    return "a list of at most " + std::to_string(maxItems) + " integers" + range;
  case Field::Kind::numbers:
    return "a list of at most " + std::to_string(maxItems) + " numbers" + range + " or nulls";
  case Field::Kind::object:
    return "an object or null";
  case Field::Kind::objects:
    return "a list of at most " + std::to_string(maxItems) + " objects or nulls";
  case Field::Kind::inert:
    break;
  }
  llvm_unreachable("inert fields take anything");
}

/// What an item of a list may be; empty where the field takes no list.
static std::string describeItem(const Field &field) {
  std::string range = " in " + describeNumber(field.min) + " ... " + describeNumber(field.max);
  switch (field.kind) {
  case Field::Kind::choices:
    return "\"" + join(field.choices, "\" or \"") + "\"";
  case Field::Kind::ids:
    return "a token id";
  case Field::Kind::integers:
    return "an integer" + range;
  case Field::Kind::numbers:
    return "a number" + range + " or null";
  case Field::Kind::objects:
    return "an object or null";
  default:
    return {};
  }
}

/// The ids of `json`, or nothing where it is no list of ids.
static std::optional<std::vector<int64_t>> convertIds(const JsonValue &json) {
  ArrayRef<JsonValue> items =
      json.is(JsonValue::Kind::array) ? ArrayRef(json.items) : ArrayRef(json);
  if (items.size() > maxItems)
    return std::nullopt;
  std::vector<int64_t> ids;
  for (const JsonValue &item : items) {
    if (!item.is(JsonValue::Kind::integer) || item.integer < 0 || item.integer > INT32_MAX)
      return std::nullopt;
    ids.push_back(item.integer);
  }
  return ids;
}

/// The texts of `json`, or nothing where it is no list of choices.
static std::optional<std::vector<std::string>> convertChoices(const Field &field,
                                                              const JsonValue &json) {
  if (!json.is(JsonValue::Kind::array) || json.items.empty() || json.items.size() > maxChoices)
    return std::nullopt;
  std::vector<std::string> texts;
  for (const JsonValue &item : json.items) {
    if (!item.is(JsonValue::Kind::string) || !is_contained(field.choices, item.text))
      return std::nullopt;
    texts.push_back(item.text);
  }
  return texts;
}

/// Whether an integer or a number lies within the field's range.
static bool isInRange(const Field &field, double number) {
  return number >= field.min && number <= field.max;
}

/// The integers of `json`, or nothing where it is no list of integers in the field's range.
static std::optional<std::vector<int64_t>> convertIntegers(const Field &field,
                                                           const JsonValue &json) {
  std::vector<int64_t> integers;
  for (const JsonValue &item : json.items) {
    if (!item.is(JsonValue::Kind::integer) || !isInRange(field, item.number))
      return std::nullopt;
    integers.push_back(item.integer);
  }
  return integers;
}

/// The same for numbers, some of which are null.
static std::optional<OpenNumbers> convertNumbers(const Field &field, const JsonValue &json) {
  OpenNumbers numbers;
  for (const JsonValue &item : json.items) {
    bool isNumber = item.is(JsonValue::Kind::integer) || item.is(JsonValue::Kind::number);
    if (!item.is(JsonValue::Kind::null) && !(isNumber && isInRange(field, item.number)))
      return std::nullopt;
    numbers.push_back(isNumber ? std::optional<double>(item.number) : std::nullopt);
  }
  return numbers;
}

/// Whether a number or numbers that weights imply are what the field takes.
static bool fits(const Field &field, const ConfigValue &value) {
  auto isFitting = [&](int64_t number) { return isInRange(field, static_cast<double>(number)); };
  if (const int64_t *number = std::get_if<int64_t>(&value))
    return isFitting(*number);
  if (const auto *numbers = std::get_if<std::vector<int64_t>>(&value))
    return numbers->size() <= maxItems && all_of(*numbers, isFitting);
  return true;
}

/// The value of `json` by the kind of the field, or nothing where it does not fit.
static std::optional<ConfigValue> convert(const Field &field, const JsonValue &json) {
  bool isInteger = json.is(JsonValue::Kind::integer);
  bool isList = json.is(JsonValue::Kind::array) && json.items.size() <= maxItems;
  switch (field.kind) {
  case Field::Kind::integer:
    if (isInteger && isInRange(field, json.number))
      return json.integer;
    break;
  case Field::Kind::number:
    if ((isInteger || json.is(JsonValue::Kind::number)) && isInRange(field, json.number))
      return json.number;
    break;
  case Field::Kind::flag:
    if (json.is(JsonValue::Kind::boolean))
      return json.boolean;
    break;
  case Field::Kind::choice:
    if (json.is(JsonValue::Kind::string) && is_contained(field.choices, json.text))
      return json.text;
    break;
  case Field::Kind::ids:
    if (std::optional<std::vector<int64_t>> ids = convertIds(json))
      return *ids;
    break;
  case Field::Kind::choices:
    if (std::optional<std::vector<std::string>> texts = convertChoices(field, json))
      return *texts;
    break;
  case Field::Kind::integers:
    if (isList)
      if (std::optional<std::vector<int64_t>> integers = convertIntegers(field, json))
        return *integers;
    break;
  case Field::Kind::numbers:
    if (isList)
      if (std::optional<OpenNumbers> numbers = convertNumbers(field, json))
        return *numbers;
    break;
  case Field::Kind::objects:
    if (isList && all_of(json.items, [](const JsonValue &item) {
          return item.is(JsonValue::Kind::object) || item.is(JsonValue::Kind::null);
        }))
      return static_cast<int64_t>(json.items.size());
    break;
  case Field::Kind::object:
    if (json.is(JsonValue::Kind::object) || json.is(JsonValue::Kind::null))
      return json.is(JsonValue::Kind::object);
    break;
  case Field::Kind::inert:
    break;
  }
  return std::nullopt;
}

/// The error of a value that does not convert, at the first item that is to blame.
static Error refuse(const ModelConfig &config, const std::string &key, const Field &field,
                    const JsonValue &json) {
  std::string item = describeItem(field);
  if (item.empty() || !json.is(JsonValue::Kind::array))
    return config.error(key, "expected " + describeField(field) + ", got " + json.describe());
  for (auto [i, held] : enumerate(json.items)) {
    JsonValue alone;
    alone.kind = JsonValue::Kind::array;
    alone.items.push_back(held);
    if (!convert(field, alone))
      return config.error(key + "/" + std::to_string(i),
                          "expected " + item + ", got " + held.describe());
  }
  return config.error(key, "expected " + describeField(field) + ", got a list of " +
                               Twine(json.items.size()));
}

//===----------------------------------------------------------------------===//
// One config
//===----------------------------------------------------------------------===//

namespace {
/// Fills a config step by step; every step may fail.
class Reader {
public:
  Reader(ModelConfig &config, const ConfigOptions &options) : config(config), options(options) {}

  Error chooseFamily(const JsonValue &root, const FamilyRegistry &families);
  Error readMembers(const JsonValue &root) { return readMembers(root, fields, ""); }
  Error inferFrom(const TensorSource &weights);
  Error applyDefaults();

private:
  Error readMembers(const JsonValue &object, ArrayRef<Field> known, const std::string &path);
  Error readObjects(const Field &field, const JsonValue &json, const std::string &place);
  Error applyDefaults(ArrayRef<Field> known, const std::string &path);

  ModelConfig &config;
  const ConfigOptions &options;
  std::vector<Field> fields;
};
} // namespace

Error Reader::chooseFamily(const JsonValue &root, const FamilyRegistry &families) {
  std::string known = join(
      map_range(families.getFamilies(), [](const auto &family) { return family->getName().str(); }),
      ", ");
  const JsonValue *type = root.find("model_type");
  if (!options.family.empty()) {
    config.family = families.find(options.family);
    if (!config.family)
      return makeError("--family: expected one of " + known + ", got " + options.family);
  } else if (!type) {
    return config.error("model_type",
                        "expected one of " + known + ", got none; add the key or pass --family");
  } else {
    config.family = type->is(JsonValue::Kind::string) ? families.find(type->text) : nullptr;
    if (!config.family)
      return config.error("model_type", "expected one of " + known + ", got " + type->describe());
  }
  // A family's own meaning of a key comes before the shared inert one.
  fields = config.family->getFields();
  append_range(fields, getInertFields());
  return Error::success();
}

static const Field *findField(ArrayRef<Field> fields, StringRef key) {
  for (const Field &field : fields)
    if (field.key == key || (!field.alias.empty() && field.alias == key))
      return &field;
  return nullptr;
}

static StringRef findNearestKey(ArrayRef<Field> fields, StringRef key) {
  StringRef nearest;
  unsigned best = UINT_MAX;
  for (const Field &field : fields) {
    unsigned distance = key.take_front(64).edit_distance(field.key);
    if (distance < best) {
      best = distance;
      nearest = field.key;
    }
  }
  return nearest;
}

/// `path` leads to the members of `object`: empty, or `<object>/`.
Error Reader::readMembers(const JsonValue &object, ArrayRef<Field> known, const std::string &path) {
  for (const auto &[key, json] : object.members) {
    if (path.empty() && key == "model_type")
      continue;
    const Field *field = findField(known, key);
    bool saysNothing = json.is(JsonValue::Kind::null);
    if (!field && !options.allowUnknownKeys && !saysNothing) {
      std::string place = path.empty() ? "" : "/" + StringRef(path).drop_back().str();
      return makeError(config.file + ": " + place + jsonPointer(key) +
                       ": expected a known key, the nearest is " + findNearestKey(known, key) +
                       "; correct it or pass --allow-unknown-keys");
    }
    if (!field || field->kind == Field::Kind::inert) {
      config.metadata[path + key] = json.toLLVM();
      continue;
    }
    bool isObject = field->kind == Field::Kind::object;
    if (saysNothing && !isObject)
      continue;
    std::optional<ConfigValue> value = convert(*field, json);
    if (!value)
      return refuse(config, path + key, *field, json);
    if (field->open && *value == *field->open)
      continue;
    std::string place = path + field->key.str();
    if (config.values.has(place)) // the keys of an object differ, so one of two is the alias
      return config.error(path + key,
                          "expected either " + field->key + " or " + field->alias + ", got both");
    config.values.set(place, std::move(*value));
    if (Error error = readObjects(*field, json, place))
      return error;
  }
  return Error::success();
}

/// The members of the objects that `json` is or holds.
Error Reader::readObjects(const Field &field, const JsonValue &json, const std::string &place) {
  if (field.kind == Field::Kind::object)
    return readMembers(json, field.members, place + "/");
  if (field.kind != Field::Kind::objects)
    return Error::success();
  for (auto [i, item] : enumerate(json.items)) {
    std::string itemPlace = place + "/" + std::to_string(i);
    if (item.is(JsonValue::Kind::null))
      continue;
    config.values.set(itemPlace, true);
    if (Error error = readMembers(item, field.members, itemPlace + "/"))
      return error;
  }
  return Error::success();
}

Error Reader::inferFrom(const TensorSource &weights) {
  Expected<NamedTensors> tensors = nameTensors(*config.family, weights);
  if (!tensors)
    return tensors.takeError();
  ConfigValues found;
  config.family->infer(*tensors, config.values, found);
  for (const Field &field : fields) {
    const ConfigValue *value = found.find(field.key);
    if (!value)
      continue;
    if (!fits(field, *value))
      return config.error(field.key, "expected " + describeField(field) + ", got " +
                                         describeValue(*value) + " in " + weights.getPath());
    const ConfigValue *given = config.values.find(field.key);
    if (given && *given != *value)
      return config.error(field.key, "expected " + describeValue(*value) + " as " +
                                         weights.getPath() + " has it, got " +
                                         describeValue(*given));
    config.values.set(field.key, *value);
  }
  return Error::success();
}

Error Reader::applyDefaults(ArrayRef<Field> known, const std::string &path) {
  for (const Field &field : known) {
    std::string key = path + field.key.str();
    if (!config.values.has(key) && field.required)
      return config.error(key, "expected " + describeField(field) + ", got none");
    if (!config.values.has(key) && field.fallback)
      config.values.set(key, *field.fallback);
    if (field.kind == Field::Kind::object && config.values.has(key) && config.values.flag(key))
      if (Error error = applyDefaults(field.members, key + "/"))
        return error;
    if (field.kind != Field::Kind::objects || !config.values.has(key))
      continue;
    for (int64_t i = 0, count = config.values.integer(key); i < count; ++i)
      if (std::string item = key + "/" + std::to_string(i); config.values.has(item))
        if (Error error = applyDefaults(field.members, item + "/"))
          return error;
  }
  return Error::success();
}

Error Reader::applyDefaults() {
  if (Error error = applyDefaults(fields, ""))
    return error;
  return config.family->complete(config);
}

Expected<ModelConfig> treadle::parseConfig(StringRef text, StringRef file,
                                           const FamilyRegistry &families,
                                           const ConfigOptions &options,
                                           const TensorSource *weights) {
  Expected<JsonValue> root = parseJson(text, file);
  if (!root)
    return root.takeError();
  if (!root->is(JsonValue::Kind::object))
    return makeError(file + ": expected a JSON object, got " + root->describe());

  ModelConfig config;
  config.file = file.str();
  Reader reader(config, options);
  if (Error error = reader.chooseFamily(*root, families))
    return std::move(error);
  if (Error error = reader.readMembers(*root))
    return std::move(error);
  if (weights)
    if (Error error = reader.inferFrom(*weights))
      return std::move(error);
  if (Error error = reader.applyDefaults())
    return std::move(error);
  if (weights) {
    Expected<NamedTensors> tensors = nameTensors(*config.family, *weights);
    if (!tensors)
      return tensors.takeError();
    if (Error error = config.family->checkRedundant(config, *tensors))
      return std::move(error);
  }
  return std::move(config);
}

//===----------------------------------------------------------------------===//
// Files
//===----------------------------------------------------------------------===//

Expected<ModelConfig> treadle::readConfig(StringRef path, const FamilyRegistry &families,
                                          const ConfigOptions &options,
                                          const TensorSource *weights) {
  SmallString<128> file = path;
  if (sys::fs::is_directory(path)) {
    sys::path::append(file, "config.json");
    if (!sys::fs::exists(file))
      return makeError(path + ": expected a directory with config.json, got none in it; name the "
                              "config file");
  }
  sys::fs::file_status status;
  if (std::error_code error = sys::fs::status(file, status))
    return makeError(file + ": expected a config file, got: " + error.message());
  if (status.type() != sys::fs::file_type::regular_file)
    return makeError(file + ": expected a config file, got something else");
  if (status.getSize() > maxConfigBytes)
    return makeError(file + ": expected a config of at most " + Twine(maxConfigBytes) +
                     " bytes, got " + Twine(status.getSize()));
  ErrorOr<std::unique_ptr<MemoryBuffer>> buffer = MemoryBuffer::getFile(file);
  if (!buffer)
    return makeError(file + ": expected a config file, got: " + buffer.getError().message());
  return parseConfig((*buffer)->getBuffer(), file, families, options, weights);
}

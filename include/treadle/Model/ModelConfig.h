//===- ModelConfig.h - A typed config and its fields ------------*- C++ -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A family declares its config as a table of fields. The table is the one source
// for reading, checking, defaults and models/schema.json.
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_MODEL_MODELCONFIG_H
#define TREADLE_MODEL_MODELCONFIG_H

#include "treadle/Support/Error.h"
#include "treadle/Support/Json.h"
#include "llvm/ADT/StringMap.h"
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace treadle {

class Family;
class FamilyRegistry;
class TensorSource;

/// Numbers, each of which may be null.
using OpenNumbers = std::vector<std::optional<double>>;

/// The value of a field, by its kind: integer, number, flag, choice, ids and integers, choices,
/// numbers; of an object, whether it is there; of objects, how many there are.
using ConfigValue = std::variant<int64_t, double, bool, std::string, std::vector<int64_t>,
                                 std::vector<std::string>, OpenNumbers>;

/// As a config would hold it.
llvm::json::Value toJson(const ConfigValue &value);

/// One key of a config.
struct Field {
  enum class Kind {
    integer,  ///< a whole number in [min, max]
    number,   ///< a finite number in [min, max]
    flag,     ///< true or false
    choice,   ///< one of `choices`
    ids,      ///< a token id or a list of them
    integers, ///< a list of whole numbers in [min, max]
    numbers,  ///< a list of finite numbers in [min, max] or null
    choices,  ///< a list of some of `choices`
    object,   ///< an object with `members`, or null for none
    objects,  ///< a list of such objects or null
    inert,    ///< anything: kept as metadata, read by nobody
  };

  llvm::StringRef key;
  llvm::StringRef alias; ///< another key for the same
  Kind kind = Kind::inert;
  llvm::StringRef help;
  double min = 0, max = 0;
  std::vector<std::string> choices;
  std::vector<Field> members;
  bool required = false;
  /// What holds where the config and the weights say nothing. Without one, the
  /// family's `complete` supplies the value.
  std::optional<ConfigValue> fallback;
  std::optional<ConfigValue> open; ///< a value that says as much as null

  static Field integer(llvm::StringRef key, int64_t min, int64_t max, llvm::StringRef help);
  static Field number(llvm::StringRef key, double min, double max, llvm::StringRef help);
  static Field flag(llvm::StringRef key, llvm::StringRef help);
  /// The first choice is the default.
  static Field choice(llvm::StringRef key, std::vector<std::string> choices, llvm::StringRef help);
  static Field ids(llvm::StringRef key, llvm::StringRef help);
  static Field someOf(llvm::StringRef key, std::vector<std::string> choices, llvm::StringRef help);
  static Field integers(llvm::StringRef key, int64_t min, int64_t max, llvm::StringRef help);
  static Field numbers(llvm::StringRef key, double min, double max, llvm::StringRef help);
  static Field object(llvm::StringRef key, std::vector<Field> members, llvm::StringRef help);
  static Field objects(llvm::StringRef key, std::vector<Field> members, llvm::StringRef help);
  static Field inert(llvm::StringRef key, llvm::StringRef help);

  Field require() const;
  Field otherwise(ConfigValue value) const;
  Field called(llvm::StringRef otherKey) const;
  Field leftOpenBy(ConfigValue value) const;
};

/// Keys that published configs carry and that change nothing at inference.
std::vector<Field> getInertFields();

/// Values of fields by key. A member of an object has the key `<object>/<member>`, an
/// object of a list `<list>/<index>`.
class ConfigValues {
public:
  bool has(llvm::StringRef key) const { return values.contains(key); }
  const ConfigValue *find(llvm::StringRef key) const;
  void set(llvm::StringRef key, ConfigValue value) { values[key] = std::move(value); }

  /// The value of a key that is there and has that type.
  int64_t integer(llvm::StringRef key) const { return get<int64_t>(key); }
  double number(llvm::StringRef key) const { return get<double>(key); }
  bool flag(llvm::StringRef key) const { return get<bool>(key); }
  llvm::StringRef choice(llvm::StringRef key) const { return get<std::string>(key); }
  llvm::ArrayRef<int64_t> ids(llvm::StringRef key) const { return get<std::vector<int64_t>>(key); }
  llvm::ArrayRef<std::string> someOf(llvm::StringRef key) const {
    return get<std::vector<std::string>>(key);
  }
  llvm::ArrayRef<int64_t> integers(llvm::StringRef key) const { return ids(key); }
  const OpenNumbers &numbers(llvm::StringRef key) const { return get<OpenNumbers>(key); }

private:
  template <typename T> const T &get(llvm::StringRef key) const {
    const ConfigValue *value = find(key);
    assert(value && std::holds_alternative<T>(*value) && "expected a field of that type");
    return std::get<T>(*value);
  }

  llvm::StringMap<ConfigValue> values;
};

/// A config that has been read and checked: every field of its family has a
/// value, and the values fit each other.
struct ModelConfig {
  const Family *family = nullptr;
  std::string file; ///< for messages
  ConfigValues values;
  llvm::json::Object metadata; ///< inert and unknown keys, as written

  /// An error at a field: `<file>: /<key>: <message>`. The key of a member is as in `values`.
  llvm::Error error(llvm::StringRef key, const llvm::Twine &message) const;

  /// All fields with their values, and the metadata.
  llvm::json::Object toJson() const;
};

/// Fails where a field, an integer or ids, holds an id that is not below `vocabulary`.
llvm::Error checkIds(const ModelConfig &config, llvm::StringRef key, int64_t vocabulary);

/// How to read a config.
struct ConfigOptions {
  std::string family;            ///< instead of the config's `model_type`
  bool allowUnknownKeys = false; ///< keep them as metadata instead of failing
};

/// Reads `path`, a config file or a checkpoint directory that holds config.json.
/// Where `weights` are given, absent fields are inferred from them and present
/// ones must match them.
llvm::Expected<ModelConfig> readConfig(llvm::StringRef path, const FamilyRegistry &families,
                                       const ConfigOptions &options = {},
                                       const TensorSource *weights = nullptr);

/// The same for a config in memory; `file` is its name in messages.
llvm::Expected<ModelConfig> parseConfig(llvm::StringRef text, llvm::StringRef file,
                                        const FamilyRegistry &families,
                                        const ConfigOptions &options = {},
                                        const TensorSource *weights = nullptr);

/// Prints the JSON Schema of all families' configs (models/schema.json).
void printConfigSchema(const FamilyRegistry &families, llvm::raw_ostream &os);

} // namespace treadle

#endif // TREADLE_MODEL_MODELCONFIG_H

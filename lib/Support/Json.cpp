//===- Json.cpp - JSON that trusts nothing --------------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "treadle/Support/Json.h"

#include "treadle/Support/Error.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/raw_ostream.h"

#include <charconv>

// The only file that includes nlohmann/json. LLVM's flags switch exceptions
// off, so only its event parser is used, which reports errors to a handler.
#include <nlohmann/json.hpp>

using namespace llvm;
using namespace treadle;

/// Deeper texts are refused: whoever walks a value recursively is safe.
static constexpr size_t maxDepth = 64;

/// A value takes about 150 bytes: this bounds what a hostile text can cost.
static constexpr size_t maxValues = size_t(1) << 22;

//===----------------------------------------------------------------------===//
// JsonValue
//===----------------------------------------------------------------------===//

const JsonValue *JsonValue::find(StringRef key) const {
  for (const Member &member : members)
    if (member.first == key)
      return &member.second;
  return nullptr;
}

std::string JsonValue::describe() const {
  switch (kind) {
  case Kind::null:
    return "null";
  case Kind::boolean:
    return boolean ? "true" : "false";
  case Kind::integer:
  case Kind::number:
    return quote(text);
  case Kind::string:
    return "\"" + quote(text) + "\"";
  case Kind::array:
    return "an array";
  case Kind::object:
    return "an object";
  }
  llvm_unreachable("all kinds are covered");
}

json::Value JsonValue::toLLVM() const {
  switch (kind) {
  case Kind::null:
    return nullptr;
  case Kind::boolean:
    return boolean;
  case Kind::integer:
    return integer;
  case Kind::number:
    return number;
  case Kind::string:
    return text;
  case Kind::array: {
    json::Array array;
    for (const JsonValue &item : items)
      array.push_back(item.toLLVM());
    return array;
  }
  case Kind::object: {
    json::Object object;
    for (const Member &member : members)
      object[member.first] = member.second.toLLVM();
    return object;
  }
  }
  llvm_unreachable("all kinds are covered");
}

static void printTo(json::OStream &os, const json::Value &value) {
  if (const json::Object *object = value.getAsObject()) {
    std::vector<StringRef> keys;
    for (const auto &member : *object)
      keys.push_back(member.first);
    llvm::sort(keys);
    os.object([&] {
      for (StringRef key : keys) {
        os.attributeBegin(key);
        printTo(os, *object->get(key));
        os.attributeEnd();
      }
    });
    return;
  }
  if (const json::Array *array = value.getAsArray()) {
    os.array([&] {
      for (const json::Value &item : *array)
        printTo(os, item);
    });
    return;
  }
  std::optional<double> number = value.getAsNumber();
  if (!number || value.getAsInteger()) {
    os.value(value);
    return;
  }
  char digits[32];
  os.rawValue(StringRef(digits, std::to_chars(digits, std::end(digits), *number).ptr - digits));
}

void treadle::printJson(const json::Value &value, raw_ostream &os, unsigned indent) {
  json::OStream json(os, indent);
  printTo(json, value);
}

std::string treadle::jsonPointer(StringRef key) {
  std::string pointer = "/";
  for (char c : key)
    pointer += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
  return quote(pointer);
}

//===----------------------------------------------------------------------===//
// Parsing
//===----------------------------------------------------------------------===//

namespace {
/// Builds a JsonValue from the parser's events. Every method returns whether to go on.
class Handler : public nlohmann::json_sax<nlohmann::json> {
public:
  Handler(StringRef text, StringRef place) : source(text), place(place) {}

  JsonValue root;
  std::string error;

  bool null() override { return add({}); }
  bool boolean(bool value) override {
    JsonValue json;
    json.kind = JsonValue::Kind::boolean;
    json.boolean = value;
    return add(std::move(json));
  }
  bool number_integer(number_integer_t value) override { return addInteger(value); }
  bool number_unsigned(number_unsigned_t value) override {
    if (value <= static_cast<uint64_t>(INT64_MAX))
      return addInteger(static_cast<int64_t>(value));
    return addNumber(static_cast<double>(value), std::to_string(value));
  }
  bool number_float(number_float_t value, const string_t &text) override {
    return addNumber(value, text);
  }
  bool string(string_t &value) override {
    JsonValue json;
    json.kind = JsonValue::Kind::string;
    json.text = std::move(value);
    return add(std::move(json));
  }
  bool binary(binary_t &) override { return fail("expected JSON text, got binary data"); }

  bool start_object(size_t) override { return open(JsonValue::Kind::object); }
  bool start_array(size_t) override { return open(JsonValue::Kind::array); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(string_t &name) override {
    Frame &frame = stack.back();
    frame.key = std::move(name);
    return frame.keys.insert(frame.key).second ||
           fail(pointer() + ": expected each key once, got it again");
  }

  bool parse_error(size_t position, const std::string &token,
                   const nlohmann::json::exception &exception) override {
    StringRef before = source.take_front(position > 0 ? position - 1 : 0);
    size_t line = before.count('\n') + 1;
    size_t column = before.size() - (before.rfind('\n') + 1) + 1;
    std::string place = "line " + std::to_string(line) + ", column " + std::to_string(column);

    // "[json.exception.…] parse error at …: syntax error while … - REASON; last read: …"
    StringRef reason = exception.what();
    if (reason.contains("number overflow"))
      return fail(place + ": expected a number that a double can hold, got " + quote(token));
    reason = reason.take_front(reason.rfind("; last read: "));
    size_t dash = reason.find(" - ");
    if (dash != StringRef::npos)
      reason = reason.drop_front(dash + 3);
    return fail(place + ": expected JSON, got " + quote(reason));
  }

private:
  struct Frame {
    JsonValue value;
    std::string key; ///< of the member that is being read
    StringSet<> keys;
  };

  bool fail(const Twine &message) {
    error = (place + ": " + message).str();
    return false;
  }

  std::string pointer() const {
    std::string result;
    for (const Frame &frame : stack)
      result += jsonPointer(frame.value.is(JsonValue::Kind::array)
                                ? std::to_string(frame.value.items.size())
                                : frame.key);
    return result;
  }

  bool addInteger(int64_t value) {
    JsonValue json;
    json.kind = JsonValue::Kind::integer;
    json.integer = value;
    json.number = static_cast<double>(value);
    json.text = std::to_string(value);
    return add(std::move(json));
  }
  bool addNumber(double value, std::string text) {
    JsonValue json;
    json.kind = JsonValue::Kind::number;
    json.number = value;
    json.text = std::move(text);
    return add(std::move(json));
  }

  bool add(JsonValue value) {
    if (++count > maxValues)
      return fail("expected at most " + Twine(maxValues) + " values, got more");
    if (stack.empty())
      root = std::move(value);
    else if (stack.back().value.is(JsonValue::Kind::array))
      stack.back().value.items.push_back(std::move(value));
    else
      stack.back().value.members.emplace_back(stack.back().key, std::move(value));
    return true;
  }

  bool open(JsonValue::Kind kind) {
    if (stack.size() == maxDepth)
      return fail("expected at most " + Twine(maxDepth) + " levels of nesting, got more");
    stack.emplace_back();
    stack.back().value.kind = kind;
    return true;
  }

  bool close() {
    JsonValue value = std::move(stack.back().value);
    stack.pop_back();
    return add(std::move(value));
  }

  StringRef source, place;
  std::vector<Frame> stack;
  size_t count = 0;
};
} // namespace

Expected<JsonValue> treadle::parseJson(StringRef text, StringRef place) {
  Handler handler(text, place);
  if (!nlohmann::json::sax_parse(text.begin(), text.end(), &handler))
    return makeError(handler.error);
  return std::move(handler.root);
}

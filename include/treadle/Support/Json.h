//===- Json.h - JSON that trusts nothing ------------------------*- C++ -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A reader for files that anyone may have written: duplicate keys, deep nesting,
// numbers out of range and bytes that are not UTF-8 are errors with a place.
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_SUPPORT_JSON_H
#define TREADLE_SUPPORT_JSON_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/JSON.h"
#include <string>
#include <utility>
#include <vector>

namespace treadle {

/// A JSON value. Objects keep the order of the text.
class JsonValue {
public:
  enum class Kind { null, boolean, integer, number, string, array, object };
  using Member = std::pair<std::string, JsonValue>;

  Kind kind = Kind::null;
  bool boolean = false;
  int64_t integer = 0;          ///< of an integer that fits
  double number = 0;            ///< of an integer or any other number
  std::string text;             ///< of a string, and of a number as written
  std::vector<JsonValue> items; ///< of an array
  std::vector<Member> members;  ///< of an object

  bool is(Kind other) const { return kind == other; }

  /// The member of that name, or null.
  const JsonValue *find(llvm::StringRef key) const;

  /// For messages: `3`, `"text"`, `an array`.
  std::string describe() const;

  llvm::json::Value toLLVM() const;
};

/// Reads one JSON text. `place` (a file name) begins every message.
llvm::Expected<JsonValue> parseJson(llvm::StringRef text, llvm::StringRef place);

/// Prints with sorted keys, and numbers in the fewest digits that read back equal.
/// Without `indent` all on one line.
void printJson(const llvm::json::Value &value, llvm::raw_ostream &os, unsigned indent = 0);

/// One step of a JSON pointer: `/` and `key`, escaped (RFC 6901).
std::string jsonPointer(llvm::StringRef key);

} // namespace treadle

#endif // TREADLE_SUPPORT_JSON_H

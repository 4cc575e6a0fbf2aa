//===- Error.cpp - Errors that users see ----------------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "treadle/Support/Error.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/raw_ostream.h"

using namespace llvm;

/// How much of a text a message repeats.
static constexpr size_t maxQuoted = 100;

std::string treadle::quote(StringRef text) {
  std::string quoted;
  raw_string_ostream os(quoted);
  printEscapedString(text.take_front(maxQuoted), os);
  if (text.size() > maxQuoted)
    os << "...";
  return quoted;
}

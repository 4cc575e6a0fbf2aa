//===- NamePattern.cpp - Aliases of dotted tensor names -------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "treadle/Model/NamePattern.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringExtras.h"

using namespace llvm;

/// The canonical form of one step, or an empty string.
static StringRef matchStep(StringRef pattern, StringRef step) {
  if (pattern == "#") {
    bool isNumber = !step.empty() && all_of(step, isDigit) && (step == "0" || step[0] != '0');
    return isNumber ? step : StringRef();
  }
  for (StringRef alternative : split(pattern, '|')) {
    StringRef canonical = alternative.split('=').first;
    for (StringRef alias : split(alternative, '='))
      if (alias == step)
        return canonical;
  }
  return {};
}

std::string treadle::matchName(StringRef pattern, StringRef name) {
  SmallVector<StringRef> words, steps;
  pattern.split(words, ' ');
  name.split(steps, '.');
  StringRef last = words.back();
  if (last.consume_front("(") && last.consume_back(")")) {
    words.back() = last;
    if (steps.size() + 1 == words.size())
      steps.push_back(last);
  }
  if (steps.size() != words.size())
    return {};
  std::string canonical;
  for (auto [word, step] : zip(words, steps)) {
    StringRef matched = matchStep(word, step);
    if (matched.empty())
      return {};
    canonical += (canonical.empty() ? "" : ".") + matched.str();
  }
  return canonical;
}

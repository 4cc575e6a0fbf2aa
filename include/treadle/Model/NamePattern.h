//===- NamePattern.h - Aliases of dotted tensor names -----------*- C++ -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_MODEL_NAMEPATTERN_H
#define TREADLE_MODEL_NAMEPATTERN_H

#include "llvm/ADT/StringRef.h"
#include <string>

namespace treadle {

/// Matches a dotted name against a pattern and returns the canonical name, or an
/// empty string. A pattern has one word per step of the name:
///
///   `attn=attention=self_attn`   a step and its aliases
///   `q_proj=q=wq|k_proj=k=wk`    one of several steps
///   `#`                          a number without leading zeros
///   `(weight)`                   a last step that a stored name may lack
///
/// Example: with the pattern `layers # attn=self_attn q=wq (weight)` the name
/// `layers.3.self_attn.wq` has the canonical name `layers.3.attn.q.weight`.
std::string matchName(llvm::StringRef pattern, llvm::StringRef name);

} // namespace treadle

#endif // TREADLE_MODEL_NAMEPATTERN_H

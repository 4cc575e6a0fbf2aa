//===- Error.h - Errors that users see --------------------------*- C++ -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A user's mistake is an `llvm::Error` with one line: `<place>: expected X, got
// Y; do Z`, lower case, no full stop. The place is a file, and within it a JSON
// pointer or a tensor name.
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_SUPPORT_ERROR_H
#define TREADLE_SUPPORT_ERROR_H

#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/ADT/Twine.h"
#include "llvm/Support/Error.h"
#include <string>

namespace treadle {

/// An error of one line.
inline llvm::Error makeError(const llvm::Twine &message) {
  return llvm::createStringError(llvm::inconvertibleErrorCode(), message);
}

/// A piece of the user's text for a message: on one line, and cut where it is long.
std::string quote(llvm::StringRef text);

/// Takes one line that the user should see though the work goes on.
using WarningHandler = llvm::function_ref<void(const llvm::Twine &)>;

} // namespace treadle

#endif // TREADLE_SUPPORT_ERROR_H

//===- Facts.h - What a library says to programs -------------- -*- C++ -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_RUN_FACTS_H
#define TREADLE_RUN_FACTS_H

#include "Library.h"

#include <nlohmann/json.hpp>

namespace treadle::run {

/// The library's facts, or an empty object where they cannot be read.
nlohmann::json factsOf(const Library &library);

/// Whether its matrices are stored in bf16.
bool storesBF16(const Library &library);

/// A number of an object; 0 where it has none of this name.
double numberIn(const nlohmann::json &object, const char *key);

} // namespace treadle::run

#endif // TREADLE_RUN_FACTS_H

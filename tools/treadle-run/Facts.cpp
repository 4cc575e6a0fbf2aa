//===- Facts.cpp - What a library says to programs ------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Facts.h"

using namespace treadle::run;

nlohmann::json treadle::run::factsOf(const Library &library) {
  auto facts = nlohmann::json::parse(library.info().json, nullptr, false);
  return facts.is_object() ? facts : nlohmann::json::object();
}

bool treadle::run::storesBF16(const Library &library) {
  return factsOf(library).value("dtype", nlohmann::json()) == "bf16";
}

double treadle::run::numberIn(const nlohmann::json &object, const char *key) {
  auto found = object.is_object() ? object.find(key) : object.end();
  return found != object.end() && found->is_number() ? found->get<double>() : 0;
}

//===- Sha256.cpp - Digests of any length ---------------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "treadle/Support/Sha256.h"

#include "../Runtime/Sha256.h"
#include "llvm/ADT/StringExtras.h"

using namespace treadle;

Sha256::Sha256() : state(std::make_unique<treadle_sha256>()) { treadle_sha256_init(state.get()); }

Sha256::~Sha256() = default;

void Sha256::update(llvm::ArrayRef<uint8_t> bytes) {
  treadle_sha256_update(state.get(), bytes.data(), bytes.size());
}

Sha256Digest Sha256::finish() {
  Sha256Digest digest;
  treadle_sha256_final(state.get(), digest.data());
  return digest;
}

Sha256Digest Sha256::hash(llvm::StringRef bytes) {
  Sha256 sha;
  sha.update(llvm::arrayRefFromStringRef(bytes));
  return sha.finish();
}

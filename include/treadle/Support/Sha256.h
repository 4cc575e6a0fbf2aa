//===- Sha256.h - Digests of any length -------------------------*- C++ -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_SUPPORT_SHA256_H
#define TREADLE_SUPPORT_SHA256_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include <array>
#include <cstdint>
#include <memory>

struct treadle_sha256;

namespace treadle {

using Sha256Digest = std::array<uint8_t, 32>;

/// The runtime's SHA-256, so that both sides agree. (llvm::SHA256 is wrong from
/// 512 MiB on.)
class Sha256 {
public:
  Sha256();
  ~Sha256();
  void update(llvm::ArrayRef<uint8_t> bytes);
  Sha256Digest finish();

  static Sha256Digest hash(llvm::StringRef bytes);

private:
  std::unique_ptr<treadle_sha256> state;
};

} // namespace treadle

#endif // TREADLE_SUPPORT_SHA256_H

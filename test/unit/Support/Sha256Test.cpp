//===- Sha256Test.cpp - Digests of any length -----------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "treadle/Support/Sha256.h"

#include "../../../lib/Runtime/Sha256.h"
#include "llvm/ADT/StringExtras.h"
#include <gtest/gtest.h>
#include <vector>

using namespace treadle;

static std::string toHex(const Sha256Digest &digest) { return llvm::toHex(digest, true); }

TEST(Sha256, ShortTexts) {
  EXPECT_EQ(toHex(Sha256::hash("")),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(toHex(Sha256::hash("abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

// Weights of this size have more than 2^32 bits.
TEST(Sha256, LongerThan512MiB) {
  std::vector<uint8_t> piece(1 << 20);
  Sha256 sha;
  for (int i = 0; i < 513; ++i)
    sha.update(piece);
  EXPECT_EQ(toHex(sha.finish()),
            "a3e2acbb469e4e59dde406f912e754c933c1ac0fb0092a3634d61d5073309c0c");
}

// Where the processor has instructions for it, both ways are taken here.
TEST(Sha256, ProcessorAndArithmeticAgree) {
  std::vector<uint8_t> bytes(1000);
  for (size_t i = 0; i < bytes.size(); ++i)
    bytes[i] = i * i >> 3;
  for (size_t size : {0, 1, 55, 56, 63, 64, 65, 127, 128, 129, 640, 1000}) {
    treadle_sha256 slow;
    treadle_sha256_init(&slow);
    slow.has_instructions = 0;
    treadle_sha256_update(&slow, bytes.data(), size);
    Sha256Digest expected;
    treadle_sha256_final(&slow, expected.data());
    for (size_t cut : {size_t(0), size / 3, size / 2}) {
      Sha256 sha;
      sha.update(llvm::ArrayRef(bytes).take_front(cut));
      sha.update(llvm::ArrayRef(bytes).slice(cut, size - cut));
      EXPECT_EQ(sha.finish(), expected) << size << " bytes, cut at " << cut;
    }
  }
}

//===- ReadBandwidthTest.cpp - Ceilings count what is read ----------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ReadBandwidth.h"

#include <gtest/gtest.h>

using namespace treadle::run;

// Eight streams of two vectors of 64 bytes: less than that a thread would count, and not read.
TEST(ReadBandwidth, EveryThreadReadsAllOfItsShare) {
  for (unsigned threads : {1u, 2u, 3u, 5u, 64u, 255u})
    for (size_t bytes : {0, 1, 4095, 4096, 5000, 161616, 1 << 20}) {
      size_t size = ReadBandwidth(bytes, threads).size();
      EXPECT_EQ(size % (threads * 1024), 0u) << bytes << " bytes, " << threads << " threads";
      EXPECT_GE(size, std::max<size_t>(threads * 1024, std::max<size_t>(bytes, 4096) / 2));
      EXPECT_LE(size, std::max<size_t>(threads * 1024, std::max<size_t>(bytes, 4096)));
    }
}

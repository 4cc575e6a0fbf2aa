//===- ToolkitTest.cpp - What the GPU's assembler says --------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "treadle/Target/NVPTX/Toolkit.h"

#include "llvm/Support/Error.h"
#include <gtest/gtest.h>

using namespace treadle;

TEST(Toolkit, ParsesResources) {
  std::vector<KernelResources> kernels = parseResources(
      "ptxas info    : 0 bytes gmem, 2048 bytes cmem[4]\n"
      "ptxas info    : Compiling entry function 'linear_0' for 'sm_80'\n"
      "ptxas info    : Function properties for linear_0\n"
      "    24 bytes stack frame, 28 bytes spill stores, 36 bytes spill loads\n"
      "ptxas info    : Used 80 registers, used 0 barriers, 24 bytes cumulative stack size, 24576 "
      "bytes smem, 392 bytes cmem[0]\n"
      "ptxas info    : Function properties for norm_0_block\n"
      "    8 bytes stack frame, 4 bytes spill stores, 12 bytes spill loads\n"
      "ptxas info    : Compiling entry function 'append_0' for 'sm_80'\n"
      "ptxas info    : Function properties for append_0\n"
      "    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n"
      "ptxas info    : Used 9 registers, used 0 barriers, 392 bytes cmem[0]\n");
  ASSERT_EQ(kernels.size(), 2u);
  EXPECT_EQ(kernels[0].kernel, "linear_0");
  EXPECT_EQ(kernels[0].registers, 80);
  EXPECT_EQ(kernels[0].stackBytes, 32); // its own, and that of a function
  EXPECT_EQ(kernels[0].spillBytes, 80);
  EXPECT_EQ(kernels[0].sharedBytes, 24576);
  EXPECT_EQ(kernels[1].kernel, "append_0");
  EXPECT_EQ(kernels[1].registers, 9);
  EXPECT_EQ(kernels[1].spillBytes, 0);
  EXPECT_EQ(kernels[1].sharedBytes, 0);
}

TEST(Toolkit, ParsesRemarks) {
  std::vector<std::string> remarks =
      parseRemarks("ptxas info    : Compiling entry function 'linear_0' for 'sm_90a'\n"
                   "ptxas info    : (C7517) warpgroup.wait is injected in around line 8 by "
                   "compiler to allow use "
                   "of registers defined by GMMA in function 'linear_0'\n"
                   "ptxas info    : Used 9 registers, used 0 barriers, 392 bytes cmem[0]\n");
  ASSERT_EQ(remarks.size(), 1u);
  EXPECT_NE(remarks[0].find("warpgroup.wait is injected"), std::string::npos);
}

TEST(Toolkit, FailsWithTheAssemblersError) {
  llvm::Expected<std::string> assembler = findAssembler();
  if (!assembler) {
    llvm::consumeError(assembler.takeError());
    GTEST_SKIP() << "no ptxas";
  }
  llvm::Expected<GPUCode> code =
      assemble(*assembler, "sm_80", ".version 7.0\n.target sm_80\n.address_size 64\nnonsense\n");
  ASSERT_FALSE(bool(code));
  EXPECT_NE(llvm::toString(code.takeError()).find("nonsense"), std::string::npos);
}

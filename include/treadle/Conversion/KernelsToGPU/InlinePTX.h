//===- InlinePTX.h - Instructions that have no op ---------------*- C++ -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// All inline PTX that kernels are made of. The fake driver of test/lib/FakeCuda knows these texts
// and no other; it has no more than this header of the compiler. Operands are numbered as LLVM
// does: results, then operands, of which those that a result takes the register of come first.
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_CONVERSION_KERNELSTOGPU_INLINEPTX_H
#define TREADLE_CONVERSION_KERNELSTOGPU_INLINEPTX_H

#include <cstdint>
#include <string>

namespace treadle::ptx {

/// (destination in workgroup memory, source, bytes, mbarrier in workgroup memory), by 64-bit
/// addresses: copies in the background, a multiple of 16 bytes on borders of 16. A block is a
/// cluster by itself.
constexpr char bulkCopy[] =
    "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [$0], [$1], $2, [$3];";

/// (mbarrier, parity): waits until the phase of that parity is complete.
constexpr char waitForPhase[] = "{\n"
                                ".reg .pred done;\n"
                                "again:\n"
                                "mbarrier.try_wait.parity.shared::cta.b64 done, [$0], $1;\n"
                                "@!done bra again;\n"
                                "}";

/// All registers that products take, in and out: what has been done to them is done before these.
/// So none of them is a constant, or another one's.
constexpr char fenceRegisters[] = "wgmma.fence.sync.aligned;";

/// The sums of a thread, in and out: waits until all products under way are done.
constexpr char waitForProducts[] = "wgmma.wait_group.sync.aligned 0;";

/// Rows of which a warp group multiplies 64 outputs at once.
constexpr int64_t productRows[] = {32, 64};

/// (sums of a thread, four words of A, descriptor of B) -> sums, of which a thread has `rows` / 2:
/// starts D[64][rows] += A[64][16] B[16][rows], of bf16.
inline std::string multiply(int64_t rows) {
  const int64_t sums = rows / 2;
  std::string text = "{\n.reg .pred add;\nsetp.ne.b32 add, 1, 0;\n"
                     "wgmma.mma_async.sync.aligned.m64n" +
                     std::to_string(rows) + "k16.f32.bf16.bf16 {";
  auto list = [&](int64_t first, int64_t count) {
    for (int64_t i = 0; i < count; ++i)
      text += (i ? ", $" : "$") + std::to_string(first + i);
  };
  list(0, sums);
  text += "}, {";
  list(2 * sums, 4);
  return text + "}, $" + std::to_string(2 * sums + 4) + ", add, 1, 1, 0;\n}";
}

} // namespace treadle::ptx

#endif // TREADLE_CONVERSION_KERNELSTOGPU_INLINEPTX_H

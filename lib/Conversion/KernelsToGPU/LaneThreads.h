//===- LaneThreads.h - The threads that run one tile -----------*- C++ -*--===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_LIB_CONVERSION_KERNELSTOGPU_LANETHREADS_H
#define TREADLE_LIB_CONVERSION_KERNELSTOGPU_LANETHREADS_H

#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "treadle/Dialect/Treadle/IR/Layout.h"
#include "llvm/ADT/STLFunctionalExtras.h"

namespace treadle {

/// Threads that run one tile, one per lane: half a warp.
constexpr int64_t groupThreads = panelWidth;

/// Threads that run 16 lanes as quarters, 4 lanes each, which are 16 bytes of memory.
constexpr int64_t quadThreads = 4, quadLanes = groupThreads / quadThreads;

/// Builds code that every thread of a group runs. The constructor names the thread's lane and group
/// at the place where `builder` stands, which must be the top of a kernel.
class LaneThreads {
public:
  using Value = mlir::Value;

  explicit LaneThreads(mlir::ImplicitLocOpBuilder &builder);

  Value getLane() const { return lane; }   // index, 0 ... 15
  Value getGroup() const { return group; } // index, within the block
  Value getQuad() const { return quad; }   // index, within the block
  /// Where the thread's lanes of a quad begin: index, 0, 4, 8 or 12.
  Value getFirstLaneOfQuad() const { return quadLane; }

  Value index(int64_t value);

  Value isFirstGroup();
  /// lane < count, for an index that may lie anywhere.
  Value isLaneBelow(Value count);

  /// The value that thread `source` of the group holds, where `source` is an index of 0 ... 15 that
  /// may differ from thread to thread. Of any integer or float of at most 64 bits.
  Value shuffle(Value value, Value source);

  /// values[lane], for 16 numbers of 0 ... 15 or of 0 and 1.
  Value pickNibble(llvm::ArrayRef<int64_t> values);
  Value pickBit(llvm::ArrayRef<bool> values);

  /// What threads of the group wrote before, all of them see behind it.
  void fence();
  /// The same for all threads of the block.
  void barrier();

  /// if condition { body }
  void runIf(Value condition, llvm::function_ref<void()> body);
  /// condition ? body() : otherwise
  Value selectIf(Value condition, llvm::function_ref<Value()> body, Value otherwise);

private:
  Value shuffleWord(Value word, Value source);
  Value constant(mlir::Type type, int64_t value);

  mlir::ImplicitLocOpBuilder &b;
  Value lane, group, quad, quadLane, members;
};

} // namespace treadle

#endif // TREADLE_LIB_CONVERSION_KERNELSTOGPU_LANETHREADS_H

//===- BulkCopies.h - Memory that comes by itself --------------*- C++ -*--===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_LIB_CONVERSION_KERNELSTOGPU_BULKCOPIES_H
#define TREADLE_LIB_CONVERSION_KERNELSTOGPU_BULKCOPIES_H

#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace treadle {

/// Builds code that brings pieces of memory to a block's workgroup memory, on an sm_90 or later:
/// what comes is counted by an mbarrier in that memory, of which there is one for each piece under
/// way. Some threads ask for parts of a piece, each of which says how much its part is. Addresses
/// are indices.
class BulkCopies {
public:
  using Value = mlir::Value;

  static constexpr int64_t barrierBytes = 8;

  /// Of `barriers` mbarriers, the first of which is at `address`, on a border of 8 bytes.
  /// So many threads ask for parts.
  BulkCopies(mlir::ImplicitLocOpBuilder &builder, Value address, int64_t barriers, int64_t askers)
      : b(builder), address(address), barriers(barriers), askers(askers) {}

  /// By one thread, before and after everything else; others learn of it by a barrier, and copies
  /// by a fence.
  void begin();
  void end();
  /// What this thread has done to workgroup memory is done before copies and products of warp
  /// groups that come behind the next barrier.
  void fence();

  /// By each that asks: in the next phase of an mbarrier so many bytes come, a multiple of 16.
  void expect(Value number, Value bytes);
  /// They do: on borders of 16 bytes, at both ends.
  void copy(Value to, Value from, Value bytes, Value number);
  /// Waits for the nth phase of an mbarrier, counted from 0.
  void wait(Value number, Value phase);

private:
  Value barrierAt(Value number);
  Value toInt32(Value index);
  Value toPointer(Value address, unsigned space);
  void call(llvm::StringRef text, llvm::StringRef constraints, mlir::ValueRange operands);

  mlir::ImplicitLocOpBuilder &b;
  Value address;
  int64_t barriers, askers;
};

/// The address of an element of memory (index), `place` elements behind the first one; all of them
/// follow each other.
mlir::Value getAddress(mlir::ImplicitLocOpBuilder &builder, mlir::Value memory, mlir::Value place);

} // namespace treadle

#endif // TREADLE_LIB_CONVERSION_KERNELSTOGPU_BULKCOPIES_H

//===- GridAccess.h - What stages of a grid kernel touch -------*- C++ -*--===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A grid kernel is a schedule of stages that all blocks of a grid walk through
// together. A stage is a call of a block function, once for each of its blocks, which
// takes the block's index, the operands of a launch, and workgroup memory.
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_LIB_TARGET_NVPTX_GRIDACCESS_H
#define TREADLE_LIB_TARGET_NVPTX_GRIDACCESS_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"

namespace treadle {

/// The last argument of a grid kernel: the counter of its barriers.
inline mlir::Value getGridCounter(mlir::gpu::GPUFuncOp kernel) {
  return kernel.getArgument(kernel.getNumArguments() - 1);
}

/// The block function of a kernel, and the threads of a block that run it.
inline std::string getBlockFunctionName(llvm::StringRef kernel) {
  return (kernel + "_block").str();
}
std::optional<int64_t> getBlockThreads(mlir::func::FuncOp function);
void setBlockThreads(mlir::func::FuncOp function, int64_t threads);

/// Bytes of the memory that one argument of a grid kernel points at.
struct GridPlace {
  static constexpr unsigned anywhere = ~0u; ///< of any argument

  unsigned argument;
  int64_t begin, end;

  bool overlaps(const GridPlace &other) const {
    if (argument == anywhere || other.argument == anywhere)
      return true;
    return argument == other.argument && begin < other.end && other.begin < end;
  }
};

struct GridAccess {
  GridPlace place;
  bool writes;
};

/// What all blocks of a stage touch, in every iteration of the loops around it: of workgroup memory
/// nothing, since each block has its own.
llvm::SmallVector<GridAccess> getGridAccesses(mlir::func::CallOp stage);

/// Whether two stages that nothing orders may disturb each other.
bool areInConflict(llvm::ArrayRef<GridAccess> some, llvm::ArrayRef<GridAccess> others);

} // namespace treadle

#endif // TREADLE_LIB_TARGET_NVPTX_GRIDACCESS_H

//===- GridKernels.h - Schedules that run in one launch --------*- C++ -*--===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_TARGET_NVPTX_GRIDKERNELS_H
#define TREADLE_TARGET_NVPTX_GRIDKERNELS_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"

namespace treadle {

/// Whether `kernel`, in which all blocks of a grid walk through the schedule of `entry`, may run:
/// docs/rfcs/20261128-one-launch-per-token.md lists the rules. Says where not, and which stages
/// are in each other's way.
mlir::LogicalResult verifyGridKernel(mlir::func::FuncOp entry, mlir::gpu::GPUFuncOp kernel);

} // namespace treadle

#endif // TREADLE_TARGET_NVPTX_GRIDKERNELS_H

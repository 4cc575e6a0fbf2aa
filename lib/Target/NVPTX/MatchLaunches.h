//===- MatchLaunches.h - Stages against launches ---------------*- C++ -*--===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_LIB_TARGET_NVPTX_MATCHLAUNCHES_H
#define TREADLE_LIB_TARGET_NVPTX_MATCHLAUNCHES_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

namespace treadle {

/// The stage whose blocks `loop` deals out, if it has one: a call in no loop further inside.
mlir::func::CallOp getStageOf(mlir::scf::ForOp loop);

/// Checks that `kernel` has, in the same order and in the same loops, the stages that `entry`
/// launches, with the same operands and numbers of blocks and threads.
mlir::LogicalResult matchLaunches(mlir::func::FuncOp entry, mlir::gpu::GPUFuncOp kernel);

} // namespace treadle

#endif // TREADLE_LIB_TARGET_NVPTX_MATCHLAUNCHES_H

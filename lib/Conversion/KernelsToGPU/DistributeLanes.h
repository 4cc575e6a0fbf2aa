//===- DistributeLanes.h - From 16 lanes to 16 threads ---------*- C++ -*--===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_LIB_CONVERSION_KERNELSTOGPU_DISTRIBUTELANES_H
#define TREADLE_LIB_CONVERSION_KERNELSTOGPU_DISTRIBUTELANES_H

#include "LaneThreads.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/IR/IRMapping.h"

namespace treadle {

/// Builds the code of one thread from the body of `kernel`, at the place where `builder` stands.
/// A tile is run by a group, or by all `groups` groups of a block. `mapping` gives what the
/// kernel's arguments and its scratch memory have become. Constant tables go into `module`. Fails
/// with a diagnostic at an op that has no form for one lane.
mlir::LogicalResult distributeLanes(mlir::func::FuncOp kernel, mlir::gpu::GPUModuleOp module,
                                    std::optional<int64_t> groups, LaneThreads &threads,
                                    mlir::ImplicitLocOpBuilder &builder, mlir::IRMapping &mapping);

} // namespace treadle

#endif // TREADLE_LIB_CONVERSION_KERNELSTOGPU_DISTRIBUTELANES_H

//===- TreadleOps.td - All ops of the dialect --------------*- tablegen -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_DIALECT_TREADLE_IR_TREADLEOPS_TD
#define TREADLE_DIALECT_TREADLE_IR_TREADLEOPS_TD

include "treadle/Dialect/Treadle/IR/TreadleSymbolOps.td"
include "treadle/Dialect/Treadle/IR/TreadleStructureOps.td"
include "treadle/Dialect/Treadle/IR/TreadleTokenOps.td"
include "treadle/Dialect/Treadle/IR/TreadleMatrixOps.td"
include "treadle/Dialect/Treadle/IR/TreadleRowOps.td"
include "treadle/Dialect/Treadle/IR/TreadleElementwiseOps.td"
include "treadle/Dialect/Treadle/IR/TreadleStateOps.td"
include "treadle/Dialect/Treadle/IR/TreadleKernelOps.td"
include "treadle/Dialect/Treadle/IR/TreadleGridOps.td"

#endif // TREADLE_DIALECT_TREADLE_IR_TREADLEOPS_TD

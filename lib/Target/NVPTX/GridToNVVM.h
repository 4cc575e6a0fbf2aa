//===- GridToNVVM.h - Barriers of a grid in the LLVM dialect ---*- C++ -*--===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_LIB_TARGET_NVPTX_GRIDTONVVM_H
#define TREADLE_LIB_TARGET_NVPTX_GRIDTONVVM_H

#include "mlir/Conversion/LLVMCommon/TypeConverter.h"
#include "mlir/Transforms/DialectConversion.h"

namespace treadle {

/// The halves of a grid's barrier as atomic accesses of its counter.
void populateGridToNVVMPatterns(const mlir::LLVMTypeConverter &converter,
                                mlir::RewritePatternSet &patterns);

} // namespace treadle

#endif // TREADLE_LIB_TARGET_NVPTX_GRIDTONVVM_H

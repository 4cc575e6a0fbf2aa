//===- ConstantTable.h - Numbers in memory that is never written -*- C++ -*-==//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_CONVERSION_CONSTANTTABLE_H
#define TREADLE_CONVERSION_CONSTANTTABLE_H

#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace treadle {

/// Memory that holds `values` and is never written: one for equal values of `module`, an op with
/// one block of symbols.
mlir::Value getConstantTable(mlir::ImplicitLocOpBuilder &b, mlir::Operation *module,
                             mlir::DenseElementsAttr values);

} // namespace treadle

#endif // TREADLE_CONVERSION_CONSTANTTABLE_H

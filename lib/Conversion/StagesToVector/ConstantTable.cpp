//===- ConstantTable.cpp - Numbers in memory that is never written --------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "treadle/Conversion/ConstantTable.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "treadle/Dialect/Treadle/IR/Layout.h"

using namespace mlir;
using namespace treadle;

Value treadle::getConstantTable(ImplicitLocOpBuilder &b, Operation *module,
                                DenseElementsAttr values) {
  auto type = MemRefType::get(values.getType().getShape(), values.getElementType());
  Block &symbols = module->getRegion(0).front();
  memref::GlobalOp table;
  int64_t count = 0;
  for (auto global : symbols.getOps<memref::GlobalOp>()) {
    ++count;
    if (global.getInitialValue() == values)
      table = global;
  }
  if (!table) {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(&symbols);
    table = memref::GlobalOp::create(b, b.getStringAttr("table_" + std::to_string(count)),
                                     b.getStringAttr("private"), TypeAttr::get(type), values,
                                     b.getUnitAttr(), b.getI64IntegerAttr(slotAlignment));
  }
  return memref::GetGlobalOp::create(b, type, table.getSymName());
}

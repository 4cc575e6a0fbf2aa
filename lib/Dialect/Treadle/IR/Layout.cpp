//===- Layout.cpp - Where weights and states lie --------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "treadle/Dialect/Treadle/IR/Layout.h"

#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace treadle;

int64_t treadle::getPanelDepth(Type element) { return 32 / element.getIntOrFloatBitWidth(); }

/// Of a matrix, or of a state's rows.
template <typename Reference> static SmallVector<int64_t> storageShapeOf(Reference type) {
  if (type.getPacking() == Packing::plain)
    return llvm::to_vector(type.getShape());
  int64_t depth = getPanelDepth(type.getElementType());
  SmallVector<int64_t> shape(type.getShape().drop_back(2)); // the stack
  ArrayRef<int64_t> matrix = type.getShape().take_back(2);
  llvm::append_values(shape, llvm::divideCeilSigned(matrix[0], panelWidth),
                      llvm::divideCeilSigned(matrix[1], depth), panelWidth, depth);
  return shape;
}

SmallVector<int64_t> treadle::getStorageShape(WeightType type) { return storageShapeOf(type); }
SmallVector<int64_t> treadle::getStorageShape(StateType type) { return storageShapeOf(type); }

static int64_t bytesOf(ArrayRef<int64_t> shape, Type element) {
  return llvm::product_of(shape) * (element.getIntOrFloatBitWidth() / 8);
}

int64_t treadle::getSlotBytes(WeightType type) {
  return bytesOf(getStorageShape(type), type.getElementType());
}

int64_t treadle::getSlotBytes(StateType type) {
  return bytesOf(getStorageShape(type), type.getElementType());
}

template <typename SymbolOp> static Layout layoutSymbols(ModuleOp module) {
  Layout layout;
  for (auto symbol : module.getOps<SymbolOp>()) {
    int64_t stride = llvm::alignTo(getSlotBytes(symbol.getType()), slotAlignment);
    layout.symbols[symbol.getSymNameAttr()] = {layout.bytes, stride};
    layout.bytes += stride * llvm::product_of(symbol.getSlots());
  }
  return layout;
}

Layout treadle::layoutWeights(ModuleOp module) { return layoutSymbols<WeightOp>(module); }
Layout treadle::layoutStates(ModuleOp module) { return layoutSymbols<StateOp>(module); }

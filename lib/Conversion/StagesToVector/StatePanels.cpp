//===- StatePanels.cpp - Rows of a state side by side ---------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "StatePanels.h"

using namespace mlir;
using namespace treadle;

StatePanels::StatePanels(LaneBuilder &b, Value memory, int64_t columns)
    : b(b), memory(memory),
      depth(cast<MemRefType>(memory.getType()).getElementType().isF32() ? 1 : 2),
      isWhole(columns % depth == 0) {}

SmallVector<Value> StatePanels::placeOf(Value panel, Value column) {
  Value word = depth == 1 ? column : Value(arith::DivUIOp::create(b, column, b.index(depth)));
  return {panel, word, b.index(0)};
}

Value StatePanels::shiftOf(Value column) {
  Value place = arith::RemUIOp::create(b, column, b.index(depth));
  return arith::IndexCastOp::create(b, b.getI32Type(), b.mul(place, b.index(32 / depth)));
}

Value StatePanels::loadWords(Value panel, Value column, Value mask) {
  Value words = b.loadAsIs(memory, placeOf(panel, column), mask);
  if (isWhole)
    return words;
  words = arith::ShRUIOp::create(b, words, Value(b.broadcast(shiftOf(column))));
  return arith::AndIOp::create(b, words, b.splatWord(0xffff));
}

SmallVector<Value> StatePanels::load(Value panel, Value column, Value mask) {
  Value words = loadWords(panel, column, mask);
  if (depth == 1)
    return {words};
  if (!isWhole)
    return {b.lowBF16(words)};
  return {b.lowBF16(words), b.highBF16(words)};
}

Value StatePanels::loadNumber(Value panel, Value column, Value lane) {
  SmallVector<Value> place = placeOf(panel, column);
  place.back() = lane;
  Value word = memref::LoadOp::create(b, memory, place);
  if (depth == 1)
    return word;
  Value low = arith::ShRUIOp::create(b, word, shiftOf(column));
  return b.toFloat(arith::TruncIOp::create(b, b.getI16Type(), low));
}

void StatePanels::store(ArrayRef<Value> columns, Value panel, Value column, Value mask) {
  Value words = columns[0];
  if (depth == 2) {
    auto round = [&](Value lanes) -> Value {
      return arith::BitcastOp::create(b, b.words(), b.roundToBF16(lanes));
    };
    Value low = arith::ShRUIOp::create(b, round(columns[0]), b.splatWord(16));
    words = arith::OrIOp::create(b, low, round(columns[1])); // rounded, its low half is 0
  }
  b.store(words, memory, placeOf(panel, column), mask);
}

//===- TokenOps.cpp - Verifiers of ops from tokens to rows ----------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Verifiers.h"

using namespace mlir;
using namespace treadle;

//===----------------------------------------------------------------------===//
// embedding
//===----------------------------------------------------------------------===//

LogicalResult EmbeddingOp::verify() {
  // embedding_c1
  ArrayRef<int64_t> table = getTable().getType().getShape();
  if (table.size() != 2 || table[1] != columnsOf(getResult()))
    return emitOpError("expects a table V x ")
           << columnsOf(getResult()) << ", got " << getTable().getType();
  // embedding_c2
  return verifySameRows(*this, getIds(), getResult());
}

//===----------------------------------------------------------------------===//
// ngram_embedding
//===----------------------------------------------------------------------===//

LogicalResult NgramEmbeddingOp::verify() {
  // ngram_embedding_c1
  int64_t window = getWindow();
  ArrayRef<int64_t> table = getTable().getType().getShape();
  if (window <= 0 || table.size() != 2 || table[1] * window != columnsOf(getResult()))
    return emitOpError("expects a positive window and a table V x C with window * C = ")
           << columnsOf(getResult()) << ", got " << window << " and " << getTable().getType();
  // ngram_embedding_c2
  Type word = IntegerType::get(getContext(), 32);
  if (failed(verifyTokenState(*this, getIds().getType(), "ids", word)))
    return failure();
  // ngram_embedding_c3
  StateType history = getHistory().getType();
  if (history.getShape().size() != 1 || history.getShape()[0] < window - 1)
    return emitOpError("expects a fixed state of at least ")
           << window - 1 << " i32 as history, got " << history;
  if (failed(verifyFixedState(*this, history, "history", history.getShape(), word)))
    return failure();
  // ngram_embedding_c4
  return verifyLeadingMask(*this, getMask().getType(), getIds().getType(), getLead());
}

//===----------------------------------------------------------------------===//
// rotary_table
//===----------------------------------------------------------------------===//

LogicalResult RotaryTableOp::verify() {
  // rotary_table_c1
  if (sizeOf(getResult(), 1) != 2 || sizeOf(getResult(), 2) != int64_t(getTurns().size()))
    return emitOpError("expects a result R x 2 x ")
           << getTurns().size() << ", got " << getResult().getType();
  // rotary_table_c2
  return getLike() ? verifySameRows(*this, getLike(), getResult()) : success();
}

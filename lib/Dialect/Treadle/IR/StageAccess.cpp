//===- StageAccess.cpp - How each core op may be cut into tiles ---===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

//
// One section per op: the iteration dimensions, and the region of each operand
// that one tile touches. Rows are always dimension 0.
//
//===----------------------------------------------------------------------===//

#include "treadle/Dialect/Treadle/IR/Treadle.h"

using namespace mlir;
using namespace treadle;

static constexpr int64_t all = AccessAttr::all;

static AccessAttr access(Operation *op, ArrayRef<int64_t> dims) {
  return AccessAttr::get(op->getContext(), dims);
}

static IterationAttr iteration(Operation *op, IterationKind kind, int64_t extent) {
  return IterationAttr::get(op->getContext(), kind, extent);
}

static IterationAttr rows(Operation *op, Value value) {
  return iteration(op, IterationKind::rows, cast<ShapedType>(value.getType()).getDimSize(0));
}

/// Everything of a weight or a state, nothing of a scalar.
static AccessAttr whole(Operation *op, Value operand) {
  int64_t rank = 0;
  if (auto weight = dyn_cast<WeightType>(operand.getType()))
    rank = weight.getShape().size();
  else if (auto state = dyn_cast<StateType>(operand.getType()))
    rank = state.getShape().size();
  return access(op, SmallVector<int64_t>(rank, all));
}

//===----------------------------------------------------------------------===//
// embedding: rows; a tile gathers the rows of its ids from anywhere in the table
//===----------------------------------------------------------------------===//

SmallVector<IterationAttr> EmbeddingOp::getIterationDims() { return {rows(*this, getIds())}; }
AccessAttr EmbeddingOp::getOperandAccess(unsigned index) {
  return index == 0 ? access(*this, {0}) : whole(*this, getTable());
}
AccessAttr EmbeddingOp::getResultAccess() { return access(*this, {0, all}); }

//===----------------------------------------------------------------------===//
// rotary_table: rows; `like` only gives the row count
//===----------------------------------------------------------------------===//

SmallVector<IterationAttr> RotaryTableOp::getIterationDims() { return {rows(*this, getResult())}; }
AccessAttr RotaryTableOp::getOperandAccess(unsigned index) {
  return index == 0 ? access(*this, {0}) : access(*this, {});
}
AccessAttr RotaryTableOp::getResultAccess() { return access(*this, {0, all, all}); }

//===----------------------------------------------------------------------===//
// linear: rows x outputs
//===----------------------------------------------------------------------===//

SmallVector<IterationAttr> LinearOp::getIterationDims() {
  return {rows(*this, getInput()),
          iteration(*this, IterationKind::outputs, getWeight().getType().getShape()[0])};
}
AccessAttr LinearOp::getOperandAccess(unsigned index) {
  return index == 0 ? access(*this, {0, all}) : access(*this, {1, all});
}
AccessAttr LinearOp::getResultAccess() { return access(*this, {0, 1}); }

//===----------------------------------------------------------------------===//
// rms_norm: rows
//===----------------------------------------------------------------------===//

SmallVector<IterationAttr> RMSNormOp::getIterationDims() { return {rows(*this, getInput())}; }
AccessAttr RMSNormOp::getOperandAccess(unsigned index) {
  return index == 0 ? access(*this, {0, all}) : whole(*this, getWeight());
}
AccessAttr RMSNormOp::getResultAccess() { return access(*this, {0, all}); }

//===----------------------------------------------------------------------===//
// rope: rows x heads
//===----------------------------------------------------------------------===//

SmallVector<IterationAttr> RopeOp::getIterationDims() {
  return {rows(*this, getInput()), iteration(*this, IterationKind::heads, getHeads())};
}
AccessAttr RopeOp::getOperandAccess(unsigned index) {
  return index == 0 ? access(*this, {0, 1}) : access(*this, {0, all, all});
}
AccessAttr RopeOp::getResultAccess() { return access(*this, {0, 1}); }

//===----------------------------------------------------------------------===//
// append: rows; a tile writes the state's rows at its positions
//===----------------------------------------------------------------------===//

SmallVector<IterationAttr> AppendOp::getIterationDims() { return {rows(*this, getRows())}; }
AccessAttr AppendOp::getOperandAccess(unsigned index) {
  if (index > 1)
    return access(*this, {});
  int64_t rank = cast<ShapedType>(getRows().getType()).getRank();
  SmallVector<int64_t> dims(rank, all);
  dims[0] = index == 0 ? 0 : AccessAttr::position;
  return access(*this, dims);
}
AccessAttr AppendOp::getResultAccess() { return access(*this, {}); }

//===----------------------------------------------------------------------===//
// attention: rows x key/value heads; a tile reads one head's columns of all keys
//===----------------------------------------------------------------------===//

SmallVector<IterationAttr> AttentionOp::getIterationDims() {
  return {rows(*this, getQuery()), iteration(*this, IterationKind::heads, getKvHeads())};
}
AccessAttr AttentionOp::getOperandAccess(unsigned index) {
  switch (index) {
  case 0:
    return access(*this, {0, 1});
  case 1:
  case 2:
    return access(*this, {all, 1});
  case 3:
    return access(*this, {all});
  default:
    return access(*this, {});
  }
}
AccessAttr AttentionOp::getResultAccess() { return access(*this, {0, 1}); }

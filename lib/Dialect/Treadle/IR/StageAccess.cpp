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

#include "StageAccess.h"

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

static int64_t rankOf(Type type) {
  if (auto weight = dyn_cast<WeightType>(type))
    return weight.getShape().size();
  if (auto state = dyn_cast<StateType>(type))
    return state.getShape().size();
  auto tensor = dyn_cast<RankedTensorType>(type);
  return tensor ? tensor.getRank() : 0;
}

/// Everything of an operand; nothing of a scalar.
static AccessAttr whole(Operation *op, Type type) {
  return access(op, SmallVector<int64_t>(rankOf(type), all));
}

/// A tile of columns (iteration dimension 0): those columns of an activation and of a state with
/// rows of columns, the whole of the rest.
static AccessAttr columnAccess(Operation *op, Type type) {
  if (rankOf(type) == 2 && !isa<WeightType>(type))
    return access(op, {all, 0});
  return whole(op, type);
}

/// Rows x heads: a head's columns of the rows, and of every row of a state.
static AccessAttr headAccess(Operation *op, Type type) {
  if (isa<RankedTensorType>(type))
    return access(op, {0, 1});
  if (isa<StateType>(type) && rankOf(type) == 2)
    return access(op, {all, 1});
  return whole(op, type);
}

//===----------------------------------------------------------------------===//
// Ops that work row by row
//===----------------------------------------------------------------------===//

IterationAttr treadle::getRowIteration(Operation *op) {
  Value like =
      op->getNumResults() ? op->getResult(0) : *llvm::find_if(op->getOperands(), [](Value v) {
        return isa<RankedTensorType>(v.getType());
      });
  return rows(op, like);
}

AccessAttr treadle::getRowAccess(Operation *op, Type type) {
  SmallVector<int64_t> dims(rankOf(type), all);
  if (isa<RankedTensorType>(type))
    dims[0] = 0;
  return access(op, dims);
}

//===----------------------------------------------------------------------===//
// linear, joint_linear: rows x outputs; rows x groups where there are several
//===----------------------------------------------------------------------===//

SmallVector<IterationAttr> LinearOp::getIterationDims() {
  if (int64_t groups = getGroups(); groups > 1)
    return {rows(*this, getInput()), iteration(*this, IterationKind::heads, groups)};
  return {rows(*this, getInput()),
          iteration(*this, IterationKind::outputs, getWeight().getType().getShape()[0])};
}
AccessAttr LinearOp::getOperandAccess(unsigned index) {
  bool isGrouped = getGroups() > 1;
  if (index == 0)
    return isGrouped ? access(*this, {0, 1}) : access(*this, {0, all});
  // Output features, or the matrices of a stack; a matrix that all groups share is read whole.
  Type type = getOperand(index).getType();
  bool isCut = !isGrouped || getWeight().getType().getShape().size() == 3;
  SmallVector<int64_t> dims(rankOf(type), all);
  if (isCut)
    dims[0] = 1;
  return access(*this, dims);
}
AccessAttr LinearOp::getResultAccess() { return access(*this, {0, 1}); }

SmallVector<IterationAttr> JointLinearOp::getIterationDims() {
  return {rows(*this, getInputs().front()),
          iteration(*this, IterationKind::outputs, getWeight().getType().getShape()[0])};
}
AccessAttr JointLinearOp::getOperandAccess(unsigned index) {
  if (index < getInputs().size())
    return access(*this, {0, all});
  SmallVector<int64_t> dims(rankOf(getOperand(index).getType()), all);
  dims[0] = 1;
  return access(*this, dims);
}
AccessAttr JointLinearOp::getResultAccess() { return access(*this, {0, 1}); }

//===----------------------------------------------------------------------===//
// rope, differential: rows x heads
//===----------------------------------------------------------------------===//

SmallVector<IterationAttr> RopeOp::getIterationDims() {
  return {rows(*this, getInput()), iteration(*this, IterationKind::heads, getHeads())};
}
AccessAttr RopeOp::getOperandAccess(unsigned index) {
  return index == 0 ? access(*this, {0, 1}) : access(*this, {0, all, all});
}
AccessAttr RopeOp::getResultAccess() { return access(*this, {0, 1}); }

SmallVector<IterationAttr> DifferentialOp::getIterationDims() {
  return {rows(*this, getResult()),
          iteration(*this, IterationKind::heads, getQ1().getType().getShape()[0])};
}
AccessAttr DifferentialOp::getOperandAccess(unsigned index) {
  Type type = getOperand(index).getType();
  return isa<WeightType>(type) ? access(*this, {1, all}) : headAccess(*this, type);
}
AccessAttr DifferentialOp::getResultAccess() { return access(*this, {0, 1}); }

//===----------------------------------------------------------------------===//
// append: rows, and columns where there are some; a tile writes the state's rows at its positions
//===----------------------------------------------------------------------===//

SmallVector<IterationAttr> AppendOp::getIterationDims() {
  auto type = cast<ShapedType>(getRows().getType());
  SmallVector<IterationAttr> dims = {rows(*this, getRows())};
  if (type.getRank() == 2)
    dims.push_back(iteration(*this, IterationKind::outputs, type.getDimSize(1)));
  return dims;
}
AccessAttr AppendOp::getOperandAccess(unsigned index) {
  if (index > 1)
    return access(*this, {});
  SmallVector<int64_t> dims = {index == 0 ? 0 : AccessAttr::position};
  if (cast<ShapedType>(getRows().getType()).getRank() == 2)
    dims.push_back(1);
  return access(*this, dims);
}
AccessAttr AppendOp::getResultAccess() { return access(*this, {}); }

//===----------------------------------------------------------------------===//
// attention, cope_bias: rows x key/value heads; a tile reads one head's columns of all keys
//===----------------------------------------------------------------------===//

SmallVector<IterationAttr> AttentionOp::getIterationDims() {
  return {rows(*this, getQuery()), iteration(*this, IterationKind::heads, getKvHeads())};
}
AccessAttr AttentionOp::getOperandAccess(unsigned index) {
  return headAccess(*this, getOperand(index).getType());
}
AccessAttr AttentionOp::getResultAccess() { return access(*this, {0, 1}); }

SmallVector<IterationAttr> CopeBiasOp::getIterationDims() {
  return {rows(*this, getQuery()), iteration(*this, IterationKind::heads, getHeads())};
}
AccessAttr CopeBiasOp::getOperandAccess(unsigned index) {
  return headAccess(*this, getOperand(index).getType());
}
AccessAttr CopeBiasOp::getResultAccess() { return access(*this, {0, 1}); }

//===----------------------------------------------------------------------===//
// running_sum, causal_conv: columns; a tile takes its rows one after another
//===----------------------------------------------------------------------===//

SmallVector<IterationAttr> RunningSumOp::getIterationDims() {
  return {iteration(*this, IterationKind::outputs,
                    cast<ShapedType>(getInput().getType()).getDimSize(1))};
}
AccessAttr RunningSumOp::getOperandAccess(unsigned index) {
  return columnAccess(*this, getOperand(index).getType());
}
AccessAttr RunningSumOp::getResultAccess() { return access(*this, {}); }

SmallVector<IterationAttr> CausalConvOp::getIterationDims() {
  return {iteration(*this, IterationKind::outputs,
                    cast<ShapedType>(getInput().getType()).getDimSize(1))};
}
AccessAttr CausalConvOp::getOperandAccess(unsigned index) {
  Type type = getOperand(index).getType();
  return isa<WeightType>(type) ? access(*this, {0, all}) : columnAccess(*this, type);
}
AccessAttr CausalConvOp::getResultAccess() { return access(*this, {all, 0}); }

//===----------------------------------------------------------------------===//
// gated_delta_rule: heads; a tile takes its rows one after another. Heads may share a key
//===----------------------------------------------------------------------===//

SmallVector<IterationAttr> GatedDeltaRuleOp::getIterationDims() {
  return {iteration(*this, IterationKind::heads, getHeads())};
}
AccessAttr GatedDeltaRuleOp::getOperandAccess(unsigned index) {
  Value operand = getOperand(index);
  if (operand == getState())
    return access(*this, {0, all, all});
  if (operand == getQuery() || operand == getKey())
    return whole(*this, operand.getType());
  return columnAccess(*this, operand.getType());
}
AccessAttr GatedDeltaRuleOp::getResultAccess() { return access(*this, {all, 0}); }

//===----------------------------------------------------------------------===//
// read_state, write_state: rows; carry_ids: one tile
//===----------------------------------------------------------------------===//

SmallVector<IterationAttr> ReadStateOp::getIterationDims() { return {rows(*this, getResult())}; }
AccessAttr ReadStateOp::getOperandAccess(unsigned) { return access(*this, {0, all}); }
AccessAttr ReadStateOp::getResultAccess() { return access(*this, {0, all}); }

SmallVector<IterationAttr> WriteStateOp::getIterationDims() { return {rows(*this, getRows())}; }
AccessAttr WriteStateOp::getOperandAccess(unsigned) { return access(*this, {0, all}); }
AccessAttr WriteStateOp::getResultAccess() { return access(*this, {}); }

SmallVector<IterationAttr> CarryIdsOp::getIterationDims() {
  return {iteration(*this, IterationKind::rows, 1)};
}
AccessAttr CarryIdsOp::getOperandAccess(unsigned index) {
  return whole(*this, getOperand(index).getType());
}
AccessAttr CarryIdsOp::getResultAccess() { return access(*this, {}); }

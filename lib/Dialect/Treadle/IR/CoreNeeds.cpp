//===- CoreNeeds.cpp - What core ops need beside their operands -----------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

//
// One section per op that does operations of matrices or attention, or reads of an
// operand more, or less, than its type says.
//
//===----------------------------------------------------------------------===//

#include "treadle/Dialect/Treadle/IR/Treadle.h"

using namespace mlir;
using namespace treadle;

static int64_t getColumns(Value rows) { return cast<ShapedType>(rows.getType()).getDimSize(1); }

/// Elements of a row of an append state.
static int64_t getRowElements(TypedValue<StateType> state) {
  return llvm::product_of(state.getType().getRowShape());
}

//===----------------------------------------------------------------------===//
// linear, joint_linear
//===----------------------------------------------------------------------===//

int64_t LinearOp::getRowFlops() {
  return 2 * getColumns(getInput()) * getColumns(getResult()) / getGroups();
}

int64_t JointLinearOp::getRowFlops() {
  int64_t outputs = 0;
  for (Value output : getOutputs())
    outputs += getColumns(output);
  return 2 * getColumns(getInputs().front()) * outputs;
}

//===----------------------------------------------------------------------===//
// attention, cope_bias
//===----------------------------------------------------------------------===//

/// The scores of all heads, and their sums of values. A lane's scores are as many, unless it is a
/// row's own alone.
int64_t AttentionOp::getKeyFlops() {
  int64_t sets = getLaneKeys() && !getOwn() ? 2 : 1;
  int64_t headsOfKey = getHeads() / getKvHeads();
  return 2 * sets * headsOfKey * (getRowElements(getKeys()) + getRowElements(getValues()));
}

bool AttentionOp::readsAllRows(unsigned index) {
  Value operand = getOperand(index);
  bool isLane = operand == getLaneKeys() || operand == getLaneValues();
  return isa<StateType>(operand.getType()) && !(isLane && getOwn());
}

bool CopeBiasOp::readsAllRows(unsigned index) {
  return isa<StateType>(getOperand(index).getType());
}

//===----------------------------------------------------------------------===//
// embedding, ngram_embedding
//===----------------------------------------------------------------------===//

int64_t EmbeddingOp::getLookups(unsigned index) { return getOperand(index) == getTable() ? 1 : 0; }

/// The tokens of n-grams are those before this one.
int64_t NgramEmbeddingOp::getLookups(unsigned index) {
  return getOperand(index) == getTable() ? getWindow() : 0;
}

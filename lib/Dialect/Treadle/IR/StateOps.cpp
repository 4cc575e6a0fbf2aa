//===- StateOps.cpp - Verifiers of ops over states ------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Verifiers.h"

using namespace mlir;
using namespace treadle;

/// The mask of the tokens that stand in states of that capacity.
static LogicalResult verifyMask(Operation *op, StateType mask) {
  return verifyTokenState(op, mask, "mask", IntegerType::get(op->getContext(), 8));
}

static LogicalResult verifySameCapacity(Operation *op, StateType a, StateType b) {
  if (a.getShape()[0] != b.getShape()[0])
    return op->emitOpError("expects states of one capacity, got ") << a << " and " << b;
  return success();
}

static LogicalResult verifyFloats(Operation *op, StateType state, StringRef name) {
  if (!isa<FloatType>(state.getElementType()))
    return op->emitOpError("expects ") << name << " of f32 or bf16, got " << state;
  return success();
}

//===----------------------------------------------------------------------===//
// append, read_rows, running_sum
//===----------------------------------------------------------------------===//

LogicalResult AppendOp::verify() {
  // append_c1, append_c2
  auto rows = cast<RankedTensorType>(getRows().getType());
  if (rows.getRank() == 0)
    return emitOpError("expects a row dimension");
  StateType state = getState().getType();
  if (failed(verifyAppendState(*this, state, "state", rows.getShape().drop_front(),
                               state.getPacking())))
    return failure();
  // append_c3
  Type from = rows.getElementType(), to = state.getElementType();
  if (from != to && !(from.isF32() && to.isBF16()))
    return emitOpError("expects rows of ") << to << ", got " << from;
  return success();
}

LogicalResult ReadRowsOp::verify() {
  // read_rows_c1
  StateType state = getState().getType();
  if (failed(verifyAppendState(*this, state, "state", {columnsOf(getResult())})) ||
      failed(verifyFloats(*this, state, "state")))
    return failure();
  // read_rows_c2
  if (int64_t lag = getLag(); lag < 0)
    return emitOpError("expects a lag of 0 or more rows, got ") << lag;
  return success();
}

LogicalResult RunningSumOp::verify() {
  // running_sum_c1
  StateType state = getState().getType();
  if (failed(verifyAppendState(*this, state, "state", {columnsOf(getInput())})))
    return failure();
  if (!state.getElementType().isF32())
    return emitOpError("expects a state of f32, got ") << state;
  // running_sum_c2
  if (failed(verifyMask(*this, getMask().getType())))
    return failure();
  return verifySameCapacity(*this, state, getMask().getType());
}

//===----------------------------------------------------------------------===//
// attention, cope_bias
//===----------------------------------------------------------------------===//

LogicalResult AttentionOp::verify() {
  // attention_c1
  int64_t heads = getHeads(), kvHeads = getKvHeads();
  if (heads <= 0 || kvHeads <= 0 || heads % kvHeads != 0)
    return emitOpError("expects kv_heads to divide heads, got ") << kvHeads << " and " << heads;
  // attention_c2, attention_c3
  StateType keys = getKeys().getType(), values = getValues().getType();
  int64_t queryColumns = columnsOf(getQuery()), resultColumns = columnsOf(getResult());
  if (queryColumns % heads != 0 || resultColumns % heads != 0)
    return emitOpError("expects heads to divide the columns of query and result");
  if (failed(verifyAppendState(*this, keys, "keys", {queryColumns / heads * kvHeads},
                               Packing::panels)) ||
      failed(verifyAppendState(*this, values, "values", {resultColumns / heads * kvHeads})) ||
      failed(verifyFloats(*this, values, "values")))
    return failure();
  // attention_c4
  StateType mask = getMask().getType();
  if (failed(verifyMask(*this, mask)))
    return failure();
  // attention_c5
  if (keys.getShape()[0] != values.getShape()[0] || keys.getShape()[0] != mask.getShape()[0])
    return emitOpError("expects keys, values and mask of one capacity");
  // attention_c7
  bool hasLane = bool(getLaneKeys());
  if (hasLane != bool(getLaneValues()) || (getOwn() && !hasLane))
    return emitOpError("expects both keys and values of a lane, or neither and no 'own'");
  if (hasLane && (getLaneKeys().getType() != keys || getLaneValues().getType() != values))
    return emitOpError("expects a lane of the types of keys and values, ")
           << keys << " and " << values;
  // attention_c8
  if (getBias()) {
    if (columnsOf(getBias()) != heads * keys.getShape()[0])
      return emitOpError("expects a bias of ")
             << heads * keys.getShape()[0] << " columns, got " << getBias().getType();
    if (failed(verifySameRows(*this, getBias(), getResult())))
      return failure();
  }
  // attention_c6
  return verifySameRows(*this, getQuery(), getResult());
}

LogicalResult CopeBiasOp::verify() {
  // cope_bias_c1
  int64_t heads = getHeads(), columns = columnsOf(getQuery());
  if (failed(verifyGroups(*this, heads, columns, "heads")) ||
      failed(verifyGroups(*this, heads, columnsOf(getTable()), "heads")))
    return failure();
  // cope_bias_c2
  StateType keys = getKeys().getType();
  if (failed(verifyAppendState(*this, keys, "keys", {columns}, Packing::panels)))
    return failure();
  // cope_bias_c3
  if (failed(verifyMask(*this, getMask().getType())) ||
      failed(verifySameCapacity(*this, keys, getMask().getType())))
    return failure();
  // cope_bias_c4
  if (columnsOf(getResult()) != heads * keys.getShape()[0])
    return emitOpError("expects a result of ")
           << heads * keys.getShape()[0] << " columns, got " << getResult().getType();
  if (failed(verifySameRows(*this, getTable(), getResult())))
    return failure();
  return verifySameRows(*this, getQuery(), getResult());
}

//===----------------------------------------------------------------------===//
// causal_conv, gated_delta_rule
//===----------------------------------------------------------------------===//

LogicalResult CausalConvOp::verify() {
  // causal_conv_c1
  int64_t columns = columnsOf(getInput());
  WeightType weight = getWeight().getType();
  int64_t taps = weight.getShape().size() == 2 ? weight.getShape()[1] : 0;
  if (taps < 2)
    return emitOpError("expects a plain weight ") << columns << " x T with T >= 2, got " << weight;
  if (failed(verifyPlain(*this, weight, "weight", {columns, taps})))
    return failure();
  // causal_conv_c2
  StateType ring = getRing().getType();
  if (ring.getKind() != StateKind::ring ||
      ring.getShape() != ArrayRef<int64_t>{taps - 1, columns} || !ring.getElementType().isF32())
    return emitOpError("expects a ring state of ")
           << taps - 1 << 'x' << columns << " f32, got " << ring;
  // causal_conv_c3
  if (failed(verifyMask(*this, getMask().getType())))
    return failure();
  // causal_conv_c4
  return verifySameType(*this, getInput(), getResult());
}

LogicalResult GatedDeltaRuleOp::verify() {
  // gated_delta_rule_c1
  int64_t heads = getHeads(), keyHeads = getKeyHeads();
  if (heads <= 0 || keyHeads <= 0 || heads % keyHeads != 0)
    return emitOpError("expects key_heads to divide heads, got ") << keyHeads << " and " << heads;
  // gated_delta_rule_c2
  StateType state = getState().getType();
  if (state.getKind() != StateKind::fixed || state.getShape().size() != 3 ||
      state.getShape()[0] != heads || !state.getElementType().isF32())
    return emitOpError("expects a fixed state ") << heads << " x D x E of f32, got " << state;
  // gated_delta_rule_c3
  int64_t keyColumns = keyHeads * state.getShape()[1], valueColumns = heads * state.getShape()[2];
  if (columnsOf(getQuery()) != keyColumns || columnsOf(getKey()) != keyColumns)
    return emitOpError("expects ") << keyColumns << " columns of query and key";
  if (columnsOf(getValue()) != valueColumns || columnsOf(getResult()) != valueColumns)
    return emitOpError("expects ") << valueColumns << " columns of value and result";
  // gated_delta_rule_c4
  if (columnsOf(getBeta()) != heads || columnsOf(getDecay()) != heads)
    return emitOpError("expects ") << heads << " columns of beta and decay";
  // gated_delta_rule_c5
  if (failed(verifyMask(*this, getMask().getType())))
    return failure();
  // gated_delta_rule_c6
  for (Value rows : {getQuery(), getKey(), getValue(), getBeta(), getDecay()})
    if (failed(verifySameRows(*this, rows, getResult())))
      return failure();
  return success();
}

//===----------------------------------------------------------------------===//
// read_state, write_state, carry_ids
//===----------------------------------------------------------------------===//

LogicalResult ReadStateOp::verify() {
  // read_state_c1
  auto type = cast<RankedTensorType>(getResult().getType());
  return verifyFixedState(*this, getState().getType(), "state", type.getShape(),
                          type.getElementType());
}

LogicalResult WriteStateOp::verify() {
  // write_state_c1
  auto type = cast<RankedTensorType>(getRows().getType());
  return verifyFixedState(*this, getState().getType(), "state", type.getShape(),
                          type.getElementType());
}

LogicalResult CarryIdsOp::verify() {
  // carry_ids_c1
  Type word = IntegerType::get(getContext(), 32);
  if (failed(verifyTokenState(*this, getIds().getType(), "ids", word)))
    return failure();
  // carry_ids_c2
  StateType history = getHistory().getType();
  if (history.getShape().size() != 1)
    return emitOpError("expects a fixed state of N i32 as history, got ") << history;
  if (failed(verifyFixedState(*this, history, "history", history.getShape(), word)))
    return failure();
  // carry_ids_c3
  return verifyLeadingMask(*this, getMask().getType(), getIds().getType(), getLead());
}

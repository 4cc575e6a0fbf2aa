//===- ModelOps.cpp - Verifiers of the architectures' nouns ---===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "treadle/Dialect/Treadle/IR/Treadle.h"

using namespace mlir;
using namespace treadle;

/// Sizes along `dim` agree; a dynamic size (the rows of the `model` phase) only equals itself.
static int64_t sizeOf(Value value, unsigned dim) {
  return cast<ShapedType>(value.getType()).getDimSize(dim);
}

/// A matrix N x K in panels; emits "<name> ..." otherwise.
static LogicalResult verifyMatrix(Operation *op, WeightType weight, StringRef name, int64_t outputs,
                                  int64_t inputs) {
  if (weight.getPacking() != Packing::panels)
    return op->emitOpError("expects ") << name << " in panels, got " << weight;
  if (weight.getShape() != ArrayRef<int64_t>{outputs, inputs})
    return op->emitOpError("expects ") << name << " of " << outputs << "x" << inputs << ", got "
                                       << weight.getShape()[0] << "x" << weight.getShape()[1];
  return success();
}

static LogicalResult verifySameRows(Operation *op, Value input, Value result) {
  if (sizeOf(input, 0) != sizeOf(result, 0))
    return op->emitOpError("expects as many result rows as input rows");
  return success();
}

LogicalResult EmbeddingOp::verify() {
  // embedding_c1
  ArrayRef<int64_t> table = getTable().getType().getShape();
  if (table.size() != 2 || table[1] != sizeOf(getResult(), 1))
    return emitOpError("expects a table V x ")
           << sizeOf(getResult(), 1) << ", got " << getTable().getType();
  // embedding_c2
  return verifySameRows(*this, getIds(), getResult());
}

LogicalResult RotaryTableOp::verify() {
  // rotary_table_c1
  if (sizeOf(getResult(), 1) != 2 || sizeOf(getResult(), 2) != int64_t(getTurns().size()))
    return emitOpError("expects a result R x 2 x ")
           << getTurns().size() << ", got " << getResult().getType();
  // rotary_table_c2
  return verifySameRows(*this, getLike(), getResult());
}

LogicalResult LinearOp::verify() {
  // linear_c1
  if (failed(verifyMatrix(*this, getWeight().getType(), "weight", sizeOf(getResult(), 1),
                          sizeOf(getInput(), 1))))
    return failure();
  // linear_c2
  return verifySameRows(*this, getInput(), getResult());
}

LogicalResult LowRankLinearOp::verify() {
  int64_t rank = getDown().getType().getShape().empty() ? 0 : getDown().getType().getShape()[0];
  // low_rank_linear_c1
  if (failed(verifyMatrix(*this, getDown().getType(), "down", rank, sizeOf(getInput(), 1))))
    return failure();
  // low_rank_linear_c2
  if (failed(verifyMatrix(*this, getUp().getType(), "up", sizeOf(getResult(), 1), rank)))
    return failure();
  return verifySameRows(*this, getInput(), getResult());
}

LogicalResult RMSNormOp::verify() {
  // rms_norm_c1
  WeightType weight = getWeight().getType();
  if (weight.getPacking() != Packing::plain ||
      weight.getShape() != ArrayRef<int64_t>{sizeOf(getInput(), 1)})
    return emitOpError("expects a plain weight of size ")
           << sizeOf(getInput(), 1) << " (the columns of the input), got " << weight;
  // rms_norm_c2
  if (!getEps().isFiniteNonZero() || getEps().isNegative())
    return emitOpError("expects a positive eps");
  // rms_norm_c3
  if (getInput().getType() != getResult().getType())
    return emitOpError("expects a result of the type of the input");
  return success();
}

LogicalResult RopeOp::verify() {
  // rope_c1
  int64_t heads = getHeads(), columns = sizeOf(getInput(), 1);
  if (heads <= 0 || columns % heads != 0)
    return emitOpError("expects heads to divide ") << columns << " columns, got " << heads;
  // rope_c2
  if (sizeOf(getTable(), 0) != sizeOf(getInput(), 0) || sizeOf(getTable(), 1) != 2 ||
      2 * sizeOf(getTable(), 2) > columns / heads)
    return emitOpError("expects a table R x 2 x P with 2 P <= ")
           << columns / heads << " (the head width), got " << getTable().getType();
  // rope_c3
  if (getInput().getType() != getResult().getType())
    return emitOpError("expects a result of the type of the input");
  return success();
}

/// An append state whose rows have the given shape.
static LogicalResult verifyAppendState(Operation *op, StateType state, StringRef name,
                                       ArrayRef<int64_t> row) {
  if (state.getKind() != StateKind::append)
    return op->emitOpError("expects ") << name << " to be an append state, got " << state;
  if (state.getRowShape() != row)
    return op->emitOpError("expects ") << name << " with rows of [" << row << "], got " << state;
  return success();
}

LogicalResult AppendOp::verify() {
  // append_c1, append_c2
  auto rows = cast<RankedTensorType>(getRows().getType());
  if (rows.getRank() == 0)
    return emitOpError("expects a row dimension");
  StateType state = getState().getType();
  if (failed(verifyAppendState(*this, state, "state", rows.getShape().drop_front())))
    return failure();
  // append_c3
  Type from = rows.getElementType(), to = state.getElementType();
  if (from != to && !(from.isF32() && to.isBF16()))
    return emitOpError("expects rows of ") << to << ", got " << from;
  return success();
}

LogicalResult AttentionOp::verify() {
  // attention_c1
  int64_t heads = getHeads(), kvHeads = getKvHeads();
  if (heads <= 0 || kvHeads <= 0 || heads % kvHeads != 0)
    return emitOpError("expects kv_heads to divide heads, got ") << kvHeads << " and " << heads;
  // attention_c2, attention_c3
  StateType keys = getKeys().getType(), values = getValues().getType();
  int64_t queryColumns = sizeOf(getQuery(), 1), resultColumns = sizeOf(getResult(), 1);
  if (queryColumns % heads != 0 || resultColumns % heads != 0)
    return emitOpError("expects heads to divide the columns of query and result");
  if (failed(verifyAppendState(*this, keys, "keys", {queryColumns / heads * kvHeads})) ||
      failed(verifyAppendState(*this, values, "values", {resultColumns / heads * kvHeads})))
    return failure();
  for (StateType state : {keys, values})
    if (!isa<FloatType>(state.getElementType()))
      return emitOpError("expects keys and values of f32 or bf16, got ") << state;
  // attention_c4
  StateType mask = getMask().getType();
  if (failed(verifyAppendState(*this, mask, "mask", {})))
    return failure();
  if (!mask.getElementType().isInteger(8))
    return emitOpError("expects a mask of i8, got ") << mask;
  // attention_c5
  if (keys.getShape()[0] != values.getShape()[0] || keys.getShape()[0] != mask.getShape()[0])
    return emitOpError("expects keys, values and mask of one capacity");
  // attention_c6
  return verifySameRows(*this, getQuery(), getResult());
}

LogicalResult GateBlendOp::verify() {
  // gate_blend_c1
  WeightType gate = getGate().getType();
  if (gate.getPacking() != Packing::plain || !gate.getShape().empty())
    return emitOpError("expects a plain scalar gate, got ") << gate;
  // gate_blend_c2
  if (getInput().getType() != getOrigin().getType() ||
      getInput().getType() != getResult().getType())
    return emitOpError("expects input, origin and result of one type");
  return success();
}

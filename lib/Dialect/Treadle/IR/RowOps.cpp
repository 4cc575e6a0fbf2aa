//===- RowOps.cpp - Verifiers of ops on each row --------------------------===//
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
// Norms
//===----------------------------------------------------------------------===//

/// A plain vector with one entry per column, or per column of a group.
static LogicalResult verifyNormWeight(Operation *op, WeightType weight, StringRef name,
                                      int64_t columns, int64_t groups) {
  bool fits = weight.getPacking() == Packing::plain && weight.getShape().size() == 1 &&
              (weight.getShape()[0] == columns || weight.getShape()[0] == columns / groups);
  if (fits)
    return success();
  InFlightDiagnostic diagnostic = op->emitOpError("expects a plain ")
                                  << name << " of size " << columns;
  if (groups > 1)
    diagnostic << " or " << columns / groups;
  return diagnostic << " (the columns of the input), got " << weight;
}

LogicalResult RMSNormOp::verify() {
  // rms_norm_c4
  int64_t columns = columnsOf(getInput()), groups = getGroups();
  if (failed(verifyGroups(*this, groups, columns)))
    return failure();
  // rms_norm_c1
  if (failed(verifyNormWeight(*this, getWeight().getType(), "weight", columns, groups)))
    return failure();
  // rms_norm_c2
  if (failed(verifyPositive(*this, getEps(), "eps")))
    return failure();
  // rms_norm_c3
  return verifySameType(*this, getInput(), getResult());
}

LogicalResult LayerNormOp::verify() {
  // layer_norm_c5
  int64_t columns = columnsOf(getInput()), groups = getGroups();
  if (failed(verifyGroups(*this, groups, columns)))
    return failure();
  // layer_norm_c1
  WeightType weight = getWeight().getType();
  if (failed(verifyNormWeight(*this, weight, "weight", columns, groups)))
    return failure();
  // layer_norm_c2
  if (getBias() && getBias().getType() != weight)
    return emitOpError("expects a bias like the weight, ")
           << weight << ", got " << getBias().getType();
  // layer_norm_c3
  if (failed(verifyPositive(*this, getEps(), "eps")))
    return failure();
  // layer_norm_c4
  return verifySameType(*this, getInput(), getResult());
}

LogicalResult L2NormOp::verify() {
  // l2_norm_c1
  if (failed(verifyGroups(*this, getGroups(), columnsOf(getInput()))))
    return failure();
  // l2_norm_c2
  if (failed(verifyPositive(*this, getEps(), "eps")))
    return failure();
  // l2_norm_c3
  return verifySameType(*this, getInput(), getResult());
}

LogicalResult PolyNormOp::verify() {
  // poly_norm_c1
  if (failed(verifyPlain(*this, getWeight().getType(), "weight", {3})))
    return failure();
  // poly_norm_c2
  if (failed(verifyPlain(*this, getBias().getType(), "bias", {})))
    return failure();
  // poly_norm_c3
  if (failed(verifyPositive(*this, getEps(), "eps")))
    return failure();
  // poly_norm_c4
  return verifySameType(*this, getInput(), getResult());
}

//===----------------------------------------------------------------------===//
// Columns
//===----------------------------------------------------------------------===//

LogicalResult FanOp::verify() {
  // fan_c1
  int64_t columns = columnsOf(getInput()), periodic = getPeriodic();
  if (periodic <= 0 || periodic > columns)
    return emitOpError("expects 1 to ") << columns << " periodic columns, got " << periodic;
  // fan_c2
  if (columnsOf(getResult()) != columns + periodic)
    return emitOpError("expects a result of ")
           << columns + periodic << " columns, got " << getResult().getType();
  if (failed(verifySameRows(*this, getInput(), getResult())))
    return failure();
  // fan_c3
  if (getBias())
    return verifyPlain(*this, getBias().getType(), "bias", {columns - periodic});
  return success();
}

LogicalResult SliceOp::verify() {
  // slice_c1
  int64_t groups = getGroups(), columns = columnsOf(getInput());
  if (failed(verifyGroups(*this, groups, columns)))
    return failure();
  // slice_c2
  int64_t offset = getOffset(), size = getSize(), width = columns / groups;
  if (offset < 0 || size <= 0 || offset > width || size > width - offset)
    return emitOpError("expects columns within a group of ")
           << width << ", got " << size << " from " << offset;
  // slice_c3
  if (columnsOf(getResult()) != groups * size)
    return emitOpError("expects a result of ")
           << groups * size << " columns, got " << getResult().getType();
  return verifySameRows(*this, getInput(), getResult());
}

LogicalResult ConcatOp::verify() {
  // concat_c1
  if (getInputs().empty())
    return emitOpError("expects at least one input");
  int64_t columns = 0;
  for (Value input : getInputs()) {
    columns += columnsOf(input);
    if (failed(verifySameRows(*this, input, getResult())))
      return failure();
  }
  // concat_c2
  if (columnsOf(getResult()) != columns)
    return emitOpError("expects a result of ")
           << columns << " columns, got " << getResult().getType();
  return success();
}

LogicalResult AddScaledOp::verify() {
  // add_scaled_c1
  WeightType step = getStep().getType();
  if (step.getPacking() != Packing::plain || step.getShape().size() != 1)
    return emitOpError("expects a plain vector of steps, got ") << step;
  if (failed(verifyGroups(*this, step.getShape()[0], columnsOf(getInput()), "steps")))
    return failure();
  // add_scaled_c2
  if (failed(verifySameType(*this, getUpdate(), getResult())))
    return failure();
  return verifySameType(*this, getInput(), getResult());
}

LogicalResult DifferentialOp::verify() {
  // differential_c1
  WeightType weight = getQ1().getType();
  if (weight.getPacking() != Packing::plain || weight.getShape().size() != 2 ||
      !llvm::all_equal({weight, getK1().getType(), getQ2().getType(), getK2().getType()}))
    return emitOpError("expects four plain weights of one type G x D, got ") << weight;
  // differential_c2
  if (failed(verifyGroups(*this, weight.getShape()[0], columnsOf(getResult()), "rows of weights")))
    return failure();
  // differential_c3
  if (failed(verifySameType(*this, getNegative(), getResult())))
    return failure();
  return verifySameType(*this, getPositive(), getResult());
}

//===----------------------------------------------------------------------===//
// rope
//===----------------------------------------------------------------------===//

LogicalResult RopeOp::verify() {
  // rope_c1
  int64_t heads = getHeads(), columns = columnsOf(getInput());
  if (failed(verifyGroups(*this, heads, columns, "heads")))
    return failure();
  // rope_c2
  if (sizeOf(getTable(), 0) != sizeOf(getInput(), 0) || sizeOf(getTable(), 1) != 2 ||
      2 * sizeOf(getTable(), 2) > columns / heads)
    return emitOpError("expects a table R x 2 x P with 2 P <= ")
           << columns / heads << " (the head width), got " << getTable().getType();
  // rope_c3
  return verifySameType(*this, getInput(), getResult());
}

//===- MatrixOps.cpp - Verifiers of matrix ops ----------------------------===//
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
// linear, joint_linear
//===----------------------------------------------------------------------===//

LogicalResult LinearOp::verify() {
  // linear_c3
  int64_t groups = getGroups(), inputs = columnsOf(getInput()), outputs = columnsOf(getResult());
  if (failed(verifyGroups(*this, groups, inputs)) || failed(verifyGroups(*this, groups, outputs)))
    return failure();
  // linear_c1
  WeightType weight = getWeight().getType();
  bool isStack = groups > 1 && weight.getShape().size() == 3;
  SmallVector<int64_t> shape = {outputs / groups, inputs / groups};
  if (isStack)
    shape.insert(shape.begin(), groups);
  if (failed(verifyPanels(*this, weight, "weight", shape)))
    return failure();
  // linear_c4
  if (getBias() &&
      failed(verifyPlain(*this, getBias().getType(), "bias", ArrayRef<int64_t>(shape).drop_back())))
    return failure();
  // linear_c5
  Type input = getInput().getType().getElementType(), stored = weight.getElementType();
  if (input.isBF16() && !stored.isBF16())
    return emitOpError("expects an input of f32, since the weight is ")
           << stored << ", got " << input;
  // linear_c2
  return verifySameRows(*this, getInput(), getResult());
}

LogicalResult JointLinearOp::verify() {
  // joint_linear_c3
  if (getInputs().empty())
    return emitOpError("expects at least one input");
  // joint_linear_c2
  if (getOutputs().size() != getInputs().size() || !llvm::all_equal(getInputs().getTypes()) ||
      !llvm::all_equal(getOutputs().getTypes()))
    return emitOpError("expects one result per input, inputs of one type and results of one type");
  // joint_linear_c1
  Value input = getInputs().front(), output = getOutputs().front();
  if (failed(verifyPanels(*this, getWeight().getType(), "weight",
                          {columnsOf(output), columnsOf(input)})))
    return failure();
  // joint_linear_c4
  if (getBias() && failed(verifyPlain(*this, getBias().getType(), "bias", {columnsOf(output)})))
    return failure();
  return verifySameRows(*this, input, output);
}

//===----------------------------------------------------------------------===//
// low_rank_linear
//===----------------------------------------------------------------------===//

LogicalResult LowRankLinearOp::verify() {
  int64_t rank = getDown().getType().getShape().empty() ? 0 : getDown().getType().getShape()[0];
  // low_rank_linear_c1
  if (failed(verifyPanels(*this, getDown().getType(), "down", {rank, columnsOf(getInput())})))
    return failure();
  // low_rank_linear_c2
  if (failed(verifyPanels(*this, getUp().getType(), "up", {columnsOf(getResult()), rank})))
    return failure();
  return verifySameRows(*this, getInput(), getResult());
}

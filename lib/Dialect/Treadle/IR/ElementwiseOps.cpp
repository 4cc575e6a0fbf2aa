//===- ElementwiseOps.cpp - Verifiers of elementwise ops ------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Verifiers.h"

using namespace mlir;
using namespace treadle;

LogicalResult GateBlendOp::verify() {
  // gate_blend_c1
  if (failed(verifyPlain(*this, getGate().getType(), "gate", {})))
    return failure();
  // gate_blend_c2
  if (getInput().getType() != getOrigin().getType() ||
      getInput().getType() != getResult().getType())
    return emitOpError("expects input, origin and result of one type");
  return success();
}

LogicalResult SwishOp::verify() {
  // swish_c1
  if (failed(verifyPlain(*this, getSlope().getType(), "slope", {})))
    return failure();
  // swish_c2
  return verifySameType(*this, getInput(), getResult());
}

LogicalResult GPASOp::verify() {
  // gpas_c1
  if (failed(verifyPlain(*this, getAlpha().getType(), "alpha", {})))
    return failure();
  // gpas_c2
  return verifySameType(*this, getInput(), getResult());
}

LogicalResult LogDecayOp::verify() {
  // log_decay_c1
  for (auto weight : {getALog(), getDtBias()})
    if (failed(verifyPlain(*this, cast<WeightType>(weight.getType()), "a vector",
                           {columnsOf(getInput())})))
      return failure();
  // log_decay_c2
  return verifySameType(*this, getInput(), getResult());
}

LogicalResult BlankStartOp::verify() {
  // blank_start_c2
  if (int64_t rows = getRows(); rows <= 0)
    return emitOpError("expects a positive number of rows, got ") << rows;
  return success();
}

LogicalResult PadLogitsOp::verify() {
  // pad_logits_c2
  int64_t vocabulary = getVocabulary(), columns = columnsOf(getInput());
  if (vocabulary <= 0 || vocabulary > columns)
    return emitOpError("expects a vocabulary of 1 to ") << columns << ", got " << vocabulary;
  return success();
}

//===- Elementwise.cpp - Elementwise ops on lanes -------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "StageKernel.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace treadle;

/// 1 / (1 + exp(-x))
static Value sigmoid(LaneBuilder &b, Value x) {
  Value exp = math::ExpOp::create(b, Value(arith::NegFOp::create(b, x)));
  return arith::DivFOp::create(b, b.splat(1.0f),
                               Value(arith::AddFOp::create(b, b.splat(1.0f), exp)));
}

/// act(gate) * up
static Value emitGLU(LaneBuilder &b, GLUOp op, ArrayRef<Value> operands) {
  switch (op.getActivation()) {
  case Activation::silu: {
    Value active = arith::MulFOp::create(b, operands[0], sigmoid(b, operands[0]));
    return arith::MulFOp::create(b, active, operands[1]);
  }
  }
  llvm_unreachable("all activations are handled");
}

/// condition ? g x + (1 - g) origin : x
static Value emitGateBlend(LaneBuilder &b, ArrayRef<Value> operands) {
  Value input = operands[0], origin = operands[1];
  Value g = sigmoid(b, b.broadcast(memref::LoadOp::create(b, operands[2], ValueRange{})));
  Value rest = arith::SubFOp::create(b, b.splat(1.0f), g);
  Value blend = arith::AddFOp::create(b, Value(arith::MulFOp::create(b, g, input)),
                                      Value(arith::MulFOp::create(b, rest, origin)));
  return arith::SelectOp::create(b, operands[3], blend, input);
}

/// An op of arith or math, or a constant, on vectors instead of tensors.
static Value emitOnVectors(LaneBuilder &b, Operation *op, ArrayRef<Value> operands) {
  if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
    auto splat = cast<SplatElementsAttr>(constant.getValue());
    return b.splat(splat.getSplatValue<APFloat>().convertToFloat());
  }
  auto type = b.lanes(getElementTypeOrSelf(op->getResult(0).getType()));
  OperationState state(b.getLoc(), op->getName(), operands, type, op->getAttrs());
  return b.create(state)->getResult(0);
}

Value treadle::emitLanes(LaneBuilder &b, Operation *op, ArrayRef<Value> operands) {
  return llvm::TypeSwitch<Operation *, Value>(op)
      .Case([&](GLUOp glu) { return emitGLU(b, glu, operands); })
      .Case([&](GateBlendOp) { return emitGateBlend(b, operands); })
      .Default([&](Operation *) { return emitOnVectors(b, op, operands); });
}

void treadle::emitElementwise(StageKernel &kernel) {
  LaneBuilder &b = kernel.builder();
  b.loop(kernel.begin(0), kernel.end(0), 1, [&](Value row) {
    b.forLanes(kernel.extent(1),
               [&](Value column, Value mask) { kernel.storeResult({}, row, column, mask); });
  });
}

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

#include <cmath>
#include <limits>

using namespace mlir;
using namespace treadle;

/// 1 / (1 + exp(-x))
static Value sigmoid(LaneBuilder &b, Value x) {
  Value exp = math::ExpOp::create(b, Value(arith::NegFOp::create(b, x)));
  return arith::DivFOp::create(b, b.splat(1.0f),
                               Value(arith::AddFOp::create(b, b.splat(1.0f), exp)));
}

Value treadle::emitActivation(LaneBuilder &b, Activation activation, Value x) {
  switch (activation) {
  case Activation::identity:
    return x;
  case Activation::silu:
    return arith::MulFOp::create(b, x, sigmoid(b, x));
  case Activation::gelu: {
    Value scaled = arith::MulFOp::create(b, x, b.splat(std::sqrt(0.5f)));
    Value twice = arith::AddFOp::create(b, b.splat(1.0f), Value(math::ErfOp::create(b, scaled)));
    Value half = arith::MulFOp::create(b, x, b.splat(0.5f));
    return arith::MulFOp::create(b, half, twice);
  }
  case Activation::relu:
    return arith::MaximumFOp::create(b, x, b.splat(0.0f));
  case Activation::abs:
    return math::AbsFOp::create(b, x);
  case Activation::sigmoid:
    return sigmoid(b, x);
  }
  llvm_unreachable("covered switch");
}

/// act(gate) * up
static Value emitGLU(LaneBuilder &b, GLUOp op, ArrayRef<Value> operands) {
  Value active = emitActivation(b, op.getActivation(), operands[0]);
  return arith::MulFOp::create(b, active, operands[1]);
}

/// The scalar in the memory of a weight, on all lanes.
static Value loadScalar(LaneBuilder &b, Value memory) {
  return b.broadcast(memref::LoadOp::create(b, memory, ValueRange{}));
}

/// x / (1 + exp(-slope x))
static Value emitSwish(LaneBuilder &b, ArrayRef<Value> operands) {
  Value argument = arith::MulFOp::create(b, loadScalar(b, operands[1]), operands[0]);
  return arith::MulFOp::create(b, operands[0], sigmoid(b, argument));
}

/// x (1 - silu(alpha))
static Value emitGPAS(LaneBuilder &b, ArrayRef<Value> operands) {
  Value rest = b.onceAtStart([&]() -> Value {
    Value share = emitActivation(b, Activation::silu, loadScalar(b, operands[1]));
    return arith::SubFOp::create(b, b.splat(1.0f), share);
  });
  return arith::MulFOp::create(b, operands[0], rest);
}

/// -exp(a_log) log(1 + exp(x + dt_bias)); the logarithm as max(y, 0) + log(1 + exp(-|y|)), which
/// neither overflows nor loses the small side.
static Value emitLogDecay(LaneBuilder &b, ArrayRef<Value> operands) {
  Value y = arith::AddFOp::create(b, operands[0], operands[2]);
  Value magnitude = math::AbsFOp::create(b, y);
  Value tail = math::Log1pOp::create(
      b, Value(math::ExpOp::create(b, Value(arith::NegFOp::create(b, magnitude)))));
  Value softplus =
      arith::AddFOp::create(b, Value(arith::MaximumFOp::create(b, y, b.splat(0.0f))), tail);
  Value rate = arith::NegFOp::create(b, Value(math::ExpOp::create(b, operands[1])));
  return arith::MulFOp::create(b, rate, softplus);
}

/// position + r < rows ? 0 : x
static Value emitBlankStart(LaneBuilder &b, BlankStartOp op, ArrayRef<Value> operands, Value row) {
  Value place = b.add(operands[1], row);
  Value isBlank = arith::CmpIOp::create(b, arith::CmpIPredicate::slt, place, b.index(op.getRows()));
  return arith::SelectOp::create(b, isBlank, b.splat(0.0f), operands[0]);
}

/// c < vocabulary ? x : -infinity
static Value emitPadLogits(LaneBuilder &b, PadLogitsOp op, Value x, Value column) {
  Value isToken = b.maskBelow(b.sub(b.index(op.getVocabulary()), column));
  Value excluded = b.splat(-std::numeric_limits<float>::infinity());
  return arith::SelectOp::create(b, isToken, x, excluded);
}

/// condition ? g x + (1 - g) origin : x
static Value emitGateBlend(LaneBuilder &b, ArrayRef<Value> operands) {
  Value input = operands[0], origin = operands[1];
  Value g = b.onceAtStart([&] { return sigmoid(b, loadScalar(b, operands[2])); });
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

Value treadle::emitLanes(LaneBuilder &b, Operation *op, ArrayRef<Value> operands, Value row,
                         Value column) {
  return llvm::TypeSwitch<Operation *, Value>(op)
      .Case([&](ActivateOp act) { return emitActivation(b, act.getActivation(), operands[0]); })
      .Case([&](BlankStartOp blank) { return emitBlankStart(b, blank, operands, row); })
      .Case([&](GLUOp glu) { return emitGLU(b, glu, operands); })
      .Case([&](GateBlendOp) { return emitGateBlend(b, operands); })
      .Case([&](GPASOp) { return emitGPAS(b, operands); })
      .Case([&](LogDecayOp) { return emitLogDecay(b, operands); })
      .Case([&](PadLogitsOp pad) { return emitPadLogits(b, pad, operands[0], column); })
      .Case([&](ScaleOp) -> Value {
        return arith::MulFOp::create(b, operands[0], Value(b.broadcast(operands[1])));
      })
      .Case([&](SwishOp) { return emitSwish(b, operands); })
      .Case([&](arith::TruncFOp) { return operands[0]; }) // rounded by its memory
      .Default([&](Operation *) { return emitOnVectors(b, op, operands); });
}

void treadle::emitElementwise(StageKernel &kernel) {
  LaneBuilder &b = kernel.builder();
  b.loop(kernel.begin(0), kernel.end(0), 1, [&](Value row) {
    auto store = [&](Value column, Value mask) { kernel.storeResult({}, row, column, mask); };
    if (kernel.tileSize(1) >= kernel.extent(1))
      b.forLanes(kernel.extent(1), store); // whole rows
    else
      kernel.forColumns(1, store);
  });
}

//===- Verifiers.cpp - What verifiers of ops over rows share --------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Verifiers.h"

using namespace mlir;
using namespace treadle;

int64_t treadle::sizeOf(Value value, unsigned dim) {
  return cast<ShapedType>(value.getType()).getDimSize(dim);
}

LogicalResult treadle::verifySameRows(Operation *op, Value a, Value b) {
  if (sizeOf(a, 0) != sizeOf(b, 0))
    return op->emitOpError("expects as many result rows as input rows");
  return success();
}

LogicalResult treadle::verifySameType(Operation *op, Value input, Value result) {
  if (input.getType() != result.getType())
    return op->emitOpError("expects a result of the type of the input");
  return success();
}

static InFlightDiagnostic emitShape(Operation *op, StringRef name, StringRef packing,
                                    ArrayRef<int64_t> shape) {
  InFlightDiagnostic diagnostic = op->emitOpError("expects ") << name << ' ' << packing << " of ";
  if (shape.empty())
    return diagnostic << "one element", std::move(diagnostic);
  llvm::interleave(shape, [&](int64_t size) { diagnostic << size; }, [&] { diagnostic << 'x'; });
  return diagnostic;
}

LogicalResult treadle::verifyPanels(Operation *op, WeightType weight, StringRef name,
                                    ArrayRef<int64_t> shape) {
  if (weight.getPacking() != Packing::panels)
    return op->emitOpError("expects ") << name << " in panels, got " << weight;
  if (weight.getShape() != shape)
    return emitShape(op, name, "in panels", shape) << ", got " << weight;
  return success();
}

LogicalResult treadle::verifyPlain(Operation *op, WeightType weight, StringRef name,
                                   ArrayRef<int64_t> shape) {
  if (weight.getPacking() != Packing::plain || weight.getShape() != shape)
    return emitShape(op, name, "to be a plain weight", shape) << ", got " << weight;
  return success();
}

LogicalResult treadle::verifyAppendState(Operation *op, StateType state, StringRef name,
                                         ArrayRef<int64_t> row, Packing packing) {
  if (state.getKind() != StateKind::append)
    return op->emitOpError("expects ") << name << " to be an append state, got " << state;
  if (state.getPacking() != packing)
    return op->emitOpError("expects ")
           << name << (packing == Packing::panels ? " in panels, got " : " row by row, got ")
           << state;
  if (state.getRowShape() != row)
    return op->emitOpError("expects ") << name << " with rows of [" << row << "], got " << state;
  return success();
}

LogicalResult treadle::verifyTokenState(Operation *op, StateType state, StringRef name,
                                        Type element) {
  if (failed(verifyAppendState(op, state, name, {})))
    return failure();
  if (state.getElementType() != element)
    return op->emitOpError("expects ") << name << " of " << element << ", got " << state;
  return success();
}

LogicalResult treadle::verifyLeadingMask(Operation *op, StateType mask, StateType ids,
                                         int64_t lead) {
  if (failed(verifyTokenState(op, mask, "mask", IntegerType::get(op->getContext(), 8))))
    return failure();
  if (lead < 0 || mask.getShape()[0] < lead + ids.getShape()[0])
    return op->emitOpError("expects a mask of at least lead + ")
           << ids.getShape()[0] << " rows, got " << mask << " and lead " << lead;
  return success();
}

LogicalResult treadle::verifyFixedState(Operation *op, StateType state, StringRef name,
                                        ArrayRef<int64_t> shape, Type element) {
  if (state.getKind() != StateKind::fixed || state.getShape() != shape ||
      state.getElementType() != element)
    return op->emitOpError("expects ")
           << name << " to be a fixed state of [" << shape << "] " << element << ", got " << state;
  return success();
}

LogicalResult treadle::verifyPositive(Operation *op, llvm::APFloat value, StringRef name) {
  if (!value.isFiniteNonZero() || value.isNegative())
    return op->emitOpError("expects a positive ") << name;
  return success();
}

LogicalResult treadle::verifyGroups(Operation *op, int64_t groups, int64_t columns,
                                    StringRef name) {
  if (groups <= 0 || columns % groups != 0)
    return op->emitOpError("expects ")
           << name << " to divide " << columns << " columns, got " << groups;
  return success();
}

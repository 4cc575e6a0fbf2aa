//===- SymbolOps.cpp - Weights, states and references ---===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "StageAccess.h"

using namespace mlir;
using namespace treadle;

#define GET_OP_CLASSES
#include "treadle/Dialect/Treadle/IR/TreadleOps.cpp.inc"

/// weight_c1 and state_c1: positive slot dimensions, and no more elements than any size can count.
static LogicalResult verifySlots(Operation *op, ArrayRef<int64_t> slots, ArrayRef<int64_t> shape) {
  int64_t elements = llvm::product_of(shape);
  for (int64_t slot : slots) {
    if (slot <= 0)
      return op->emitOpError("expects positive slot dimensions, got ") << slot;
    if (slot > maxElements / elements)
      return op->emitOpError("expects at most 2^48 elements in all slots");
    elements *= slot;
  }
  return success();
}

LogicalResult WeightOp::verify() {
  // weight_c1
  if (failed(verifySlots(*this, getSlots(), getType().getShape())))
    return failure();
  // weight_c2
  int64_t slots = llvm::product_of(getSlots()), sources = getSources().size();
  if (sources == 0 || sources % slots != 0)
    return emitOpError("expects ")
           << slots << " sources, one per slot, or a multiple, got " << sources;
  // weight_c3
  ArrayRef<int64_t> shape = getType().getShape();
  if (int64_t parts = getNumParts(); parts > 1 && (shape.empty() || shape[0] % parts != 0))
    return emitOpError("expects slots that divide into ") << parts << " sources, got " << getType();
  // weight_c4
  int64_t elements = llvm::product_of(shape) / getNumParts();
  if (std::optional<ViewAttr> view = getView();
      view && llvm::product_of(view->getShape()) != elements)
    return emitOpError("expects a view of ") << elements << " elements, got " << *view;
  return success();
}

int64_t WeightOp::getNumParts() { return getSources().size() / llvm::product_of(getSlots()); }

LogicalResult StateOp::verify() {
  // state_c1
  if (failed(verifySlots(*this, getSlots(), getType().getShape())))
    return failure();
  // state_c2
  if (std::optional<uint64_t> loopSlot = getLoopSlot(); loopSlot && *loopSlot >= getSlots().size())
    return emitOpError("expects loop_slot to be one of ")
           << getSlots().size() << " slot dimensions, got " << int64_t(*loopSlot);
  // state_c3
  StateType type = getType();
  int64_t lead = getLead(), rows = type.getKind() == StateKind::append ? type.getShape()[0] : 0;
  if (lead < 0 || lead > rows)
    return emitOpError("expects a lead of 0 to ") << rows << " rows, got " << lead;
  // state_c4
  if (type.getKind() != StateKind::fixed && (getByTurn() || getInitial() || getFill()))
    return emitOpError("expects by_turn, initial and fill on fixed states only");
  if (getInitial() && getFill())
    return emitOpError("expects either initial or fill");
  // state_c6
  if (getFill() && !type.getElementType().isInteger(32))
    return emitOpError("expects fill on a state of i32, got ") << type;
  return success();
}

LogicalResult StateOp::verifySymbolUses(SymbolTableCollection &symbols) {
  // state_c5
  if (!getInitialAttr())
    return success();
  auto weight = symbols.lookupNearestSymbolFrom<WeightOp>(*this, getInitialAttr());
  StateType type = getType();
  bool fits = weight && weight.getType().getPacking() == Packing::plain &&
              weight.getType().getElementType().isF32() && type.getElementType().isF32() &&
              weight.getType().getShape() == type.getShape() && weight.getSlots() == getSlots();
  if (!fits)
    return emitOpError("expects @")
           << *getInitial() << " to be a plain weight of the state's shape and slots, of f32";
  return success();
}

/// Both kinds of reference: the symbol exists, has the type, and has as many slot dimensions.
template <typename SymbolOp, typename RefOp>
static LogicalResult verifyReference(RefOp ref, SymbolTableCollection &symbols, StringRef noun) {
  auto symbol = symbols.lookupNearestSymbolFrom<SymbolOp>(ref, ref.getSymbolAttr());
  if (!symbol)
    return ref.emitOpError("expects @") << ref.getSymbol() << " to be a " << noun;
  if (symbol.getType() != ref.getType())
    return ref.emitOpError("expects the type of @")
           << ref.getSymbol() << ", " << symbol.getType() << ", got " << ref.getType();
  if (symbol.getSlots().size() != ref.getSlot().size())
    return ref.emitOpError("expects ") << symbol.getSlots().size() << " indices into the slots of @"
                                       << ref.getSymbol() << ", got " << ref.getSlot().size();
  return success();
}

LogicalResult GetWeightOp::verifySymbolUses(SymbolTableCollection &symbols) {
  // get_weight_c1, get_weight_c2
  return verifyReference<WeightOp>(*this, symbols, "treadle.weight");
}

LogicalResult GetStateOp::verifySymbolUses(SymbolTableCollection &symbols) {
  // get_state_c1, get_state_c2
  return verifyReference<StateOp>(*this, symbols, "treadle.state");
}

//===- TreadleDialect.cpp - Dialect, types and attributes ---===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "treadle/Dialect/Treadle/IR/Treadle.h"

#include "mlir/Dialect/Utils/IndexingUtils.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace treadle;

/// `16x256xf32`: a static shape and an element type, as in the builtin shaped types.
static ParseResult parseShapeAndElement(AsmParser &parser, SmallVector<int64_t> &shape,
                                        Type &element) {
  return failure(parser.parseDimensionList(shape, /*allowDynamic=*/false) ||
                 parser.parseType(element));
}

static void printShapeAndElement(AsmPrinter &printer, ArrayRef<int64_t> shape, Type element) {
  printer.printDimensionList(shape);
  if (!shape.empty())
    printer << 'x';
  printer << element;
}

#include "treadle/Dialect/Treadle/IR/TreadleDialect.cpp.inc"
#include "treadle/Dialect/Treadle/IR/TreadleEnums.cpp.inc"
#include "treadle/Dialect/Treadle/IR/TreadleInterfaces.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "treadle/Dialect/Treadle/IR/TreadleAttrs.cpp.inc"

#define GET_TYPEDEF_CLASSES
#include "treadle/Dialect/Treadle/IR/TreadleTypes.cpp.inc"

void TreadleDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "treadle/Dialect/Treadle/IR/TreadleAttrs.cpp.inc"
      >();
  addTypes<
#define GET_TYPEDEF_LIST
#include "treadle/Dialect/Treadle/IR/TreadleTypes.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "treadle/Dialect/Treadle/IR/TreadleOps.cpp.inc"
      >();
}

//===----------------------------------------------------------------------===//
// Types
//===----------------------------------------------------------------------===//

/// weight_type_c2 and state_type_c2.
static LogicalResult verifyShape(function_ref<InFlightDiagnostic()> emitError,
                                 ArrayRef<int64_t> shape) {
  int64_t elements = 1;
  for (int64_t size : shape) {
    if (size <= 0)
      return emitError() << "expects positive dimensions, got " << size;
    if (size > maxElements / elements)
      return emitError() << "expects at most 2^48 elements";
    elements *= size;
  }
  return success();
}

LogicalResult WeightType::verify(function_ref<InFlightDiagnostic()> emitError,
                                 ArrayRef<int64_t> shape, Type element, Packing packing) {
  // weight_type_c1
  if (!element.isF32() && !element.isBF16())
    return emitError() << "expects storage type f32 or bf16, got " << element;
  // weight_type_c3
  if (packing == Packing::panels && shape.size() != 2 && shape.size() != 3)
    return emitError()
           << "expects a matrix or a stack of matrices (rank 2 or 3) in panels, got rank "
           << shape.size();
  return verifyShape(emitError, shape);
}

LogicalResult StateType::verify(function_ref<InFlightDiagnostic()> emitError, StateKind kind,
                                ArrayRef<int64_t> shape, Type element, Packing packing) {
  // state_type_c1
  if (!element.isF32() && !element.isBF16() && !element.isSignlessInteger(8) &&
      !element.isSignlessInteger(32))
    return emitError() << "expects element type f32, bf16, i8 or i32, got " << element;
  // state_type_c3
  if (kind != StateKind::fixed && shape.empty())
    return emitError() << "expects a row dimension in a state of kind " << stringifyStateKind(kind);
  // state_type_c4
  if (packing == Packing::panels &&
      (kind != StateKind::append || shape.size() != 2 || !isa<FloatType>(element)))
    return emitError() << "expects an append state of rank 2 of f32 or bf16 in panels";
  return verifyShape(emitError, shape);
}

//===----------------------------------------------------------------------===//
// Attributes
//===----------------------------------------------------------------------===//

LogicalResult EntryAttr::verify(function_ref<InFlightDiagnostic()> emitError, EntryKind,
                                int64_t rows) {
  // entry_attr_c1
  if (rows < 0)
    return emitError() << "expects a row count, or 0 where it is open, got " << rows;
  return success();
}

LogicalResult ViewAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                               ArrayRef<int64_t> shape, ArrayRef<int64_t> order) {
  // view_attr_c2
  if (order.size() != shape.size() || !isPermutationVector(order))
    return emitError() << "expects an order that is a permutation of " << shape.size()
                       << " dimensions";
  // view_attr_c1
  return verifyShape(emitError, shape);
}

LogicalResult ModelAttr::verify(function_ref<InFlightDiagnostic()> emitError, StringRef,
                                int64_t vocabulary, int64_t hidden, int64_t capacity,
                                int64_t configCapacity, int64_t maxLoops, int64_t configLoops,
                                DenseI64ArrayAttr eos, StringRef, int64_t period, int64_t tokens) {
  // model_attr_c1
  if (period < 0)
    return emitError() << "expects a period of 0 (none) or more, got " << period;
  for (int64_t size : {vocabulary, hidden, maxLoops, configLoops})
    if (size <= 0)
      return emitError() << "expects positive sizes and loop counts, got " << size;
  for (int64_t size : {capacity, configCapacity})
    if (period ? size != 0 : size <= 0)
      return emitError() << "expects capacities that are "
                         << (period ? "0 (no limit) in a model with a period" : "positive")
                         << ", got " << size;
  // model_attr_c2
  if (tokens < 0 || tokens > vocabulary)
    return emitError() << "expects 0 to " << vocabulary << " tokens, got " << tokens;
  int64_t count = tokens ? tokens : vocabulary;
  for (int64_t id : eos.asArrayRef())
    if (id < 0 || id >= count)
      return emitError() << "expects ids of eos below the vocabulary of " << count << ", got "
                         << id;
  return success();
}

LogicalResult TreadleDialect::verifyOperationAttribute(Operation *op, NamedAttribute attribute) {
  // entry_attr_c2
  if (attribute.getName() == "treadle.entry" &&
      (!isa<FunctionOpInterface>(op) || !isa<EntryAttr>(attribute.getValue())))
    return op->emitError("expects treadle.entry to be a #treadle.entry of a function");
  // model_attr_c3
  if (attribute.getName() == "treadle.model" &&
      (!isa<ModuleOp>(op) || !isa<ModelAttr>(attribute.getValue())))
    return op->emitError("expects treadle.model to be a #treadle.model of a module");
  // work_attr_c3
  if (attribute.getName() == "treadle.stages") {
    auto stages = dyn_cast<ArrayAttr>(attribute.getValue());
    if (!isa<FunctionOpInterface>(op) || !stages || !llvm::all_of(stages, llvm::IsaPred<WorkAttr>))
      return op->emitError("expects treadle.stages to be a list of #treadle.work of a function");
  }
  return success();
}

LogicalResult WorkAttr::verify(function_ref<InFlightDiagnostic()> emitError, StringRef,
                               int64_t calls, bool, ArrayAttr weights, ArrayAttr tables,
                               ArrayAttr attended, int64_t weightBytes, int64_t stateBytes,
                               int64_t rowBytes, int64_t lookupBytes, int64_t keyBytes,
                               int64_t flops, int64_t keyFlops) {
  // work_attr_c1
  if (calls < 1)
    return emitError() << "expects one call or more, got " << calls;
  for (int64_t count : {weightBytes, stateBytes, rowBytes, lookupBytes, keyBytes, flops, keyFlops})
    if (count < 0)
      return emitError() << "expects a number of bytes or operations, got " << count;
  // work_attr_c2
  for (ArrayAttr symbols : {weights, tables, attended})
    if (symbols && !llvm::all_of(symbols, llvm::IsaPred<FlatSymbolRefAttr>))
      return emitError() << "expects names of symbols, got " << symbols;
  return success();
}

LogicalResult AccessAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                 ArrayRef<int64_t> dims) {
  // access_attr_c1
  for (int64_t dim : dims)
    if (dim < position)
      return emitError() << "expects an iteration dimension, 'all' or 'position', got " << dim;
  return success();
}

Attribute AccessAttr::parse(AsmParser &parser, Type) {
  SmallVector<int64_t> dims;
  SMLoc begin = parser.getCurrentLocation();
  auto parseDim = [&]() -> ParseResult {
    int64_t dim;
    OptionalParseResult number = parser.parseOptionalInteger(dim);
    if (number.has_value())
      return failure(failed(*number) || (dims.push_back(dim), false));
    StringRef keyword;
    SMLoc loc = parser.getCurrentLocation();
    if (parser.parseKeyword(&keyword))
      return failure();
    if (keyword != "all" && keyword != "position")
      return parser.emitError(loc, "expects an iteration dimension, 'all' or 'position', got '")
             << keyword << "'";
    dims.push_back(keyword == "all" ? all : position);
    return success();
  };
  if (parser.parseCommaSeparatedList(AsmParser::Delimiter::LessGreater, parseDim))
    return {};
  return parser.getChecked<AccessAttr>(begin, parser.getContext(), dims);
}

void AccessAttr::print(AsmPrinter &printer) const {
  printer << '<';
  llvm::interleaveComma(getDims(), printer, [&](int64_t dim) {
    if (dim == all)
      printer << "all";
    else if (dim == position)
      printer << "position";
    else
      printer << dim;
  });
  printer << '>';
}

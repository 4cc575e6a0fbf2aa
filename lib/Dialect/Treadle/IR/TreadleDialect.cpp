//===- TreadleDialect.cpp - Dialect, types and attributes ---===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "treadle/Dialect/Treadle/IR/Treadle.h"

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

static LogicalResult verifyShape(function_ref<InFlightDiagnostic()> emitError,
                                 ArrayRef<int64_t> shape) {
  for (int64_t size : shape)
    if (size <= 0)
      return emitError() << "expects positive dimensions, got " << size;
  return success();
}

LogicalResult WeightType::verify(function_ref<InFlightDiagnostic()> emitError,
                                 ArrayRef<int64_t> shape, Type element, Packing packing) {
  if (!element.isF32() && !element.isBF16())
    return emitError() << "expects storage type f32 or bf16, got " << element;
  if (packing == Packing::panels && shape.size() != 2)
    return emitError() << "expects a matrix (rank 2) in panels, got rank " << shape.size();
  return verifyShape(emitError, shape);
}

LogicalResult StateType::verify(function_ref<InFlightDiagnostic()> emitError, StateKind kind,
                                ArrayRef<int64_t> shape, Type element) {
  if (!element.isF32() && !element.isBF16() && !element.isInteger(8) && !element.isInteger(32))
    return emitError() << "expects element type f32, bf16, i8 or i32, got " << element;
  if (kind != StateKind::fixed && shape.empty())
    return emitError() << "expects a row dimension in a state of kind "
                       << stringifyStateKind(kind);
  return verifyShape(emitError, shape);
}

//===----------------------------------------------------------------------===//
// Attributes
//===----------------------------------------------------------------------===//

Attribute AccessAttr::parse(AsmParser &parser, Type) {
  SmallVector<int64_t> dims;
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
  return get(parser.getContext(), dims);
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

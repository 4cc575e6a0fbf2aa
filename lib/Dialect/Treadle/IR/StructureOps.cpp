//===- StructureOps.cpp - loop, pick and stage ---===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "treadle/Dialect/Treadle/IR/Layout.h"
#include "treadle/Dialect/Treadle/IR/Treadle.h"

#include "mlir/Analysis/SliceAnalysis.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace treadle;

//===----------------------------------------------------------------------===//
// LoopOp
//===----------------------------------------------------------------------===//

void LoopOp::build(OpBuilder &builder, OperationState &state, Value trips, int64_t max,
                   ValueRange inits,
                   function_ref<SmallVector<Value>(OpBuilder &, Value, ValueRange)> body) {
  if (trips)
    state.addOperands(trips);
  state.addOperands(inits);
  state.addTypes(inits.getTypes());
  state.getOrAddProperties<Properties>().setMax(builder.getI64IntegerAttr(max));
  state.getOrAddProperties<Properties>().setOperandSegmentSizes(
      {trips ? 1 : 0, static_cast<int32_t>(inits.size())});

  OpBuilder::InsertionGuard guard(builder);
  Region *region = state.addRegion();
  Block *block = builder.createBlock(region);
  block->addArgument(builder.getIndexType(), state.location);
  for (Value init : inits)
    block->addArgument(init.getType(), state.location);
  SmallVector<Value> yielded =
      body(builder, block->getArgument(0), block->getArguments().drop_front());
  YieldOp::create(builder, state.location, yielded);
}

LogicalResult LoopOp::verify() {
  // loop_c1
  if (int64_t max = getMax(); max <= 0)
    return emitOpError("expects a positive max, got ") << max;
  // loop_c2
  Block &body = *getBody();
  if (body.getNumArguments() != getInits().size() + 1 || !body.getArgument(0).getType().isIndex() ||
      TypeRange(body.getArgumentTypes()).drop_front() != getInits().getTypes())
    return emitOpError("expects a body of the index and one argument per init, of its type");
  // loop_c3
  Operation *yield = body.getTerminator();
  if (yield->getOperandTypes() != getInits().getTypes() ||
      getResultTypes() != getInits().getTypes())
    return emitOpError("expects to yield and return the types of its inits");
  return success();
}

/// `%i (to %n)? max 4 (carry (%h = %x, ...) : types)? { body }`
ParseResult LoopOp::parse(OpAsmParser &parser, OperationState &result) {
  OpAsmParser::Argument index;
  index.type = parser.getBuilder().getIndexType();
  OpAsmParser::UnresolvedOperand trips;
  bool hasTrips = false;
  IntegerAttr max;
  if (parser.parseArgument(index))
    return failure();
  if (succeeded(parser.parseOptionalKeyword("to"))) {
    hasTrips = true;
    if (parser.parseOperand(trips) || parser.resolveOperand(trips, index.type, result.operands))
      return failure();
  }
  if (parser.parseKeyword("max") ||
      parser.parseAttribute(max, parser.getBuilder().getI64Type(), "max", result.attributes))
    return failure();

  SmallVector<OpAsmParser::Argument> arguments = {index};
  SmallVector<OpAsmParser::UnresolvedOperand> inits;
  if (succeeded(parser.parseOptionalKeyword("carry"))) {
    SmallVector<OpAsmParser::Argument> carried;
    SmallVector<Type> types;
    SMLoc loc = parser.getCurrentLocation();
    if (parser.parseAssignmentList(carried, inits) || parser.parseColonTypeList(types) ||
        parser.resolveOperands(inits, types, loc, result.operands))
      return failure();
    for (auto [argument, type] : llvm::zip(carried, types))
      argument.type = type;
    llvm::append_range(arguments, carried);
    result.addTypes(types);
  }
  result.getOrAddProperties<Properties>().setOperandSegmentSizes(
      {hasTrips ? 1 : 0, static_cast<int32_t>(inits.size())});
  Region *body = result.addRegion();
  if (parser.parseRegion(*body, arguments) || parser.parseOptionalAttrDict(result.attributes))
    return failure();
  ensureTerminator(*body, parser.getBuilder(), result.location);
  return success();
}

void LoopOp::print(OpAsmPrinter &printer) {
  printer << ' ' << getIndex();
  if (getTrips())
    printer << " to " << getTrips();
  printer << " max " << int64_t(getMax()) << ' ';
  if (!getInits().empty()) {
    printer << "carry (";
    llvm::interleaveComma(llvm::zip(getCarried(), getInits()), printer, [&](auto pair) {
      printer << std::get<0>(pair) << " = " << std::get<1>(pair);
    });
    printer << ") : ";
    llvm::interleaveComma(getInits().getTypes(), printer);
    printer << ' ';
  }
  printer.printRegion(getBodyRegion(), /*printEntryBlockArgs=*/false,
                      /*printBlockTerminators=*/!getInits().empty());
  printer.printOptionalAttrDict((*this)->getAttrs(), {"max", "operandSegmentSizes"});
}

//===----------------------------------------------------------------------===//
// PickOp
//===----------------------------------------------------------------------===//

LogicalResult PickOp::verify() {
  // pick_c1
  if (int64_t rank = getValues().getType().getRank();
      rank == 0 || int64_t(getIndices().size()) != rank)
    return emitOpError("expects one index per dimension of its values, ")
           << getValues().getType() << ", got " << getIndices().size();
  return success();
}

//===----------------------------------------------------------------------===//
// StageOp
//===----------------------------------------------------------------------===//

SmallVector<StageCoreOpInterface> StageOp::getCores() {
  return llvm::to_vector(getBody()->getOps<StageCoreOpInterface>());
}

StageCoreOpInterface StageOp::getCore() {
  SmallVector<StageCoreOpInterface> cores = getCores();
  return cores.empty() ? StageCoreOpInterface() : cores.back();
}

bool StageOp::isPrologue(StageCoreOpInterface core) {
  SetVector<Operation *> dependent;
  getForwardSlice(core.getOperation(), &dependent);
  return llvm::any_of(dependent, llvm::IsaPred<StageCoreOpInterface>);
}

int64_t StageOp::getRows() {
  for (TypeRange types :
       {TypeRange((*this)->getOperandTypes()), TypeRange((*this)->getResultTypes())})
    for (Type type : types)
      if (auto tensor = dyn_cast<RankedTensorType>(type))
        return tensor.getDimSize(0);
  return 1;
}

int64_t StageOp::getNumTiles() {
  int64_t count = 1;
  for (unsigned dim = 0, e = getIterations().size(); dim < e; ++dim)
    count *= getNumTiles(dim);
  return count;
}

/// The static shape behind a stage operand; empty for scalars.
static ArrayRef<int64_t> shapeOf(Type type) {
  if (auto tensor = dyn_cast<RankedTensorType>(type))
    return tensor.getShape();
  if (auto weight = dyn_cast<WeightType>(type))
    return weight.getShape();
  if (auto state = dyn_cast<StateType>(type))
    return state.getShape();
  return {};
}

/// stage_c3, stage_c4 and stage_c9 for one operand or result.
static LogicalResult verifyAccess(StageOp stage, Type type, AccessAttr access, const Twine &what) {
  ArrayRef<int64_t> shape = shapeOf(type);
  // stage_c3
  if (access.getDims().size() != shape.size())
    return stage.emitOpError("expects ") << shape.size() << " access dimensions for " << what
                                         << ", got " << access.getDims().size();
  // stage_c4
  for (auto [i, dim, size] : llvm::enumerate(access.getDims(), shape)) {
    if (ShapedType::isDynamic(size))
      return stage.emitOpError("expects static sizes, got ") << type << " for " << what;
    // stage_c9
    auto state = dyn_cast<StateType>(type);
    if (dim == AccessAttr::position && (i != 0 || !state || state.getKind() != StateKind::append))
      return stage.emitOpError(
                 "expects 'position' for the rows of an append state only, got it for ")
             << what;
    if (dim < 0)
      continue;
    if (dim >= int64_t(stage.getIterations().size()))
      return stage.emitOpError("expects an iteration dimension below ")
             << stage.getIterations().size() << " for " << what << ", got " << dim;
    int64_t extent = stage.getExtent(dim);
    if (size % extent != 0)
      return stage.emitOpError("expects the extent of dimension ")
             << dim << ", " << extent << ", to divide size " << size << " of " << what;
  }
  return success();
}

LogicalResult BarrierOp::verify() {
  // barrier_c1
  if (!isa<func::FuncOp, LoopOp, scf::ForOp>((*this)->getParentOp()))
    return emitOpError("expects to stand in a function or a loop");
  return success();
}

LogicalResult StageOp::verify() {
  Block &body = *getBody();
  // stage_c1
  if (body.getArgumentTypes() != getInputs().getTypes())
    return emitOpError("expects body arguments of the types of the inputs");
  // stage_c2
  if (body.getTerminator()->getOperandTypes() != getResultTypes())
    return emitOpError("expects to yield the types of the results");
  // stage_c4
  for (auto iteration : getIterations().getAsRange<IterationAttr>())
    if (iteration.getExtent() <= 0)
      return emitOpError("expects positive extents, got ") << iteration.getExtent();
  // stage_c3
  if (getAccesses().size() != getInputs().size() || getResultAccesses().size() != getNumResults())
    return emitOpError("expects one access per input and per result");
  for (auto [i, input] : llvm::enumerate(getInputs()))
    if (failed(verifyAccess(*this, input.getType(), cast<AccessAttr>(getAccesses()[i]),
                            "input " + Twine(i))))
      return failure();
  for (auto [i, type] : llvm::enumerate(getResultTypes())) {
    auto access = cast<AccessAttr>(getResultAccesses()[i]);
    if (failed(verifyAccess(*this, type, access, "result " + Twine(i))))
      return failure();
    // stage_c5
    for (int64_t dim = 0, e = getIterations().size(); dim < e; ++dim)
      if (llvm::count(access.getDims(), dim) != 1)
        return emitOpError("expects result ") << i << " to be cut once by iteration dimension "
                                              << dim << ", or tiles overlap or leave gaps";
  }
  // stage_c6
  for (Operation &op : body.without_terminator())
    if (!isa<StageCoreOpInterface>(op) && !op.hasTrait<OpTrait::Elementwise>() &&
        !op.hasTrait<OpTrait::ConstantLike>())
      return emitOpError("expects core ops and elementwise ops in the body, got ") << op.getName();
  // stage_c7
  if (std::optional<TileAttr> tile = getTile()) {
    if (tile->getSizes().size() != getIterations().size() ||
        llvm::any_of(tile->getSizes(), [](int64_t size) { return size <= 0; }))
      return emitOpError("expects one positive tile size per iteration dimension");
  }
  // stage_c8
  if (std::optional<ArrayRef<int64_t>> offsets = getOffsets()) {
    if (offsets->size() != getNumResults() || llvm::any_of(*offsets, [](int64_t offset) {
          return offset != outputPlace && (offset < 0 || offset % slotAlignment != 0);
        }))
      return emitOpError("expects one -1 or non-negative multiple of 64 per result as offsets");
  }
  return success();
}

/// stage_c10 for one core op: the stage cuts it as it says of itself.
static LogicalResult verifyIterations(StageOp stage, StageCoreOpInterface core) {
  auto cuts = [](IterationAttr stageDim, IterationAttr coreDim) {
    return stageDim == coreDim ||
           (stageDim.getKind() != IterationKind::rows && coreDim.getKind() != IterationKind::rows &&
            coreDim.getExtent() % stageDim.getExtent() == 0);
  };
  SmallVector<IterationAttr> dims = core.getIterationDims();
  if (dims.size() != stage.getIterations().size() ||
      !llvm::all_of(llvm::zip(stage.getIterations().getAsRange<IterationAttr>(), dims),
                    [&](auto pair) { return cuts(std::get<0>(pair), std::get<1>(pair)); }))
    return stage.emitOpError("expects the iteration dimensions of its core op, ")
           << core->getName();
  return success();
}

/// stage_c10 and stage_c11 for the operands of one core op.
static LogicalResult verifyOperands(StageOp stage, StageCoreOpInterface core, bool isPrologue) {
  for (OpOperand &operand : core->getOpOperands()) {
    // stage_c11
    if (isPrologue && isa<StateType>(operand.get().getType()))
      return stage.emitOpError("expects a prologue without states, got ") << core->getName();
    auto argument = dyn_cast<BlockArgument>(operand.get());
    if (!argument)
      continue;
    auto access = cast<AccessAttr>(stage.getAccesses()[argument.getArgNumber()]);
    if (isPrologue &&
        llvm::any_of(access.getDims(), [](int64_t d) { return d != AccessAttr::all; }))
      return stage.emitOpError("expects input ")
             << argument.getArgNumber() << " to be read whole, for the prologue, by "
             << core->getName();
    if (!isPrologue && access != core.getOperandAccess(operand.getOperandNumber()))
      return stage.emitOpError("expects input ")
             << argument.getArgNumber() << " to be accessed as operand "
             << operand.getOperandNumber() << " of its core op, " << core->getName();
  }
  return success();
}

/// Whether `value` is made of a result of a core op outside of the prologue, elementwise.
static bool dependsOnTiles(Value value) {
  Operation *op = value.getDefiningOp();
  if (auto core = dyn_cast_if_present<StageCoreOpInterface>(op))
    return !StageOp::isPrologue(core);
  return op && llvm::any_of(op->getOperands(), dependsOnTiles);
}

// The core ops' own accesses are meaningful only once they are verified themselves.
LogicalResult StageOp::verifyRegions() {
  SmallVector<StageCoreOpInterface> cores = getCores();
  for (StageCoreOpInterface core : cores) {
    bool prologue = isPrologue(core);
    // stage_c10
    if ((!prologue && failed(verifyIterations(*this, core))) ||
        failed(verifyOperands(*this, core, prologue)))
      return failure();
  }
  // stage_c12
  if (!cores.empty() && !llvm::all_of(getBody()->getTerminator()->getOperands(), dependsOnTiles))
    return emitOpError("expects to yield what depends on a core op outside of the prologue");
  return success();
}

/// `[<rows = 16>] (%a = %x : type <0, all>, ...) -> (type <0, 1>) (attributes {...})? { body }`
ParseResult StageOp::parse(OpAsmParser &parser, OperationState &result) {
  SmallVector<Attribute> iterations, accesses, resultAccesses;
  auto parseIteration = [&]() -> ParseResult {
    Attribute attr = IterationAttr::parse(parser, {});
    iterations.push_back(attr);
    return failure(!attr);
  };
  SmallVector<OpAsmParser::Argument> arguments;
  auto parseInput = [&]() -> ParseResult {
    OpAsmParser::UnresolvedOperand operand;
    if (parser.parseArgument(arguments.emplace_back()) || parser.parseEqual() ||
        parser.parseOperand(operand) || parser.parseColonType(arguments.back().type))
      return failure();
    Attribute access = AccessAttr::parse(parser, {});
    accesses.push_back(access);
    return failure(!access ||
                   parser.resolveOperand(operand, arguments.back().type, result.operands));
  };
  auto parseResult = [&]() -> ParseResult {
    Type type;
    if (parser.parseType(type))
      return failure();
    result.addTypes(type);
    Attribute access = AccessAttr::parse(parser, {});
    resultAccesses.push_back(access);
    return failure(!access);
  };
  using Delimiter = OpAsmParser::Delimiter;
  if (parser.parseCommaSeparatedList(Delimiter::Square, parseIteration) ||
      parser.parseCommaSeparatedList(Delimiter::Paren, parseInput) || parser.parseArrow() ||
      parser.parseCommaSeparatedList(Delimiter::Paren, parseResult) ||
      parser.parseOptionalAttrDictWithKeyword(result.attributes) ||
      parser.parseRegion(*result.addRegion(), arguments))
    return failure();
  Builder &builder = parser.getBuilder();
  auto &properties = result.getOrAddProperties<Properties>();
  properties.setIterations(builder.getArrayAttr(iterations));
  properties.setAccesses(builder.getArrayAttr(accesses));
  properties.setResultAccesses(builder.getArrayAttr(resultAccesses));
  ensureTerminator(*result.regions.back(), builder, result.location);
  return success();
}

void StageOp::print(OpAsmPrinter &printer) {
  printer << " [";
  llvm::interleaveComma(getIterations(), printer,
                        [&](Attribute attr) { cast<IterationAttr>(attr).print(printer); });
  printer << "] (";
  llvm::interleaveComma(llvm::enumerate(getInputs()), printer, [&](auto item) {
    Value input = item.value();
    printer << getBody()->getArgument(item.index()) << " = " << input << " : " << input.getType()
            << ' ';
    cast<AccessAttr>(getAccesses()[item.index()]).print(printer);
  });
  printer << ") -> (";
  llvm::interleaveComma(llvm::enumerate(getResultTypes()), printer, [&](auto item) {
    printer << item.value() << ' ';
    cast<AccessAttr>(getResultAccesses()[item.index()]).print(printer);
  });
  printer << ") ";
  printer.printOptionalAttrDictWithKeyword((*this)->getAttrs(),
                                           {"iterations", "accesses", "result_accesses"});
  printer << ' ';
  printer.printRegion(getBodyRegion(), /*printEntryBlockArgs=*/false);
}

//===- StagesToVector.cpp - Stages => kernels and entry points ------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

//
// 1. Entry points get the runtime's nine arguments; every stage operand becomes a
//    view of the arena, the weights or the states.
// 2. Each stage becomes a call to its kernel. Equal stages find the kernel that was
//    made for the first of them; what they have many rows of is a number at run time.
//
//===----------------------------------------------------------------------===//

#include "StageKernel.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/X86Vector/X86VectorDialect.h"

namespace treadle {
#define GEN_PASS_DEF_CONVERTSTAGESTOVECTORPASS
#include "treadle/Conversion/StagesToVector/Passes.h.inc"
} // namespace treadle

using namespace mlir;
using namespace treadle;

namespace {
/// Kernels made so far, found again by the structure of the stage.
class KernelTable {
public:
  KernelTable(ModuleOp module, const ConvertStagesToVectorPassOptions &options)
      : module(module), options(options) {}

  /// What runs a stage. If spans of keys are parts of its tiles, what merges them runs behind, and
  /// both take memory for them.
  struct Kernels {
    func::FuncOp first, merging;
    MemRefType spans;
  };
  /// The kernels of `stage`; nothing after a diagnostic.
  FailureOr<Kernels> lookupOrCreate(StageOp stage);

private:
  static StageOp openRows(StageOp stage);
  static llvm::hash_code hash(StageOp stage);
  static bool areEqual(StageOp a, StageOp b);
  bool hasManyParts(StageOp stage);
  FailureOr<Kernels> create(StageOp stage);
  FailureOr<func::FuncOp> create(StageOp stage, StringRef name, bool hasManyParts,
                                 MemRefType spans = {}, SpanRole role = SpanRole::all);

  ModuleOp module;
  const ConvertStagesToVectorPassOptions &options;
  struct Entry {
    StageOp stage;
    Kernels kernels;
  };
  DenseMap<size_t, SmallVector<Entry>> kernels;
  llvm::StringMap<int64_t> names;
};

/// One entry point on its way from tensors to memory.
class EntryLowering {
public:
  EntryLowering(func::FuncOp function, KernelTable &kernels, const Layout &weights,
                const Layout &states)
      : function(function), kernels(kernels), weights(weights), states(states),
        b(function.getLoc(), function.getContext()) {}

  LogicalResult run();

private:
  void replaceArguments();
  LogicalResult lowerBlock(Block &block);
  LogicalResult lowerStage(StageOp stage);
  LogicalResult lowerLoop(LoopOp loop);
  void lowerPick(PickOp pick);

  Value viewBehindArena(MemRefType type);

  /// The memory (or scalar) of a value outside of stages.
  Value memoryOf(Value value);
  /// A view of `type` at `offset` + sum of slot indices times strides.
  Value viewSlot(Value bytes, SlotLayout layout, ArrayRef<int64_t> slots, ValueRange indices,
                 Type type);

  func::FuncOp function;
  KernelTable &kernels;
  const Layout &weights, &states;
  ImplicitLocOpBuilder b;
  IRMapping mapping; // old scalars and arguments -> new ones
  Value arena, stateBytes, weightBytes, output;
  int64_t plannedBytes = 0, arenaBytes = 0; // of the arena: by the planner, and needed
};
} // namespace

//===----------------------------------------------------------------------===//
// Kernels
//===----------------------------------------------------------------------===//

/// `stage` with `?` rows where its kernel can serve any multiple of `rowGranule`, as a copy beside
/// it. Few rows are known at compile time, and so is what is computed for one row, or kept between
/// core ops.
StageOp KernelTable::openRows(StageOp stage) {
  int64_t rows = stage.getRows();
  auto isConstant = [](Operation &op) { return op.hasTrait<OpTrait::ConstantLike>(); };
  if (rows % rowGranule != 0 || llvm::any_of(*stage.getBody(), isConstant) ||
      stage.getCores().size() > 1)
    return stage;
  auto open = cast<StageOp>(OpBuilder(stage).clone(*stage));
  AttrTypeReplacer replacer;
  replacer.addReplacement([rows](RankedTensorType type) -> Type {
    if (type.getRank() == 0 || type.getDimSize(0) != rows)
      return type;
    SmallVector<int64_t> shape(type.getShape());
    shape[0] = ShapedType::kDynamic;
    return type.clone(shape);
  });
  replacer.addReplacement([rows](IterationAttr iteration) -> Attribute {
    if (iteration.getKind() != IterationKind::rows || iteration.getExtent() != rows)
      return iteration;
    return IterationAttr::get(iteration.getContext(), IterationKind::rows, ShapedType::kDynamic);
  });
  replacer.recursivelyReplaceElementsIn(open, /*replaceAttrs=*/true, /*replaceLocs=*/false,
                                        /*replaceTypes=*/true);
  return open;
}

llvm::hash_code KernelTable::hash(StageOp stage) {
  llvm::hash_code code = llvm::hash_combine(stage.getIterations(), stage.getAccesses(),
                                            stage.getResultAccesses(), stage.getTileAttr());
  for (Type type : stage.getBody()->getArgumentTypes())
    code = llvm::hash_combine(code, type);
  for (Operation &op : *stage.getBody())
    code = llvm::hash_combine(code, op.getName());
  return code;
}

bool KernelTable::areEqual(StageOp a, StageOp b) {
  return a.getIterations() == b.getIterations() && a.getAccesses() == b.getAccesses() &&
         a.getResultAccesses() == b.getResultAccesses() && a.getTileAttr() == b.getTileAttr() &&
         a.getBody()->getArgumentTypes() == b.getBody()->getArgumentTypes() &&
         a.getResultTypes() == b.getResultTypes() &&
         OperationEquivalence::isRegionEquivalentTo(&a.getBodyRegion(), &b.getBodyRegion(),
                                                    OperationEquivalence::IgnoreLocations);
}

FailureOr<KernelTable::Kernels> KernelTable::lookupOrCreate(StageOp given) {
  StageOp stage = openRows(given);
  SmallVector<Entry> &bucket = kernels[hash(stage)];
  for (Entry &entry : bucket)
    if (areEqual(entry.stage, stage)) {
      if (stage != given)
        stage.erase();
      return entry.kernels;
    }
  FailureOr<Kernels> created = create(stage);
  if (succeeded(created))
    bucket.push_back({stage, *created});
  return created;
}

/// Whether a tile has parts for many threads: slices of products, keys, columns of a head's state,
/// those of a long row, or a prologue, which every tile runs as a whole.
bool KernelTable::hasManyParts(StageOp stage) {
  StageCoreOpInterface core = stage.getCore();
  if (!core)
    return false;
  if (isa<AttentionOp, JointLinearOp, LinearOp>(core.getOperation()) ||
      llvm::any_of(stage.getCores(), StageOp::isPrologue))
    return true;
  if (auto rule = dyn_cast<GatedDeltaRuleOp>(core.getOperation()))
    return rule.getState().getType().getShape()[2] > numLanes || getChunkRows(rule, options);
  auto isLong = [](Type type) { return cast<RankedTensorType>(type).getDimSize(1) >= longRow; };
  return stage.getTile()->getSizes() == ArrayRef<int64_t>{1} && stage.getNumResults() > 0 &&
         llvm::all_of(stage.getResultTypes(), isLong);
}

FailureOr<KernelTable::Kernels> KernelTable::create(StageOp stage) {
  StageCoreOpInterface core = stage.getCore();
  StringRef noun = core ? core->getName().stripDialect() : "elementwise";
  std::string name = (noun + "_" + Twine(names[noun]++)).str();
  bool isTeam = options.slices > 1 && hasManyParts(stage);
  MemRefType spans = isTeam ? getSpanMemory(stage) : MemRefType();
  FailureOr<func::FuncOp> first =
      create(stage, name, isTeam, spans, spans ? SpanRole::one : SpanRole::all);
  if (failed(first) || !spans)
    return failed(first) ? FailureOr<Kernels>(failure()) : Kernels{*first, {}, {}};
  FailureOr<func::FuncOp> merging = create(stage, name + "_merge", isTeam, spans, SpanRole::merge);
  if (failed(merging))
    return failure();
  return Kernels{*first, *merging, spans};
}

FailureOr<func::FuncOp> KernelTable::create(StageOp stage, StringRef name, bool hasManyParts,
                                            MemRefType spans, SpanRole role) {
  OpBuilder builder = OpBuilder::atBlockEnd(module.getBody());
  SmallVector<Type> types;
  for (Type type : stage.getBody()->getArgumentTypes())
    types.push_back(getKernelType(type));
  for (Type type : stage.getResultTypes())
    types.push_back(getKernelType(type));
  if (spans)
    types.push_back(spans);
  types.append(2, builder.getIndexType());

  auto kernel =
      func::FuncOp::create(builder, stage.getLoc(), name, builder.getFunctionType(types, {}));
  if (hasManyParts)
    kernel->setAttr("treadle.sliced", builder.getUnitAttr());
  kernel.setPrivate();
  kernel->setAttr("treadle.kernel", builder.getUnitAttr());
  // One function per distinct stage: inlined, its registers would compete with the entry point's.
  kernel->setAttr("passthrough", builder.getStrArrayAttr({"noinline"}));
  kernel.addEntryBlock();
  if (failed(StageKernel(stage, kernel, options, role).emit()))
    return failure();
  return kernel;
}

//===----------------------------------------------------------------------===//
// Entry points
//===----------------------------------------------------------------------===//

LogicalResult EntryLowering::run() {
  replaceArguments();
  b.setInsertionPointToStart(&function.getBody().front());
  if (failed(lowerBlock(function.getBody().back())))
    return failure();
  func::ReturnOp::create(b);
  if (arenaBytes == plannedBytes)
    return success();
  function->setAttr("treadle.arena_bytes", b.getI64IntegerAttr(arenaBytes));
  arena.setType(MemRefType::get({arenaBytes}, b.getI8Type()));
  function.setFunctionType(b.getFunctionType(function.getBody().front().getArgumentTypes(), {}));
  return success();
}

/// (ids, mask, position, valid, loops) -> hidden, hidden -> logits, or (position, valid, loops) of
/// `open` and `close`   =>   the nine arguments.
/// The old body stays behind the new block until it is lowered.
void EntryLowering::replaceArguments() {
  Block &old = function.getBody().front();
  enum { input = 3, mask, result, position, valid, loops, numArguments };
  SmallVector<unsigned> places;
  switch (function->getAttrOfType<EntryAttr>("treadle.entry").getKind()) {
  case EntryKind::forward:
    places = {input, mask, position, valid, loops};
    break;
  case EntryKind::head:
    places = {input};
    break;
  case EntryKind::open:
  case EntryKind::close:
    places = {position, valid, loops};
    break;
  }
  plannedBytes = cast<IntegerAttr>(function->getAttr("treadle.arena_bytes")).getInt();
  arenaBytes = plannedBytes;
  auto bytes = [&](int64_t count) { return MemRefType::get({count}, b.getI8Type()); };
  SmallVector<Type> types = {bytes(arenaBytes), bytes(states.bytes), bytes(weights.bytes)};
  types.append(3, bytes(1)); // what an entry point has no use for
  types.append(3, b.getIndexType());
  for (auto [argument, place] : llvm::zip(old.getArguments(), places))
    types[place] = getKernelType(argument.getType());
  if (function.getNumResults())
    types[result] = getKernelType(function.getResultTypes()[0]);

  Block *block = b.createBlock(&function.getBody(), function.getBody().begin());
  for (Type type : types)
    block->addArgument(type, function.getLoc());
  arena = block->getArgument(0);
  stateBytes = block->getArgument(1);
  weightBytes = block->getArgument(2);
  output = block->getArgument(result);
  for (auto [argument, place] : llvm::zip(old.getArguments(), places))
    mapping.map(argument, block->getArgument(place));
  function.setFunctionType(b.getFunctionType(types, {}));
}

LogicalResult EntryLowering::lowerBlock(Block &block) {
  for (Operation &op : block.without_terminator()) {
    b.setLoc(op.getLoc());
    if (auto stage = dyn_cast<StageOp>(op)) {
      if (failed(lowerStage(stage)))
        return failure();
    } else if (auto loop = dyn_cast<LoopOp>(op)) {
      if (failed(lowerLoop(loop)))
        return failure();
    } else if (auto pick = dyn_cast<PickOp>(op)) {
      lowerPick(pick);
    } else if (!isa<GetWeightOp, GetStateOp>(op)) { // references are resolved where they are used
      b.clone(op, mapping);
    }
  }
  return success();
}

LogicalResult EntryLowering::lowerLoop(LoopOp loop) {
  Value trips = loop.getTrips() ? mapping.lookup(loop.getTrips())
                                : Value(arith::ConstantIndexOp::create(b, loop.getMax()));
  auto forOp = scf::ForOp::create(b, arith::ConstantIndexOp::create(b, 0), trips,
                                  arith::ConstantIndexOp::create(b, 1));
  mapping.map(loop.getIndex(), forOp.getInductionVar());
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(forOp.getBody());
  return lowerBlock(*loop.getBody());
}

void EntryLowering::lowerPick(PickOp pick) {
  Value table = getConstantTable(b, function->getParentOfType<ModuleOp>(), pick.getValues());
  SmallVector<Value> indices;
  for (Value index : pick.getIndices())
    indices.push_back(mapping.lookupOrDefault(index));
  mapping.map(pick.getResult(), Value(memref::LoadOp::create(b, table, indices)));
}

LogicalResult EntryLowering::lowerStage(StageOp stage) {
  if (!stage.getTileAttr())
    return stage.emitOpError("expects tile sizes; run the target's tile assignment first");
  FailureOr<KernelTable::Kernels> found = kernels.lookupOrCreate(stage);
  if (failed(found))
    return failure();
  SmallVector<Value> arguments;
  for (Value input : stage.getInputs())
    arguments.push_back(memoryOf(input));
  for (Value result : stage.getResults())
    arguments.push_back(memoryOf(result));
  for (auto [argument, type] : llvm::zip(arguments, found->first.getArgumentTypes()))
    if (argument.getType() != type) // the rows
      argument = memref::CastOp::create(b, type, argument);
  if (found->spans)
    arguments.push_back(viewBehindArena(found->spans));
  for (func::FuncOp kernel : {found->first, found->merging}) {
    if (!kernel)
      continue;
    int64_t tiles = stage.getNumTiles() * getNumParts(kernel);
    SmallVector<Value> all(arguments);
    all.push_back(arith::ConstantIndexOp::create(b, 0));
    all.push_back(arith::ConstantIndexOp::create(b, tiles));
    func::CallOp::create(b, kernel, all);
  }
  return success();
}

/// What one stage needs for itself lies behind what is planned.
Value EntryLowering::viewBehindArena(MemRefType type) {
  int64_t bytes = type.getNumElements() * type.getElementTypeBitWidth() / 8;
  int64_t offset = llvm::alignTo(plannedBytes, slotAlignment);
  arenaBytes = std::max(arenaBytes, offset + bytes);
  return viewSlot(arena, {offset, 0}, {}, {}, type);
}

Value EntryLowering::viewSlot(Value bytes, SlotLayout layout, ArrayRef<int64_t> slots,
                              ValueRange indices, Type type) {
  Value slot = arith::ConstantIndexOp::create(b, 0);
  for (auto [size, index] : llvm::zip(slots, indices)) {
    Value row = arith::MulIOp::create(b, slot, Value(arith::ConstantIndexOp::create(b, size)));
    slot = arith::AddIOp::create(b, row, mapping.lookupOrDefault(index));
  }
  Value distance =
      arith::MulIOp::create(b, slot, Value(arith::ConstantIndexOp::create(b, layout.stride)));
  Value offset =
      arith::AddIOp::create(b, distance, Value(arith::ConstantIndexOp::create(b, layout.offset)));
  return memref::ViewOp::create(b, cast<MemRefType>(type), bytes, offset, ValueRange{});
}

Value EntryLowering::memoryOf(Value value) {
  if (Value known = mapping.lookupOrNull(value))
    return known;
  auto module = function->getParentOfType<ModuleOp>();
  Type type = getKernelType(value.getType());
  if (auto argument = dyn_cast<BlockArgument>(value)) {
    // What a loop carries lies where its init lies.
    auto loop = cast<LoopOp>(argument.getOwner()->getParentOp());
    return memoryOf(loop.getInits()[argument.getArgNumber() - 1]);
  }
  if (auto loop = value.getDefiningOp<LoopOp>())
    return memoryOf(loop.getInits()[cast<OpResult>(value).getResultNumber()]);
  if (auto get = value.getDefiningOp<GetWeightOp>()) {
    auto weight = module.lookupSymbol<WeightOp>(get.getSymbol());
    return viewSlot(weightBytes, weights.symbols.lookup(weight.getSymNameAttr()), weight.getSlots(),
                    get.getSlot(), type);
  }
  if (auto get = value.getDefiningOp<GetStateOp>()) {
    auto state = module.lookupSymbol<StateOp>(get.getSymbol());
    return viewSlot(stateBytes, states.symbols.lookup(state.getSymNameAttr()), state.getSlots(),
                    get.getSlot(), type);
  }
  auto stage = value.getDefiningOp<StageOp>();
  int64_t offset = (*stage.getOffsets())[cast<OpResult>(value).getResultNumber()];
  if (offset == StageOp::outputPlace)
    return output;
  return viewSlot(arena, {offset, 0}, {}, {}, type);
}

//===----------------------------------------------------------------------===//
// Pass
//===----------------------------------------------------------------------===//

int64_t treadle::getScratchBytes(func::FuncOp kernel) {
  int64_t bytes = 0;
  for (auto alloca : kernel.getOps<memref::AllocaOp>()) {
    MemRefType type = alloca.getType();
    bytes += type.getNumElements() * type.getElementTypeBitWidth() / 8;
  }
  return bytes;
}

namespace {
struct ConvertStagesToVector
    : public treadle::impl::ConvertStagesToVectorPassBase<ConvertStagesToVector> {
  using ConvertStagesToVectorPassBase::ConvertStagesToVectorPassBase;

  void runOnOperation() override {
    ConvertStagesToVectorPassOptions options{
        registerRows, registerPanels, singleRowPanels, blockWords, singleRowWords,
        slices,       bf16Dot,        chunked,         maskedKeys, packValues};
    ModuleOp module = getOperation();
    KernelTable kernels(module, options);
    Layout weights = layoutWeights(module), states = layoutStates(module);
    // Stages stay until the end: the table compares with the first of each kind.
    SmallVector<func::FuncOp> entries;
    for (auto function : module.getOps<func::FuncOp>())
      if (function->hasAttr("treadle.entry"))
        entries.push_back(function);
    for (func::FuncOp entry : entries)
      if (failed(EntryLowering(entry, kernels, weights, states).run()))
        return signalPassFailure();
    for (func::FuncOp entry : entries) {
      Block &old = entry.getBody().back();
      old.dropAllReferences();
      old.dropAllUses();
      old.erase();
    }
  }
};
} // namespace

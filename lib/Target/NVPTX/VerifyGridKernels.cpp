//===- VerifyGridKernels.cpp - Whether schedules may run in one launch ----===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Knows nothing of how barriers came to be where they are. It takes every pair of
// stages that touch the same bytes, one of them to write, and looks for a way from the
// one to the other on which no barrier is both arrived at and waited for.
//
//===----------------------------------------------------------------------===//

#include "GridAccess.h"
#include "MatchLaunches.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "treadle/Dialect/Treadle/IR/Treadle.h"
#include "treadle/Target/NVPTX/GridKernels.h"
#include "treadle/Target/NVPTX/Passes.h"
#include "llvm/ADT/SmallSet.h"
#include "llvm/ADT/TypeSwitch.h"

namespace treadle {
#define GEN_PASS_DEF_VERIFYGRIDKERNELSPASS
#include "treadle/Target/NVPTX/Passes.h.inc"
} // namespace treadle

using namespace mlir;
using namespace treadle;

//===----------------------------------------------------------------------===//
// Launch bounds
//===----------------------------------------------------------------------===//

/// What a multiprocessor of any level has at least.
static constexpr int64_t leastRegisters = 65536, leastThreads = 1536,
                         leastWorkgroupBytes = 99 << 10;

static int64_t getWorkgroupBytes(gpu::GPUFuncOp kernel) {
  int64_t bytes = 0;
  for (BlockArgument memory : kernel.getWorkgroupAttributions()) {
    auto type = cast<MemRefType>(memory.getType());
    bytes += type.getNumElements() * type.getElementTypeBitWidth() / 8;
  }
  return bytes;
}

/// A block that waits stays where it is, so all of them must have room at once: a grid has as many
/// as the driver says that fit, and that is none unless the bounds say so.
static LogicalResult verifyBounds(gpu::GPUFuncOp kernel) {
  std::optional<ArrayRef<int32_t>> size = kernel.getKnownBlockSize();
  if (!size || (*size)[1] != 1 || (*size)[2] != 1)
    return kernel.emitOpError("expects known_block_size, with threads in one dimension");
  auto blocks = kernel->getAttrOfType<IntegerAttr>(NVVM::NVVMDialect::getMinctasmAttrName());
  if (!blocks || blocks.getInt() < 1)
    return kernel.emitOpError(
        "expects nvvm.minctasm, the blocks that a multiprocessor has room for");
  int64_t threads = (*size)[0] * blocks.getInt();
  auto registers = kernel->getAttrOfType<IntegerAttr>(NVVM::NVVMDialect::getMaxnregAttrName());
  if (registers && registers.getInt() * threads > leastRegisters)
    return kernel.emitOpError("expects nvvm.maxnreg of at most ")
           << leastRegisters / threads << ", the registers of a multiprocessor for " << threads
           << " threads, got " << registers.getInt();
  if (threads > leastThreads)
    return kernel.emitOpError("expects at most ")
           << leastThreads << " threads on a multiprocessor, got " << threads;
  if (getWorkgroupBytes(kernel) * blocks.getInt() > leastWorkgroupBytes)
    return kernel.emitOpError("expects at most ")
           << leastWorkgroupBytes << " bytes of workgroup memory on a multiprocessor, got "
           << getWorkgroupBytes(kernel) * blocks.getInt();
  return success();
}

//===----------------------------------------------------------------------===//
// Uniform control flow
//===----------------------------------------------------------------------===//

template <typename IndexOp> static bool isIndex(Value value) {
  auto index = value.getDefiningOp<IndexOp>();
  return index && index.getDimension() == gpu::Dimension::x;
}

/// A look-up in a table that never changes.
static bool isLookup(Operation *op) {
  auto load = dyn_cast<memref::LoadOp>(op);
  auto get = load ? load.getMemref().getDefiningOp<memref::GetGlobalOp>() : nullptr;
  if (!get)
    return false;
  auto table = SymbolTable::lookupNearestSymbolFrom<memref::GlobalOp>(get, get.getNameAttr());
  return table && table.getConstant();
}

/// Whether a value is the same in all threads of all blocks.
static bool isUniform(Value value) {
  if (auto argument = dyn_cast<BlockArgument>(value)) {
    Operation *parent = argument.getOwner()->getParentOp();
    if (isa<gpu::GPUFuncOp>(parent))
      return true;
    auto loop = dyn_cast<scf::ForOp>(parent);
    return loop && argument == loop.getInductionVar() &&
           llvm::all_of(ValueRange{loop.getLowerBound(), loop.getUpperBound(), loop.getStep()},
                        isUniform);
  }
  Operation *op = value.getDefiningOp();
  if (isa<gpu::GridDimOp, gpu::BlockDimOp>(op))
    return true;
  if (isa<gpu::GPUDialect, NVVM::NVVMDialect>(op->getDialect()) || op->getNumRegions())
    return false;
  return (isMemoryEffectFree(op) || isLookup(op)) && llvm::all_of(op->getOperands(), isUniform);
}

//===----------------------------------------------------------------------===//
// Stages
//===----------------------------------------------------------------------===//

static bool hasWorkgroupMemory(func::FuncOp function) {
  return llvm::any_of(function.getArgumentTypes(), [](Type type) {
    auto memory = dyn_cast<MemRefType>(type);
    return memory && gpu::GPUDialect::hasWorkgroupMemoryAddressSpace(memory);
  });
}

/// Whether the pieces of workgroup memory that a stage has lie beside each other in the kernel's.
static bool areApart(func::CallOp stage) {
  SmallVector<std::pair<int64_t, int64_t>> pieces; // begin and end
  for (Value operand : stage.getOperands()) {
    auto type = dyn_cast<MemRefType>(operand.getType());
    if (!type || !gpu::GPUDialect::hasWorkgroupMemoryAddressSpace(type))
      continue;
    auto view = operand.getDefiningOp<memref::ViewOp>();
    std::optional<int64_t> offset;
    if (view && isa<BlockArgument>(view.getSource()))
      offset = getConstantIntValue(view.getByteShift());
    if (!offset)
      return false;
    int64_t bytes = type.getNumElements() * type.getElementTypeBitWidth() / 8;
    pieces.push_back({*offset, *offset + bytes});
  }
  llvm::sort(pieces);
  return llvm::all_of(llvm::zip(llvm::drop_end(pieces), llvm::drop_begin(pieces)), [](auto pair) {
    return std::get<0>(pair).second <= std::get<1>(pair).first;
  });
}

/// if thread < n { stage }, where n is the number of the stage's threads
static bool isMask(scf::IfOp mask, int64_t threads) {
  auto compare = mask.getCondition().getDefiningOp<arith::CmpIOp>();
  return compare && compare.getPredicate() == arith::CmpIPredicate::ult &&
         isIndex<gpu::ThreadIdOp>(compare.getLhs()) &&
         getConstantIntValue(compare.getRhs()) == threads && !mask.elseBlock();
}

/// scf.for %b = block to %n step blocks { [gpu.barrier;] [scf.if thread < %m] call @stage(%b, ...)
/// }
static LogicalResult verifyStage(scf::ForOp loop, func::CallOp stage, int64_t threads) {
  auto fail = [&](const Twine &expected) {
    return stage.emitError() << "stage @" << stage.getCallee() << ": expects " << expected;
  };
  if (!isIndex<gpu::BlockIdOp>(loop.getLowerBound()) || !isIndex<gpu::GridDimOp>(loop.getStep()) ||
      stage.getNumOperands() == 0 || stage.getOperand(0) != loop.getInductionVar())
    return fail("its blocks to be dealt out, from the block's own index on in steps of the grid");
  WalkResult others = loop.getBody()->walk([&](Operation *op) {
    bool isKnown = op == stage || isa<gpu::BarrierOp, scf::IfOp, scf::YieldOp>(op);
    return isKnown || isMemoryEffectFree(op) ? WalkResult::advance() : WalkResult::interrupt();
  });
  if (others.wasInterrupted())
    return fail("nothing else in the loop over its blocks");
  auto function = SymbolTable::lookupNearestSymbolFrom<func::FuncOp>(stage, stage.getCalleeAttr());
  std::optional<int64_t> own = getBlockThreads(function);
  if (!own || *own > threads)
    return fail("at most the " + Twine(threads) + " threads of the kernel");
  auto mask = dyn_cast<scf::IfOp>(stage->getParentOp());
  Operation *place = mask ? mask.getOperation() : stage.getOperation();
  if (place->getParentOp() != loop || (mask && !isMask(mask, *own)) || (!mask && *own != threads))
    return fail("to be run by its " + Twine(*own) + " threads and no others");
  bool meets =
      function.walk([](gpu::BarrierOp) { return WalkResult::interrupt(); }).wasInterrupted();
  if (meets && *own != threads)
    return fail("no barrier of the block, where " + Twine(threads - *own) + " threads stay away");
  bool isFenced =
      llvm::any_of(loop.getBody()->getOps<gpu::BarrierOp>(),
                   [&](gpu::BarrierOp barrier) { return barrier->isBeforeInBlock(place); });
  if (hasWorkgroupMemory(function) && !isFenced)
    return fail("a barrier of the block before workgroup memory is used again");
  if (hasWorkgroupMemory(function) && !areApart(stage))
    return fail("pieces of workgroup memory that lie apart");
  return success();
}

//===----------------------------------------------------------------------===//
// Ways through the kernel
//===----------------------------------------------------------------------===//

namespace {
/// A stage, an arrival or a wait, or a place where ways meet, and what may come next.
struct Step {
  Operation *op = nullptr;
  SmallVector<unsigned, 2> next;
};

class Ways {
public:
  explicit Ways(gpu::GPUFuncOp kernel) { addBlock(kernel.getBody().front(), add(nullptr, {})); }

  ArrayRef<Step> getSteps() const { return steps; }

  /// Whether there is a way from `from` to `to` without a barrier that begins behind the one and
  /// ends before the other.
  bool areUnordered(unsigned from, unsigned to) const;

private:
  unsigned add(Operation *op, ArrayRef<unsigned> before);
  unsigned addBlock(Block &block, unsigned before);
  unsigned addLoop(scf::ForOp loop, unsigned before);

  SmallVector<Step> steps;
};
} // namespace

unsigned Ways::add(Operation *op, ArrayRef<unsigned> before) {
  steps.push_back({op, {}});
  for (unsigned step : before)
    steps[step].next.push_back(steps.size() - 1);
  return steps.size() - 1;
}

static bool runsAtLeastOnce(scf::ForOp loop) {
  std::optional<int64_t> begin = getConstantIntValue(loop.getLowerBound());
  std::optional<int64_t> end = getConstantIntValue(loop.getUpperBound());
  return begin && end && *begin < *end;
}

unsigned Ways::addLoop(scf::ForOp loop, unsigned before) {
  if (func::CallOp stage = getStageOf(loop))
    return add(stage, {before});
  unsigned begin = add(nullptr, {before});
  unsigned end = addBlock(*loop.getBody(), begin);
  steps[end].next.push_back(begin);
  return runsAtLeastOnce(loop) ? add(nullptr, {end}) : add(nullptr, {before, end});
}

/// Returns where the ways through a block end.
unsigned Ways::addBlock(Block &block, unsigned before) {
  for (Operation &op : block) {
    if (auto loop = dyn_cast<scf::ForOp>(op)) {
      before = addLoop(loop, before);
    } else if (auto branch = dyn_cast<scf::IfOp>(op)) {
      unsigned then = addBlock(*branch.thenBlock(), before);
      unsigned otherwise = branch.elseBlock() ? addBlock(*branch.elseBlock(), before) : before;
      before = add(nullptr, {then, otherwise});
    } else if (isa<GridArriveOp, GridWaitOp, func::CallOp>(op)) {
      before = add(&op, {before});
    }
  }
  return before;
}

bool Ways::areUnordered(unsigned from, unsigned to) const {
  // A step, and the arrival that came last behind `from`.
  using Place = std::pair<unsigned, Operation *>;
  SmallVector<Place> open;
  llvm::SmallSet<Place, 32> seen;
  auto enter = [&](unsigned step, Operation *arrival) {
    for (unsigned next : steps[step].next)
      if (seen.insert({next, arrival}).second)
        open.push_back({next, arrival});
  };
  enter(from, nullptr);
  while (!open.empty()) {
    auto [step, arrival] = open.pop_back_val();
    if (step == to)
      return true;
    Operation *op = steps[step].op;
    auto wait = dyn_cast_if_present<GridWaitOp>(op);
    if (wait && arrival && wait.getPhase().getDefiningOp() == arrival)
      continue;
    enter(step, isa_and_present<GridArriveOp>(op) ? op : arrival);
  }
  return false;
}

static LogicalResult verifyOrder(gpu::GPUFuncOp kernel) {
  Ways ways(kernel);
  SmallVector<std::tuple<unsigned, func::CallOp, SmallVector<GridAccess>>> stages;
  for (auto [i, step] : llvm::enumerate(ways.getSteps()))
    if (auto stage = dyn_cast_if_present<func::CallOp>(step.op))
      stages.push_back({i, stage, getGridAccesses(stage)});
  for (auto &[stepA, stageA, accessesA] : stages)
    for (auto &[stepB, stageB, accessesB] : stages)
      if (areInConflict(accessesA, accessesB) && ways.areUnordered(stepA, stepB)) {
        InFlightDiagnostic error = stageB.emitError()
                                   << "stage @" << stageB.getCallee()
                                   << " touches memory that stage @" << stageA.getCallee()
                                   << " touches, one of them to write, and no barrier of the grid "
                                      "orders them";
        error.attachNote(stageA.getLoc()) << "the earlier stage";
        return error;
      }
  return success();
}

//===----------------------------------------------------------------------===//
// The kernel
//===----------------------------------------------------------------------===//

namespace {
class GridVerifier {
public:
  explicit GridVerifier(gpu::GPUFuncOp kernel)
      : kernel(kernel), threads((*kernel.getKnownBlockSize())[0]) {}

  LogicalResult verify(Block &block);

private:
  LogicalResult verify(GridArriveOp arrive);
  LogicalResult verify(GridWaitOp wait);
  LogicalResult verify(scf::ForOp loop);
  LogicalResult verify(scf::IfOp branch);

  gpu::GPUFuncOp kernel;
  int64_t threads;
  GridArriveOp arrival; ///< that nobody has waited for yet
};
} // namespace

LogicalResult GridVerifier::verify(GridArriveOp arrive) {
  if (arrival)
    return arrive.emitOpError("comes before the block has waited for its last arrival");
  if (arrive.getCounter() != getGridCounter(kernel))
    return arrive.emitOpError("expects the kernel's counter, its last argument");
  if (!isIndex<gpu::GridDimOp>(arrive.getBlocks()))
    return arrive.emitOpError("expects as many arrivals as the grid has blocks");
  arrival = arrive;
  return success();
}

LogicalResult GridVerifier::verify(GridWaitOp wait) {
  auto arrive = wait.getPhase().getDefiningOp<GridArriveOp>();
  if (!arrive || arrive != arrival || arrive->getBlock() != wait->getBlock())
    return wait.emitOpError("waits without an arrival before it, in the same block of code");
  if (wait.getCounter() != getGridCounter(kernel))
    return wait.emitOpError("expects the kernel's counter, its last argument");
  arrival = {};
  return success();
}

LogicalResult GridVerifier::verify(scf::ForOp loop) {
  if (func::CallOp stage = getStageOf(loop))
    return verifyStage(loop, stage, threads);
  for (Value bound : {loop.getLowerBound(), loop.getUpperBound(), loop.getStep()})
    if (!isUniform(bound))
      return loop.emitOpError("runs not equally often in all blocks and threads of the grid");
  return verify(*loop.getBody());
}

LogicalResult GridVerifier::verify(scf::IfOp branch) {
  if (!isUniform(branch.getCondition()))
    return branch.emitOpError("holds stages or barriers, and is not for all blocks and threads of "
                              "the grid");
  if (failed(verify(*branch.thenBlock())))
    return failure();
  return branch.elseBlock() ? verify(*branch.elseBlock()) : success();
}

LogicalResult GridVerifier::verify(Block &block) {
  for (Operation &op : block) {
    LogicalResult result =
        llvm::TypeSwitch<Operation *, LogicalResult>(&op)
            .Case<GridArriveOp, GridWaitOp, scf::ForOp, scf::IfOp>(
                [&](auto known) { return verify(known); })
            .Case<gpu::BarrierOp>([](auto) { return success(); })
            .Default([&](Operation *other) -> LogicalResult {
              if (isMemoryEffectFree(other) || isLookup(other) ||
                  other->hasTrait<OpTrait::IsTerminator>())
                return success();
              return other->emitError("expects nothing but stages and barriers to touch memory");
            });
    if (failed(result))
      return failure();
  }
  if (arrival && arrival->getBlock() == &block)
    return arrival.emitOpError("arrives, and nobody waits in the same block of code");
  return success();
}

LogicalResult treadle::verifyGridKernel(func::FuncOp entry, gpu::GPUFuncOp kernel) {
  if (failed(verifyBounds(kernel)) ||
      failed(GridVerifier(kernel).verify(kernel.getBody().front())) ||
      failed(matchLaunches(entry, kernel)))
    return failure();
  return verifyOrder(kernel);
}

namespace {
struct VerifyGridKernels : public treadle::impl::VerifyGridKernelsPassBase<VerifyGridKernels> {
  void runOnOperation() override {
    for (auto module : getOperation().getOps<gpu::GPUModuleOp>())
      for (auto kernel : module.getOps<gpu::GPUFuncOp>()) {
        auto entry = getOperation().lookupSymbol<func::FuncOp>(kernel.getName());
        if (entry && failed(verifyGridKernel(entry, kernel)))
          return signalPassFailure();
      }
    markAllAnalysesPreserved();
  }
};
} // namespace

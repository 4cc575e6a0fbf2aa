//===- JoinLaunches.cpp - One kernel of a schedule of launches ------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "GridAccess.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "treadle/Dialect/Treadle/IR/Treadle.h"
#include "treadle/Target/NVPTX/Passes.h"
#include "llvm/ADT/SetVector.h"

namespace treadle {
#define GEN_PASS_DEF_JOINLAUNCHESPASS
#include "treadle/Target/NVPTX/Passes.h.inc"
} // namespace treadle

using namespace mlir;
using namespace treadle;

/// Memory of a block begins at such borders at least.
static constexpr int64_t workgroupAlignment = 16;

static int64_t getThreads(gpu::GPUFuncOp kernel) { return (*kernel.getKnownBlockSize())[0]; }

//===----------------------------------------------------------------------===//
// Block functions
//===----------------------------------------------------------------------===//

namespace {
/// A kernel as a function of its block's index, arguments and workgroup memory.
struct BlockFunction {
  func::FuncOp function;
  int64_t threads;
  SmallVector<int64_t> offsets; ///< of each piece of workgroup memory
  int64_t workgroupBytes = 0;
};
} // namespace

static MemRefType getTypeIn(MemRefType type, gpu::AddressSpace space) {
  return MemRefType::get(type.getShape(), type.getElementType(), type.getLayout(),
                         gpu::AddressSpaceAttr::get(type.getContext(), space));
}

/// The type by which a block function takes an argument: of a kernel's memory everybody knows that
/// it is the device's, of a function's nobody would.
static Type getBlockArgumentType(Type type) {
  auto memory = dyn_cast<MemRefType>(type);
  return memory ? getTypeIn(memory, gpu::AddressSpace::Global) : type;
}

static BlockFunction createBlockFunction(gpu::GPUFuncOp kernel) {
  OpBuilder builder(kernel);
  SmallVector<Type> types = {builder.getIndexType()};
  for (Type type : kernel.getArgumentTypes())
    types.push_back(getBlockArgumentType(type));
  BlockFunction result;
  result.threads = getThreads(kernel);
  for (auto [i, memory] : llvm::enumerate(kernel.getWorkgroupAttributions())) {
    auto type = cast<MemRefType>(memory.getType());
    types.push_back(type);
    auto alignment = dyn_cast_if_present<IntegerAttr>(
        kernel.getWorkgroupAttributionAttr(i, LLVM::LLVMDialect::getAlignAttrName()));
    int64_t border = std::max(workgroupAlignment, alignment ? alignment.getInt() : 0);
    result.offsets.push_back(llvm::alignTo(result.workgroupBytes, border));
    result.workgroupBytes =
        result.offsets.back() + type.getNumElements() * type.getElementTypeBitWidth() / 8;
  }
  result.function =
      func::FuncOp::create(builder, kernel.getLoc(), getBlockFunctionName(kernel.getName()),
                           builder.getFunctionType(types, {}));
  result.function.setPrivate();
  setBlockThreads(result.function, result.threads);

  IRMapping mapping;
  kernel.getBody().cloneInto(&result.function.getBody(), mapping);
  Block &body = result.function.getBody().front();
  Value block = body.insertArgument(0u, builder.getIndexType(), kernel.getLoc());
  for (auto index : llvm::make_early_inc_range(body.getOps<gpu::BlockIdOp>())) {
    index.replaceAllUsesWith(block);
    index.erase();
  }
  builder.setInsertionPointToStart(&body);
  for (auto [argument, type] : llvm::zip(body.getArguments(), types)) {
    if (argument.getType() == type)
      continue;
    Type known = argument.getType();
    argument.setType(type);
    auto cast = memref::MemorySpaceCastOp::create(builder, kernel.getLoc(), known, argument);
    argument.replaceAllUsesExcept(cast, cast);
  }
  Operation *end = body.getTerminator();
  builder.setInsertionPoint(end);
  func::ReturnOp::create(builder, end->getLoc());
  end->erase();
  return result;
}

//===----------------------------------------------------------------------===//
// Barriers
//===----------------------------------------------------------------------===//

namespace {
/// Walks through a grid kernel with the stages that ran since the last barrier, on some way to
/// here.
class BarrierPlacer {
public:
  BarrierPlacer(gpu::GPUFuncOp kernel, Value blocks)
      : counter(getGridCounter(kernel)), blocks(blocks) {}

  void visit(Block &block);

private:
  void visit(func::CallOp stage, scf::ForOp loop);
  void visit(scf::ForOp loop);

  Value counter, blocks;
  llvm::SetVector<Operation *> pending;
};
} // namespace

/// The stage that `loop` runs the blocks of, if it does.
static func::CallOp getStage(scf::ForOp loop) {
  if (!loop.getLowerBound().getDefiningOp<gpu::BlockIdOp>())
    return {};
  func::CallOp stage;
  loop.walk([&](func::CallOp call) { stage = call; });
  return stage;
}

void BarrierPlacer::visit(func::CallOp stage, scf::ForOp loop) {
  SmallVector<GridAccess> accesses = getGridAccesses(stage);
  bool isNeeded = llvm::any_of(pending, [&](Operation *earlier) {
    return areInConflict(getGridAccesses(cast<func::CallOp>(earlier)), accesses);
  });
  if (isNeeded) {
    OpBuilder builder(loop);
    Value phase =
        GridArriveOp::create(builder, loop.getLoc(), builder.getI32Type(), counter, blocks);
    GridWaitOp::create(builder, loop.getLoc(), counter, phase);
    pending.clear();
  }
  pending.insert(stage);
}

/// What a loop leaves pending meets its own beginning. If it may not run at all, what was before it
/// meets what is behind.
void BarrierPlacer::visit(scf::ForOp loop) {
  llvm::SetVector<Operation *> before = pending, begin = pending;
  size_t known;
  do {
    known = begin.size();
    pending = begin;
    visit(*loop.getBody());
    begin.insert(pending.begin(), pending.end());
  } while (begin.size() != known);
  pending.insert(before.begin(), before.end());
}

void BarrierPlacer::visit(Block &block) {
  for (Operation &op : block) {
    if (auto loop = dyn_cast<scf::ForOp>(op)) {
      if (func::CallOp stage = getStage(loop))
        visit(stage, loop);
      else
        visit(loop);
    } else if (isa<GridWaitOp>(op))
      pending.clear();
  }
}

//===----------------------------------------------------------------------===//
// Grid kernels
//===----------------------------------------------------------------------===//

namespace {
class JoinLaunches : public treadle::impl::JoinLaunchesPassBase<JoinLaunches> {
  void runOnOperation() override;
  void join(func::FuncOp entry);
  void addTables(func::FuncOp entry, gpu::GPUFuncOp kernel);
  BlockFunction &getBlockFunction(gpu::LaunchFuncOp launch);
  void addStage(gpu::LaunchFuncOp launch, gpu::GPUFuncOp kernel);

  gpu::GPUModuleOp module;
  llvm::StringMap<BlockFunction> functions; // by kernel
  Value block, blocks, thread;              // indices of the present one, and the grid's size
};
} // namespace

/// What the host looks up in tables, all blocks do, in tables of theirs.
void JoinLaunches::addTables(func::FuncOp entry, gpu::GPUFuncOp kernel) {
  SymbolTable symbols(module);
  llvm::DenseMap<StringAttr, StringAttr> names;
  kernel.walk([&](memref::GetGlobalOp get) {
    StringAttr &name = names[get.getNameAttr().getAttr()];
    if (!name) {
      auto table = SymbolTable::lookupNearestSymbolFrom<memref::GlobalOp>(entry, get.getNameAttr());
      name = symbols.insert(table.clone(), module.getBody()->begin());
    }
    get.setNameAttr(FlatSymbolRefAttr::get(name));
  });
}

BlockFunction &JoinLaunches::getBlockFunction(gpu::LaunchFuncOp launch) {
  BlockFunction &function = functions[launch.getKernelName()];
  if (!function.function)
    function = createBlockFunction(module.lookupSymbol<gpu::GPUFuncOp>(launch.getKernelName()));
  return function;
}

/// gpu.launch_func @linear  =>  a loop over those of its blocks that are this block's
void JoinLaunches::addStage(gpu::LaunchFuncOp launch, gpu::GPUFuncOp kernel) {
  ImplicitLocOpBuilder b(launch.getLoc(), launch);
  BlockFunction &function = getBlockFunction(launch);
  auto loop = scf::ForOp::create(b, block, launch.getGridSizeX(), blocks);
  b.setInsertionPointToStart(loop.getBody());
  SmallVector<Value> arguments = {loop.getInductionVar()};
  for (Value operand : launch.getKernelOperands()) {
    Type type = getBlockArgumentType(operand.getType());
    arguments.push_back(type == operand.getType()
                            ? operand
                            : Value(memref::MemorySpaceCastOp::create(b, type, operand)));
  }
  auto parts = function.function.getArgumentTypes().take_back(function.offsets.size());
  for (auto [type, offset] : llvm::zip(parts, function.offsets))
    arguments.push_back(memref::ViewOp::create(b, type, kernel.getWorkgroupAttributions().front(),
                                               arith::ConstantIndexOp::create(b, offset),
                                               ValueRange()));
  // The memory of the block before it, of this stage or another one, is used again.
  if (!function.offsets.empty())
    gpu::BarrierOp::create(b);
  if (function.threads < getThreads(kernel)) {
    Value isOneOfThem = arith::CmpIOp::create(b, arith::CmpIPredicate::ult, thread,
                                              arith::ConstantIndexOp::create(b, function.threads));
    b.setInsertionPointToStart(
        scf::IfOp::create(b, isOneOfThem, /*withElseRegion=*/false).thenBlock());
  }
  func::CallOp::create(b, function.function, arguments);
  launch.erase();
}

void JoinLaunches::join(func::FuncOp entry) {
  ImplicitLocOpBuilder b(entry.getLoc(), OpBuilder::atBlockEnd(module.getBody()));
  SmallVector<Type> types(entry.getArgumentTypes());
  types.push_back(MemRefType::get({1}, b.getI32Type()));
  auto kernel = gpu::GPUFuncOp::create(b, entry.getName(), b.getFunctionType(types, {}));
  kernel->setAttr(gpu::GPUDialect::getKernelFuncAttrName(), b.getUnitAttr());

  int64_t threads = 0, workgroupBytes = 0;
  entry.walk([&](gpu::LaunchFuncOp launch) {
    BlockFunction &function = getBlockFunction(launch);
    threads = std::max(threads, function.threads);
    workgroupBytes = std::max(workgroupBytes, function.workgroupBytes);
  });
  kernel.setKnownBlockSize(ArrayRef<int32_t>{static_cast<int32_t>(threads), 1, 1});
  // So that every multiprocessor has room for a block, whatever the registers: with fewer of them
  // some stage would spill.
  kernel->setAttr(NVVM::NVVMDialect::getMinctasmAttrName(), b.getI32IntegerAttr(1));
  if (workgroupBytes) {
    auto bytes = MemRefType::get({workgroupBytes}, b.getI8Type());
    kernel.addWorkgroupAttribution(getTypeIn(bytes, gpu::AddressSpace::Workgroup), entry.getLoc());
    kernel.setWorkgroupAttributionAttr(0, LLVM::LLVMDialect::getAlignAttrName(),
                                       b.getI64IntegerAttr(64));
  }

  IRMapping mapping;
  for (auto [from, to] : llvm::zip(entry.getArguments(), kernel.getArguments()))
    mapping.map(from, to);
  b.setInsertionPointToStart(&kernel.getBody().front());
  block = gpu::BlockIdOp::create(b, gpu::Dimension::x);
  blocks = gpu::GridDimOp::create(b, gpu::Dimension::x);
  thread = gpu::ThreadIdOp::create(b, gpu::Dimension::x);
  for (Operation &op : entry.getBody().front().without_terminator())
    b.clone(op, mapping);
  gpu::ReturnOp::create(b);
  addTables(entry, kernel);
  kernel.walk([&](gpu::LaunchFuncOp launch) { addStage(launch, kernel); });
  BarrierPlacer(kernel, blocks).visit(kernel.getBody().front());
}

/// Whether an entry point makes a token of one row, and needs more than one launch for it.
static bool isJoined(func::FuncOp entry) {
  auto attribute = entry->getAttrOfType<EntryAttr>("treadle.entry");
  if (!attribute || attribute.getKind() != EntryKind::forward || attribute.getRows() != 1)
    return false;
  int64_t launches = 0;
  entry.walk([&](gpu::LaunchFuncOp) { ++launches; });
  return launches > 1;
}

void JoinLaunches::runOnOperation() {
  functions.clear();
  auto modules = getOperation().getOps<gpu::GPUModuleOp>();
  if (modules.empty())
    return;
  module = *modules.begin();
  for (auto entry : getOperation().getOps<func::FuncOp>())
    if (isJoined(entry))
      join(entry);
}

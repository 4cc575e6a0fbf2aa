//===- KernelsToGPU.cpp - From vector kernels to GPU kernels --------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "treadle/Conversion/KernelsToGPU/KernelsToGPU.h"
#include "treadle/Conversion/StagesToVector/StagesToVector.h"

#include "DistributeLanes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/NVGPU/IR/NVGPUDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "treadle/Dialect/Treadle/IR/Treadle.h"

namespace treadle {
#define GEN_PASS_DEF_CONVERTKERNELSTOGPUPASS
#include "treadle/Conversion/KernelsToGPU/Passes.h.inc"
} // namespace treadle

using namespace mlir;
using namespace treadle;

/// Memory with a number of rows that only the caller knows.
static bool hasOpenRows(Type type) {
  auto memory = dyn_cast<MemRefType>(type);
  return memory && !memory.hasStaticShape();
}

/// Where memory begins, which says nothing of its size.
static MemRefType getOrigin(Type type) {
  return MemRefType::get({}, cast<MemRefType>(type).getElementType());
}

//===----------------------------------------------------------------------===//
// Blocks
//===----------------------------------------------------------------------===//

namespace {
/// What a block of threads runs: some tiles, each by a group, or one, by all groups together.
struct BlockShape {
  int64_t groups;
  bool isTeam;
  int64_t getTiles() const { return isTeam ? 1 : groups; }
  int64_t getThreads() const { return groups * groupThreads; }
};
} // namespace

/// A kernel in slices has work for many groups in each tile, and so has one with products on tensor
/// cores in its prologue.
static FailureOr<BlockShape> chooseBlock(func::FuncOp kernel, int64_t mostGroups,
                                         int64_t teamGroups, int64_t sharedBytes) {
  int64_t scratch = getScratchBytes(kernel);
  if (scratch > sharedBytes)
    return kernel.emitOpError("'")
           << kernel.getSymName() << "' needs " << scratch
           << " bytes of workgroup memory for one tile, of " << sharedBytes << " that a block has";
  auto isProduct = [](MultiplyPanelsOp) { return WalkResult::interrupt(); };
  if (kernel->hasAttr("treadle.sliced") || kernel.walk(isProduct).wasInterrupted())
    return BlockShape{teamGroups, /*isTeam=*/true};
  return BlockShape{scratch ? std::min(mostGroups, sharedBytes / scratch) : mostGroups, false};
}

//===----------------------------------------------------------------------===//
// Kernels
//===----------------------------------------------------------------------===//

/// One part of workgroup memory per tile of a block, for each scratch memory of the kernel.
static void mapScratch(func::FuncOp kernel, gpu::GPUFuncOp function, const BlockShape &block,
                       LaneThreads &threads, ImplicitLocOpBuilder &b, IRMapping &mapping) {
  auto space =
      gpu::AddressSpaceAttr::get(b.getContext(), gpu::GPUDialect::getWorkgroupAddressSpace());
  for (auto alloca : kernel.getOps<memref::AllocaOp>()) {
    MemRefType type = alloca.getType();
    SmallVector<int64_t> shape(type.getShape());
    shape.insert(shape.begin(), block.getTiles());
    Value all = function.addWorkgroupAttribution(
        MemRefType::get(shape, type.getElementType(), MemRefLayoutAttrInterface(), space),
        alloca.getLoc());
    if (IntegerAttr alignment = alloca.getAlignmentAttr())
      function.setWorkgroupAttributionAttr(function.getNumWorkgroupAttributions() - 1,
                                           LLVM::LLVMDialect::getAlignAttrName(), alignment);
    SmallVector<OpFoldResult> offsets(shape.size(), b.getIndexAttr(0)), sizes, ones;
    if (!block.isTeam)
      offsets[0] = threads.getGroup();
    for (int64_t size : shape) {
      sizes.push_back(b.getIndexAttr(size));
      ones.push_back(b.getIndexAttr(1));
    }
    sizes[0] = b.getIndexAttr(1);
    MemRefType part = memref::SubViewOp::inferRankReducedResultType(
        type.getShape(), cast<MemRefType>(all.getType()), offsets, sizes, ones);
    mapping.map(alloca.getResult(),
                Value(memref::SubViewOp::create(b, part, all, offsets, sizes, ones)));
  }
}

/// kernel(operands..., first, end)  =>  gpu.func(pointers and scalars..., [rows,] tiles)
static FailureOr<gpu::GPUFuncOp> createGPUKernel(func::FuncOp kernel, gpu::GPUModuleOp module,
                                                 const BlockShape &shape) {
  ImplicitLocOpBuilder b(kernel.getLoc(), OpBuilder::atBlockEnd(module.getBody()));
  auto operands = kernel.getArgumentTypes().drop_back(2);
  SmallVector<Type> types;
  for (Type type : operands)
    types.push_back(hasOpenRows(type) ? getOrigin(type) : type);
  bool isOpen = llvm::any_of(operands, hasOpenRows);
  types.append(isOpen ? 2 : 1, b.getIndexType());
  auto function = gpu::GPUFuncOp::create(b, kernel.getName(), b.getFunctionType(types, {}));
  function->setAttr(gpu::GPUDialect::getKernelFuncAttrName(), b.getUnitAttr());
  function.setKnownBlockSize(ArrayRef<int32_t>{static_cast<int32_t>(shape.getThreads()), 1, 1});

  b.setInsertionPointToStart(&function.getBody().front());
  Value tiles = function.getArgument(types.size() - 1);
  IRMapping mapping;
  for (auto [type, from, to] :
       llvm::zip(operands, kernel.getArguments(), function.getArguments())) {
    if (!hasOpenRows(type)) {
      mapping.map(from, to);
      continue;
    }
    auto memory = cast<MemRefType>(type);
    auto [strides, offset] = memory.getStridesAndOffset();
    SmallVector<OpFoldResult> sizes = getAsIndexOpFoldResult(b.getContext(), memory.getShape());
    sizes[0] = function.getArgument(types.size() - 2);
    mapping.map(from, Value(memref::ReinterpretCastOp::create(
                          b, memory, to, OpFoldResult(b.getIndexAttr(0)), sizes,
                          getAsIndexOpFoldResult(b.getContext(), strides))));
  }

  // The group's tile, if there is one.
  LaneThreads threads(b);
  Value first = gpu::BlockIdOp::create(b, gpu::Dimension::x);
  if (!shape.isTeam) {
    first = arith::MulIOp::create(b, first, threads.index(shape.groups));
    first = arith::AddIOp::create(b, first, threads.getGroup());
  }
  Value next = arith::AddIOp::create(b, first, threads.index(1));
  unsigned numOperands = operands.size();
  mapping.map(kernel.getArgument(numOperands), first);
  mapping.map(kernel.getArgument(numOperands + 1), Value(arith::MinSIOp::create(b, next, tiles)));

  mapScratch(kernel, function, shape, threads, b, mapping);
  std::optional<int64_t> team;
  if (shape.isTeam)
    team = shape.groups;
  if (failed(distributeLanes(kernel, module, team, threads, b, mapping)))
    return failure();
  gpu::ReturnOp::create(b);
  return function;
}

//===----------------------------------------------------------------------===//
// Launches
//===----------------------------------------------------------------------===//

/// call @kernel(operands..., first = 0, end = tiles)  =>  gpu.launch_func
static void launch(func::CallOp call, gpu::GPUFuncOp kernel, const BlockShape &shape) {
  ImplicitLocOpBuilder b(call.getLoc(), call);
  SmallVector<Value> arguments;
  Value rows;
  for (Value operand : call.getOperands().drop_back(2)) {
    if (hasOpenRows(operand.getType())) {
      Value memory = operand.getDefiningOp<memref::CastOp>().getSource();
      auto type = cast<MemRefType>(memory.getType());
      rows = arith::ConstantIndexOp::create(b, type.getDimSize(0));
      operand = memref::ReinterpretCastOp::create(b, getOrigin(type), memory, /*offset=*/0,
                                                  ArrayRef<int64_t>(), ArrayRef<int64_t>());
    }
    arguments.push_back(operand);
  }
  if (rows)
    arguments.push_back(rows);
  Value tiles = call.getOperands().back();
  arguments.push_back(tiles);

  Value one = arith::ConstantIndexOp::create(b, 1);
  Value tilesOfBlock = arith::ConstantIndexOp::create(b, shape.getTiles());
  Value blocks = arith::CeilDivUIOp::create(b, tiles, tilesOfBlock);
  Value size = arith::ConstantIndexOp::create(b, shape.getThreads());
  gpu::LaunchFuncOp::create(b, kernel, gpu::KernelDim3{blocks, one, one},
                            gpu::KernelDim3{size, one, one}, /*dynamicSharedMemorySize=*/Value(),
                            arguments);
  call.erase();
}

//===----------------------------------------------------------------------===//
// Pass
//===----------------------------------------------------------------------===//

/// Tables that kernels alone read stand in their module.
static void dropUnusedTables(ModuleOp module) {
  for (auto table : llvm::make_early_inc_range(module.getOps<memref::GlobalOp>()))
    if (SymbolTable::symbolKnownUseEmpty(table, module))
      table.erase();
}

namespace {
struct ConvertKernelsToGPU
    : public treadle::impl::ConvertKernelsToGPUPassBase<ConvertKernelsToGPU> {
  using ConvertKernelsToGPUPassBase::ConvertKernelsToGPUPassBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    ImplicitLocOpBuilder b(module.getLoc(), OpBuilder::atBlockEnd(module.getBody()));
    module->setAttr(gpu::GPUDialect::getContainerModuleAttrName(), b.getUnitAttr());
    auto kernels = gpu::GPUModuleOp::create(b, "kernels");
    for (auto kernel : llvm::make_early_inc_range(module.getOps<func::FuncOp>())) {
      if (!kernel->hasAttr("treadle.kernel"))
        continue;
      FailureOr<BlockShape> shape = chooseBlock(kernel, groups, teamGroups, sharedBytes);
      if (failed(shape))
        return signalPassFailure();
      FailureOr<gpu::GPUFuncOp> function = createGPUKernel(kernel, kernels, *shape);
      if (failed(function))
        return signalPassFailure();
      std::optional<SymbolTable::UseRange> uses = SymbolTable::getSymbolUses(kernel, module);
      for (SymbolTable::SymbolUse use : *uses)
        launch(cast<func::CallOp>(use.getUser()), *function, *shape);
      kernel.erase();
    }
    dropUnusedTables(module);
  }
};
} // namespace

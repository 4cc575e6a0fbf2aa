//===- MatchLaunches.cpp - Stages against launches ------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "MatchLaunches.h"

#include "GridAccess.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/IR/IRMapping.h"

using namespace mlir;
using namespace treadle;

func::CallOp treadle::getStageOf(scf::ForOp loop) {
  func::CallOp stage;
  loop.walk([&](func::CallOp call) {
    if (call->getParentOfType<scf::ForOp>() == loop)
      stage = call;
  });
  return stage;
}

/// Launches and the loops around them; stages and theirs.
static SmallVector<Operation *> getSteps(Block &block) {
  SmallVector<Operation *> steps;
  for (Operation &op : block) {
    WalkResult found = op.walk([](Operation *inner) {
      return isa<gpu::LaunchFuncOp, func::CallOp>(inner) ? WalkResult::interrupt()
                                                         : WalkResult::advance();
    });
    if (found.wasInterrupted())
      steps.push_back(&op);
  }
  return steps;
}

namespace {
class LaunchMatcher {
public:
  LaunchMatcher(func::FuncOp entry, gpu::GPUFuncOp kernel) {
    for (auto [from, to] : llvm::zip(entry.getArguments(), kernel.getArguments()))
      mapping.map(from, to);
  }

  LogicalResult match(Block &launches, Block &stages);

private:
  LogicalResult matchStep(Operation *expected, Operation *found);
  LogicalResult matchStage(gpu::LaunchFuncOp launch, scf::ForOp loop, func::CallOp stage);
  bool isSame(Value expected, Value found);

  IRMapping mapping; ///< arguments and indices of loops: the entry point's to the kernel's
};
} // namespace

static Attribute getTable(memref::GetGlobalOp get) {
  auto table = SymbolTable::lookupNearestSymbolFrom<memref::GlobalOp>(get, get.getNameAttr());
  return table ? table.getInitialValueAttr() : Attribute();
}

/// Whether a number or memory is what the schedule has, computed in the same way.
bool LaunchMatcher::isSame(Value expected, Value found) {
  while (auto cast = found.getDefiningOp<memref::MemorySpaceCastOp>())
    found = cast.getSource();
  if (isa<BlockArgument>(expected) || isa<BlockArgument>(found))
    return mapping.lookupOrNull(expected) == found;
  Operation *a = expected.getDefiningOp(), *b = found.getDefiningOp();
  auto tableA = dyn_cast<memref::GetGlobalOp>(a), tableB = dyn_cast<memref::GetGlobalOp>(b);
  if (tableA && tableB)
    return getTable(tableA) && getTable(tableA) == getTable(tableB);
  if (a->getName() != b->getName() || a->getAttrDictionary() != b->getAttrDictionary() ||
      a->getNumRegions() || a->getResultTypes() != b->getResultTypes() ||
      cast<OpResult>(expected).getResultNumber() != cast<OpResult>(found).getResultNumber() ||
      a->getNumOperands() != b->getNumOperands())
    return false;
  return llvm::all_of(llvm::zip(a->getOperands(), b->getOperands()), [&](auto pair) {
    auto [operandA, operandB] = pair;
    return isSame(operandA, operandB);
  });
}

LogicalResult LaunchMatcher::matchStage(gpu::LaunchFuncOp launch, scf::ForOp loop,
                                        func::CallOp stage) {
  if (stage.getCallee() != getBlockFunctionName(launch.getKernelName().getValue()))
    return stage.emitError() << "expects stage @"
                             << getBlockFunctionName(launch.getKernelName().getValue())
                             << ", as the schedule launches it, got @" << stage.getCallee();
  if (!isSame(launch.getGridSizeX(), loop.getUpperBound()))
    return stage.emitError() << "expects as many blocks of @" << stage.getCallee()
                             << " as the schedule launches";
  auto function = SymbolTable::lookupNearestSymbolFrom<func::FuncOp>(stage, stage.getCalleeAttr());
  if (getConstantIntValue(launch.getBlockSizeX()) != getBlockThreads(function))
    return stage.emitError() << "expects as many threads of @" << stage.getCallee()
                             << " as the schedule launches";
  ValueRange operands = stage.getOperands().drop_front();
  if (operands.size() < launch.getNumKernelOperands())
    return stage.emitError() << "expects the operands that the schedule gives @"
                             << stage.getCallee();
  for (auto [i, operand] : llvm::enumerate(launch.getKernelOperands()))
    if (!isSame(operand, operands[i]))
      return stage.emitError() << "expects operand " << i << " of @" << stage.getCallee()
                               << " to be what the schedule gives it";
  return success();
}

LogicalResult LaunchMatcher::matchStep(Operation *expected, Operation *found) {
  auto loop = dyn_cast<scf::ForOp>(found);
  if (!loop)
    return found->emitError("expects stages in loops over their blocks alone");
  func::CallOp stage = getStageOf(loop);
  if (auto launch = dyn_cast<gpu::LaunchFuncOp>(expected)) {
    if (!stage)
      return found->emitError(
          "expects a stage, as the schedule launches one, got a loop over stages");
    return matchStage(launch, loop, stage);
  }
  auto around = dyn_cast<scf::ForOp>(expected);
  if (!around || stage)
    return found->emitError("expects the loops that are in the schedule");
  if (!isSame(around.getLowerBound(), loop.getLowerBound()) ||
      !isSame(around.getUpperBound(), loop.getUpperBound()) ||
      !isSame(around.getStep(), loop.getStep()))
    return found->emitError("expects a loop with the bounds that it has in the schedule");
  mapping.map(around.getInductionVar(), loop.getInductionVar());
  return match(*around.getBody(), *loop.getBody());
}

LogicalResult LaunchMatcher::match(Block &launches, Block &stages) {
  SmallVector<Operation *> expected = getSteps(launches), found = getSteps(stages);
  for (auto [a, b] : llvm::zip(expected, found))
    if (failed(matchStep(a, b)))
      return failure();
  if (expected.size() != found.size())
    return stages.getParentOp()->emitError()
           << "expects " << expected.size() << " stages or loops over stages, got " << found.size();
  return success();
}

LogicalResult treadle::matchLaunches(func::FuncOp entry, gpu::GPUFuncOp kernel) {
  return LaunchMatcher(entry, kernel).match(entry.getBody().front(), kernel.getBody().front());
}

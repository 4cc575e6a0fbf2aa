//===- MutateGridKernels.cpp - Schedules that are wrong in one place ------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Adds to a module copies of its grid kernel, each of them wrong in one place, asks the
// verifier what it thinks of each, and writes the LLVM IR of all of them for the fake
// driver to run. Says for each its name, what is wrong, and the verifier's words:
//
//   forward_1_mutant_0 <tab> barrier dropped <tab> stage @linear_0_block touches ...
//
// Where both stages at a barrier have one block, one block of the grid runs both, and a
// barrier less may do no harm: such barriers are left alone.
//
//===----------------------------------------------------------------------===//

#include "TestPasses.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Pass/PassManager.h"
#include "treadle/Dialect/Treadle/IR/Treadle.h"
#include "treadle/Target/NVPTX/EmitPTX.h"
#include "treadle/Target/NVPTX/GridKernels.h"
#include "treadle/Target/NVPTX/Passes.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace treadle;

//===----------------------------------------------------------------------===//
// Places
//===----------------------------------------------------------------------===//

namespace {
/// A wait that follows its arrival, and the stages before and behind it, where these stand in the
/// same block of code.
struct Barrier {
  GridArriveOp arrive;
  GridWaitOp wait;
  scf::ForOp before, behind;
};
} // namespace

static bool isStage(Operation *op) {
  auto loop = dyn_cast_if_present<scf::ForOp>(op);
  return loop && loop.getLowerBound().getDefiningOp<gpu::BlockIdOp>();
}

static scf::ForOp findStage(Operation *op, bool forwards) {
  do
    op = forwards ? op->getNextNode() : op->getPrevNode();
  while (op && !isStage(op) && !isa<scf::ForOp, GridArriveOp>(op));
  return isStage(op) ? cast<scf::ForOp>(op) : scf::ForOp();
}

static int64_t getNumBlocks(scf::ForOp stage) {
  return getConstantIntValue(stage.getUpperBound()).value_or(1);
}

static func::FuncOp getFunction(scf::ForOp stage) {
  func::FuncOp function;
  stage.walk([&](func::CallOp call) {
    function = SymbolTable::lookupNearestSymbolFrom<func::FuncOp>(call, call.getCalleeAttr());
  });
  return function;
}

static bool meets(func::FuncOp function) {
  return function.walk([](gpu::BarrierOp) { return WalkResult::interrupt(); }).wasInterrupted();
}

/// Whether it orders stages that certainly are in several blocks, and in a loop of their own or
/// none.
static SmallVector<Barrier> getBarriers(gpu::GPUFuncOp kernel) {
  SmallVector<Barrier> barriers;
  kernel.walk([&](GridWaitOp wait) {
    auto arrive = wait.getPhase().getDefiningOp<GridArriveOp>();
    Barrier barrier{arrive, wait, findStage(arrive, false), findStage(wait, true)};
    if (barrier.before && barrier.behind &&
        std::max(getNumBlocks(barrier.before), getNumBlocks(barrier.behind)) > 1)
      barriers.push_back(barrier);
  });
  return barriers;
}

static SmallVector<scf::ForOp> getStages(gpu::GPUFuncOp kernel) {
  SmallVector<scf::ForOp> stages;
  kernel.walk([&](scf::ForOp loop) {
    if (isStage(loop))
      stages.push_back(loop);
  });
  return stages;
}

static SmallVector<scf::ForOp> getOuterLoops(gpu::GPUFuncOp kernel) {
  SmallVector<scf::ForOp> loops;
  kernel.walk([&](scf::ForOp loop) {
    if (!isStage(loop))
      loops.push_back(loop);
  });
  return loops;
}

//===----------------------------------------------------------------------===//
// Faults
//===----------------------------------------------------------------------===//

/// Moves a barrier into `if condition`, made where the barrier stands.
static void makeConditional(Barrier barrier,
                            llvm::function_ref<Value(ImplicitLocOpBuilder &)> makeCondition) {
  ImplicitLocOpBuilder b(barrier.arrive.getLoc(), barrier.arrive);
  Value condition = makeCondition(b);
  Block *taken = scf::IfOp::create(b, condition, /*withElseRegion=*/false).thenBlock();
  barrier.arrive->moveBefore(taken, taken->begin());
  barrier.wait->moveAfter(barrier.arrive);
}

static Value isBelow(ImplicitLocOpBuilder &b, Value index, int64_t end) {
  return arith::CmpIOp::create(b, arith::CmpIPredicate::ult, index,
                               arith::ConstantIndexOp::create(b, end));
}

static Value addTo(ImplicitLocOpBuilder &b, Value index, int64_t by) {
  return arith::AddIOp::create(b, index, arith::ConstantIndexOp::create(b, by));
}

/// Applies a fault at the nth place that it has in a kernel, if it has as many.
using Fault = bool (*)(gpu::GPUFuncOp kernel, unsigned nth);

template <void (*apply)(Barrier)> static bool atBarrier(gpu::GPUFuncOp kernel, unsigned nth) {
  SmallVector<Barrier> barriers = getBarriers(kernel);
  if (nth >= barriers.size())
    return false;
  apply(barriers[nth]);
  return true;
}

template <bool (*isPlace)(scf::ForOp), void (*apply)(scf::ForOp)>
static bool atStage(gpu::GPUFuncOp kernel, unsigned nth) {
  for (scf::ForOp stage : getStages(kernel)) {
    if (!isPlace(stage) || nth--)
      continue;
    apply(stage);
    return true;
  }
  return false;
}

static void drop(Barrier barrier) {
  barrier.wait->erase();
  barrier.arrive->erase();
}
static void hoist(Barrier barrier) {
  barrier.arrive->moveBefore(barrier.before);
  barrier.wait->moveBefore(barrier.before);
}
static void sink(Barrier barrier) {
  barrier.wait->moveAfter(barrier.behind);
  barrier.arrive->moveAfter(barrier.behind);
}
static void dropWait(Barrier barrier) { barrier.wait->erase(); }
static void dropArrival(Barrier barrier) {
  ImplicitLocOpBuilder b(barrier.arrive.getLoc(), barrier.arrive);
  barrier.arrive.replaceAllUsesWith(Value(arith::ConstantOp::create(b, b.getI32IntegerAttr(0))));
  barrier.arrive->erase();
}
static void waitLate(Barrier barrier) { barrier.wait->moveAfter(barrier.behind); }
static void arriveEarly(Barrier barrier) { barrier.arrive->moveBefore(barrier.before); }
static void byOneBlock(Barrier barrier) {
  makeConditional(barrier, [](ImplicitLocOpBuilder &b) {
    return isBelow(b, gpu::BlockIdOp::create(b, gpu::Dimension::x), 1);
  });
}
static void byHalfThreads(Barrier barrier) {
  makeConditional(barrier, [](ImplicitLocOpBuilder &b) {
    return isBelow(b, gpu::ThreadIdOp::create(b, gpu::Dimension::x), 64);
  });
}
static void countTooMany(Barrier barrier) {
  ImplicitLocOpBuilder b(barrier.arrive.getLoc(), barrier.arrive);
  barrier.arrive.getBlocksMutable().assign(addTo(b, barrier.arrive.getBlocks(), 1));
}
static void countTooFew(Barrier barrier) {
  ImplicitLocOpBuilder b(barrier.arrive.getLoc(), barrier.arrive);
  barrier.arrive.getBlocksMutable().assign(addTo(b, barrier.arrive.getBlocks(), -1));
}
static void addAnother(Barrier barrier) {
  ImplicitLocOpBuilder b(barrier.behind.getLoc(), barrier.behind->getNextNode());
  Value phase = GridArriveOp::create(b, b.getI32Type(), barrier.arrive.getCounter(),
                                     barrier.arrive.getBlocks());
  GridWaitOp::create(b, barrier.arrive.getCounter(), phase);
}
static void swapStages(Barrier barrier) { barrier.before->moveAfter(barrier.behind); }

/// Of a loop over layers or passes, in the first iteration alone.
static bool inFirstIteration(gpu::GPUFuncOp kernel, unsigned nth) {
  for (Barrier barrier : getBarriers(kernel)) {
    auto loop = dyn_cast<scf::ForOp>(barrier.wait->getParentOp());
    if (!loop || getNumBlocks(loop) < 2 || nth--)
      continue;
    makeConditional(barrier,
                    [&](ImplicitLocOpBuilder &b) { return isBelow(b, loop.getInductionVar(), 1); });
    return true;
  }
  return false;
}

static bool isAny(scf::ForOp) { return true; }
static bool hasSeveralBlocks(scf::ForOp stage) { return getNumBlocks(stage) > 1; }
static bool isTeams(scf::ForOp stage) { return meets(getFunction(stage)); }

static void runAllEverywhere(scf::ForOp stage) {
  ImplicitLocOpBuilder b(stage.getLoc(), stage);
  stage.setLowerBound(arith::ConstantIndexOp::create(b, 0));
  stage.setStep(arith::ConstantIndexOp::create(b, 1));
}
static void leaveLastBlock(scf::ForOp stage) {
  ImplicitLocOpBuilder b(stage.getLoc(), stage);
  stage.setUpperBound(addTo(b, stage.getUpperBound(), -1));
}
static void leaveThreads(scf::ForOp stage) {
  func::CallOp call;
  stage.walk([&](func::CallOp found) { call = found; });
  ImplicitLocOpBuilder b(call.getLoc(), call);
  Value some = isBelow(b, gpu::ThreadIdOp::create(b, gpu::Dimension::x), 64);
  Block *taken = scf::IfOp::create(b, some, /*withElseRegion=*/false).thenBlock();
  call->moveBefore(taken, taken->begin());
}

static bool leaveLastIteration(gpu::GPUFuncOp kernel, unsigned nth) {
  SmallVector<scf::ForOp> loops = getOuterLoops(kernel);
  if (nth >= loops.size())
    return false;
  ImplicitLocOpBuilder b(loops[nth].getLoc(), loops[nth]);
  loops[nth].setUpperBound(addTo(b, loops[nth].getUpperBound(), -1));
  return true;
}

static bool dropBounds(gpu::GPUFuncOp kernel, unsigned nth) {
  kernel.removeKnownBlockSizeAttr();
  return nth == 0;
}
static bool tightenBounds(gpu::GPUFuncOp kernel, unsigned nth) {
  kernel.setKnownBlockSize(ArrayRef<int32_t>{32, 1, 1});
  return nth == 0;
}
static bool allowTooManyRegisters(gpu::GPUFuncOp kernel, unsigned nth) {
  kernel.setKnownBlockSize(ArrayRef<int32_t>{512, 1, 1});
  kernel->setAttr("nvvm.maxnreg", Builder(kernel.getContext()).getI32IntegerAttr(255));
  return nth == 0;
}

static const std::pair<StringRef, Fault> faults[] = {
    {"barrier dropped", atBarrier<drop>},
    {"barrier before its producer", atBarrier<hoist>},
    {"barrier behind its consumer", atBarrier<sink>},
    {"arrival without wait", atBarrier<dropWait>},
    {"wait without arrival", atBarrier<dropArrival>},
    {"wait behind the consumer", atBarrier<waitLate>},
    {"arrival before the producer", atBarrier<arriveEarly>},
    {"barrier of one block", atBarrier<byOneBlock>},
    {"barrier of some threads", atBarrier<byHalfThreads>},
    {"barrier in the first iteration", inFirstIteration},
    {"arrivals of more blocks than there are", atBarrier<countTooMany>},
    {"arrivals of fewer blocks than there are", atBarrier<countTooFew>},
    {"a barrier more", atBarrier<addAnother>}, // no fault
    {"stages swapped", atBarrier<swapStages>},
    {"all blocks run by each", atStage<hasSeveralBlocks, runAllEverywhere>},
    {"last block left out", atStage<isAny, leaveLastBlock>},
    {"some threads left out", atStage<isTeams, leaveThreads>},
    {"last iteration left out", leaveLastIteration},
    {"launch bounds dropped", dropBounds},
    {"launch bounds of fewer threads", tightenBounds},
    {"registers for fewer blocks", allowTooManyRegisters},
};

//===----------------------------------------------------------------------===//
// Pass
//===----------------------------------------------------------------------===//

namespace {
struct MutateGridKernels : public PassWrapper<MutateGridKernels, OperationPass<ModuleOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(MutateGridKernels)

  MutateGridKernels() = default;
  MutateGridKernels(const MutateGridKernels &other) : PassWrapper(other) {}

  StringRef getArgument() const final { return "test-treadle-mutate-grid-kernels"; }
  StringRef getDescription() const final { return "add schedules that are wrong in one place"; }
  void getDependentDialects(DialectRegistry &registry) const override {
    registry.insert<arith::ArithDialect, scf::SCFDialect>();
  }

  void runOnOperation() override {
    gpu::GPUModuleOp module = *getOperation().getOps<gpu::GPUModuleOp>().begin();
    for (auto kernel : llvm::to_vector(module.getOps<gpu::GPUFuncOp>()))
      if (auto entry = getOperation().lookupSymbol<func::FuncOp>(kernel.getName()))
        mutate(entry, kernel);
    if (failed(writeIR(module)))
      signalPassFailure();
  }

private:
  void mutate(func::FuncOp entry, gpu::GPUFuncOp kernel);
  LogicalResult writeIR(gpu::GPUModuleOp module);
  static std::string verify(func::FuncOp entry, gpu::GPUFuncOp kernel);

  Option<std::string> file{*this, "file", llvm::cl::desc("where the LLVM IR goes")};
  Option<unsigned> most{*this, "most", llvm::cl::desc("places of a fault"), llvm::cl::init(2)};
};
} // namespace

/// What the verifier says, or "".
std::string MutateGridKernels::verify(func::FuncOp entry, gpu::GPUFuncOp kernel) {
  std::string error;
  ScopedDiagnosticHandler handler(entry.getContext(), [&](Diagnostic &diagnostic) {
    if (error.empty())
      error = diagnostic.str();
    return success();
  });
  bool isRefused = failed(verifyGridKernel(entry, kernel));
  return isRefused ? error : "";
}

void MutateGridKernels::mutate(func::FuncOp entry, gpu::GPUFuncOp kernel) {
  unsigned number = 0;
  auto count = [&](Fault fault) {
    unsigned places = 0;
    for (;; ++places) {
      OwningOpRef<Operation *> copy(kernel->clone());
      kernel->getBlock()->push_back(copy.get());
      bool isThere = fault(cast<gpu::GPUFuncOp>(*copy), places);
      copy->remove();
      if (!isThere)
        return places;
    }
  };
  for (auto [name, fault] : faults) {
    // Evenly, the last one included.
    unsigned places = count(fault), taken = std::min<unsigned>(places, most);
    for (unsigned i = 1; i <= taken; ++i) {
      auto mutant = cast<gpu::GPUFuncOp>(kernel->clone());
      mutant.setName((kernel.getName() + "_mutant_" + Twine(number++)).str());
      kernel->getBlock()->push_back(mutant);
      fault(mutant, i * places / taken - 1);
      llvm::outs() << mutant.getName() << "\t" << name << "\t" << verify(entry, mutant) << "\n";
    }
  }
}

LogicalResult MutateGridKernels::writeIR(gpu::GPUModuleOp module) {
  OwningOpRef<ModuleOp> copy(ModuleOp::create(module.getLoc()));
  copy->getBody()->push_back(module->clone());
  PassManager passes(&getContext());
  buildKernelsToNVVMPipeline(passes, /*warpGroups=*/false);
  if (failed(passes.run(*copy)))
    return failure();
  llvm::Expected<GPUIR> ir = emitIR(*copy->getOps<gpu::GPUModuleOp>().begin(), "emulated");
  if (!ir)
    return getOperation().emitError(llvm::toString(ir.takeError()));
  std::error_code code;
  llvm::raw_fd_ostream(file, code) << ir->text;
  return code ? getOperation().emitError(code.message()) : success();
}

void treadle::test::registerMutateGridKernelsPass() { PassRegistration<MutateGridKernels>(); }

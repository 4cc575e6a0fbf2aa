//===- LowerLaunches.cpp - Launches as calls of the runtime ---------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "treadle/Target/NVPTX/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "llvm/ADT/MapVector.h"

namespace treadle {
#define GEN_PASS_DEF_LOWERLAUNCHESPASS
#include "treadle/Target/NVPTX/Passes.h.inc"
} // namespace treadle

using namespace mlir;
using namespace treadle;

/// An argument of a launch as 64 bits: an address, a number, or the bits of a float.
static Value toWord(ImplicitLocOpBuilder &b, Value argument) {
  Type type = argument.getType(), word = b.getI64Type();
  if (isa<MemRefType>(type)) {
    argument = memref::ExtractAlignedPointerAsIndexOp::create(b, argument);
    type = argument.getType();
  }
  if (isa<IndexType>(type))
    return arith::IndexCastOp::create(b, word, argument);
  if (isa<FloatType>(type)) {
    type = b.getIntegerType(type.getIntOrFloatBitWidth());
    argument = arith::BitcastOp::create(b, type, argument);
  }
  return type == word ? argument : Value(arith::ExtUIOp::create(b, word, argument));
}

namespace {
class LowerLaunches : public treadle::impl::LowerLaunchesPassBase<LowerLaunches> {
  void runOnOperation() override;
  void lowerEntry(func::FuncOp entry);
  void lowerLaunch(gpu::LaunchFuncOp launch, Value launcher, Value words);

  func::FuncOp runtime;
  MemRefType handleType, wordsType;
  llvm::MapVector<StringAttr, int64_t> kernels; // their numbers
};
} // namespace

void LowerLaunches::lowerLaunch(gpu::LaunchFuncOp launch, Value launcher, Value words) {
  ImplicitLocOpBuilder b(launch.getLoc(), launch);
  auto index = [&](int64_t value) -> Value { return arith::ConstantIndexOp::create(b, value); };
  for (auto [i, argument] : llvm::enumerate(launch.getKernelOperands()))
    memref::StoreOp::create(b, toWord(b, argument), words, ValueRange{index(i)});
  func::CallOp::create(b, runtime,
                       ValueRange{launcher, index(kernels.lookup(launch.getKernelName())),
                                  launch.getGridSizeX(), launch.getBlockSizeX(), words,
                                  index(launch.getNumKernelOperands())});
  launch.erase();
}

void LowerLaunches::lowerEntry(func::FuncOp entry) {
  Block &block = entry.getBody().front();
  Value launcher = block.addArgument(handleType, entry.getLoc());
  entry.setFunctionType(FunctionType::get(&getContext(), block.getArgumentTypes(), {}));
  // At the top: in a loop, the stack would grow with each launch.
  OpBuilder builder = OpBuilder::atBlockBegin(&block);
  Value words = memref::AllocaOp::create(builder, entry.getLoc(), wordsType);
  entry.walk([&](gpu::LaunchFuncOp launch) { lowerLaunch(launch, launcher, words); });
  entry->setAttr("treadle.schedule", entry->removeAttr("treadle.entry"));
}

void LowerLaunches::runOnOperation() {
  ModuleOp module = getOperation();
  ImplicitLocOpBuilder b(module.getLoc(), OpBuilder::atBlockEnd(module.getBody()));
  kernels.clear();
  int64_t mostWords = 1;
  for (auto gpuModule : llvm::make_early_inc_range(module.getOps<gpu::GPUModuleOp>())) {
    for (auto kernel : gpuModule.getOps<gpu::GPUFuncOp>())
      kernels.insert({kernel.getNameAttr(), kernels.size()});
    gpuModule.erase();
  }
  module.walk([&](gpu::LaunchFuncOp launch) {
    mostWords = std::max<int64_t>(mostWords, launch.getNumKernelOperands());
  });
  handleType = MemRefType::get({1}, b.getI8Type());
  wordsType = MemRefType::get({mostWords}, b.getI64Type());
  Type index = b.getIndexType();
  runtime = func::FuncOp::create(
      b, launchFunction,
      b.getFunctionType({handleType, index, index, index, wordsType, index}, {}));
  runtime.setPrivate();
  for (auto function : module.getOps<func::FuncOp>())
    if (function->hasAttr("treadle.entry"))
      lowerEntry(function);
  module->removeAttr(gpu::GPUDialect::getContainerModuleAttrName());
}

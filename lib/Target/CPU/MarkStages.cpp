//===- MarkStages.cpp - Which stage begins, at run time -------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Handle.h"

#include "treadle/Dialect/Treadle/IR/Treadle.h"
#include "treadle/Target/CPU/Passes.h"

#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace treadle {
#define GEN_PASS_DEF_MARKSTAGESPASS
#include "treadle/Target/CPU/Passes.h.inc"
} // namespace treadle

using namespace mlir;
using namespace treadle;

namespace {
class MarkStages : public treadle::impl::MarkStagesPassBase<MarkStages> {
  void runOnOperation() override;
  void mark(Block &block);
  void mark(func::CallOp kernel, func::CallOp barrier);
  void declare(StringRef name, ArrayRef<Type> arguments);

  SymbolTable *symbols;
  Value profile;  ///< of the entry point
  int32_t stages; ///< so far
};
} // namespace

static Value addProfileArgument(func::FuncOp entry) {
  Block &block = entry.getBody().front();
  Value profile = block.addArgument(getHandleType(entry.getContext()), entry.getLoc());
  entry.setFunctionType(
      FunctionType::get(entry.getContext(), block.getArgumentTypes(), TypeRange()));
  return profile;
}

/// `barrier` is the one right before the kernel; null: none.
void MarkStages::mark(func::CallOp kernel, func::CallOp barrier) {
  func::CallOp place = barrier ? barrier : kernel;
  ImplicitLocOpBuilder b(place.getLoc(), place);
  Value stage = arith::ConstantIntOp::create(b, stages++, 32);
  if (barrier) {
    Value team = barrier.getOperand(0);
    func::CallOp::create(b, meetFunction, TypeRange(), ValueRange{team, profile, stage});
    barrier.erase();
  } else {
    func::CallOp::create(b, markFunction, TypeRange(), ValueRange{profile, stage});
  }
}

void MarkStages::mark(Block &block) {
  func::CallOp barrier;
  for (Operation &op : llvm::make_early_inc_range(block)) {
    for (Region &region : op.getRegions())
      for (Block &inner : region)
        mark(inner);
    if (op.getNumRegions())
      barrier = {};
    auto call = dyn_cast<func::CallOp>(op);
    if (!call)
      continue;
    auto callee = symbols->lookup<func::FuncOp>(call.getCallee());
    bool isKernel = callee && callee->hasAttr("treadle.kernel");
    if (isKernel)
      mark(call, barrier);
    barrier = call.getCallee() == barrierFunction ? call : func::CallOp();
  }
}

void MarkStages::declare(StringRef name, ArrayRef<Type> arguments) {
  auto builder = OpBuilder::atBlockEnd(getOperation().getBody());
  auto type = builder.getFunctionType(arguments, {});
  func::FuncOp::create(builder, getOperation().getLoc(), name, type).setPrivate();
}

void MarkStages::runOnOperation() {
  ModuleOp module = getOperation();
  SymbolTable table(module);
  symbols = &table;
  for (auto entry : module.getOps<func::FuncOp>()) {
    if (!entry->hasAttr("treadle.entry") || entry.isExternal())
      continue;
    profile = addProfileArgument(entry);
    stages = 0;
    for (Block &block : entry.getBody())
      mark(block);
  }
  Type handle = getHandleType(&getContext()), stage = IntegerType::get(&getContext(), 32);
  declare(markFunction, {handle, stage});
  declare(meetFunction, {handle, handle, stage});
}

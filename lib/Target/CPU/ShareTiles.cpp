//===- ShareTiles.cpp - A team's members share the tiles of stages --------===//
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
#define GEN_PASS_DEF_SHARETILESPASS
#include "treadle/Target/CPU/Passes.h.inc"
} // namespace treadle

using namespace mlir;
using namespace treadle;

namespace {
/// What an entry point is told of the team that runs it.
struct Team {
  Value member, members, handle;
};

class ShareTiles : public treadle::impl::ShareTilesPassBase<ShareTiles> {
  void runOnOperation() override;
  Team addArguments(func::FuncOp entry);
  void declareBarrier();
};
} // namespace

Team ShareTiles::addArguments(func::FuncOp entry) {
  Block &block = entry.getBody().front();
  Type index = IndexType::get(&getContext());
  Team team;
  team.member = block.addArgument(index, entry.getLoc());
  team.members = block.addArgument(index, entry.getLoc());
  team.handle = block.addArgument(getHandleType(&getContext()), entry.getLoc());
  entry.setFunctionType(FunctionType::get(&getContext(), block.getArgumentTypes(), {}));
  return team;
}

void ShareTiles::declareBarrier() {
  auto builder = OpBuilder::atBlockEnd(getOperation().getBody());
  auto type = builder.getFunctionType(getHandleType(&getContext()), {});
  auto barrier = func::FuncOp::create(builder, getOperation().getLoc(), barrierFunction, type);
  barrier.setPrivate();
}

/// Tiles [first, end) of a call become this member's share of them.
static void shareCall(func::CallOp call, const Team &team) {
  ImplicitLocOpBuilder b(call.getLoc(), call);
  unsigned numOperands = call.getNumOperands();
  Value first = call.getOperand(numOperands - 2), end = call.getOperand(numOperands - 1);
  Value tiles = arith::SubIOp::create(b, end, first);
  auto shareOf = [&](Value member) -> Value {
    Value scaled = arith::MulIOp::create(b, tiles, member);
    Value before = arith::DivUIOp::create(b, scaled, team.members);
    return arith::AddIOp::create(b, first, before);
  };
  Value next = arith::AddIOp::create(b, team.member, Value(arith::ConstantIndexOp::create(b, 1)));
  call.setOperand(numOperands - 2, shareOf(team.member));
  call.setOperand(numOperands - 1, shareOf(next));
}

void ShareTiles::runOnOperation() {
  SymbolTable symbols(getOperation());
  bool hasBarriers = false;
  for (auto entry : getOperation().getOps<func::FuncOp>()) {
    if (!entry->hasAttr("treadle.entry") || entry.isExternal())
      continue;
    Team team = addArguments(entry);
    entry.walk([&](func::CallOp call) {
      auto callee = symbols.lookup<func::FuncOp>(call.getCallee());
      if (callee && callee->hasAttr("treadle.kernel"))
        shareCall(call, team);
    });
    entry.walk([&](BarrierOp barrier) {
      OpBuilder builder(barrier);
      func::CallOp::create(builder, barrier.getLoc(), barrierFunction, TypeRange(), team.handle);
      barrier.erase();
      hasBarriers = true;
    });
  }
  if (hasBarriers)
    declareBarrier();
}

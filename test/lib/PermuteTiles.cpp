//===- PermuteTiles.cpp - Run the tiles of every stage in another order ---===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

//
// Tiles of a stage are independent: whatever the order and whoever runs them, the
// bits are the same. This pass rewrites each call of a kernel so that a test can
// compare:
//
//   reversed   one call per tile, last tile first
//   shuffled   one call per tile, in steps that are coprime to the count
//   threads    three virtual threads, each with an equal share, the last one first: it
//              runs ahead of the others as far as the next barrier or loop
//
// With poisoned memory the last order shows a barrier that is missing.
//
//===----------------------------------------------------------------------===//

#include "TestPasses.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Pass/Pass.h"
#include "treadle/Dialect/Treadle/IR/Treadle.h"

#include <numeric>

using namespace mlir;

namespace {
enum class Order { reversed, shuffled, threads };

struct PermuteTiles : public PassWrapper<PermuteTiles, OperationPass<ModuleOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(PermuteTiles)

  PermuteTiles() = default;
  PermuteTiles(const PermuteTiles &other) : PassWrapper(other) {}

  StringRef getArgument() const final { return "test-treadle-permute-tiles"; }
  StringRef getDescription() const final { return "run the tiles of every stage in another order"; }
  void getDependentDialects(DialectRegistry &registry) const override {
    registry.insert<arith::ArithDialect, scf::SCFDialect>();
  }

  void runOnOperation() override {
    SymbolTable symbols(getOperation());
    auto isKernel = [&](Operation &op) {
      auto call = dyn_cast<func::CallOp>(op);
      auto callee = call ? symbols.lookup<func::FuncOp>(call.getCallee()) : func::FuncOp();
      return callee && callee->hasAttr("treadle.kernel");
    };
    SmallVector<SmallVector<func::CallOp>> runs(1);
    getOperation().walk([&](Block *block) {
      for (Operation &op : *block) {
        if (isKernel(op))
          runs.back().push_back(cast<func::CallOp>(op));
        else if (isa<treadle::BarrierOp>(op) || op.getNumRegions() > 0)
          runs.emplace_back();
      }
      runs.emplace_back();
    });
    for (ArrayRef<func::CallOp> run : runs) {
      if (order == Order::threads && !run.empty())
        deal(run);
      else
        llvm::for_each(run, [&](func::CallOp call) { rewrite(call); });
    }
  }

private:
  static int64_t tilesOf(func::CallOp call) {
    APInt tiles;
    [[maybe_unused]] bool isKnown = matchPattern(call->getOperands().back(), m_ConstantInt(&tiles));
    assert(isKnown && "a stage has a known number of tiles");
    return tiles.getSExtValue();
  }

  /// calls(..., 0, tiles)  =>  for thread from the last: its share of each call.
  void deal(ArrayRef<func::CallOp> calls) {
    constexpr int64_t threads = 3;
    func::CallOp last = calls.back(); // by now all operands are known
    ImplicitLocOpBuilder b(last.getLoc(), last);
    auto constant = [&](int64_t value) -> Value {
      return arith::ConstantIndexOp::create(b, value);
    };
    auto loop = scf::ForOp::create(b, constant(0), constant(threads), constant(1));
    b.setInsertionPointToStart(loop.getBody());
    Value thread = arith::SubIOp::create(b, constant(threads - 1), loop.getInductionVar());
    Value next = arith::AddIOp::create(b, thread, constant(1));
    for (func::CallOp call : calls) {
      auto share = [&](Value of) -> Value {
        Value scaled = arith::MulIOp::create(b, of, constant(tilesOf(call)));
        return arith::DivUIOp::create(b, scaled, constant(threads));
      };
      SmallVector<Value> operands(call.getOperands().drop_back(2));
      operands.append({share(thread), share(next)});
      func::CallOp::create(b, call.getCallee(), call.getResultTypes(), operands);
    }
    for (func::CallOp call : calls)
      call.erase();
  }

  /// call(..., 0, tiles)  =>  for i: call(..., begin(i), end(i)), in the order asked for.
  void rewrite(func::CallOp call) {
    int64_t tiles = tilesOf(call);
    ImplicitLocOpBuilder b(call.getLoc(), call);
    auto constant = [&](int64_t value) -> Value {
      return arith::ConstantIndexOp::create(b, value);
    };
    auto loop = scf::ForOp::create(b, constant(0), constant(tiles), constant(1));
    b.setInsertionPointToStart(loop.getBody());
    Value begin = arith::SubIOp::create(b, constant(tiles - 1), loop.getInductionVar());
    if (order == Order::shuffled) {
      int64_t step = tiles / 2 + 1;
      while (std::gcd(step, tiles) != 1)
        ++step;
      Value place = arith::MulIOp::create(b, loop.getInductionVar(), constant(step));
      begin = arith::RemUIOp::create(b, place, constant(tiles));
    }
    Value end = arith::AddIOp::create(b, begin, constant(1));
    SmallVector<Value> operands(call.getOperands().drop_back(2));
    operands.append({begin, end});
    func::CallOp::create(b, call.getCallee(), call.getResultTypes(), operands);
    call.erase();
  }

  Option<Order> order{
      *this, "order", llvm::cl::desc("the order of the tiles"), llvm::cl::init(Order::reversed),
      llvm::cl::values(clEnumValN(Order::reversed, "reversed", "last tile first"),
                       clEnumValN(Order::shuffled, "shuffled", "in coprime steps"),
                       clEnumValN(Order::threads, "threads", "three virtual threads"))};
};
} // namespace

void treadle::test::registerPermuteTilesPass() { PassRegistration<PermuteTiles>(); }

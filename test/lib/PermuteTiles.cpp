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
//   threads    three virtual threads, each with an equal share, the last one first
//
//===----------------------------------------------------------------------===//

#include "TestPasses.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Pass/Pass.h"

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
    getOperation().walk([&](func::CallOp call) {
      auto callee = symbols.lookup<func::FuncOp>(call.getCallee());
      APInt tiles;
      if (callee && callee->hasAttr("treadle.kernel") &&
          matchPattern(call->getOperands().back(), m_ConstantInt(&tiles)))
        rewrite(call, tiles.getSExtValue());
    });
  }

private:
  /// call(..., 0, tiles)  =>  for i: call(..., begin(i), end(i)), in the order asked for.
  void rewrite(func::CallOp call, int64_t tiles) {
    ImplicitLocOpBuilder b(call.getLoc(), call);
    auto constant = [&](int64_t value) -> Value {
      return arith::ConstantIndexOp::create(b, value);
    };
    constexpr int64_t threads = 3;
    int64_t calls = order == Order::threads ? threads : tiles;
    auto loop = scf::ForOp::create(b, constant(0), constant(calls), constant(1));
    b.setInsertionPointToStart(loop.getBody());
    Value backwards = arith::SubIOp::create(b, constant(calls - 1), loop.getInductionVar());

    Value begin = backwards, end;
    if (order == Order::threads) {
      // Thread t runs the tiles from t * tiles / threads on.
      auto share = [&](Value thread) -> Value {
        Value scaled = arith::MulIOp::create(b, thread, constant(tiles));
        return arith::DivUIOp::create(b, scaled, constant(threads));
      };
      begin = share(backwards);
      end = share(arith::AddIOp::create(b, backwards, constant(1)));
    } else {
      if (order == Order::shuffled) {
        int64_t step = tiles / 2 + 1;
        while (std::gcd(step, tiles) != 1)
          ++step;
        Value place = arith::MulIOp::create(b, loop.getInductionVar(), constant(step));
        begin = arith::RemUIOp::create(b, place, constant(tiles));
      }
      end = arith::AddIOp::create(b, begin, constant(1));
    }
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

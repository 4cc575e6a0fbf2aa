//===- TensorProducts.cpp - Products on tensor cores ----------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

//
// `treadle.multiply_panels` makes the sums of some rows and panels, in memory that all groups of
// the block see; a loop over rows takes them from there to what follows. What runs at once is a
// matter of memory and of threads, and no bit depends on it.
//

#include "Products.h"

using namespace mlir;
using namespace treadle;

using KernelOp = MultiplyPanelsOp;

/// Products of a row with a panel that run at once, where rows are few.
static constexpr int64_t fewProducts = 16;

/// Slices of panels that a block runs at once, where rows are few: two for each of its warps.
static constexpr int64_t fewSlices = 16;

namespace {
class TensorEmitter {
public:
  TensorEmitter(StageKernel &kernel, const Products &work);

  void emit();

private:
  void emitUnits(Value firstOutput, Value endOutput);
  void emitPart(Value unit);
  void emitPanels(ArrayRef<unsigned> matrices, Value first, Value count, int64_t mostPanels);
  void emitRows(ArrayRef<unsigned> matrices, Value firstPanel, Value panels, Value firstRow,
                Value rows);

  StageKernel &kernel;
  LaneBuilder &b;
  const Products &work;
  SmallVector<SmallVector<unsigned>> alike;
  int64_t tileOutputs, rowsAtOnce, panelsAtOnce;
  SmallVector<Value> sums; // of each matrix of some that are alike
  Value group;             // that runs at present
};
} // namespace

TensorEmitter::TensorEmitter(StageKernel &kernel, const Products &work)
    : kernel(kernel), b(kernel.builder()), work(work), alike(work.findAlike()),
      tileOutputs(work.groups > 1 ? work.matrices[0].outputs
                                  : std::min(kernel.tileSize(1), kernel.extent(1))) {
  size_t mostAlike = 0;
  for (ArrayRef<unsigned> matrices : alike)
    mostAlike = std::max(mostAlike, matrices.size());
  int64_t inner = work.getInner(), tileRows = kernel.tileSize(0);
  int64_t panels = llvm::divideCeilSigned(tileOutputs, panelWidth);
  if (work.products.size() == 1 && tileRows % 64 == 0) {
    rowsAtOnce = tileRows;
    panelsAtOnce = panels > 4 ? 8 : 4;
  } else {
    int64_t perRow = mostAlike * work.perMatrix();
    rowsAtOnce = std::clamp<int64_t>(fewProducts / perRow, 1, tileRows);
    panelsAtOnce = std::clamp<int64_t>(fewSlices / KernelOp::getSlicing(inner).slices, 1, panels);
  }
  int64_t room = KernelOp::getRoom(inner, work.perMatrix(), rowsAtOnce, panelsAtOnce);
  for (size_t i = 0; i < mostAlike; ++i)
    sums.push_back(kernel.allocateForStep({room, numLanes}, b.getI32Type()));
}

void TensorEmitter::emit() {
  if (work.groups == 1) {
    group = b.index(0);
    return emitUnits(kernel.begin(1), kernel.end(1));
  }
  b.loop(kernel.begin(1), kernel.end(1), 1, [&](Value index) {
    group = index;
    emitUnits(b.index(0), b.index(tileOutputs));
  });
}

/// Of several matrices, outputs are those of a unit: a panel of the lowest, and as many of each as
/// it has times the outputs.
void TensorEmitter::emitUnits(Value firstOutput, Value endOutput) {
  Value width = b.index(panelWidth);
  Value first = arith::DivUIOp::create(b, firstOutput, width);
  if (kernel.part())
    return emitPart(first);
  int64_t units = llvm::divideCeilSigned(tileOutputs, panelWidth);
  Value count = b.index(1);
  if (units > 1)
    count = b.sub(arith::CeilDivUIOp::create(b, endOutput, width), first);
  for (ArrayRef<unsigned> matrices : alike) {
    int64_t ofUnit = work.matrices[matrices[0]].panels;
    emitPanels(matrices, b.mul(first, b.index(ofUnit)), b.mul(count, b.index(ofUnit)),
               units * ofUnit);
  }
}

/// The tile's part of a unit: a panel of each of some matrices that are alike.
void TensorEmitter::emitPart(Value unit) {
  int64_t before = 0;
  for (ArrayRef<unsigned> matrices : alike) {
    int64_t ofUnit = work.matrices[matrices[0]].panels;
    Value place = b.sub(kernel.part(), b.index(before));
    Value isHere =
        arith::CmpIOp::create(b, arith::CmpIPredicate::ult, place, Value(b.index(ofUnit)));
    auto choice = scf::IfOp::create(b, isHere, /*withElseRegion=*/false);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(choice.thenBlock());
    emitPanels(matrices, b.add(b.mul(unit, b.index(ofUnit)), place), b.index(1), 1);
    before += ofUnit;
  }
}

/// `count` panels of some matrices that are alike, at most `mostPanels`, for all rows of the tile.
void TensorEmitter::emitPanels(ArrayRef<unsigned> matrices, Value first, Value count,
                               int64_t mostPanels) {
  Value rows = b.sub(kernel.end(0), kernel.begin(0));
  auto atOnce = [&](Value all, int64_t most, int64_t size, bool areWhole, auto body) {
    if (most <= size)
      return body(b.index(0), all);
    b.loop(b.index(0), all, size, [&](Value begin) {
      body(begin, areWhole && most % size == 0 ? b.index(size)
                                               : b.minimum(b.index(size), b.sub(all, begin)));
    });
  };
  // Whether each tile has as many panels, or rows, as the largest.
  bool haveAllPanels = work.groups > 1 || kernel.extent(1) % tileOutputs == 0;
  bool haveAllRows = kernel.hasWholeGranules() && rowGranule % kernel.tileSize(0) == 0;
  atOnce(count, mostPanels, panelsAtOnce, haveAllPanels, [&](Value panel, Value panels) {
    atOnce(rows, kernel.tileSize(0), rowsAtOnce, haveAllRows, [&](Value row, Value count) {
      emitRows(matrices, b.add(first, panel), panels, b.add(kernel.begin(0), row), count);
    });
  });
}

void TensorEmitter::emitRows(ArrayRef<unsigned> matrices, Value firstPanel, Value panels,
                             Value firstRow, Value rows) {
  Value column = b.mul(group, b.index(work.getInner()));
  for (auto [matrix, memory] : llvm::zip(matrices, sums)) {
    SmallVector<Value> inputs;
    for (const Product &product : work.productsOf(matrix))
      inputs.push_back(work.inputs[product.input]);
    KernelOp::create(b, memory, inputs, firstRow, column, rows, work.matrices[matrix].weight,
                     work.isStack() ? group : Value(), firstPanel, panels, work.getInner(),
                     rowsAtOnce, panelsAtOnce);
  }
  int64_t perMatrix = work.perMatrix();
  Value firstColumn = b.mul(firstPanel, b.index(numLanes));
  b.loop(b.index(0), rows, 1, [&](Value row) {
    auto emitPanel = [&](Value column) {
      Value panel = arith::DivUIOp::create(b, column, b.index(numLanes));
      Value place = b.add(b.mul(panel, b.index(rowsAtOnce)), row);
      SmallVector<Value> ofRow; // by matrix and product
      for (size_t i = 0; i < matrices.size(); ++i)
        for (int64_t product = 0; product < perMatrix; ++product) {
          Value origin = b.index(product * panelsAtOnce * rowsAtOnce);
          Value words = b.loadAsIs(sums[i], {b.add(origin, place), b.index(0)});
          ofRow.push_back(arith::BitcastOp::create(b, b.floats(), words));
        }
      storeSums(kernel, work, group, matrices, ofRow, b.add(firstRow, row),
                b.add(firstColumn, column));
    };
    if (panelsAtOnce == 1)
      emitPanel(b.index(0));
    else
      b.loop(b.index(0), b.mul(panels, b.index(numLanes)), numLanes, emitPanel);
  });
}

void treadle::emitTensorProducts(StageKernel &kernel, const Products &work) {
  TensorEmitter(kernel, work).emit();
}

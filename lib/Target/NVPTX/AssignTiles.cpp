//===- AssignTiles.cpp - Tile sizes for a GPU -----------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "treadle/Conversion/StagesToVector/StagesToVector.h"
#include "treadle/Dialect/Treadle/IR/Layout.h"
#include "treadle/Dialect/Treadle/IR/Treadle.h"
#include "treadle/Target/NVPTX/Passes.h"

namespace treadle {
#define GEN_PASS_DEF_ASSIGNGPUTILESPASS
#include "treadle/Target/NVPTX/Passes.h.inc"
} // namespace treadle

using namespace mlir;
using namespace treadle;

/// Rows that share what a tile reads of a matrix: 16 of many, which kernels count at run time; of
/// few, which they know, the largest divisor.
static int64_t tileRows(int64_t extent) {
  int64_t size = std::min(extent, rowGranule);
  while (extent % size != 0)
    --size;
  return size;
}

/// Rows and outputs of a tile of many rows with a matrix in bf16: as large as tensor cores want it,
/// but so that there are enough for the multiprocessors of a large GPU.
static constexpr int64_t tensorRows = 64, tensorOutputs = 128, multiprocessors = 128;

/// A single matrix in bf16 for more than two granules of rows.
static bool runsOnSharedTiles(StageOp stage) {
  StageCoreOpInterface core = stage.getCore();
  auto linear = core ? dyn_cast<LinearOp>(core.getOperation()) : LinearOp();
  return linear && stage.getCores().size() == 1 && stage.getRows() > 2 * rowGranule &&
         linear.getWeight().getType().getElementType().isBF16();
}

static int64_t tensorOutputsOf(int64_t rows, int64_t outputs) {
  int64_t tiles = llvm::divideCeilSigned(rows, tensorRows);
  bool areEnough = tiles * llvm::divideCeilSigned(outputs, tensorOutputs) >= multiprocessors;
  return areEnough ? tensorOutputs : tensorOutputs / 2;
}

static int64_t tileOf(StageOp stage, IterationAttr iteration) {
  StageCoreOpInterface core = stage.getCore();
  bool isMatrix = core && isa<LinearOp, JointLinearOp>(core);
  bool isShared = runsOnSharedTiles(stage);
  switch (iteration.getKind()) {
  case IterationKind::rows:
    if (isShared)
      return tensorRows;
    return isMatrix ? tileRows(iteration.getExtent()) : 1;
  case IterationKind::outputs:
    return isShared ? tensorOutputsOf(stage.getRows(), iteration.getExtent()) : panelWidth;
  case IterationKind::heads:
    return 1;
  }
  llvm_unreachable("covered switch");
}

namespace {
struct AssignGPUTiles : public treadle::impl::AssignGPUTilesPassBase<AssignGPUTiles> {
  void runOnOperation() override {
    getOperation()->walk([&](StageOp stage) {
      if (stage.getTileAttr())
        return;
      SmallVector<int64_t> sizes;
      for (auto iteration : stage.getIterations().getAsRange<IterationAttr>())
        sizes.push_back(tileOf(stage, iteration));
      stage.setTileAttr(TileAttr::get(&getContext(), sizes));
    });
  }
};
} // namespace

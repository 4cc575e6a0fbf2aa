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

static int64_t tileOf(IterationAttr iteration, bool isMatrix) {
  switch (iteration.getKind()) {
  case IterationKind::rows:
    return isMatrix ? tileRows(iteration.getExtent()) : 1;
  case IterationKind::outputs:
    return panelWidth;
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
      StageCoreOpInterface core = stage.getCore();
      bool isMatrix = core && isa<LinearOp, JointLinearOp>(core);
      SmallVector<int64_t> sizes;
      for (auto iteration : stage.getIterations().getAsRange<IterationAttr>())
        sizes.push_back(tileOf(iteration, isMatrix));
      stage.setTileAttr(TileAttr::get(&getContext(), sizes));
    });
  }
};
} // namespace

//===- AssignTiles.cpp - Tile sizes for the CPU ---------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "treadle/Conversion/StagesToVector/StagesToVector.h"
#include "treadle/Dialect/Treadle/IR/Layout.h"
#include "treadle/Dialect/Treadle/IR/Treadle.h"
#include "treadle/Target/CPU/Passes.h"

namespace treadle {
#define GEN_PASS_DEF_ASSIGNTILESPASS
#include "treadle/Target/CPU/Passes.h.inc"
} // namespace treadle

using namespace mlir;
using namespace treadle;

/// Rows that share a block of weights: 128 of many, which kernels count at run time; of few, which
/// they know, the largest divisor.
static int64_t tileRows(int64_t extent) {
  if (extent % rowGranule == 0)
    return 8 * rowGranule;
  int64_t size = std::min(extent, 8 * rowGranule);
  while (extent % size != 0)
    --size;
  return size;
}

/// A block of weights is 256 outputs x 256 words of K (Linear.cpp), 256 KB, half of a small
/// second-level cache; the rows' sums beside it are 128 KB. A single row takes 1/16 of the outputs,
/// so that threads find tiles in a small matrix, and what a tile prepares once is little in a
/// large one.
static SmallVector<int64_t> tileLinear(StageOp stage) {
  int64_t rows = tileRows(stage.getExtent(0));
  int64_t extent = llvm::alignTo(stage.getExtent(1), panelWidth);
  int64_t outputs = 0; // of all matrices
  for (StageCoreOpInterface core : stage.getCores())
    if (!StageOp::isPrologue(core))
      outputs += extent * (core.getIterationDims()[1].getExtent() / stage.getExtent(1));
  int64_t share = llvm::alignTo(std::max<int64_t>(outputs / 16, 1), 4 * panelWidth);
  int64_t size = std::min<int64_t>({outputs, 256, rows == 1 ? share : 256});
  // Of several matrices, the same share of each.
  return {rows, int64_t(llvm::alignTo(llvm::divideCeil(size * extent, outputs), panelWidth))};
}

/// Groups with matrices of their own, or with one that they share: as many outputs as of one
/// matrix.
static SmallVector<int64_t> tileGroups(StageOp stage, LinearOp linear) {
  int64_t outputs = cast<ShapedType>(linear.getType()).getDimSize(1) / stage.getExtent(1);
  int64_t groups = std::clamp<int64_t>(256 / outputs, 1, stage.getExtent(1));
  return {tileRows(stage.getExtent(0)), groups};
}

/// At most `most` rows; of many, which kernels count at run time, whatever their number.
static int64_t rowsUpTo(int64_t most, int64_t extent) {
  return extent % rowGranule == 0 ? most : std::min(extent, most);
}

/// What a tile of attention keeps on the stack for a row of a head (Attention.cpp): scores of 512
/// keys, their exponentials, the query, and the sum of values.
static int64_t attentionBytes(AttentionOp attention) {
  constexpr int64_t ofKey = 4 + 2, others = 128;
  auto getWidth = [&](StateType state) { return state.getShape()[1] / attention.getKvHeads(); };
  return 512 * ofKey + others + 2 * getWidth(attention.getKeys().getType()) +
         4 * getWidth(attention.getValues().getType());
}

/// One key/value head at a time; scores of 512 keys for each of 64 rows and heads, 128 KB, stay in
/// the second-level cache. Fewer where heads are so wide that a call would need more of the stack
/// than model.h says.
static SmallVector<int64_t> tileAttention(StageOp stage, AttentionOp attention) {
  constexpr int64_t rowsAndHeads = 64, stackBytes = 400 << 10;
  int64_t group = attention.getHeads() / attention.getKvHeads();
  int64_t most = std::min(rowsAndHeads, stackBytes / attentionBytes(attention)) / group;
  most = llvm::bit_floor<uint64_t>(std::max<int64_t>(most, 1));
  return {rowsUpTo(most, stage.getExtent(0)), 1};
}

/// Rows that become lanes of panels: few panels are shared with the tiles before and behind.
static SmallVector<int64_t> tileAppend(StageOp stage) {
  return {rowsUpTo(4 * rowGranule, stage.getExtent(0)), stage.getExtent(1)};
}

static SmallVector<int64_t> tileOf(StageOp stage) {
  constexpr int64_t fewRows = 4, someColumns = 4 * panelWidth;
  StageCoreOpInterface core = stage.getCore();
  if (auto linear = dyn_cast_if_present<LinearOp>(core.getOperation());
      linear && linear.getGroups() > 1)
    return tileGroups(stage, linear);
  if (core && isa<LinearOp, JointLinearOp>(core))
    return tileLinear(stage);
  if (auto attention = dyn_cast_if_present<AttentionOp>(core.getOperation()))
    return tileAttention(stage, attention);
  if (auto append = dyn_cast_if_present<AppendOp>(core.getOperation());
      append && append.getState().getType().getPacking() == Packing::panels)
    return tileAppend(stage);
  SmallVector<int64_t> sizes;
  for (int64_t dim = 0, e = stage.getIterations().size(); dim < e; ++dim)
    sizes.push_back(stage.getExtent(dim));
  // Heads that take their rows one after another have much to do each.
  IterationKind first = cast<IterationAttr>(stage.getIterations()[0]).getKind();
  int64_t most = first == IterationKind::rows    ? fewRows
                 : first == IterationKind::heads ? 1
                                                 : someColumns;
  sizes[0] = std::min(most, sizes[0]);
  return sizes;
}

namespace {
struct AssignTiles : public treadle::impl::AssignTilesPassBase<AssignTiles> {
  void runOnOperation() override {
    getOperation()->walk([&](StageOp stage) {
      if (!stage.getTileAttr())
        stage.setTileAttr(TileAttr::get(&getContext(), tileOf(stage)));
    });
  }
};
} // namespace

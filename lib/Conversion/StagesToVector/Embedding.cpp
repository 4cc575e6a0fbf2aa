//===- Embedding.cpp - embedding, ngram_embedding, carry_ids on lanes -----===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "StageKernel.h"

using namespace mlir;
using namespace treadle;

/// body(lanes, column, mask) for each piece of a row that lies in panels: a column of words, 16
/// apart; each word holds one f32 or two bf16.
static void forLanesOfColumn(LaneBuilder &b, Value table, WeightType type, Value id,
                             function_ref<void(Value, Value, Value)> body) {
  int64_t columns = type.getShape()[1];
  SmallVector<int32_t> distances(numLanes);
  for (auto [lane, distance] : llvm::enumerate(distances))
    distance = lane * panelWidth;
  Value offsets =
      arith::ConstantOp::create(b, DenseElementsAttr::get(b.words(), ArrayRef(distances)));
  VectorType gathered = b.lanes(cast<MemRefType>(table.getType()).getElementType());
  Value zero = arith::ConstantOp::create(b, b.getZeroAttr(gathered));

  Value panel = arith::DivUIOp::create(b, id, b.index(panelWidth));
  Value lane = arith::RemUIOp::create(b, id, b.index(panelWidth));
  auto gather = [&](Value word, Value mask) -> Value {
    if (!mask)
      mask = b.maskBelow(b.index(numLanes));
    return vector::GatherOp::create(b, gathered, table, ValueRange{panel, word, lane}, offsets,
                                    mask, zero);
  };
  if (type.getElementType().isF32()) {
    b.forLanes(columns,
               [&](Value column, Value mask) { body(gather(column, mask), column, mask); });
    return;
  }
  // Two bf16 a word: 16 words make 32 columns, even ones in the low halves.
  constexpr int64_t together = 2 * numLanes;
  auto emitColumns = [&](Value column, int64_t count) {
    Value word = arith::DivUIOp::create(b, column, b.index(2));
    bool isWhole = count == together;
    Value pairs = gather(word, isWhole ? Value() : b.maskFirst(llvm::divideCeilSigned(count, 2)));
    Value both = vector::InterleaveOp::create(b, b.lowBF16(pairs), b.highBF16(pairs));
    for (int64_t begin = 0; begin < count; begin += numLanes) {
      Value part = vector::ExtractStridedSliceOp::create(
          b, both, ArrayRef<int64_t>{begin}, ArrayRef<int64_t>{numLanes}, ArrayRef<int64_t>{1});
      body(part, b.add(column, b.index(begin)), isWhole ? Value() : b.maskFirst(count - begin));
    }
  };
  int64_t whole = columns / together * together;
  b.loop(b.index(0), b.index(whole), together,
         [&](Value column) { emitColumns(column, together); });
  if (whole < columns)
    emitColumns(b.index(whole), columns - whole);
}

/// body(lanes, column, mask) for each piece of a row of the table.
static void forLanesOfRow(LaneBuilder &b, Value table, WeightType type, Value id,
                          function_ref<void(Value, Value, Value)> body) {
  if (type.getPacking() == Packing::panels)
    return forLanesOfColumn(b, table, type, id, body);
  b.forLanes(type.getShape()[1], [&](Value column, Value mask) {
    body(b.load(table, {id, column}, mask), column, mask);
  });
}

/// y[r, c] = E[ids[r], c]
void treadle::emitEmbedding(StageKernel &kernel, EmbeddingOp op) {
  LaneBuilder &b = kernel.builder();
  Value ids = kernel.operand(op.getIds()), table = kernel.operand(op.getTable());
  b.loop(kernel.begin(0), kernel.end(0), 1, [&](Value row) {
    Value id = arith::IndexCastOp::create(b, b.getIndexType(),
                                          Value(memref::LoadOp::create(b, ids, ValueRange{row})));
    forLanesOfRow(b, table, op.getTable().getType(), id,
                  [&](Value lanes, Value column, Value mask) {
                    kernel.storeResult(lanes, row, column, mask);
                  });
  });
}

namespace {
/// The ids of an open period and those before it.
struct Ids {
  Value ids, mask, history;
  int64_t lead;

  /// The id at a place counted from the period's first token, -1 for a masked one.
  Value load(LaneBuilder &b, Value place) const {
    Value zero = b.index(0);
    Value isOpen = arith::CmpIOp::create(b, arith::CmpIPredicate::sge, place, zero);
    auto loadOpen = [&]() -> SmallVector<Value> {
      Value flag = memref::LoadOp::create(b, mask, ValueRange{b.add(place, b.index(lead))});
      Value isMasked =
          arith::CmpIOp::create(b, arith::CmpIPredicate::eq, flag,
                                Value(arith::ConstantOp::create(b, b.getI8IntegerAttr(0))));
      Value id = memref::LoadOp::create(b, ids, ValueRange{place});
      Value none = arith::ConstantOp::create(b, b.getI32IntegerAttr(-1));
      return {arith::SelectOp::create(b, isMasked, none, id)};
    };
    auto loadOld = [&]() -> SmallVector<Value> {
      int64_t count = cast<MemRefType>(history.getType()).getDimSize(0);
      Value old = b.add(place, b.index(count));
      return {memref::LoadOp::create(b, history, ValueRange{old})};
    };
    return b.ifElse(isOpen, loadOpen, loadOld).front();
  }
};
} // namespace

void treadle::emitNgramEmbedding(StageKernel &kernel, NgramEmbeddingOp op) {
  LaneBuilder &b = kernel.builder();
  Ids ids = {kernel.operand(op.getIds()), kernel.operand(op.getMask()),
             kernel.operand(op.getHistory()), int64_t(op.getLead())};
  Value table = kernel.operand(op.getTable());
  Value position = kernel.operand(op.getPosition()), valid = kernel.operand(op.getValid());
  WeightType type = op.getTable().getType();
  int64_t window = op.getWindow();

  b.loop(kernel.begin(0), kernel.end(0), 1, [&](Value row) {
    Value token = b.add(position, b.minimum(row, b.sub(valid, b.index(1))));
    Value oldest = b.sub(token, b.index(window - 1));
    b.loop(b.index(0), b.index(window), 1, [&](Value j) {
      Value id = arith::IndexCastOp::create(b, b.getIndexType(), ids.load(b, b.add(oldest, j)));
      // Unsigned, so that -1 and whatever else a saved history holds are no rows.
      Value isRow =
          arith::CmpIOp::create(b, arith::CmpIPredicate::ult, id, b.index(type.getShape()[0]));
      Value safe = arith::SelectOp::create(b, isRow, id, b.index(0));
      Value origin = b.mul(j, b.index(type.getShape()[1]));
      forLanesOfRow(b, table, type, safe, [&](Value lanes, Value column, Value mask) {
        Value shown = arith::SelectOp::create(b, isRow, lanes, b.splat(0.0f));
        kernel.storeResult(shown, row, b.add(origin, column), mask);
      });
    });
  });
}

/// In rising order: what is read lies at or behind what is written.
void treadle::emitCarryIds(StageKernel &kernel, CarryIdsOp op) {
  LaneBuilder &b = kernel.builder();
  Ids ids = {kernel.operand(op.getIds()), kernel.operand(op.getMask()),
             kernel.operand(op.getHistory()), int64_t(op.getLead())};
  Value first =
      b.sub(kernel.operand(op.getCount()), b.index(op.getHistory().getType().getShape()[0]));
  b.loop(b.index(0), b.index(op.getHistory().getType().getShape()[0]), 1, [&](Value j) {
    Value id = ids.load(b, b.add(first, j));
    memref::StoreOp::create(b, id, ids.history, ValueRange{j});
  });
}

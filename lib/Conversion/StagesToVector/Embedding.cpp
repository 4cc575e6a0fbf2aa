//===- Embedding.cpp - embedding on lanes ---------------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "StageKernel.h"

using namespace mlir;
using namespace treadle;

/// y[r, c] = E[ids[r], c]. In panels a row of the table is a column of words, 16 apart; each word
/// holds one f32 or two bf16.
void treadle::emitEmbedding(StageKernel &kernel, EmbeddingOp op) {
  LaneBuilder &b = kernel.builder();
  Value ids = kernel.operand(op.getIds()), table = kernel.operand(op.getTable());
  WeightType type = op.getTable().getType();
  int64_t columns = type.getShape()[1];

  SmallVector<int32_t> distances(numLanes);
  for (auto [lane, distance] : llvm::enumerate(distances))
    distance = lane * panelWidth;
  Value offsets =
      arith::ConstantOp::create(b, DenseElementsAttr::get(b.words(), ArrayRef(distances)));
  VectorType gathered = b.lanes(cast<MemRefType>(table.getType()).getElementType());
  Value zero = arith::ConstantOp::create(b, b.getZeroAttr(gathered));

  b.loop(kernel.begin(0), kernel.end(0), 1, [&](Value row) {
    Value id = arith::IndexCastOp::create(b, b.getIndexType(),
                                          Value(memref::LoadOp::create(b, ids, ValueRange{row})));
    Value panel = arith::DivUIOp::create(b, id, b.index(panelWidth));
    Value lane = arith::RemUIOp::create(b, id, b.index(panelWidth));
    auto gather = [&](Value word, Value mask) -> Value {
      if (!mask)
        mask = b.maskBelow(b.index(numLanes));
      return vector::GatherOp::create(b, gathered, table, ValueRange{panel, word, lane}, offsets,
                                      mask, zero);
    };
    if (type.getElementType().isF32()) {
      b.forLanes(columns, [&](Value column, Value mask) {
        kernel.storeResult(gather(column, mask), row, column, mask);
      });
      return;
    }
    // Two bf16 a word: 16 words make 32 columns, even ones in the low halves.
    int64_t words = llvm::divideCeilSigned(columns, 2);
    for (int64_t word = 0; word < words; word += numLanes) {
      Value pairs = gather(b.index(word), b.maskFirst(words - word));
      Value both = vector::InterleaveOp::create(b, b.lowBF16(pairs), b.highBF16(pairs));
      for (int64_t half = 0; half < 2; ++half) {
        int64_t column = 2 * word + half * numLanes;
        if (column >= columns)
          break;
        Value part = vector::ExtractStridedSliceOp::create(
            b, both, ArrayRef<int64_t>{half * numLanes}, ArrayRef<int64_t>{numLanes},
            ArrayRef<int64_t>{1});
        kernel.storeResult(part, row, b.index(column), b.maskFirst(columns - column));
      }
    }
  });
}

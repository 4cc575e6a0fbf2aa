//===- TensorCore.cpp - What a warp multiplies at once --------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "TensorCore.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace treadle;

TensorCore::TensorCore(ImplicitLocOpBuilder &builder) : b(builder) {
  auto split = [&](Value number, int64_t by) -> std::pair<Value, Value> {
    Value size = arith::ConstantIndexOp::create(b, by);
    return {arith::DivUIOp::create(b, number, size), arith::RemUIOp::create(b, number, size)};
  };
  thread = gpu::ThreadIdOp::create(b, gpu::Dimension::x);
  Value lane;
  std::tie(warp, lane) = split(thread, warpThreads);
  std::tie(row, word) = split(lane, warpThreads / rows);
  std::tie(panel, quarter) = split(row, quarterLanes);
}

TensorCore::Sums TensorCore::zeros() {
  Value zero = arith::ConstantOp::create(b, b.getF32FloatAttr(0.0f));
  Sums sums;
  for (auto &ofProduct : sums)
    ofProduct.assign(4, zero);
  return sums;
}

TensorCore::Sums TensorCore::multiply(std::array<Value, 2> weights, std::array<Value, 2> words,
                                      const Sums &sums) {
  Type f32 = b.getF32Type();
  auto type = LLVM::LLVMStructType::getLiteral(b.getContext(), {f32, f32, f32, f32});
  constexpr auto bf16 = NVVM::MMATypes::bf16;
  Sums next;
  for (int64_t product = 0; product < 2; ++product) {
    SmallVector<Value> outputs;
    for (Value ofWord : weights)
      for (int64_t i = 0; i < 2; ++i)
        outputs.push_back(vector::ExtractOp::create(b, ofWord, 2 * product + i));
    Value result = NVVM::MmaOp::create(
        b, type, outputs, words, sums[product], ArrayRef<int64_t>{16, rows, 16},
        /*b1Op=*/std::nullopt, /*intOverflow=*/std::nullopt, std::array{bf16, bf16},
        std::array{NVVM::MMALayout::row, NVVM::MMALayout::col});
    for (int64_t i = 0; i < 4; ++i)
      next[product].push_back(LLVM::ExtractValueOp::create(b, result, i));
  }
  return next;
}

/// Of each product: rows 2 t and 2 t + 1 of one output, then of the other.
Value TensorCore::getRowOf(const Sums &sums, int64_t which) {
  SmallVector<Value> outputs;
  for (const auto &ofProduct : sums)
    outputs.append({ofProduct[which], ofProduct[2 + which]});
  auto type = VectorType::get({quarterLanes}, b.getF32Type());
  Value lanes = vector::FromElementsOp::create(b, type, outputs);
  return arith::BitcastOp::create(b, type.clone(b.getI32Type()), lanes);
}

Value TensorCore::round(Value pair) {
  if (getElementTypeOrSelf(pair).isF32())
    pair = arith::TruncFOp::create(b, VectorType::get({2}, b.getBF16Type()), pair);
  Value word = vector::BitCastOp::create(b, VectorType::get({1}, b.getI32Type()), pair);
  return vector::ExtractOp::create(b, word, 0);
}

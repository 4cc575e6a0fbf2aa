//===- WarpGroup.cpp - What four warps multiply at once -------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "WarpGroup.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "treadle/Conversion/KernelsToGPU/InlinePTX.h"

using namespace mlir;
using namespace treadle;

WarpGroup::WarpGroup(ImplicitLocOpBuilder &builder, int64_t count) : b(builder), rows(count) {
  auto split = [&](Value number, int64_t by) -> std::pair<Value, Value> {
    Value size = arith::ConstantIndexOp::create(b, by);
    return {arith::DivUIOp::create(b, number, size), arith::RemUIOp::create(b, number, size)};
  };
  Value thread = gpu::ThreadIdOp::create(b, gpu::Dimension::x), ofWarp, pair;
  std::tie(group, thread) = split(thread, threads);
  std::tie(panel, ofWarp) = split(thread, threads / panels);
  std::tie(pair, word) = split(ofWarp, 4);
  lane = arith::MulIOp::create(b, pair, arith::ConstantIndexOp::create(b, 2));
}

bool WarpGroup::hasProducts(int64_t count) { return llvm::is_contained(ptx::productRows, count); }

WarpGroup::Sums WarpGroup::zeros() {
  return Sums(rows / 2, arith::ConstantOp::create(b, b.getF32FloatAttr(0.0f)));
}

void WarpGroup::commit() { NVVM::WgmmaGroupSyncAlignedOp::create(b); }

/// (values, operands) -> values, in the same registers, which no operand shares.
WarpGroup::Sums WarpGroup::call(StringRef text, ValueRange inOut, StringRef others,
                                ValueRange operands) {
  std::string constraints;
  for (Value value : inOut)
    constraints += value.getType().isF32() ? "=&f," : "=&r,";
  for (size_t i = 0; i < inOut.size(); ++i)
    constraints += std::to_string(i) + ",";
  constraints += others.str() + "~{memory}";
  SmallVector<Value> all(inOut);
  llvm::append_range(all, operands);
  auto type = LLVM::LLVMStructType::getLiteral(b.getContext(), llvm::to_vector(inOut.getTypes()));
  auto dialect = LLVM::AsmDialectAttr::get(b.getContext(), LLVM::AsmDialect::AD_ATT);
  auto call = LLVM::InlineAsmOp::create(b, type, all, text, constraints, /*has_side_effects=*/true,
                                        /*is_align_stack=*/false, LLVM::TailCallKind::None, dialect,
                                        /*operand_attrs=*/ArrayAttr());
  Sums next;
  for (size_t i = 0; i < inOut.size(); ++i)
    next.push_back(LLVM::ExtractValueOp::create(b, call.getRes(), static_cast<int64_t>(i)));
  return next;
}

void WarpGroup::fence(Sums &sums, MutableArrayRef<std::array<Value, 2>> weights) {
  SmallVector<Value> all(sums);
  for (const auto &ofStep : weights)
    for (Value ofWord : ofStep)
      for (int64_t i = 0; i < 2; ++i)
        all.push_back(vector::ExtractOp::create(b, ofWord, i));
  SmallVector<Value> fenced = call(ptx::fenceRegisters, all);
  sums.assign(fenced.begin(), fenced.begin() + sums.size());
  auto next = fenced.begin() + sums.size();
  for (auto &ofStep : weights)
    for (Value &ofWord : ofStep) {
      ofWord = vector::FromElementsOp::create(b, ofWord.getType(), ValueRange{next[0], next[1]});
      next += 2;
    }
}

WarpGroup::Sums WarpGroup::multiply(std::array<Value, 2> weights, Value described,
                                    const Sums &sums) {
  SmallVector<Value> operands;
  for (Value ofWord : weights)
    for (int64_t i = 0; i < 2; ++i)
      operands.push_back(vector::ExtractOp::create(b, ofWord, i));
  operands.push_back(described);
  return call(ptx::multiply(rows), sums, "r,r,r,r,l,", operands);
}

WarpGroup::Sums WarpGroup::wait(const Sums &sums) { return call(ptx::waitForProducts, sums); }

/// By PTX's "Matrix Descriptor Format": in units of 16 bytes, of 18 bits of an address; no bytes
/// are exchanged.
Value WarpGroup::describe(Value address, int64_t distance) {
  constexpr int64_t unit = 16, pieceBytes = pieceRows * unit, bits = 14;
  auto constant = [&](int64_t value) {
    return Value(arith::ConstantOp::create(b, b.getI64IntegerAttr(value)));
  };
  int64_t layout = (distance / unit) << 16 | (pieceBytes / unit) << 32;
  Value start = arith::IndexCastUIOp::create(b, b.getI64Type(), address);
  start = arith::ShRUIOp::create(b, start, constant(llvm::Log2_64(unit)));
  start = arith::AndIOp::create(b, start, constant((1 << bits) - 1));
  return arith::OrIOp::create(b, start, constant(layout));
}

/// Of each 8 rows: rows 2 t and 2 t + 1 of one output, then of the other.
Value WarpGroup::getRowOf(const Sums &sums, int64_t nth, int64_t which) {
  Value outputs[] = {sums[4 * nth + which], sums[4 * nth + 2 + which]};
  auto type = VectorType::get({2}, b.getF32Type());
  Value lanes = vector::FromElementsOp::create(b, type, outputs);
  return arith::BitcastOp::create(b, type.clone(b.getI32Type()), lanes);
}

//===- LaneThreads.cpp - The threads that run one tile --------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "LaneThreads.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace treadle;

/// Threads of a warp.
static constexpr int64_t warpThreads = 32;

/// The last operand of `shfl.sync.idx`: segments of 16 threads, and no source behind the warp.
static constexpr int64_t shuffleSegments = (warpThreads - groupThreads) << 8 | (warpThreads - 1);

LaneThreads::LaneThreads(ImplicitLocOpBuilder &builder) : b(builder) {
  Value thread = gpu::ThreadIdOp::create(b, gpu::Dimension::x);
  lane = arith::RemUIOp::create(b, thread, index(groupThreads));
  group = arith::DivUIOp::create(b, thread, index(groupThreads));
  quad = arith::DivUIOp::create(b, thread, index(quadThreads));
  quadLane = arith::MulIOp::create(b, Value(arith::RemUIOp::create(b, thread, index(quadThreads))),
                                   index(quadLanes));
  // The threads of the group, as bits of the warp.
  Value word = arith::IndexCastUIOp::create(b, b.getI32Type(), thread);
  Value first = arith::AndIOp::create(b, word, constant(b.getI32Type(), groupThreads));
  members = arith::ShLIOp::create(b, constant(b.getI32Type(), (1 << groupThreads) - 1), first);
}

Value LaneThreads::constant(Type type, int64_t value) {
  return arith::ConstantOp::create(b, b.getIntegerAttr(type, value));
}
Value LaneThreads::index(int64_t value) { return arith::ConstantIndexOp::create(b, value); }

Value LaneThreads::isFirstGroup() {
  return arith::CmpIOp::create(b, arith::CmpIPredicate::eq, group, index(0));
}

Value LaneThreads::isLaneBelow(Value count) {
  return arith::CmpIOp::create(b, arith::CmpIPredicate::slt, lane, count);
}

Value LaneThreads::shuffleWord(Value word, Value source) {
  Value from = arith::IndexCastUIOp::create(b, b.getI32Type(), source);
  return NVVM::ShflOp::create(b, word.getType(), members, word, from,
                              constant(b.getI32Type(), shuffleSegments), NVVM::ShflKind::idx,
                              UnitAttr());
}

Value LaneThreads::shuffle(Value value, Value source) {
  Type type = value.getType();
  Type word = b.getI32Type();
  if (type.isF32() || type == word)
    return shuffleWord(value, source);
  unsigned bits = type.getIntOrFloatBitWidth();
  if (isa<FloatType>(type)) {
    Value asInteger = arith::BitcastOp::create(b, b.getIntegerType(bits), value);
    return arith::BitcastOp::create(b, type, shuffle(asInteger, source));
  }
  if (bits < 32) {
    Value wide = arith::ExtUIOp::create(b, word, value);
    return arith::TruncIOp::create(b, type, shuffleWord(wide, source));
  }
  assert(bits == 64 && "expected at most two words");
  Value low = arith::TruncIOp::create(b, word, value);
  Value high =
      arith::TruncIOp::create(b, word, Value(arith::ShRUIOp::create(b, value, constant(type, 32))));
  Value wideLow = arith::ExtUIOp::create(b, type, shuffleWord(low, source));
  Value wideHigh = arith::ExtUIOp::create(b, type, shuffleWord(high, source));
  return arith::OrIOp::create(b, wideLow,
                              Value(arith::ShLIOp::create(b, wideHigh, constant(type, 32))));
}

Value LaneThreads::pickNibble(ArrayRef<int64_t> values) {
  uint64_t packed = 0;
  for (auto [i, value] : llvm::enumerate(values))
    packed |= uint64_t(value & 15) << (4 * i);
  Type type = b.getI64Type();
  Value distance =
      arith::IndexCastUIOp::create(b, type, Value(arith::MulIOp::create(b, lane, index(4))));
  Value shifted = arith::ShRUIOp::create(b, constant(type, static_cast<int64_t>(packed)), distance);
  Value nibble = arith::AndIOp::create(b, shifted, constant(type, 15));
  return arith::IndexCastUIOp::create(b, b.getIndexType(), nibble);
}

Value LaneThreads::pickBit(ArrayRef<bool> values) {
  int64_t packed = 0;
  for (auto [i, value] : llvm::enumerate(values))
    packed |= int64_t(value) << i;
  Type type = b.getI32Type();
  Value distance = arith::IndexCastUIOp::create(b, type, lane);
  Value shifted = arith::ShRUIOp::create(b, constant(type, packed), distance);
  return arith::TruncIOp::create(b, b.getI1Type(), shifted);
}

void LaneThreads::fence() { NVVM::SyncWarpOp::create(b, members); }
void LaneThreads::barrier() { gpu::BarrierOp::create(b); }

void LaneThreads::runIf(Value condition, function_ref<void()> body) {
  auto ifOp = scf::IfOp::create(b, condition, /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(ifOp.thenBlock());
  body();
}

Value LaneThreads::selectIf(Value condition, function_ref<Value()> body, Value otherwise) {
  auto ifOp = scf::IfOp::create(b, TypeRange(otherwise.getType()), condition,
                                /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(ifOp.thenBlock());
  scf::YieldOp::create(b, body());
  b.setInsertionPointToStart(ifOp.elseBlock());
  scf::YieldOp::create(b, otherwise);
  return ifOp.getResult(0);
}

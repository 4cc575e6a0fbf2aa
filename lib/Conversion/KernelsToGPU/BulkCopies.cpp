//===- BulkCopies.cpp - Memory that comes by itself -----------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "BulkCopies.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "treadle/Conversion/KernelsToGPU/InlinePTX.h"

using namespace mlir;
using namespace treadle;

static constexpr unsigned globalSpace = static_cast<unsigned>(NVVM::NVVMMemorySpace::Global);
static constexpr unsigned sharedSpace = static_cast<unsigned>(NVVM::NVVMMemorySpace::Shared);

Value BulkCopies::toInt32(Value index) {
  return arith::IndexCastUIOp::create(b, b.getI32Type(), index);
}

Value BulkCopies::toPointer(Value address, unsigned space) {
  Value number = arith::IndexCastUIOp::create(b, b.getI64Type(), address);
  return LLVM::IntToPtrOp::create(b, LLVM::LLVMPointerType::get(b.getContext(), space), number);
}

Value BulkCopies::barrierAt(Value number) {
  Value bytes = arith::ConstantIndexOp::create(b, barrierBytes);
  Value distance = b.createOrFold<arith::MulIOp>(number, bytes);
  return toPointer(b.createOrFold<arith::AddIOp>(address, distance), sharedSpace);
}

void BulkCopies::call(StringRef text, StringRef constraints, ValueRange operands) {
  auto dialect = LLVM::AsmDialectAttr::get(b.getContext(), LLVM::AsmDialect::AD_ATT);
  LLVM::InlineAsmOp::create(b, TypeRange(), operands, text, (constraints + ",~{memory}").str(),
                            /*has_side_effects=*/true, /*is_align_stack=*/false,
                            LLVM::TailCallKind::None, dialect, /*operand_attrs=*/ArrayAttr());
}

void BulkCopies::begin() {
  Value arrivals = arith::ConstantOp::create(b, b.getI32IntegerAttr(int32_t(askers)));
  for (int64_t i = 0; i < barriers; ++i)
    NVVM::MBarrierInitOp::create(b, barrierAt(arith::ConstantIndexOp::create(b, i)), arrivals,
                                 /*predicate=*/Value());
}

void BulkCopies::end() {
  for (int64_t i = 0; i < barriers; ++i)
    NVVM::MBarrierInvalOp::create(b, barrierAt(arith::ConstantIndexOp::create(b, i)));
}

void BulkCopies::fence() {
  auto space = NVVM::SharedSpaceAttr::get(b.getContext(), NVVM::SharedSpace::shared_cta);
  auto kind = NVVM::ProxyKindAttr::get(b.getContext(), NVVM::ProxyKind::async_shared);
  NVVM::FenceProxyOp::create(b, kind, space);
}

void BulkCopies::expect(Value number, Value bytes) {
  NVVM::MBarrierArriveExpectTxOp::create(b, /*res=*/Type(), barrierAt(number), toInt32(bytes),
                                         NVVM::MemScopeKind::CTA, /*relaxed=*/false,
                                         /*predicate=*/Value());
}

void BulkCopies::copy(Value to, Value from, Value bytes, Value number) {
  Value operands[] = {toPointer(to, sharedSpace), toPointer(from, globalSpace), toInt32(bytes),
                      barrierAt(number)};
  call(ptx::bulkCopy, "l,l,r,l", operands);
}

void BulkCopies::wait(Value number, Value phase) {
  Value one = arith::ConstantOp::create(b, b.getI32IntegerAttr(1));
  Value parity = arith::AndIOp::create(b, toInt32(phase), one);
  call(ptx::waitForPhase, "l,r", {barrierAt(number), parity});
}

Value treadle::getAddress(ImplicitLocOpBuilder &b, Value memory, Value place) {
  auto type = cast<MemRefType>(memory.getType());
  Value bytes = arith::ConstantIndexOp::create(b, type.getElementTypeBitWidth() / 8);
  auto described = memref::ExtractStridedMetadataOp::create(b, memory);
  Value origin = memref::ExtractAlignedPointerAsIndexOp::create(b, memory);
  Value number = b.createOrFold<arith::AddIOp>(described.getOffset(), place);
  return b.createOrFold<arith::AddIOp>(origin, b.createOrFold<arith::MulIOp>(number, bytes));
}

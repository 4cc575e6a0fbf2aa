//===- GridToNVVM.cpp - Barriers of a grid in the LLVM dialect ------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Thread 0 speaks for its block, which its barriers tie it to. It releases what the block has done
// with a fence and adds to the counter; it acquires what others have released with the load that
// sees the last of them arrive. Every scope is the device. (The fence stands apart, since LLVM
// gives a GPU's atomic addition no order of its own.)
//
//===----------------------------------------------------------------------===//

#include "GridToNVVM.h"

#include "mlir/Conversion/LLVMCommon/Pattern.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "treadle/Dialect/Treadle/IR/Treadle.h"

using namespace mlir;
using namespace treadle;

static constexpr StringLiteral deviceScope = "device";

static Value constant(ImplicitLocOpBuilder &b, int32_t value) {
  return LLVM::ConstantOp::create(b, b.getI32Type(), value);
}

static Value isZero(ImplicitLocOpBuilder &b, Value index) {
  return LLVM::ICmpOp::create(b, LLVM::ICmpPredicate::eq, index, constant(b, 0));
}

static Value isFirstThread(ImplicitLocOpBuilder &b) {
  return isZero(b, NVVM::ThreadIdXOp::create(b, b.getI32Type()));
}

namespace {
struct LowerArrive : public ConvertOpToLLVMPattern<GridArriveOp> {
  using ConvertOpToLLVMPattern::ConvertOpToLLVMPattern;

  /// barrier; if thread == 0 { fence; phase = counter; counter += block == 0 ? 2^31 - (n - 1) : 1 }
  LogicalResult matchAndRewrite(GridArriveOp op, OpAdaptor adaptor,
                                ConversionPatternRewriter &rewriter) const override {
    ImplicitLocOpBuilder b(op.getLoc(), rewriter);
    Value counter = MemRefDescriptor(adaptor.getCounter()).alignedPtr(rewriter, op.getLoc());
    NVVM::Barrier0Op::create(b);
    Value isSpeaker = isFirstThread(b);
    Block *here = rewriter.getInsertionBlock();
    Block *behind = rewriter.splitBlock(here, rewriter.getInsertionPoint());
    Block *speak = rewriter.createBlock(behind);
    Value phase = behind->addArgument(b.getI32Type(), op.getLoc());

    b.setInsertionPointToStart(speak);
    Value others = LLVM::SubOp::create(
        b, LLVM::TruncOp::create(b, b.getI32Type(), adaptor.getBlocks()), constant(b, 1));
    Value rest = LLVM::SubOp::create(b, constant(b, std::numeric_limits<int32_t>::min()), others);
    Value isFirst = isZero(b, NVVM::BlockIdXOp::create(b, b.getI32Type()));
    Value step = LLVM::SelectOp::create(b, isFirst, rest, constant(b, 1));
    LLVM::FenceOp::create(b, LLVM::AtomicOrdering::release, deviceScope);
    Value before = LLVM::AtomicRMWOp::create(b, LLVM::AtomicBinOp::add, counter, step,
                                             LLVM::AtomicOrdering::monotonic, deviceScope);
    LLVM::BrOp::create(b, before, behind);

    b.setInsertionPointToEnd(here);
    LLVM::CondBrOp::create(b, isSpeaker, speak, ValueRange(), behind, constant(b, 0));
    rewriter.replaceOp(op, phase);
    return success();
  }
};

struct LowerWait : public ConvertOpToLLVMPattern<GridWaitOp> {
  using ConvertOpToLLVMPattern::ConvertOpToLLVMPattern;

  /// if thread == 0 { while ((counter ^ phase) >= 0) ; } barrier
  LogicalResult matchAndRewrite(GridWaitOp op, OpAdaptor adaptor,
                                ConversionPatternRewriter &rewriter) const override {
    ImplicitLocOpBuilder b(op.getLoc(), rewriter);
    Value counter = MemRefDescriptor(adaptor.getCounter()).alignedPtr(rewriter, op.getLoc());
    Value isSpeaker = isFirstThread(b);
    Block *here = rewriter.getInsertionBlock();
    Block *behind = rewriter.splitBlock(here, rewriter.getInsertionPoint());
    Block *spin = rewriter.createBlock(behind);
    b.setInsertionPointToStart(spin);
    Value now = LLVM::LoadOp::create(b, b.getI32Type(), counter, /*alignment=*/4,
                                     /*isVolatile=*/false, /*isNonTemporal=*/false,
                                     /*isInvariant=*/false, /*isInvariantGroup=*/false,
                                     LLVM::AtomicOrdering::acquire, deviceScope);
    Value changes = LLVM::XOrOp::create(b, now, adaptor.getPhase());
    Value isOpen = LLVM::ICmpOp::create(b, LLVM::ICmpPredicate::slt, changes, constant(b, 0));
    LLVM::CondBrOp::create(b, isOpen, behind, spin);

    b.setInsertionPointToEnd(here);
    LLVM::CondBrOp::create(b, isSpeaker, spin, behind);
    b.setInsertionPointToStart(behind);
    NVVM::Barrier0Op::create(b);
    rewriter.eraseOp(op);
    return success();
  }
};
} // namespace

void treadle::populateGridToNVVMPatterns(const LLVMTypeConverter &converter,
                                         RewritePatternSet &patterns) {
  patterns.add<LowerArrive, LowerWait>(converter);
}

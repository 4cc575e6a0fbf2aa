//===- Tensor.cpp - Tensor cores, and copies that nobody waits for --------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A warp multiplies when all of its threads are there. Products of bf16 are exact in f32, and are
// added one by one in the order of K, each sum rounded to nearest: a GPU adds several at once, with
// some more bits and cut off, so that its bits are others, as close to the sum.
//
// What is copied in the background is not there before its thread has waited for it, and then for
// that thread alone: others need a barrier. Until then it counts as never written, and nobody may
// touch the place without a barrier in between.
//
//===----------------------------------------------------------------------===//

#include "FakeCuda.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/Module.h"
#include <cstring>

using namespace llvm;
using namespace fake;

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

namespace {
typedef float Four __attribute__((vector_size(16)));

/// What a thread brings, in PTX's order of fragments, and gets.
struct Fragments {
  uint32_t a[4], b[2];
  float sums[4];
};
} // namespace

/// Number `odd` of a word of two bf16.
static float numberOf(uint32_t word, unsigned odd) {
  uint32_t bits = odd ? word & 0xffff0000 : word << 16;
  float number;
  std::memcpy(&number, &bits, sizeof number);
  return number;
}

/// D[16][8] = C + A[16][16] B[16][8], by a warp: mma.m16n8k16. Thread 4 g + t holds rows g and g +
/// 8 and column g at K 2 t, 2 t + 1, 2 t + 8 and 2 t + 9, and columns 2 t and 2 t + 1 of sums.
static void multiplyWarp(void *const *warp) {
  float a[16][16], b[16][8], sums[16][8];
  for (unsigned lane = 0; lane < warpThreads; ++lane) {
    auto &of = *static_cast<const Fragments *>(warp[lane]);
    unsigned g = lane / 4, t = lane % 4;
    for (unsigned i = 0; i < 8; ++i)
      a[g + i / 2 % 2 * 8][2 * t + i % 2 + i / 4 * 8] = numberOf(of.a[i / 2], i % 2);
    for (unsigned i = 0; i < 4; ++i) {
      b[2 * t + i % 2 + i / 2 * 8][g] = numberOf(of.b[i / 2], i % 2);
      sums[g + i / 2 * 8][2 * t + i % 2] = of.sums[i];
    }
  }
  for (unsigned k = 0; k < 16; ++k)
    for (unsigned m = 0; m < 16; ++m)
      for (unsigned n = 0; n < 8; ++n)
        sums[m][n] += a[m][k] * b[k][n];
  for (unsigned lane = 0; lane < warpThreads; ++lane)
    for (unsigned i = 0; i < 4; ++i)
      static_cast<Fragments *>(warp[lane])->sums[i] =
          sums[lane / 4 + i / 2 * 8][lane % 4 * 2 + i % 2];
}

static Four multiply(uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3, uint32_t b0, uint32_t b1,
                     Four sums, uint32_t site) {
  Fragments fragments{{a0, a1, a2, a3}, {b0, b1}, {sums[0], sums[1], sums[2], sums[3]}};
  meetWarp(site, &fragments, multiplyWarp);
  return Four{fragments.sums[0], fragments.sums[1], fragments.sums[2], fragments.sums[3]};
}

//===----------------------------------------------------------------------===//
// Copies
//===----------------------------------------------------------------------===//

namespace {
enum { copyBytes = 16 };

struct Copy {
  void *to;
  uint8_t bytes[copyBytes];
  uint32_t group, site;
};

/// What a thread has under way.
struct Copies {
  std::vector<Copy> open;
  uint32_t groups = 0; ///< that are committed
};
} // namespace

static std::map<unsigned, Copies> copies; // by thread of all that are there

static void startCopy(void *to, void *from, uint32_t bytes, uint32_t site) {
  Copies &own = copies[currentThreadOfAll()];
  Copy &made = own.open.emplace_back(Copy{to, {}, own.groups, site});
  if (bytes)
    std::memcpy(made.bytes, access(from, bytes, copyBytes, false, site), bytes);
  auto *place = static_cast<uint8_t *>(access(to, copyBytes, copyBytes, true, site));
  std::memset(place, 0xff, copyBytes); // NaN
  SharedPlace target = findShared(to);
  std::memset(target.share->written.data() + target.offset, 0, copyBytes);
}

static void commitCopies() { ++copies[currentThreadOfAll()].groups; }

/// Until at most so many groups are under way.
static void waitForCopies(uint32_t groups) {
  Copies &own = copies[currentThreadOfAll()];
  llvm::erase_if(own.open, [&](const Copy &done) {
    if (done.group + groups >= own.groups)
      return false;
    std::memcpy(access(done.to, copyBytes, copyBytes, true, done.site), done.bytes, copyBytes);
    return true;
  });
}

void fake::forgetCopies(unsigned firstThread, unsigned threads) {
  copies.erase(copies.lower_bound(firstThread), copies.lower_bound(firstThread + threads));
}

bool fake::hasCopies() { return !copies[currentThreadOfAll()].open.empty(); }

//===----------------------------------------------------------------------===//
// Code
//===----------------------------------------------------------------------===//

void *fake::findTensorFunction(const std::string &name) {
  static const std::map<std::string, void *> functions = {
      {"multiply", reinterpret_cast<void *>(multiply)},
      {"copy", reinterpret_cast<void *>(startCopy)},
      {"llvm.nvvm.cp.async.commit.group", reinterpret_cast<void *>(commitCopies)},
      {"llvm.nvvm.cp.async.wait.group", reinterpret_cast<void *>(waitForCopies)},
  };
  auto found = functions.find(name);
  return found == functions.end() ? nullptr : found->second;
}

/// call {f32 x 4} @llvm.nvvm.mma(i32 x 6, f32 x 4)
///   =>  call <4 x f32> @fake.multiply(i32 x 6, <4 x f32>, site)
static void replaceProduct(CallInst &call, uint32_t site) {
  IRBuilder<> b(&call);
  auto *four = FixedVectorType::get(b.getFloatTy(), 4);
  SmallVector<Type *> types(6, b.getInt32Ty());
  types.append({four, b.getInt32Ty()});
  FunctionCallee own =
      call.getModule()->getOrInsertFunction("fake.multiply", FunctionType::get(four, types, false));
  SmallVector<Value *> arguments(call.args().begin(), call.args().begin() + 6);
  Value *sums = PoisonValue::get(four), *result = PoisonValue::get(call.getType());
  for (unsigned i = 0; i < 4; ++i)
    sums = b.CreateInsertElement(sums, call.getArgOperand(6 + i), i);
  arguments.append({sums, b.getInt32(site)});
  Value *made = b.CreateCall(own, arguments);
  for (unsigned i = 0; i < 4; ++i)
    result = b.CreateInsertValue(result, b.CreateExtractElement(made, i), i);
  call.replaceAllUsesWith(result);
  call.eraseFromParent();
}

/// call @llvm.nvvm.cp.async(to, from[, bytes])  =>  call @fake.copy(to, from, bytes, site)
static void replaceCopy(CallInst &call, uint32_t site) {
  IRBuilder<> b(&call);
  auto *pointer = b.getPtrTy();
  FunctionCallee own = call.getModule()->getOrInsertFunction(
      "fake.copy",
      FunctionType::get(b.getVoidTy(), {pointer, pointer, b.getInt32Ty(), b.getInt32Ty()}, false));
  Value *bytes = call.arg_size() > 2 ? call.getArgOperand(2) : b.getInt32(copyBytes);
  auto toHost = [&](Value *place) { return b.CreateAddrSpaceCast(place, pointer); };
  b.CreateCall(
      own, {toHost(call.getArgOperand(0)), toHost(call.getArgOperand(1)), bytes, b.getInt32(site)});
  call.eraseFromParent();
}

/// Two f32 -> bf16, to nearest, ties to even, as cvt.rn does; a NaN is PTX's own.
static void replaceRounding(FPTruncInst &rounding) {
  IRBuilder<> b(&rounding);
  auto *type = cast<FixedVectorType>(rounding.getOperand(0)->getType());
  Type *words = type->getWithNewType(b.getInt32Ty());
  auto constant = [&](uint32_t bits) { return ConstantInt::get(words, bits); };
  Value *number = rounding.getOperand(0), *bits = b.CreateBitCast(number, words);
  Value *last = b.CreateAnd(b.CreateLShr(bits, constant(16)), constant(1));
  bits = b.CreateLShr(b.CreateAdd(bits, b.CreateAdd(last, constant(0x7fff))), constant(16));
  bits = b.CreateSelect(b.CreateFCmpUNO(number, number), constant(0x7fff), bits);
  Value *halves = b.CreateTrunc(bits, type->getWithNewType(b.getInt16Ty()));
  rounding.replaceAllUsesWith(b.CreateBitCast(halves, rounding.getType()));
  rounding.eraseFromParent();
}

void fake::replaceTensorCode(llvm::Module &module) {
  // Numbers that no other access has.
  uint32_t site = 1u << 31;
  for (Function &function : module)
    for (Instruction &instruction : make_early_inc_range(instructions(function))) {
      auto *call = dyn_cast<CallInst>(&instruction);
      Function *callee = call ? call->getCalledFunction() : nullptr;
      StringRef name = callee ? callee->getName() : "";
      auto *rounding = dyn_cast<FPTruncInst>(&instruction);
      if (name == "llvm.nvvm.mma.m16n8k16.row.col.bf16")
        replaceProduct(*call, site++);
      else if (name.starts_with("llvm.nvvm.cp.async.cg.shared.global.16"))
        replaceCopy(*call, site++);
      else if (rounding && rounding->getType()->getScalarType()->isBFloatTy() &&
               isa<FixedVectorType>(rounding->getType()))
        replaceRounding(*rounding);
    }
}

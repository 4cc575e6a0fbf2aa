//===- InlinePTX.cpp - Inline PTX as calls ---------------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The texts are those of the compiler's table, and each has one meaning. What is not there, no
// kernel may use.
//
//===----------------------------------------------------------------------===//

#include "FakeCuda.h"

#include "treadle/Conversion/KernelsToGPU/InlinePTX.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/InlineAsm.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/Module.h"

using namespace llvm;
using namespace fake;
namespace ptx = treadle::ptx;

static void callOwn(IRBuilder<> &b, const char *name, ArrayRef<Value *> arguments) {
  SmallVector<Value *> generic;
  SmallVector<Type *> types;
  for (Value *argument : arguments) {
    if (argument->getType()->isPointerTy())
      argument = b.CreateAddrSpaceCast(argument, b.getPtrTy());
    generic.push_back(argument);
    types.push_back(argument->getType());
  }
  llvm::Module *module = b.GetInsertBlock()->getModule();
  b.CreateCall(module->getOrInsertFunction(name, FunctionType::get(b.getVoidTy(), types, false)),
               generic);
}

/// {sums} asm(sums, others)  =>  call @name(count of a kind, array of sums, others), by way of
/// memory
static void replaceWithSums(CallInst &call, const char *name, uint32_t count,
                            ArrayRef<Value *> others) {
  IRBuilder<> b(&*call.getFunction()->getEntryBlock().getFirstInsertionPt());
  unsigned numSums = cast<StructType>(call.getType())->getNumElements();
  Type *type = b.getFloatTy();
  Value *sums = b.CreateAlloca(ArrayType::get(type, numSums));
  b.SetInsertPoint(&call);
  auto placeOf = [&](unsigned i) { return b.CreateConstGEP1_32(type, sums, i); };
  for (unsigned i = 0; i < numSums; ++i)
    b.CreateStore(call.getArgOperand(i), placeOf(i));
  SmallVector<Value *> arguments = {b.getInt32(count), sums};
  arguments.append(others.begin(), others.end());
  callOwn(b, name, arguments);
  Value *result = PoisonValue::get(call.getType());
  for (unsigned i = 0; i < numSums; ++i)
    result = b.CreateInsertValue(result, b.CreateLoad(type, placeOf(i)), i);
  call.replaceAllUsesWith(result);
  call.eraseFromParent();
}

/// {values} asm(values)  =>  call @fake.fenceWarp(site), values
static void replaceFence(CallInst &call, uint32_t site) {
  IRBuilder<> b(&call);
  callOwn(b, "fake.fenceWarp", {b.getInt32(site)});
  Value *result = PoisonValue::get(call.getType());
  for (unsigned i = 0; i < call.arg_size(); ++i)
    result = b.CreateInsertValue(result, call.getArgOperand(i), i);
  call.replaceAllUsesWith(result);
  call.eraseFromParent();
}

static Error replace(CallInst &call, uint32_t site) {
  StringRef text = cast<InlineAsm>(call.getCalledOperand())->getAsmString();
  IRBuilder<> b(&call);
  SmallVector<Value *> operands(call.args());
  if (text == ptx::bulkCopy) {
    operands.push_back(b.getInt32(site));
    callOwn(b, "fake.startBulkCopy", operands);
    call.eraseFromParent();
    return Error::success();
  }
  if (text == ptx::waitForPhase) {
    callOwn(b, "fake.waitForPhase", operands);
    call.eraseFromParent();
    return Error::success();
  }
  if (text == ptx::fenceRegisters && call.getType()->isStructTy()) {
    replaceFence(call, site);
    return Error::success();
  }
  if (text == ptx::waitForProducts && call.getType()->isStructTy()) {
    replaceWithSums(call, "fake.waitForProducts", uint32_t(operands.size()), {b.getInt32(site)});
    return Error::success();
  }
  for (int64_t rows : ptx::productRows)
    if (text == ptx::multiply(rows)) {
      operands.erase(operands.begin(), operands.begin() + rows / 2);
      operands.push_back(b.getInt32(site));
      replaceWithSums(call, "fake.multiplyInGroup", uint32_t(rows), operands);
      return Error::success();
    }
  return createStringError("inline assembly '" + text + "', which this driver does not know");
}

Error fake::replaceInlinePTX(Function &function) {
  uint32_t site = 3u << 30; // numbers that no other access has
  for (Instruction &instruction : make_early_inc_range(instructions(function)))
    if (auto *call = dyn_cast<CallInst>(&instruction); call && call->isInlineAsm())
      if (Error error = replace(*call, site++))
        return error;
  return Error::success();
}

void *fake::findInlineFunction(const std::string &name) {
  static const std::map<std::string, void *> functions = {
      {"fenceWarp", reinterpret_cast<void *>(fenceWarp)},
      {"startBulkCopy", reinterpret_cast<void *>(startBulkCopy)},
      {"waitForPhase",
       reinterpret_cast<void *>(static_cast<void (*)(void *, uint32_t)>(waitForPhase))},
      {"waitForProducts", reinterpret_cast<void *>(waitForProducts)},
      {"multiplyInGroup", reinterpret_cast<void *>(multiplyInGroup)},
  };
  auto found = functions.find(name);
  return found == functions.end() ? nullptr : found->second;
}

//===----------------------------------------------------------------------===//
// Steering
//===----------------------------------------------------------------------===//

extern "C" {

/// The texts that kernels of tests are made of: a copy, the waits for a phase and for products, and
/// a product of so many rows.
const char *fakeCudaInlinePTX(const char *name, int rows) {
  static std::string text;
  if (name == StringRef("multiply"))
    text = ptx::multiply(rows);
  else
    text = name == StringRef("bulkCopy")       ? ptx::bulkCopy
           : name == StringRef("waitForPhase") ? ptx::waitForPhase
                                               : ptx::waitForProducts;
  return text.c_str();
}

} // extern "C"

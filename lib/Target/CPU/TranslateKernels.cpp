//===- TranslateKernels.cpp - From the LLVM dialect to LLVM IR ------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "treadle/Dialect/Treadle/IR/Layout.h"
#include "treadle/Support/Error.h"
#include "treadle/Target/CPU/EmitKernels.h"
#include "llvm/IR/IntrinsicInst.h"

using namespace mlir;
using namespace treadle;
using llvm::Error;
using llvm::Expected;

/// Takes away what only the compiler reads: symbols of the model, attributes.
static void dropModel(ModuleOp module) {
  for (Operation &op : llvm::make_early_inc_range(module.getOps()))
    if (isa<WeightOp, StateOp>(op))
      op.erase();
  module->walk([](Operation *op) {
    SmallVector<StringAttr> names;
    for (NamedAttribute attribute : op->getDiscardableAttrs())
      if (isa_and_nonnull<TreadleDialect>(attribute.getNameDialect()))
        names.push_back(attribute.getName());
    for (StringAttr name : names)
      op->removeDiscardableAttr(name);
  });
}

/// `vector.fma` becomes llvm.fmuladd, which may or may not fuse; bits must not
/// hang on that choice.
static void fuseMultiplyAdds(llvm::Module &module) {
  for (llvm::Function &function : llvm::make_early_inc_range(module)) {
    if (function.getIntrinsicID() != llvm::Intrinsic::fmuladd)
      continue;
    llvm::Function *fma = llvm::Intrinsic::getOrInsertDeclaration(&module, llvm::Intrinsic::fma,
                                                                  {function.getReturnType()});
    function.replaceAllUsesWith(fma);
    function.eraseFromParent();
  }
}

/// void (arena, states, weights, input, mask, output, position, valid, passes, member, members,
/// team, profile)
static bool hasEntryType(const llvm::Function &function) {
  llvm::FunctionType *type = function.getFunctionType();
  if (!type->getReturnType()->isVoidTy() || type->getNumParams() != 13)
    return false;
  return llvm::all_of(llvm::enumerate(type->params()), [](auto parameter) {
    bool isPointer = parameter.index() < 6 || parameter.index() > 10;
    return isPointer ? parameter.value()->isPointerTy() : parameter.value()->isIntegerTy(64);
  });
}

/// What Program.h promises of the arguments of an entry point. They are not `noalias`: other
/// members write the same memory.
static void annotateEntry(llvm::Function &function) {
  llvm::LLVMContext &context = function.getContext();
  enum { arena, states, weights, input, mask, output };
  for (unsigned index : {arena, states, weights, input, mask, output})
    function.addParamAttr(index,
                          llvm::Attribute::getWithCaptureInfo(context, llvm::CaptureInfo::none()));
  for (unsigned index : {arena, states, weights})
    function.addParamAttr(index,
                          llvm::Attribute::getWithAlignment(context, llvm::Align(slotAlignment)));
  for (unsigned index : {input, output})
    function.addParamAttr(index, llvm::Attribute::getWithAlignment(context, llvm::Align(4)));
  for (unsigned index : {weights, input, mask})
    function.addParamAttr(index, llvm::Attribute::ReadOnly);
}

static Expected<std::unique_ptr<llvm::Module>> translate(ModuleOp module, const CPUTarget &target,
                                                         const llvm::TargetMachine &machine,
                                                         llvm::LLVMContext &context) {
  OwningOpRef<ModuleOp> copy(module.clone());
  dropModel(*copy);
  DialectRegistry registry;
  registerBuiltinDialectTranslation(registry);
  registerLLVMDialectTranslation(registry);
  module.getContext()->appendDialectRegistry(registry);
  std::unique_ptr<llvm::Module> result = translateModuleToLLVMIR(*copy, context, "treadle");
  if (!result)
    return makeError("cannot translate the kernels to LLVM IR");

  result->setTargetTriple(llvm::Triple(target.triple));
  result->setDataLayout(machine.createDataLayout());
  fuseMultiplyAdds(*result);
  for (llvm::Function &function : *result) {
    if (function.isDeclaration())
      continue;
    function.setLinkage(llvm::GlobalValue::InternalLinkage);
    function.addFnAttr("target-cpu", target.cpu);
    if (!target.features.empty())
      function.addFnAttr("target-features", target.features);
    function.addFnAttr(llvm::Attribute::NoUnwind);
  }
  return result;
}

Expected<std::unique_ptr<llvm::Module>>
treadle::translateKernels(ModuleOp module, llvm::ArrayRef<EntryPoint> entries,
                          const CPUTarget &target, const llvm::TargetMachine &machine,
                          llvm::LLVMContext &context) {
  Expected<std::unique_ptr<llvm::Module>> result = translate(module, target, machine, context);
  if (!result)
    return result.takeError();
  for (const EntryPoint &entry : entries) {
    llvm::Function *function = (*result)->getFunction(entry.function);
    if (!function || !hasEntryType(*function))
      return makeError("@" + entry.function +
                       ": expected 6 memrefs and 3 indices, as docs/Architecture.md says");
    annotateEntry(*function);
  }
  return result;
}

Expected<std::unique_ptr<llvm::Module>>
treadle::translateSchedules(ModuleOp module, llvm::ArrayRef<EntryPoint> entries,
                            const CPUTarget &target, const llvm::TargetMachine &machine,
                            llvm::LLVMContext &context) {
  Expected<std::unique_ptr<llvm::Module>> result = translate(module, target, machine, context);
  if (!result)
    return result.takeError();
  for (const EntryPoint &entry : entries) {
    llvm::Function *function = (*result)->getFunction(entry.function);
    if (!function || function->isDeclaration())
      return makeError("@" + entry.function + ": has no schedule for a GPU");
    function->setName(getScheduleFunction(entry.function));
    // Functions that nobody refers to yet are linked only if others might.
    function->setLinkage(llvm::GlobalValue::ExternalLinkage);
  }
  return result;
}

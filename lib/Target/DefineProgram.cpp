//===- DefineProgram.cpp - What the runtime asks of the emitter -----------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "treadle/Dialect/Treadle/IR/Layout.h"
#include "treadle/Target/LinkLibrary.h"
#include "llvm/IR/Constants.h"
#include "llvm/Transforms/IPO/Internalize.h"

using namespace llvm;
using namespace treadle;

static void defineConstant(Module &module, StringRef name, Constant *value, uint64_t alignment) {
  auto *global = new GlobalVariable(module, value->getType(), /*isConstant=*/true,
                                    GlobalValue::ExternalLinkage, value, name);
  global->setVisibility(GlobalValue::HiddenVisibility);
  global->setAlignment(Align(alignment));
}

void treadle::defineProgram(Module &module, StringRef image, ArrayRef<EntryPoint> entries,
                            bool embedWeights) {
  LLVMContext &context = module.getContext();
  defineConstant(module, "treadle_program",
                 ConstantDataArray::getString(context, image, /*AddNull=*/false), slotAlignment);

  SmallVector<Constant *> functions;
  for (const EntryPoint &entry : entries)
    functions.push_back(module.getFunction(entry.function));
  auto *table = ArrayType::get(PointerType::getUnqual(context), functions.size());
  defineConstant(module, "treadle_entry_functions", ConstantArray::get(table, functions), 8);

  if (!embedWeights) {
    auto *empty = ArrayType::get(Type::getInt8Ty(context), slotAlignment);
    defineConstant(module, "treadle_weights_begin", ConstantAggregateZero::get(empty),
                   slotAlignment);
  }

  SmallVector<const GlobalValue *> defined;
  for (StringRef name : {"treadle_program", "treadle_entry_functions", "treadle_weights_begin"})
    defined.push_back(module.getNamedValue(name));
  internalizeModule(module,
                    [&](const GlobalValue &value) { return is_contained(defined, &value); });
  // The runtime's functions become part of the same library: no detour through its tables.
  for (Function &function : module)
    if (function.isDeclaration() && !function.isIntrinsic())
      function.setVisibility(GlobalValue::HiddenVisibility);
}

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

  auto *pointer = PointerType::getUnqual(context);
  auto defineTable = [&](StringRef name, function_ref<Constant *(const EntryPoint &)> get) {
    SmallVector<Constant *> functions;
    for (const EntryPoint &entry : entries) {
      Constant *function = get(entry);
      functions.push_back(function ? function : ConstantPointerNull::get(pointer));
    }
    auto *table = ArrayType::get(pointer, functions.size());
    defineConstant(module, name, ConstantArray::get(table, functions), 8);
  };
  defineTable("treadle_entry_functions",
              [&](const EntryPoint &entry) { return module.getFunction(entry.function); });
  defineTable("treadle_schedule_functions", [&](const EntryPoint &entry) {
    return module.getFunction(getScheduleFunction(entry.function));
  });

  if (!embedWeights) {
    auto *empty = ArrayType::get(Type::getInt8Ty(context), slotAlignment);
    defineConstant(module, "treadle_weights_begin", ConstantAggregateZero::get(empty),
                   slotAlignment);
  }

  SmallVector<const GlobalValue *> defined;
  for (StringRef name : {"treadle_program", "treadle_entry_functions", "treadle_schedule_functions",
                         "treadle_weights_begin"})
    defined.push_back(module.getNamedValue(name));
  internalizeModule(module,
                    [&](const GlobalValue &value) { return is_contained(defined, &value); });
  // The runtime's functions become part of the same library: no detour through its tables.
  for (Function &function : module)
    if (function.isDeclaration() && !function.isIntrinsic())
      function.setVisibility(GlobalValue::HiddenVisibility);
}

//===- LinkRuntime.cpp - Kernels, image and runtime in one module ---------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "treadle/Dialect/Treadle/IR/Layout.h"
#include "treadle/Support/Error.h"
#include "treadle/Target/LinkLibrary.h"
#include "llvm/Bitcode/BitcodeReader.h"
#include "llvm/IR/Constants.h"
#include "llvm/Linker/Linker.h"
#include "llvm/Transforms/IPO/Internalize.h"

using namespace llvm;
using namespace treadle;

/// The function that lib/Runtime/Api.c defines.
static constexpr StringLiteral queryFunction = "treadle_model_query";

std::string treadle::getQuerySymbol(StringRef prefix) {
  return prefix.empty() ? queryFunction.str() : (prefix + "_" + queryFunction).str();
}

static void defineConstant(Module &module, StringRef name, Constant *value, uint64_t alignment) {
  auto *global = new GlobalVariable(module, value->getType(), /*isConstant=*/true,
                                    GlobalValue::ExternalLinkage, value, name);
  global->setVisibility(GlobalValue::HiddenVisibility);
  global->setAlignment(Align(alignment));
}

/// The three symbols that Program.h asks of the compiler.
static void defineProgram(Module &module, StringRef image, ArrayRef<EntryPoint> entries,
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
}

Error treadle::linkRuntime(Module &kernels, StringRef image, ArrayRef<EntryPoint> entries,
                           const RuntimeFiles &runtime, StringRef symbol, bool embedWeights) {
  defineProgram(kernels, image, entries, embedWeights);

  Expected<std::unique_ptr<Module>> parsed =
      parseBitcodeFile(MemoryBufferRef(runtime.bitcode, "runtime"), kernels.getContext());
  if (!parsed)
    return parsed.takeError();
  std::unique_ptr<Module> library = std::move(*parsed);
  library->setTargetTriple(kernels.getTargetTriple());
  library->setDataLayout(kernels.getDataLayout());
  if (Linker::linkModules(kernels, std::move(library)))
    return makeError("cannot link the runtime");

  Function *query = kernels.getFunction(queryFunction);
  if (!query || query->isDeclaration())
    return makeError("the runtime does not define " + queryFunction);
  query->setName(symbol);
  internalizeModule(kernels, [&](const GlobalValue &value) { return &value == query; });
  return Error::success();
}

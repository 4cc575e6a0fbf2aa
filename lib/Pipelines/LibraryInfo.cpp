//===- LibraryInfo.cpp - What a library says of itself --------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "LibraryInfo.h"

#include "WorkFacts.h"
#include "treadle/Pipelines/Compile.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace treadle;
using llvm::json::Array;
using llvm::json::Object;

StringRef treadle::getStorageName(ModuleOp module) {
  for (auto weight : module.getOps<WeightOp>())
    if (weight.getType().getElementType().isBF16())
      return "bf16";
  return "f32";
}

/// The facts that the family gave, or an empty object.
static Object parseFacts(ModelAttr model) {
  llvm::Expected<llvm::json::Value> facts = llvm::json::parse(model.getInfo());
  if (!facts) {
    llvm::consumeError(facts.takeError());
    return {};
  }
  Object *object = facts->getAsObject();
  return object ? std::move(*object) : Object();
}

/// Keys of an object are printed in order.
static std::string print(llvm::json::Value value) {
  std::string text;
  llvm::raw_string_ostream(text) << value;
  return text;
}

std::string treadle::makeInfoJson(ModuleOp module, ModelAttr model,
                                  llvm::ArrayRef<EntryPoint> entries, const CPUTarget &target,
                                  llvm::ArrayRef<std::string> gpus) {
  Object info = parseFacts(model);
  info["family"] = model.getFamily();
  info["dtype"] = getStorageName(module);
  info["target"] = "cpu";
  info["cpu"] = target.cpu;
  info["triple"] = target.triple;
  if (!gpus.empty())
    info["gpu"] = Array(gpus);
  info["vector_bits"] = target.vectorBits;
  Array list;
  for (const EntryPoint &entry : entries)
    list.push_back((stringifyEntryKind(entry.kind) + " " + llvm::Twine(entry.rows)).str());
  info["entry_points"] = std::move(list);
  if (std::optional<Object> work = makeWorkFacts(module, entries))
    info["work"] = std::move(*work);
  info["treadle"] = getVersion();
  return print(std::move(info));
}

Sha256Digest treadle::computeConfigDigest(ModelAttr model) {
  Object facts = parseFacts(model);
  // A module that was not built from a config is identified by what it says.
  llvm::json::Value *config = facts.get("config");
  std::string text =
      model.getFamily().str() + "\n" + (config ? print(*config) : print(std::move(facts)));
  return Sha256::hash(text);
}

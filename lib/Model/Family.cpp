//===- Family.cpp - The families that a compiler knows --------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "treadle/Model/Family.h"

using namespace treadle;

void treadle::inferTying(const NamedTensors &tensors, const ConfigValues &given,
                         llvm::StringRef key,
                         const std::pair<std::string, std::string> &headAndTable,
                         ConfigValues &found) {
  const Tensor *head = tensors.find(headAndTable.first), *table = tensors.find(headAndTable.second);
  if (!head)
    found.set(key, true);
  else if (!given.has(key))
    found.set(key, table && haveEqualNumbers(*head, *table));
}

const Family *FamilyRegistry::find(llvm::StringRef name) const {
  for (const std::unique_ptr<Family> &family : families)
    if (family->getName() == name)
      return family.get();
  return nullptr;
}

void treadle::registerAllFamilies(FamilyRegistry &registry) {
  registry.add(createLlama());
  registry.add(createMiniAxion());
  registry.add(createNanoHammer());
  registry.add(createNeoLLM());
  registry.add(createOm());
}

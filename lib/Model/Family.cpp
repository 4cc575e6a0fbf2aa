//===- Family.cpp - The families that a compiler knows --------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "treadle/Model/Family.h"

using namespace treadle;

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

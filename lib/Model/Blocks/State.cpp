//===- State.cpp - Fixed states as rows -----------------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "treadle/Model/Blocks.h"

using namespace mlir;
using namespace treadle;

Value treadle::readState(const Scope &scope, Value state) {
  ModuleBuilder &builder = scope.getBuilder();
  auto type = cast<StateType>(state.getType());
  return ReadStateOp::create(builder.getBuilder(), builder.getLoc(),
                             RankedTensorType::get(type.getShape(), type.getElementType()), state);
}

void treadle::writeState(const Scope &scope, Value rows, Value state) {
  ModuleBuilder &builder = scope.getBuilder();
  WriteStateOp::create(builder.getBuilder(), builder.getLoc(), rows, state);
}

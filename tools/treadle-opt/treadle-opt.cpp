//===- treadle-opt.cpp - Passes by hand -----------------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "TestPasses.h"

#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "mlir/Transforms/Passes.h"
#include "treadle/InitAll.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  treadle::registerAllDialects(registry);
  treadle::registerAllPasses();
  treadle::test::registerMutateGridKernelsPass();
  treadle::test::registerPermuteTilesPass();
  treadle::test::registerTestLayoutPass();
  mlir::registerTransformsPasses();
  return mlir::asMainReturnCode(mlir::MlirOptMain(argc, argv, "Treadle pass driver\n", registry));
}

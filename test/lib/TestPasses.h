//===- TestPasses.h - Passes that only treadle-opt knows -------*- C++ -*--===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_TEST_LIB_TESTPASSES_H
#define TREADLE_TEST_LIB_TESTPASSES_H

namespace treadle::test {

void registerMutateGridKernelsPass();
void registerPermuteTilesPass();
void registerTestLayoutPass();

} // namespace treadle::test

#endif // TREADLE_TEST_LIB_TESTPASSES_H

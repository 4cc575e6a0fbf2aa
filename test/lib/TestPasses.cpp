//===- TestPasses.cpp - Register the passes that only tests use -----------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "TestPasses.h"

void treadle::test::registerTestPasses() { registerTestLayoutPass(); }

//===- Profile.h - Telling the caller which stage begins ----------*- C -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_RUNTIME_PROFILE_H
#define TREADLE_RUNTIME_PROFILE_H

#include "Program.h"
#include "treadle-c/model.h"

#include <stddef.h>

/// Whom a session tells what it does.
struct treadle_profile {
  treadle_mark_function mark; ///< NULL: nobody
  void *context;
  size_t entry; ///< the entry point that is being called
};

#endif // TREADLE_RUNTIME_PROFILE_H

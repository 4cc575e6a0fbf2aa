//===- Declare.c - Models under a prefix, declared in C and C++ -----------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "treadle-c/model.h"

TREADLE_DECLARE_MODEL(one);
TREADLE_DECLARE_MODEL(two);

treadle_model_query_fn choose(int which);
treadle_model_query_fn choose(int which) {
  return which == 1   ? one_treadle_model_query
         : which == 2 ? two_treadle_model_query
                      : treadle_model_query;
}

//===- Nothing.c - The least that an emitter defines ----------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Program.h"

_Alignas(64) const uint8_t treadle_program[sizeof(treadle_program_header)] = {
    0};
const treadle_entry_fn treadle_entry_functions[1] = {0};
const treadle_schedule_fn treadle_schedule_functions[1] = {0};
_Alignas(64) const uint8_t treadle_weights_begin[64] = {0};

//===- Toy.h - The numbers of the toy model -----------------------*- C -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What the toy program and the tests that drive it agree on.
//
//===----------------------------------------------------------------------===//

#ifndef TOY_H
#define TOY_H

#define TOY_VOCAB 37
#define TOY_WIDTH 8
#define TOY_CONTEXT 64
#define TOY_CONFIG_CONTEXT 512
#define TOY_LOOPS 3
#define TOY_CONFIG_LOOPS 2
#define TOY_RING 3
#define TOY_LAYERS 2

// Order of the states.
enum { TOY_IDS, TOY_MASK, TOY_KEYS, TOY_HALVES, TOY_CELL, TOY_TAPS, TOY_COUNT };

// Order of the entry points.
enum {
  TOY_FORWARD_1,
  TOY_HEAD_1,
  TOY_FORWARD_4,
  TOY_FORWARD_16,
  TOY_HEAD_16,
  TOY_ENTRIES
};

// The program with periods (Turns.c), of the same entry points and two more.

#ifndef TURNS_PERIOD
#define TURNS_PERIOD 8
#endif
#define TURNS_LEAD 2
#define TURNS_TRAIL 3

enum {
  TURNS_IDS,
  TURNS_MASK,
  TURNS_KEYS,
  TURNS_MEMORY,
  TURNS_HISTORY,
  TURNS_CALLS,
  TURNS_STATES,
  TURNS_CELL = TURNS_STATES // in one variant
};

enum { TURNS_OPEN = TOY_ENTRIES, TURNS_CLOSE, TURNS_ENTRIES };

#endif // TOY_H

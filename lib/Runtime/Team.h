//===- Team.h - Threads that run one entry point together ---------*- C -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Every member of a team runs the whole entry point, each its share of the tiles
// of each stage, and meets the others at treadle_barrier. A member that waits
// spins for a while and then sleeps. Bits do not depend on the number of members.
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_RUNTIME_TEAM_H
#define TREADLE_RUNTIME_TEAM_H

#include "Program.h"
#include "treadle-c/model.h"

#include <stdint.h>

/// An entry point and its arguments.
typedef struct treadle_call {
  treadle_entry_fn function;
  void *arena, *states;
  const void *weights, *input;
  const uint8_t *mask;
  void *output;
  int64_t position, valid, passes;
  const treadle_profile *profile; ///< of the caller's part; NULL: none
} treadle_call;

/// A team of at most `threads` members, 0 for one on each processor that the
/// calling thread may use, the caller of treadle_team_run among them; NULL without
/// a message where one thread is all there is to have. `run`, if given, supplies
/// the threads (model.h). OUT_OF_MEMORY, or OK.
treadle_status treadle_team_create(uint32_t threads, treadle_run_function run,
                                   void *context, treadle_team **team);

/// Ends the team's threads. No call may run.
void treadle_team_destroy(treadle_team *team);

/// Members that the team can have; 1 for NULL.
uint32_t treadle_team_size(const treadle_team *team);

/// The patience that waits for all threads.
#define TREADLE_TEAM_WAIT UINT32_MAX

/// Runs a call on up to `threads` members: those of the team's threads that come
/// while the caller looks `patience` times, at some 10 ns each. On the caller's
/// thread alone if the team is busy with another call, or in a forked child, which
/// has no team. Threads of the application (`run`) are all waited for.
void treadle_team_run(treadle_team *team, uint32_t threads, uint32_t patience,
                      const treadle_call *call);

#endif // TREADLE_RUNTIME_TEAM_H

//===- GateTest.c - Who takes part in a call of a team --------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A call takes the threads that come, and waits for no others: each of `members`
// numbers is one thread's, however many there are, and all meet at barriers.
//
//===----------------------------------------------------------------------===//

#define _GNU_SOURCE

#include "Team.h"
#include "Test.h"

#include <sched.h>

enum { MOST = 5, CALLS = 400, STAGES = 3 };

/// What a call did: threads that ran as a member, and how many there were to be.
typedef struct {
  int32_t visits[MOST][STAGES];
  int64_t members;
  bool isTorn; // a member passed a barrier that others had not reached
} Record;

void treadle_barrier(treadle_team *team);

static void visit(void *arena, void *states, const void *weights,
                  const void *input, const uint8_t *mask, void *output,
                  int64_t position, int64_t valid, int64_t passes,
                  int64_t member, int64_t members, treadle_team *team,
                  const treadle_profile *profile) {
  (void)states, (void)weights, (void)input, (void)mask, (void)output;
  (void)position, (void)valid, (void)passes, (void)profile;
  Record *record = arena;
  if (member == 0)
    record->members = members;
  for (int stage = 0; stage < STAGES; ++stage) {
    __atomic_add_fetch(&record->visits[member][stage], 1, __ATOMIC_RELAXED);
    treadle_barrier(team);
    for (int64_t i = 0; i < members; ++i)
      if (__atomic_load_n(&record->visits[i][stage], __ATOMIC_RELAXED) != 1)
        __atomic_store_n(&record->isTorn, true, __ATOMIC_RELAXED);
  }
}

/// The number of members that a call had.
static int64_t run(treadle_team *team, uint32_t threads, uint32_t patience) {
  Record record = {.members = 0};
  const treadle_call call = {.function = visit, .arena = &record};
  treadle_team_run(team, threads, patience, &call);
  REQUIRE(record.members >= 1 && record.members <= threads && !record.isTorn);
  for (int64_t i = 0; i < MOST; ++i)
    for (int stage = 0; stage < STAGES; ++stage)
      REQUIRE(record.visits[i][stage] == (i < record.members));
  return record.members;
}

static treadle_team *newTeam(uint32_t threads) {
  treadle_team *team;
  REQUIRE_OK(treadle_team_create(threads, NULL, NULL, &team));
  REQUIRE(treadle_team_size(team) == threads);
  return team;
}

/// Whoever is waited for comes, in any number, and also after other calls went by.
static void testWait(void) {
  treadle_team *team = newTeam(MOST);
  for (uint32_t threads = 1; threads <= MOST; ++threads)
    for (int i = 0; i < CALLS / 10; ++i) {
      CHECK(run(team, threads, TREADLE_TEAM_WAIT) == threads);
      run(team, MOST - 1, (uint32_t)i);
    }
  treadle_team_destroy(team);
}

/// On a single processor nobody can come while the caller looks: it goes on alone.
static void testAbsent(void) {
  cpu_set_t before, one;
  REQUIRE(!sched_getaffinity(0, sizeof(before), &before));
  CPU_ZERO(&one);
  for (int i = 0; i < CPU_SETSIZE && !CPU_COUNT(&one); ++i)
    if (CPU_ISSET(i, &before))
      CPU_SET(i, &one);
  REQUIRE(!sched_setaffinity(0, sizeof(one), &one));
  treadle_team *team = newTeam(2);
  int alone = 0;
  for (int i = 0; i < CALLS; ++i)
    alone += run(team, 2, 10) == 1;
  CHECK(alone > CALLS / 2);
  CHECK(run(team, 2, TREADLE_TEAM_WAIT) == 2);
  treadle_team_destroy(team);
  REQUIRE(!sched_setaffinity(0, sizeof(before), &before));
}

int main(void) {
  testWait();
  testAbsent();
  return finish("GateTest");
}

//===- Profile.c - Telling the caller which stage begins ------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Profile.h"

#include "Runtime.h"

// Not inlined: entry points repeat the calls for each stage, and would double, with marks
// and without.
__attribute__((noinline)) void treadle_mark(const treadle_profile *profile,
                                            int32_t stage) {
  if (profile)
    profile->mark(profile->context, profile->entry, stage);
}

__attribute__((noinline)) void treadle_meet(treadle_team *team,
                                            const treadle_profile *profile,
                                            int32_t stage) {
  treadle_mark(profile, TREADLE_MARK_WAIT);
  treadle_barrier(team);
  treadle_mark(profile, stage);
}

treadle_status treadle_session_profile(treadle_session *session,
                                       treadle_mark_function mark,
                                       void *context) {
  if (!session)
    return TREADLE_STATUS_INVALID_ARGUMENT;
  session->profile = (treadle_profile){.mark = mark, .context = context};
  return TREADLE_STATUS_OK;
}

//===- SilentTeamTest.c - An awake team makes no system calls -------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A thread that seccomp tells of each system call of all others counts them, and
// lets them pass. Where other programs want the processors, members fall asleep
// at barriers and must be woken; so silence is demanded of the quietest of many
// attempts, and everywhere that nothing is allocated and that all calls are those
// of sleep and waking. Not for sanitizers, which call the system of their own
// accord.
//
//===----------------------------------------------------------------------===//

#define _GNU_SOURCE

#include "Silent.h"
#include "Team.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
  WINDOW_TOKENS = 128, // of an attempt
  LEAST_ATTEMPTS = 200,
  LEAST_SECONDS = 10,
  MOST_THREADS = 64
};

//===----------------------------------------------------------------------===//
// The watcher
//===----------------------------------------------------------------------===//

enum { NOT_YET = -1, NOT_PERMITTED = -2 };
static int listener = NOT_YET; // atomic

/// What the others call, in all and while watching; atomic.
static struct {
  uint32_t calls, wakes, strangers;
  long stranger; // the last of them
  struct {
    uint32_t thread, calls; // in all
  } threads[MOST_THREADS];
} seen;

static bool isWatched(void) { return listener >= 0; }

static void countCall(const struct seccomp_data *data, uint32_t thread) {
  for (int i = 0; i < MOST_THREADS; ++i) {
    if (!seen.threads[i].thread)
      __atomic_store_n(&seen.threads[i].thread, thread, __ATOMIC_RELEASE);
    if (seen.threads[i].thread == thread) {
      __atomic_add_fetch(&seen.threads[i].calls, 1, __ATOMIC_RELEASE);
      break;
    }
  }
  if (!__atomic_load_n(&isWatching, __ATOMIC_ACQUIRE))
    return;
  uint64_t operation = data->args[1] & (uint64_t)FUTEX_CMD_MASK;
  bool isWake = operation == FUTEX_WAKE || operation == FUTEX_WAKE_BITSET;
  bool isWait = operation == FUTEX_WAIT || operation == FUTEX_WAIT_BITSET;
  bool isFutex = data->nr == SYS_futex && (isWake || isWait);
  if (isFutex && isWake) {
    __atomic_add_fetch(&seen.wakes, 1, __ATOMIC_RELAXED);
  } else if (!isFutex && data->nr != SYS_sched_yield &&
             data->nr != SYS_sched_setaffinity &&
             data->nr != SYS_sched_getaffinity && data->nr != SYS_getcpu) {
    seen.stranger = data->nr;
    __atomic_add_fetch(&seen.strangers, 1, __ATOMIC_RELAXED);
  }
  __atomic_add_fetch(&seen.calls, 1, __ATOMIC_RELEASE);
}

static void *watch(void *unused) {
  int from;
  while ((from = __atomic_load_n(&listener, __ATOMIC_ACQUIRE)) == NOT_YET)
    usleep(100);
  while (from != NOT_PERMITTED) {
    // A newer kernel may have more to say than the headers know.
    static union {
      struct seccomp_notif call;
      uint64_t room[64];
    } in;
    static union {
      struct seccomp_notif_resp answer;
      uint64_t room[64];
    } out;
    memset(&in, 0, sizeof(in));
    if (ioctl(from, SECCOMP_IOCTL_NOTIF_RECV, &in)) {
      if (errno == EINTR || errno == ENOENT)
        continue;
      abort(); // or the others would wait for ever
    }
    countCall(&in.call.data, in.call.pid);
    out.answer = (struct seccomp_notif_resp){
        .id = in.call.id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};
    ioctl(from, SECCOMP_IOCTL_NOTIF_SEND, &out); // fails if the caller is gone
  }
  return unused;
}

/// From here on the calls of this thread, and of those that it starts, are seen.
static void startWatcher(void) {
  pthread_t watcher;
  REQUIRE(!pthread_create(&watcher, NULL, watch, NULL));
  struct sock_filter all =
      BPF_STMT(BPF_RET | BPF_K, (uint32_t)SECCOMP_RET_USER_NOTIF);
  const struct sock_fprog program = {1, &all};
  long result = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  if (!result)
    result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                     SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
  if (result < 0)
    printf("SilentTeamTest: NOT TESTED here: which system calls a team makes. "
           "seccomp is not permitted (%s); allocations are counted, and how "
           "often threads went to sleep\n",
           strerror(errno));
  __atomic_store_n(&listener, result < 0 ? NOT_PERMITTED : (int)result,
                   __ATOMIC_RELEASE);
}

/// Calls of a thread, from the start.
static uint32_t callsOf(uint32_t thread) {
  for (int i = 0; i < MOST_THREADS; ++i)
    if (__atomic_load_n(&seen.threads[i].thread, __ATOMIC_ACQUIRE) == thread)
      return __atomic_load_n(&seen.threads[i].calls, __ATOMIC_ACQUIRE);
  return 0;
}

//===----------------------------------------------------------------------===//
// Attempts
//===----------------------------------------------------------------------===//

static long sleepsBefore;

static long countSleeps(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_nvcsw;
}

static void beginAttempt(void) {
  seen.calls = seen.wakes = seen.strangers = 0;
  allocations = 0;
  sleepsBefore = isWatched() ? 0 : countSleeps();
  __atomic_store_n(&isWatching, true, __ATOMIC_SEQ_CST);
}

/// Returns whether it was silent. What no crowd excuses fails.
static bool endAttempt(void) {
  __atomic_store_n(&isWatching, false, __ATOMIC_SEQ_CST);
  if (allocations) {
    ++failures;
    fprintf(stderr, "forward with a team allocated memory %u times\n",
            allocations);
  }
  if (seen.strangers) {
    ++failures;
    fprintf(stderr,
            "forward with a team made %u system calls that are none of sleep "
            "and waking, the last of number %ld\n",
            seen.strangers, seen.stranger);
  }
  return isWatched() ? !seen.calls : countSleeps() == sleepsBefore;
}

static time_t secondsNow(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec;
}

/// Attempts end with the first that is silent. A process that stood still for
/// a while has its attempts nevertheless, and a crowd its time to make room.
typedef struct {
  int count;
  time_t begin;
  uint32_t fewest; // system calls
} Attempts;

static Attempts newAttempts(void) {
  return (Attempts){0, secondsNow(), UINT32_MAX};
}

/// After a failure there is nothing to wait for.
static bool mayTryAgain(Attempts *attempts) {
  return !failures && (attempts->count++ < LEAST_ATTEMPTS ||
                       secondsNow() - attempts->begin < LEAST_SECONDS);
}

/// What attempts were for; says so unless something else failed before.
static void checkReached(bool isReached, const char *complaint) {
  if (isReached || failures)
    return;
  ++failures;
  fprintf(stderr, "%s\n", complaint);
}

static void checkSilence(bool isSilent, const Attempts *attempts,
                         const char *what) {
  char complaint[512];
  snprintf(
      complaint, sizeof(complaint),
      "%s: expected no system call in the quietest of %d attempts, got %u. "
      "Either the team calls the system although all its members are awake, "
      "or the machine never ran them at the same time",
      what, attempts->count - 1, attempts->fewest);
  checkReached(isSilent, complaint);
}

static uint32_t countProcessors(void) {
  cpu_set_t set;
  REQUIRE(!sched_getaffinity(0, sizeof(set), &set));
  return (uint32_t)CPU_COUNT(&set);
}

//===----------------------------------------------------------------------===//
// Forward
//===----------------------------------------------------------------------===//

/// What is counted is not nothing.
static void testCounters(void) {
  void *(*volatile allocate)(size_t) = malloc; // compilers know malloc
  beginAttempt();
  free(allocate(1));
  CHECK(allocations == 1);
  allocations = 0;
  if (isWatched()) {
    syscall(SYS_getppid);
    CHECK(seen.calls == 1 && seen.strangers == 1);
    CHECK(seen.stranger == SYS_getppid);
    seen.strangers = 0;
  } else {
    usleep(1000);
  }
  CHECK(!endAttempt());
}

static treadle_model *openTeam(const treadle_model_api *api, int32_t threads) {
  const treadle_open_params params = {.struct_size = sizeof(params),
                                      .threads = threads,
                                      .flags = TREADLE_OPEN_ALL_THREADS};
  treadle_model *model;
  REQUIRE_OK(api->model_open(&params, &model, NULL, 0));
  return model;
}

static void testForward(const char *name, uint32_t threads) {
  const treadle_model_api *api = loadLibrary(name);
  treadle_model *model = openTeam(api, (int32_t)threads);
  treadle_session *session = newSliding(api, model);
  size_t size;
  REQUIRE_OK(api->checkpoint_size(session, &size));
  void *mark = malloc(size);
  bool isPossible = threads <= countProcessors(), isSilent = false;
  // A thread that begins calls the system.
  REQUIRE_OK(runTokens(api, session, mark, size, WINDOW_TOKENS));
  Attempts attempts = newAttempts();
  while (!isSilent && mayTryAgain(&attempts) &&
         (isPossible || attempts.count < 2)) {
    beginAttempt();
    treadle_status status = runTokens(api, session, mark, size, WINDOW_TOKENS);
    isSilent = endAttempt();
    if (seen.calls < attempts.fewest)
      attempts.fewest = seen.calls;
    REQUIRE_OK(status);
  }
  char what[64];
  snprintf(what, sizeof(what), "%d tokens of %s on %u threads", WINDOW_TOKENS,
           name, threads);
  if (isPossible)
    checkSilence(isSilent, &attempts, what);
  free(mark);
  api->session_destroy(session);
  api->model_close(model);
}

/// Whoever sleeps is woken, which is seen, and once is enough for all.
static void testSleep(uint32_t threads) {
  if (!isWatched() || threads > countProcessors())
    return;
  const treadle_model_api *api = loadLibrary("toy.so");
  treadle_model *model = openTeam(api, (int32_t)threads);
  treadle_session *session = newSession(api, model, 1, 0, 0);
  const int32_t id = 1;
  uint32_t fewest = UINT32_MAX;
  for (Attempts attempts = newAttempts();
       fewest != 1 && mayTryAgain(&attempts);) {
    REQUIRE_OK(api->session_reset(session));
    REQUIRE_OK(api->session_forward(session, &id, NULL, 1, TREADLE_LOGITS_NONE,
                                    NULL, 0));
    usleep(20000);
    beginAttempt();
    treadle_status status = api->session_forward(session, &id, NULL, 1,
                                                 TREADLE_LOGITS_NONE, NULL, 0);
    endAttempt();
    REQUIRE_OK(status);
    // A member that got no processor did not yet sleep.
    if (seen.wakes && seen.wakes < fewest)
      fewest = seen.wakes;
  }
  char complaint[128];
  snprintf(complaint, sizeof(complaint),
           "expected one wake of a sleeping team of %u, got %d at least",
           threads, (int)fewest);
  checkReached(fewest == 1, complaint);
  api->session_destroy(session);
  api->model_close(model);
}

//===----------------------------------------------------------------------===//
// Members that no call wants
//===----------------------------------------------------------------------===//

static void meet(void *arena, void *states, const void *weights,
                 const void *input, const uint8_t *mask, void *output,
                 int64_t position, int64_t valid, int64_t passes,
                 int64_t member, int64_t members, treadle_team *team,
                 const treadle_profile *profile) {
  (void)states, (void)weights, (void)input, (void)mask, (void)output;
  (void)position, (void)valid, (void)passes, (void)members, (void)profile;
  void treadle_barrier(treadle_team * team);
  uint32_t *threads = arena;
  if (threads)
    threads[member] = (uint32_t)syscall(SYS_gettid);
  for (int i = 0; i < 4; ++i)
    treadle_barrier(team);
}

static void runMembers(treadle_team *team, uint32_t members,
                       uint32_t *threads) {
  const treadle_call call = {.function = meet, .arena = threads};
  treadle_team_run(team, members, TREADLE_TEAM_WAIT, &call);
}

/// Calls that want two of three members let the third sleep, and are as silent as
/// if there were no third.
static void testUnwanted(void) {
  if (!isWatched())
    return;
  treadle_team *team;
  REQUIRE_OK(treadle_team_create(3, NULL, NULL, &team));
  REQUIRE(treadle_team_size(team) == 3);
  uint32_t threads[3];

  // It may be asleep before the first look; then another attempt tells.
  bool isAsleep = false;
  Attempts attempts = newAttempts();
  while (!isAsleep && mayTryAgain(&attempts)) {
    runMembers(team, 3, threads);
    uint32_t before = callsOf(threads[2]);
    for (int i = 0; i < 20000 && !isAsleep; ++i) {
      runMembers(team, 2, NULL);
      isAsleep = callsOf(threads[2]) != before;
    }
  }
  checkReached(isAsleep, "a member that no call wants never went to sleep");

  // A process that is frozen wakes all of its threads.
  bool isLeft = false;
  attempts = newAttempts();
  while (!isLeft && mayTryAgain(&attempts)) {
    uint32_t before = callsOf(threads[2]);
    for (int i = 0; i < 10; ++i) {
      usleep(5000);
      runMembers(team, 2, NULL);
    }
    isLeft = callsOf(threads[2]) == before;
  }
  checkReached(isLeft, "calls woke a member that they did not want");

  bool isSilent = countProcessors() < 2;
  attempts = newAttempts();
  while (!isSilent && mayTryAgain(&attempts)) {
    beginAttempt();
    for (int i = 0; i < 50; ++i)
      runMembers(team, 2, NULL);
    isSilent = endAttempt();
    if (seen.calls < attempts.fewest)
      attempts.fewest = seen.calls;
  }
  checkSilence(isSilent, &attempts, "50 calls of two threads of three");
  treadle_team_destroy(team);
}

int main(int argc, char **argv) {
  (void)argc;
  folder = argv[1];
  startWatcher();
  testCounters();
  for (uint32_t threads = 2; threads <= 3; ++threads) {
    if (threads > countProcessors())
      printf(
          "SilentTeamTest: NOT TESTED here: that %u threads are silent, which "
          "needs as many processors\n",
          threads);
    testForward("toy.so", threads);
    testForward("turns.so", threads); // turns included
    testSleep(threads);
  }
  testUnwanted();
  return finish("SilentTeamTest");
}

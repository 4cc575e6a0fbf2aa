//===- Team.c - Threads that run one entry point together -----------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Team.h"

#include "Libc.h"
#include "Runtime.h"

/// How often a member looks before it sleeps, at some 10 ns and more a look: at a
/// barrier, where the others are on their way, some 50 us; between calls, long
/// enough for a caller that draws a token from the logits, some 200 us and more.
enum { barrierSpins = 4000, idleSpins = 20000 };

/// The gate of a call lets threads in until all have come that may, or the caller
/// has waited long enough: a thread that is asleep, or whose processor does
/// something else, would make the others wait at every barrier. Its bits from the
/// lowest: members that have come, the caller among them; members that may come;
/// whether it is open; the number of the call.
enum { mostMembers = 255, wantedShift = 8, openBit = 1 << 16, callShift = 17 };

/// Enough for any kernel (model.h says what forward needs), however little a
/// libc gives by itself.
enum { stackBytes = 1 << 20 };

/// Processors, a bit each.
typedef struct {
  uint64_t words[16];
} Processors;

/// Lies in pages of its own, which a forked child sees as zeros: there the other
/// threads do not exist, and `size` says so.
struct treadle_team {
  uint32_t size; ///< members with the caller; 0 in a forked child
  uint32_t busy; ///< 1 while a call uses the team
  treadle_run_function run;
  void *context;
  treadle_thread *threads;     ///< [size - 1], unless `run` supplies them
  int32_t places[mostMembers]; ///< the processor that each member was last on

  /// The call, written before its gate opens.
  treadle_call call;
  uint64_t
      floatControl; ///< the caller's rounding and denormals: bits follow it
  uint32_t members; ///< written before the gate closes

  _Alignas(64) uint32_t gate;               ///< open, and none may come: stop
  uint32_t asleep[(mostMembers + 31) / 32]; ///< between calls: a bit each

  _Alignas(64) uint32_t arrived;
  _Alignas(64) uint32_t phase; ///< advanced by each barrier
  uint32_t waiting;            ///< members asleep at a barrier or in the gate
};

//===----------------------------------------------------------------------===//
// The machine
//===----------------------------------------------------------------------===//

static void relax(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("isb");
#endif
}

static uint64_t getFloatControl(void) {
#if defined(__x86_64__)
  return __builtin_ia32_stmxcsr();
#elif defined(__aarch64__)
  uint64_t control;
  __asm__ volatile("mrs %0, fpcr" : "=r"(control));
  return control;
#endif
}

static void setFloatControl(uint64_t control) {
#if defined(__x86_64__)
  __builtin_ia32_ldmxcsr((uint32_t)control);
#elif defined(__aarch64__)
  __asm__ volatile("msr fpcr, %0" : : "r"(control));
#endif
}

/// Whom a sleeper on a word may be: members below 32 have a bit of their own, the
/// others share one with each other.
static uint32_t bitOf(uint32_t member) { return UINT32_C(1) << member % 32; }
static uint32_t bitsBelow(uint32_t members) {
  return members < 32 ? bitOf(members) - 1 : UINT32_MAX;
}

/// Sleeps while `*word` is `value`; may wake up for no reason.
static void sleepOn(uint32_t *word, uint32_t value, uint32_t bits) {
  syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, value, NULL, NULL, bits);
}

/// Wakes those that share one of the bits.
static void wake(uint32_t *word, uint32_t bits) {
  syscall(SYS_futex, word, FUTEX_WAKE_BITSET_PRIVATE, INT32_MAX, NULL, NULL,
          bits);
}

/// Looks `looks` times whether `*word` is still `value`; returns how many are left
/// when it no longer is, or 0.
static uint32_t look(const uint32_t *word, uint32_t value, uint32_t looks) {
  for (; looks; --looks) {
    if (__atomic_load_n(word, __ATOMIC_ACQUIRE) != value)
      break;
    relax();
  }
  return looks;
}

/// Returns once `*word` is no longer `value`. `sleepers` tells who advances the
/// word whether somebody must be woken.
static void await(uint32_t *word, uint32_t value, uint32_t bits,
                  uint32_t *sleepers) {
  if (look(word, value, barrierSpins))
    return;
  __atomic_fetch_add(sleepers, 1, __ATOMIC_SEQ_CST);
  while (__atomic_load_n(word, __ATOMIC_SEQ_CST) == value)
    sleepOn(word, value, bits);
  __atomic_fetch_sub(sleepers, 1, __ATOMIC_SEQ_CST);
}

/// Those that the calling thread may use; none if the machine has too many to tell.
/// (The system call answers with the size that it wrote, libc with 0.)
static Processors getProcessors(void) {
  Processors found = {{0}};
  sched_getaffinity(0, sizeof(found), &found);
  return found;
}

static uint32_t countProcessors(void) {
  Processors found = getProcessors();
  uint32_t count = 0;
  for (size_t i = 0; i < sizeof(found.words) / sizeof(*found.words); ++i)
    count += (uint32_t)__builtin_popcountll(found.words[i]);
  return count;
}

/// Moves the calling thread to a processor that no member before it is on, if it may
/// use one. The application may have changed since open which those are.
static void leavePlaces(const treadle_team *team, uint32_t member) {
  const Processors allowed = getProcessors();
  Processors free = allowed;
  for (uint32_t i = 0; i < member; ++i) {
    int32_t taken = __atomic_load_n(&team->places[i], __ATOMIC_RELAXED);
    if (taken >= 0 && taken < 64 * 16)
      free.words[taken / 64] &= ~(UINT64_C(1) << taken % 64);
  }
  bool isLeft = false;
  for (size_t i = 0; i < sizeof(free.words) / sizeof(*free.words); ++i)
    isLeft |= free.words[i] != 0;
  if (isLeft && !sched_setaffinity(0, sizeof(free), &free))
    sched_setaffinity(0, sizeof(allowed), &allowed);
}

/// Two members on one processor cost a time slice at every barrier, and the system
/// may take many calls to notice. A thread of the team leaves a processor that a
/// member before it is on; where to is left to the system.
static void findPlace(treadle_team *team, uint32_t member) {
  int32_t place = sched_getcpu();
  bool isTaken = false;
  for (uint32_t i = 0; i < member; ++i)
    isTaken |= __atomic_load_n(&team->places[i], __ATOMIC_RELAXED) == place;
  if (isTaken) {
    leavePlaces(team, member);
    place = sched_getcpu();
  }
  __atomic_store_n(&team->places[member], place, __ATOMIC_RELAXED);
}

//===----------------------------------------------------------------------===//
// Members
//===----------------------------------------------------------------------===//

void treadle_barrier(treadle_team *team) {
  if (!team)
    return;
  // Read before arriving: once all have, the call may be over.
  uint32_t members = team->members;
  uint32_t phase = __atomic_load_n(&team->phase, __ATOMIC_RELAXED);
  if (__atomic_add_fetch(&team->arrived, 1, __ATOMIC_ACQ_REL) < members) {
    await(&team->phase, phase, UINT32_MAX, &team->waiting);
    return;
  }
  __atomic_store_n(&team->arrived, 0, __ATOMIC_RELAXED);
  __atomic_store_n(&team->phase, phase + 1, __ATOMIC_SEQ_CST);
  if (__atomic_load_n(&team->waiting, __ATOMIC_SEQ_CST))
    wake(&team->phase, UINT32_MAX);
}

static void runShare(treadle_team *team, const treadle_call *call,
                     int64_t member, int64_t members) {
  const treadle_profile *profile = member ? NULL : call->profile;
  call->function(call->arena, call->states, call->weights, call->input,
                 call->mask, call->output, call->position, call->valid,
                 call->passes, member, members, team, profile);
  treadle_mark(profile, TREADLE_MARK_WAIT);
}

/// One member's part of the team's call.
static void runMember(void *argument, int32_t member) {
  treadle_team *team = argument;
  uint64_t control = getFloatControl();
  if (control != team->floatControl)
    setFloatControl(team->floatControl);
  runShare(team, &team->call, member, team->members);
  // Nobody leaves before all are done: the call's memory is the caller's.
  treadle_barrier(team);
  if (control != getFloatControl())
    setFloatControl(control);
}

typedef struct {
  treadle_team *team;
  uint32_t member;
} Start;

static uint32_t countOf(uint32_t gate) { return gate & mostMembers; }
static uint32_t wantedOf(uint32_t gate) {
  return gate >> wantedShift & mostMembers;
}

/// Waits in the gate for the others.
static void awaitStart(treadle_team *team, uint32_t member) {
  uint32_t gate;
  while ((gate = __atomic_load_n(&team->gate, __ATOMIC_ACQUIRE)) & openBit)
    await(&team->gate, gate, bitOf(member), &team->waiting);
}

/// Waits outside for the gate to change, with at most `looks` looks before sleep;
/// returns how many the member has left.
static uint32_t awaitCall(treadle_team *team, uint32_t member, uint32_t gate,
                          uint32_t looks) {
  looks = look(&team->gate, gate, looks);
  if (looks)
    return looks;
  uint32_t *asleep = &team->asleep[member / 32];
  __atomic_fetch_or(asleep, bitOf(member), __ATOMIC_SEQ_CST);
  while (__atomic_load_n(&team->gate, __ATOMIC_SEQ_CST) == gate)
    sleepOn(&team->gate, gate, bitOf(member));
  __atomic_fetch_and(asleep, ~bitOf(member), __ATOMIC_SEQ_CST);
  return idleSpins;
}

static void *serve(void *argument) {
  Start start = *(Start *)argument;
  free(argument);
  treadle_team *team = start.team;
  uint32_t looks = idleSpins;
  for (;;) {
    uint32_t gate = __atomic_load_n(&team->gate, __ATOMIC_ACQUIRE);
    if ((gate & openBit) && !wantedOf(gate))
      return NULL;
    // Whoever is outside may read nothing: the call may be over. Calls that want
    // others do not keep a member awake.
    if (!(gate & openBit) || start.member >= wantedOf(gate)) {
      looks = awaitCall(team, start.member, gate, looks);
      continue;
    }
    if (!__atomic_compare_exchange_n(&team->gate, &gate, gate + 1, false,
                                     __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
      continue;
    findPlace(team, start.member);
    awaitStart(team, start.member);
    // Where all have come, a thread has the same share as in the call before, which
    // may still be in its caches.
    bool areAllThere = team->members == wantedOf(gate);
    runMember(team, (int32_t)(areAllThere ? start.member : countOf(gate)));
    looks = idleSpins;
  }
}

/// Opens the gate for a call of `wanted` members, the caller among them, and wakes
/// those of them that sleep.
static void openGate(treadle_team *team, uint32_t wanted) {
  uint32_t call = __atomic_load_n(&team->gate, __ATOMIC_RELAXED) >> callShift;
  uint32_t gate = (call + 1) << callShift | openBit | wanted << wantedShift | 1;
  __atomic_store_n(&team->gate, gate, __ATOMIC_SEQ_CST);
  uint32_t asleep = 0;
  for (uint32_t first = 0; first < wanted; first += 32)
    asleep |= __atomic_load_n(&team->asleep[first / 32], __ATOMIC_SEQ_CST) &
              bitsBelow(wanted - first);
  if (asleep)
    wake(&team->gate, asleep);
}

/// Closes it once all have come, or after `patience` looks; returns how many are in.
static uint32_t closeGate(treadle_team *team, uint32_t wanted,
                          uint32_t patience) {
  uint32_t gate;
  for (uint32_t i = 1;; ++i) {
    gate = __atomic_load_n(&team->gate, __ATOMIC_RELAXED);
    if (countOf(gate) == wanted ||
        (patience != TREADLE_TEAM_WAIT && i > patience))
      break;
    // With more threads than processors, one may be waiting for this one.
    if (i % barrierSpins == 0)
      sched_yield();
    relax();
  }
  do
    team->members = countOf(gate);
  while (!__atomic_compare_exchange_n(&team->gate, &gate,
                                      gate & ~(uint32_t)openBit, false,
                                      __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
  if (__atomic_load_n(&team->waiting, __ATOMIC_SEQ_CST))
    wake(&team->gate, bitsBelow(wanted));
  return team->members;
}

//===----------------------------------------------------------------------===//
// The team
//===----------------------------------------------------------------------===//

/// Starts a member's thread. Its signals are left to the application's threads.
static bool startThread(treadle_team *team, uint32_t member) {
  Start *start = malloc(sizeof(*start));
  if (!start)
    return false;
  *start = (Start){team, member};
  treadle_thread_attributes attributes;
  uint64_t all[16], old[16];
  memset(all, 0xff, sizeof(all));
  bool started = false;
  if (!pthread_attr_init(&attributes)) {
    pthread_attr_setstacksize(&attributes, stackBytes);
    pthread_sigmask(SIG_SETMASK, all, old);
    started =
        !pthread_create(&team->threads[member - 1], &attributes, serve, start);
    pthread_sigmask(SIG_SETMASK, old, NULL);
    pthread_attr_destroy(&attributes);
  }
  if (!started)
    free(start);
  return started;
}

treadle_status treadle_team_create(uint32_t threads, treadle_run_function run,
                                   void *context, treadle_team **result) {
  *result = NULL;
  if (!threads)
    threads = countProcessors();
  if (threads > mostMembers)
    threads = mostMembers;
  // An old libc keeps threads in a library of their own.
  if (threads < 2 || (!run && !pthread_create))
    return TREADLE_STATUS_OK;
  treadle_team *team = mmap(NULL, sizeof(*team), PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (team == MAP_FAILED)
    return TREADLE_STATUS_OUT_OF_MEMORY;
  // On a system without, a forked child would wait for threads that it lacks.
  if (madvise(team, sizeof(*team), MADV_WIPEONFORK)) {
    munmap(team, sizeof(*team));
    return TREADLE_STATUS_OK;
  }
  team->run = run;
  team->context = context;
  team->size = run ? threads : 1;
  if (!run) {
    team->threads = calloc(threads - 1, sizeof(*team->threads));
    // Fewer threads than asked for are a smaller team.
    while (team->threads && team->size < threads &&
           startThread(team, team->size))
      ++team->size;
  }
  if (team->size == 1) {
    treadle_team_destroy(team);
    return TREADLE_STATUS_OK;
  }
  *result = team;
  return TREADLE_STATUS_OK;
}

void treadle_team_destroy(treadle_team *team) {
  if (!team)
    return;
  if (team->threads) {
    __atomic_store_n(&team->gate, openBit, __ATOMIC_SEQ_CST);
    wake(&team->gate, UINT32_MAX);
    for (uint32_t i = 0; i + 1 < team->size; ++i)
      pthread_join(team->threads[i], NULL);
    free(team->threads);
  }
  munmap(team, sizeof(*team));
}

uint32_t treadle_team_size(const treadle_team *team) {
  return team && team->size ? team->size : 1;
}

void treadle_team_run(treadle_team *team, uint32_t threads, uint32_t patience,
                      const treadle_call *call) {
  uint32_t free = 0, size = treadle_team_size(team);
  uint32_t wanted = threads < size ? threads : size;
  if (wanted < 2 ||
      !__atomic_compare_exchange_n(&team->busy, &free, 1, false,
                                   __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
    runShare(NULL, call, 0, 1);
    return;
  }
  team->call = *call;
  team->floatControl = getFloatControl();
  if (team->run) {
    team->members = wanted;
    team->run(team->context, runMember, team, (int32_t)wanted);
  } else {
    __atomic_store_n(&team->places[0], sched_getcpu(), __ATOMIC_RELAXED);
    openGate(team, wanted);
    if (closeGate(team, wanted, patience) > 1)
      runMember(team, 0);
    else
      runShare(NULL, call, 0, 1);
  }
  __atomic_store_n(&team->busy, 0, __ATOMIC_RELEASE);
}

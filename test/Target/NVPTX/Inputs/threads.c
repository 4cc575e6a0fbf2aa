//===- threads.c - Kernels on the host, thread by thread ------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

//
// Runs the threads of a block in turn, each on a stack of its own, in an order
// that changes from turn to turn. A thread gives way where it waits for the 15
// others of its group: at a shuffle and at a barrier of the warp. Shared memory
// holds NaNs when a block begins. Whatever a group must not do is a trap.
//
//===----------------------------------------------------------------------===//

#include <stdint.h>

enum { mostThreads = 128, groupThreads = 16, stackBytes = 1 << 16 };
enum meeting { shuffle, barrier };

// What same_bits.py defines.
typedef void kernel(const int64_t *words);
extern kernel *const kernels[];
extern void poisonShared(void);

static char stacks[mostThreads][stackBytes] __attribute__((aligned(64)));
static void *places[mostThreads], *home; // where each thread, and the loop over them, goes on
static int isDone[mostThreads], numThreads, numLeft, current;
static int64_t block;
static kernel *running;
static const int64_t *arguments;

/// What a group waits at, and how often it has met. Values lie in two rows, by
/// turns: a thread that has gone on may write while others still read.
static struct {
  enum meeting at;
  unsigned arrived, meetings;
  uint32_t values[2][groupThreads];
} groups[mostThreads / groupThreads];

static unsigned nextRandom(void) {
  static unsigned state = 1;
  state = state * 1664525u + 1013904223u;
  return state >> 8;
}

__attribute__((naked, noinline)) static void switchTo(void **from, void *to) {
  __asm__ volatile("pushq %%rbp\n pushq %%rbx\n pushq %%r12\n pushq %%r13\n pushq %%r14\n"
                   "pushq %%r15\n movq %%rsp, (%%rdi)\n movq %%rsi, %%rsp\n popq %%r15\n"
                   "popq %%r14\n popq %%r13\n popq %%r12\n popq %%rbx\n popq %%rbp\n ret\n" ::
                       : "memory");
}

static void giveWay(void) { switchTo(&places[current], home); }

static void runThread(void) {
  running(arguments);
  isDone[current] = 1;
  --numLeft;
  giveWay();
}

static void runBlock(void) {
  for (int thread = 0; thread < numThreads; ++thread) {
    void **top = (void **)(stacks[thread] + stackBytes - 64);
    *--top = 0; // aligned as behind a call
    *--top = (void *)runThread;
    top -= 6; // registers
    places[thread] = top;
    isDone[thread] = 0;
  }
  for (int group = 0; group < mostThreads / groupThreads; ++group)
    groups[group].arrived = groups[group].meetings = 0;
  numLeft = numThreads;
  for (int64_t turns = 0; numLeft; ++turns) {
    if (turns > 10000000)
      __builtin_trap(); // some wait for what others never come to
    unsigned first = nextRandom(), isBackwards = nextRandom() & 1;
    for (int i = 0; i < numThreads; ++i) {
      current = (first + (isBackwards ? numThreads - i : i)) % numThreads;
      if (!isDone[current])
        switchTo(&home, places[current]);
    }
  }
}

/// Nobody profiles the CPU's entry points, and one member waits for none.
void treadle_mark(void *profile, int32_t stage) { (void)profile, (void)stage; }
void treadle_meet(void *team, void *profile, int32_t stage) {
  (void)team, (void)profile, (void)stage;
}

void treadle_launch(void *launcher, int64_t number, int64_t blocks, int64_t threads,
                    const int64_t *words, int64_t count) {
  (void)launcher, (void)count;
  running = kernels[number];
  arguments = words;
  numThreads = (int)threads;
  if (threads > mostThreads || threads % groupThreads)
    __builtin_trap();
  for (block = 0; block < blocks; ++block) {
    poisonShared();
    runBlock();
  }
}

//===----------------------------------------------------------------------===//
// What kernels call in place of intrinsics
//===----------------------------------------------------------------------===//

int32_t threadIndex(void) { return current; }
int32_t blockIndex(void) { return (int32_t)block; }

/// Waits for the group, all of which must wait at the same.
static void meet(enum meeting at, uint32_t members) {
  int group = current / groupThreads;
  if (members != 0xffffu << (current & groupThreads))
    __builtin_trap();
  if (groups[group].arrived == 0)
    groups[group].at = at;
  if (groups[group].at != at)
    __builtin_trap();
  unsigned meetings = groups[group].meetings;
  if (++groups[group].arrived == groupThreads) {
    groups[group].arrived = 0;
    ++groups[group].meetings;
  }
  while (groups[group].meetings == meetings)
    giveWay();
}

void warpBarrier(uint32_t members) { meet(barrier, members); }

uint32_t shuffleWord(uint32_t members, uint32_t value, uint32_t source, uint32_t segments) {
  int group = current / groupThreads, lane = current % groupThreads;
  if (segments != 0x101f)
    __builtin_trap();
  uint32_t *values = groups[group].values[groups[group].meetings & 1];
  values[lane] = value;
  meet(shuffle, members);
  return values[source % groupThreads];
}

float shuffleFloat(uint32_t members, float value, uint32_t source, uint32_t segments) {
  union {
    float number;
    uint32_t word;
  } bits = {value};
  bits.word = shuffleWord(members, bits.word, source, segments);
  return bits.number;
}

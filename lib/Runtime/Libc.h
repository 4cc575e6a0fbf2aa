//===- Libc.h - What the runtime takes from libc ------------------*- C -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The runtime is compiled without a sysroot, for every target from one host, so
// it declares what it uses itself. The stub of libc.so.6 that emitted libraries
// are linked against exports these names (LibcSymbols.txt) and no others.
//
// Constants are those of Linux on x86-64 and AArch64, which agree in these.
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_RUNTIME_LIBC_H
#define TREADLE_RUNTIME_LIBC_H

#include <stddef.h>
#include <stdint.h>

void *memcpy(void *restrict to, const void *restrict from, size_t size);
void *memset(void *to, int byte, size_t size);
int memcmp(const void *a, const void *b, size_t size);
size_t strlen(const char *string);

void *malloc(size_t size);
void *calloc(size_t count, size_t size);
void free(void *memory);

#define PROT_READ 1
#define PROT_WRITE 2
#define MAP_PRIVATE 0x2
#define MAP_ANONYMOUS 0x20
#define MAP_NORESERVE 0x4000
#define MAP_FAILED ((void *)-1)
void *mmap(void *address, size_t size, int protection, int flags, int file,
           int64_t offset);
#define MADV_WIPEONFORK 18
int madvise(void *address, size_t size, int advice);
int mprotect(void *address, size_t size, int protection);
int munmap(void *address, size_t size);

#define O_RDONLY 0
#define O_NONBLOCK 0x800
#define O_CLOEXEC 0x80000
int open(const char *path, int flags, ...);
int close(int file);
#define SEEK_END 2
int64_t lseek(int file, int64_t offset, int whence);
int64_t pread(int file, void *buffer, size_t size, int64_t offset);

#define GRND_NONBLOCK 1
int64_t getrandom(void *buffer, size_t size, unsigned flags);

// Threads. An object whose size a libc keeps to itself is as large as the largest.
typedef unsigned long treadle_thread;
typedef union {
  unsigned char bytes[64];
  long alignment;
} treadle_thread_attributes;
int pthread_attr_init(treadle_thread_attributes *attributes);
int pthread_attr_setstacksize(treadle_thread_attributes *attributes,
                              size_t size);
int pthread_attr_destroy(treadle_thread_attributes *attributes);
// Not there in a libc that keeps threads in a library of their own.
__attribute__((weak)) int
pthread_create(treadle_thread *thread,
               const treadle_thread_attributes *attributes,
               void *(*start)(void *), void *argument);
__attribute__((weak)) int pthread_join(treadle_thread thread, void **result);
#define SIG_SETMASK 2
int pthread_sigmask(int how, const void *set, void *old);
int sched_getaffinity(int process, size_t size, void *mask);
int sched_setaffinity(int process, size_t size, const void *mask);
int sched_getcpu(void);
int sched_yield(void);

#if defined(__x86_64__)
#define SYS_futex 202
#elif defined(__aarch64__)
#define SYS_futex 98
#endif
#define FUTEX_WAIT_BITSET_PRIVATE 137
#define FUTEX_WAKE_BITSET_PRIVATE 138
long syscall(long number, ...);

// For the GPU's driver. Not there in a libc that keeps them in a library of their
// own.
#define RTLD_NOW 2
__attribute__((weak)) void *dlopen(const char *path, int mode);
__attribute__((weak)) void *dlsym(void *library, const char *name);
__attribute__((weak)) char *dlerror(void);

#define ENOENT 2
#define EACCES 13
#define EISDIR 21
#define ESPIPE 29
int *__errno_location(void);

#endif // TREADLE_RUNTIME_LIBC_H

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

#define ENOENT 2
#define EACCES 13
#define EISDIR 21
#define ESPIPE 29
int *__errno_location(void);

#endif // TREADLE_RUNTIME_LIBC_H

# The libc.so.6 that emitted libraries are linked against: names without code, so
# that neither a sysroot nor libc-dev is needed. A library that refers to
# anything else fails to link (-z defs), which is the point.

.macro define names:vararg
  .irp name, \names
    .globl \name
    .type \name, %function
  \name:
  .endr
.endm

.text
# What the runtime uses (Libc.h).
define calloc, close, free, getrandom, lseek, malloc, mmap, mprotect, munmap
define open, pread, strlen, __errno_location
# Threads (Team.c).
define madvise, pthread_attr_destroy, pthread_attr_init, pthread_attr_setstacksize
define pthread_create, pthread_join, pthread_sigmask, sched_getaffinity
define sched_getcpu, sched_setaffinity, sched_yield, syscall
# The GPU's driver (CudaDriver.c).
define dlerror, dlopen, dlsym
# What LLVM makes of loops and of the runtime's calls.
define bcmp, memcmp, memcpy, memmove, memset

.section .note.GNU-stack, "", %progbits

# The libm.so.6 that emitted libraries may be linked against. Emitted code has its
# own exp, sin and the like; here stand only the operations that LLVM calls where
# a processor has no instruction for them.

.macro define names:vararg
  .irp name, \names
    .globl \name
    .type \name, %function
  \name:
  .endr
.endm

.text
define ceil, ceilf, floor, floorf, fma, fmaf, fmod, fmodf, nearbyint, nearbyintf
define rint, rintf, round, roundeven, roundevenf, roundf, trunc, truncf

.section .note.GNU-stack, "", %progbits

#!/bin/sh
# link.sh SOURCE FILES ARCHITECTURE OUTPUT
# Links the runtime as the compiler does, with a program of zeros.
set -eu
source=$1 files=$2 triple=$3-linux-gnu output=$4
clang --target="$triple" --sysroot=/nonexistent -std=c11 -ffreestanding -fPIC \
  -I"$source/lib/Runtime" -c "$source/test/Runtime/Inputs/Nothing.c" \
  -o "$output.nothing.o"
ld.lld -shared -z defs --as-needed "$files/runtime.o" "$output.nothing.o" \
  "$files/libc.so.6" "$files/libm.so.6" -o "$output"

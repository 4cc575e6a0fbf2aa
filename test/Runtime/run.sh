#!/bin/sh
# Builds the runtime with the toy model and runs its tests: plain, under the
# address and undefined-behaviour sanitizers, and under the thread sanitizer.
#
#   test/Runtime/run.sh [BUILD_FOLDER]      CC=clang-22 by default
set -eu
tests=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$tests/../.." && pwd)
build=${1:-$root/build/runtime-tests}
cc=${CC:-clang-22}
mkdir -p "$build"
build=$(cd "$build" && pwd)

warnings="-Wall -Wextra -Werror -pedantic -Wno-gnu-statement-expression"
includes="-I$tests -I$root/lib/Runtime -I$root/include -I$build"
python3 "$tests/toy_weights.py" "$build/toy.weights" "$build/toy-weights.inc"
python3 "$tests/toy_weights.py" --seed=1 "$build/other.weights" /dev/null

# The header on its own, as C99 and as C++.
for language in "c -std=c99" "c++ -std=c++11"; do
  "$cc" -x $language $warnings -fsyntax-only "$root/include/treadle-c/model.h"
done
# The runtime as it is shipped: freestanding, without a sysroot, for each target.
for triple in x86_64-linux-gnu aarch64-linux-gnu; do
  for source in "$root"/lib/Runtime/*.c; do
    "$cc" -std=c11 -ffreestanding -O2 --target=$triple --sysroot=/nonexistent \
      $warnings -I"$root/include" -c "$source" -o "$build/freestanding.o"
  done
done

build_and_run() { # name flags tests...
  folder=$build/$1 flags=$2
  shift 2
  mkdir -p "$folder"
  cp "$build"/*.weights "$folder"
  objects=
  for source in "$root"/lib/Runtime/*.c; do
    object=$folder/$(basename "$source" .c).o
    "$cc" -std=c11 -g -fPIC -fvisibility=hidden -ffp-contract=off $flags \
      $warnings $includes -c "$source" -o "$object"
    objects="$objects $object"
  done
  toy() { # library macros...
    library=$folder/$1
    shift
    "$cc" -std=c11 -g -fPIC -shared -fvisibility=hidden -ffp-contract=off \
      $flags $warnings -Wno-overlength-strings $includes "$@" \
      "$tests/Toy.c" $objects -lm -o "$library"
  }
  program() {
    "$cc" -std=gnu11 -g $flags $warnings -Wno-pedantic $includes \
      "$tests/$1.c" "$folder/Sha256.o" "$tests/ToySha256.c" \
      -o "$folder/$1" -lm -ldl -lpthread
  }
  toy toy.so -DTOY_MODE=EMBED
  toy toy-none.so -DTOY_MODE=NONE
  toy toy-format.so -DTOY_BREAK=3
  toy toy-external.so -DTOY_MODE=EXTERNAL
  toy toy-any.so -DTOY_MODE=EXTERNAL -DTOY_ANY
  toy toy-other.so -DTOY_MODE=EMBED -DTOY_LIBRARY=2
  toy toy-append.so -DTOY_MODE=EMBED -DTOY_APPEND_ONLY -DTOY_LIBRARY=3
  toy toy-broken.so -DTOY_MODE=EMBED -DTOY_BREAK=1
  toy toy-broken-state.so -DTOY_MODE=EMBED -DTOY_BREAK=2
  program Golden
  "$folder/Golden" "$folder" > "$folder/golden.inc"
  sed 's/, {\(-*\)0x/, {\10x1/' "$folder/golden.inc" > "$folder/wrong.inc"
  toy toy-golden.so -DTOY_MODE=EMBED -DTOY_GOLDEN="\"$folder/golden.inc\""
  toy toy-golden-wrong.so -DTOY_MODE=EMBED -DTOY_GOLDEN="\"$folder/wrong.inc\""
  for test in "$@"; do
    program "$test"
    "$folder/$test" "$folder"
    echo "passed: $(basename "$folder") $test"
  done
}

all="ModelTest ForwardTest CheckpointTest SerializeTest StatesTest SampleTest
     ThreadTest"
build_and_run plain "-O2" $all SilentForwardTest
build_and_run address "-O1 -fsanitize=address,undefined \
  -fno-sanitize-recover=all" $all
build_and_run thread "-O1 -fsanitize=thread" ThreadTest

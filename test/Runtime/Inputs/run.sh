#!/bin/sh
# Builds the runtime with the toy model and runs its tests.
#
#   run.sh FOLDER headers    the headers alone, and the runtime as it is shipped
#   run.sh FOLDER toys       only builds the toy libraries
#   run.sh FOLDER plain      all tests
#   run.sh FOLDER address    under the address and undefined-behaviour sanitizers
#   run.sh FOLDER thread     under the thread sanitizer
set -eu
tests=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$tests/../../.." && pwd)
folder=$1 suite=$2
cc=${CC:-clang-22}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)

warnings="-Wall -Wextra -Werror -pedantic"
includes="-I$tests -I$root/lib/Runtime -I$root/include -I$folder"

check_headers() {
  for language in "c -std=c99" "c++ -std=c++11"; do
    "$cc" -x $language $warnings -fsyntax-only "$root/include/treadle-c/model.h"
    "$cc" -x $language $warnings -fsyntax-only -I"$root/include" \
      "$tests/Declare.c"
  done
  "$cc" -x c++ -std=c++17 $warnings -fsyntax-only "$root/lib/Runtime/Program.h"
  # Freestanding, without a sysroot.
  for triple in x86_64-linux-gnu aarch64-linux-gnu; do
    for source in "$root"/lib/Runtime/*.c; do
      "$cc" -std=c11 -ffreestanding -O2 --target=$triple --sysroot=/nonexistent \
        $warnings -I"$root/include" -c "$source" -o "$folder/freestanding.o"
    done
  done
}

toy() { # library macros...
  link_program Toy.c "$@"
}

turns() { # library macros...
  link_program Turns.c "$@"
}

link_program() { # source library macros...
  source=$tests/$1 library=$folder/$2
  shift 2
  "$cc" -std=c11 -g -fPIC -shared -fvisibility=hidden -ffp-contract=off \
    $flags $warnings -Wno-overlength-strings $includes "$@" \
    "$source" $objects -lm -o "$library"
}

program() { # name
  "$cc" -std=gnu11 -g $flags $warnings $includes \
    "$tests/$1.c" "$folder/Sha256.o" "$folder/Team.o" "$folder/Profile.o" \
    "$tests/ToySha256.c" -o "$folder/$1" -lm -ldl -lpthread
}

build_toys() { # flags
  flags=$1
  python3 "$tests/toy_weights.py" "$folder/toy.weights" \
    "$folder/toy-weights.inc"
  python3 "$tests/toy_weights.py" --seed=1 "$folder/other.weights" /dev/null
  objects=
  for source in "$root"/lib/Runtime/*.c; do
    object=$folder/$(basename "$source" .c).o
    "$cc" -std=c11 -g -fPIC -fvisibility=hidden -ffp-contract=off $flags \
      $warnings $includes -c "$source" -o "$object"
    objects="$objects $object"
  done
  toy toy.so -DTOY_MODE=EMBED
  toy toy-none.so -DTOY_MODE=NONE
  toy toy-format.so -DTOY_BREAK=3
  toy toy-external.so -DTOY_MODE=EXTERNAL
  toy toy-any.so -DTOY_MODE=EXTERNAL -DTOY_ANY
  toy toy-other.so -DTOY_MODE=EMBED -DTOY_LIBRARY=2
  toy toy-prefix.so -DTOY_MODE=EMBED \
    -Wl,--defsym=one_treadle_model_query=treadle_model_query
  toy toy-append.so -DTOY_MODE=EMBED -DTOY_APPEND_ONLY -DTOY_LIBRARY=3
  toy toy-overrun.so -DTOY_MODE=EMBED -DTOY_BREAK=4
  toy toy-broken.so -DTOY_MODE=EMBED -DTOY_BREAK=1
  toy toy-broken-state.so -DTOY_MODE=EMBED -DTOY_BREAK=2
  turns turns.so
  turns turns-token-state.so -DTURNS_TOKEN_STATE
  turns turns-stale.so -DTURNS_BREAK=1
  turns turns-cut.so -DTURNS_BREAK=2
  turns turns-cut-long.so -DTURNS_BREAK=2 -DTURNS_PERIOD=600
  program Golden
  "$folder/Golden" "$folder" > "$folder/golden.inc"
  sed 's/, {\(-*\)0x/, {\10x1/' "$folder/golden.inc" > "$folder/wrong.inc"
  toy toy-golden.so -DTOY_MODE=EMBED -DTOY_GOLDEN="\"$folder/golden.inc\""
  toy toy-golden-wrong.so -DTOY_MODE=EMBED -DTOY_GOLDEN="\"$folder/wrong.inc\""
}

build_and_run() { # flags tests...
  build_toys "$1"
  shift
  for test in "$@"; do
    program "$test"
    "$folder/$test" "$folder"
    echo "passed: $test"
  done
}

all="ModelTest ForwardTest CheckpointTest SerializeTest StatesTest SampleTest
     TurnTest TurnStatesTest ThreadTest TeamTest GateTest
     ProfileTest"
case $suite in
headers) check_headers ;;
toys) build_toys "-O2" ;;
plain) build_and_run "-O2" $all SilentForwardTest SilentTeamTest ;;
address)
  build_and_run "-O1 -fsanitize=address,undefined -fno-sanitize-recover=all" $all
  ;;
thread)
  build_and_run "-O1 -fsanitize=thread" ThreadTest TeamTest GateTest ProfileTest
  ;;
*)
  echo "run.sh: expected headers, toys, plain, address or thread, got $suite" >&2
  exit 2
  ;;
esac

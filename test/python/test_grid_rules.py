"""What `treadle-verify-grid-kernels` refuses, rule by rule: one schedule of two stages, broken in one place."""

import re
import subprocess
from pathlib import Path

import pytest

ARRIVE = "        %phase = treadle.grid_arrive %counter of %blocks : memref<1xi32>\n"
WAIT = "        treadle.grid_wait %counter for %phase : memref<1xi32>\n"
BARRIER = ARRIVE + WAIT
WRITE = """      scf.for %b = %block to %c2 step %blocks {
        %isOneOfThem = arith.cmpi ult, %thread, %c32 : index
        scf.if %isOneOfThem {
          func.call @write_block(%b, %x) : (index, memref<16xf32>) -> ()
        }
      }
"""
MOVE = """        scf.for %b = %block to %c2 step %blocks {
          gpu.barrier
          %s = memref.view %all[%c0][] : memref<64xi8, #gpu.address_space<workgroup>> to memref<4xf32, #gpu.address_space<workgroup>>
          %t = memref.view %all[%c32][] : memref<64xi8, #gpu.address_space<workgroup>> to memref<4xf32, #gpu.address_space<workgroup>>
          func.call @move_block(%b, %x, %y, %s, %t) : (index, memref<16xf32>, memref<16xf32>, memref<4xf32, #gpu.address_space<workgroup>>, memref<4xf32, #gpu.address_space<workgroup>>) -> ()
        }
"""
LOOP = "      scf.for %i = %c0 to %n step %c1 {\n"
BOUNDS = "known_block_size = array<i32: 64, 1, 1>, nvvm.minctasm = 1 : i32"
MODULE = f"""
module attributes {{gpu.container_module}} {{
  func.func @forward_1(%arena: memref<128xi8>, %n: index) attributes {{treadle.entry = #treadle.entry<forward, rows = 1>}} {{
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c2 = arith.constant 2 : index
    %c32 = arith.constant 32 : index
    %c64 = arith.constant 64 : index
    %x = memref.view %arena[%c0][] : memref<128xi8> to memref<16xf32>
    %y = memref.view %arena[%c64][] : memref<128xi8> to memref<16xf32>
    gpu.launch_func @kernels::@write blocks in (%c2, %c1, %c1) threads in (%c32, %c1, %c1) args(%x : memref<16xf32>)
    scf.for %i = %c0 to %n step %c1 {{
      gpu.launch_func @kernels::@move blocks in (%c2, %c1, %c1) threads in (%c64, %c1, %c1) args(%x : memref<16xf32>, %y : memref<16xf32>)
    }}
    return
  }}
  gpu.module @kernels {{
    gpu.func @write(%x: memref<16xf32>) kernel {{
      gpu.return
    }}
    gpu.func @move(%x: memref<16xf32>, %y: memref<16xf32>) kernel {{
      gpu.return
    }}
    func.func private @write_block(%b: index, %x: memref<16xf32>) attributes {{gpu.known_block_size = array<i32: 32, 1, 1>}} {{
      %f = arith.constant 1.0 : f32
      memref.store %f, %x[%b] : memref<16xf32>
      return
    }}
    func.func private @move_block(%b: index, %x: memref<16xf32>, %y: memref<16xf32>, %s: memref<4xf32, #gpu.address_space<workgroup>>, %t: memref<4xf32, #gpu.address_space<workgroup>>) attributes {{gpu.known_block_size = array<i32: 64, 1, 1>}} {{
      gpu.barrier
      %f = memref.load %x[%b] : memref<16xf32>
      memref.store %f, %y[%b] : memref<16xf32>
      return
    }}
    gpu.func @forward_1(%arena: memref<128xi8>, %n: index, %counter: memref<1xi32>) workgroup(%all: memref<64xi8, #gpu.address_space<workgroup>>) kernel attributes {{{BOUNDS}}} {{
      %c0 = arith.constant 0 : index
      %c1 = arith.constant 1 : index
      %c2 = arith.constant 2 : index
      %c32 = arith.constant 32 : index
      %c64 = arith.constant 64 : index
      %zero = arith.constant 0 : i32
      %block = gpu.block_id x
      %blocks = gpu.grid_dim x
      %thread = gpu.thread_id x
      %other = memref.cast %counter : memref<1xi32> to memref<1xi32>
      %x = memref.view %arena[%c0][] : memref<128xi8> to memref<16xf32>
      %y = memref.view %arena[%c64][] : memref<128xi8> to memref<16xf32>
{WRITE}{LOOP}{BARRIER}{MOVE}      }}
      gpu.return
    }}
  }}
}}
"""


def unordered(behind: str, before: str) -> str:
    return f"stage @{behind} touches memory that stage @{before} touches, one of them to write, and no barrier of the grid orders them"


def branch(condition: str, body: str) -> str:
    return f"        %taken = arith.cmpi eq, {condition}, %c0 : index\n        scf.if %taken {{\n{body}        }}\n"


DEALT = "stage @move_block: expects its blocks to be dealt out, from the block's own index on in steps of the grid"
MANNED = "stage @write_block: expects to be run by its 32 threads and no others"
UNEQUAL = "runs not equally often in all blocks and threads of the grid"
OWN_COUNTER = "expects the kernel's counter, its last argument"
NO_ARRIVAL = "waits without an arrival before it, in the same block of code"
# What is said, and what is replaced by what. Nothing, where the change is none of these.
CASES: list[tuple[str, str, str]] = [
    ("", "", ""),
    # Launch bounds.
    ("expects known_block_size, with threads in one dimension", BOUNDS, "nvvm.minctasm = 1 : i32"),
    ("expects nvvm.minctasm, the blocks that a multiprocessor has room for", ", nvvm.minctasm = 1 : i32", ""),
    ("expects nvvm.maxnreg of at most 128, the registers of a multiprocessor for 512 threads, got 200", "nvvm.minctasm = 1 : i32", "nvvm.minctasm = 8 : i32, nvvm.maxnreg = 200 : i32"),
    ("expects at most 1536 threads on a multiprocessor, got 2048", "nvvm.minctasm = 1", "nvvm.minctasm = 32"),
    ("expects at most 101376 bytes of workgroup memory on a multiprocessor, got 200000", "memref<64xi8", "memref<200000xi8"),
    # Arrivals and waits.
    ("arrives, and nobody waits in the same block of code", WAIT, ""),
    ("comes before the block has waited for its last arrival", ARRIVE, ARRIVE + ARRIVE.replace("phase", "again")),
    (NO_ARRIVAL, BARRIER, WAIT.replace("phase", "zero")),
    (NO_ARRIVAL, WAIT, WAIT + WAIT),
    (NO_ARRIVAL, WAIT, branch("%n", WAIT) + WAIT),
    ("comes before the block has waited for its last arrival", WAIT, branch("%n", BARRIER.replace("phase", "inner")) + WAIT),
    ("expects as many arrivals as the grid has blocks", "of %blocks", "of %c2"),
    (OWN_COUNTER, "grid_arrive %counter", "grid_arrive %other"),
    (OWN_COUNTER, "grid_wait %counter", "grid_wait %other"),
    # Who comes by.
    ("holds stages or barriers, and is not for all blocks and threads of the grid", BARRIER, branch("%block", BARRIER)),
    ("holds stages or barriers, and is not for all blocks and threads of the grid", BARRIER, branch("%thread", BARRIER)),
    (UNEQUAL, LOOP + BARRIER, LOOP.replace("to %n", "to %thread") + BARRIER),
    (UNEQUAL, LOOP + BARRIER, LOOP.replace("%c0 to", "%block to") + BARRIER),
    ("expects nothing but stages and barriers to touch memory", WRITE, WRITE + "      memref.store %zero, %counter[%c0] : memref<1xi32>\n"),
    # Blocks of a stage.
    (DEALT, MOVE, MOVE.replace("%block to", "%c0 to")),
    (DEALT, MOVE, MOVE.replace("step %blocks", "step %c1")),
    (DEALT, "@move_block(%b,", "@move_block(%block,"),
    ("stage @move_block: expects a barrier of the block before workgroup memory is used again", MOVE, MOVE.replace("          gpu.barrier\n", "")),
    ("stage @move_block: expects pieces of workgroup memory that lie apart", "%all[%c32]", "%all[%c2]"),
    ("stage @move_block: expects pieces of workgroup memory that lie apart", "%all[%c32]", "%all[%n]"),
    ("stage @move_block: expects at most the 32 threads of the kernel", BOUNDS, BOUNDS.replace("64", "32")),
    (MANNED, WRITE, re.sub(r" *scf.if .*\n|        }\n", "", WRITE)),
    (MANNED, "ult, %thread, %c32", "ult, %thread, %c64"),
    ("stage @write_block: expects no barrier of the block, where 32 threads stay away", "      %f = arith.constant 1.0 : f32\n", "      %f = arith.constant 1.0 : f32\n      gpu.barrier\n"),
    ("stage @move_block: expects nothing else in the loop over its blocks", "          gpu.barrier\n", "          gpu.barrier\n          %g = memref.load %x[%c0] : memref<16xf32>\n"),
    # What the schedule launches.
    ("expects stage @write_block, as the schedule launches it, got @move_block", WRITE + LOOP + BARRIER + MOVE, MOVE + LOOP + BARRIER + WRITE),
    ("expects as many blocks of @move_block as the schedule launches", MOVE, MOVE.replace("to %c2", "to %c1")),
    ("expects as many threads of @write_block as the schedule launches", "threads in (%c32,", "threads in (%c2,"),
    ("expects operand 0 of @move_block to be what the schedule gives it", "(%b, %x, %y", "(%b, %y, %x"),
    ("expects a loop with the bounds that it has in the schedule", LOOP, LOOP.replace("%c0 to", "%c1 to")),
    ("expects 2 stages or loops over stages, got 1", LOOP + BARRIER + MOVE + "      }\n", ""),
    ("expects a stage, as the schedule launches one, got a loop over stages", WRITE, ""),
    # What comes before what. A loop may not run at all.
    (unordered("move_block", "write_block"), BARRIER, ""),
    (unordered("move_block", "write_block"), BARRIER + MOVE, MOVE + BARRIER),
    (unordered("move_block", "write_block"), BARRIER, branch("%i", BARRIER)),
    (unordered("move_block", "write_block"), BARRIER, f"        scf.for %j = %c0 to %n step %c1 {{\n{BARRIER}        }}\n"),
    ("", BARRIER, f"        scf.for %j = %c0 to %c2 step %c1 {{\n{BARRIER}        }}\n"),
    (unordered("move_block", "write_block"), WRITE + LOOP + BARRIER, ARRIVE + WRITE + WAIT + LOOP),
    (unordered("move_block", "move_block"), WRITE + LOOP + BARRIER, WRITE + BARRIER + LOOP),
    ("", BARRIER + MOVE, BARRIER + MOVE + BARRIER.replace("phase", "later")),
]  # fmt: skip


@pytest.fixture(scope="module")
def errors(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What is said of each case, all in one run."""
    file: Path = tmp_path_factory.mktemp("rules") / "cases.mlir"
    assert all(old in MODULE for _, old, _ in CASES)
    modules = [MODULE.replace(old, new) if old else MODULE for _, old, new in CASES]
    file.write_text("\n// -----\n".join(modules))
    program = request.config.getoption("--treadle-build").resolve() / "bin/treadle-opt"
    found = subprocess.run(
        [program, file, "--split-input-file", "--treadle-verify-grid-kernels", "-o", "/dev/null"], capture_output=True, text=True
    ).stderr
    said = [""] * len(CASES)
    begins = [0]
    for module in modules:
        begins.append(begins[-1] + module.count("\n") + 2)
    for line, text in re.findall(r"cases\.mlir:(\d+):\d+: error: (.*)", found):
        case = max(i for i in range(len(CASES)) if begins[i] < int(line))
        said[case] += text
    return said


@pytest.mark.parametrize("case", range(len(CASES)))
def test_rule(errors: list[str], case: int) -> None:
    expected = CASES[case][0]
    assert expected in errors[case] if expected else not errors[case]

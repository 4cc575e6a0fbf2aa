"""How lit runs the regression tests: every file with a `RUN:` line under test/."""

import ctypes
import os
import platform
import shutil
import subprocess

import lit.formats

config.name = "Treadle"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir", ".test", ".c", ".cpp"]
# Sources of test-only passes, inputs of tests, and what other runners run.
config.excludes = ["Inputs", "lib", "perf", "python"]
config.test_source_root = os.path.dirname(__file__)
config.test_exec_root = os.path.join(config.treadle_binary_dir, "test")

# Tools are found by name: ours, then LLVM's (FileCheck, not, split-file).
config.environment["PATH"] = os.pathsep.join(
    [
        os.path.join(config.treadle_binary_dir, "bin"),
        config.llvm_tools_dir,
        os.environ["PATH"],
        # Where the CUDA toolkit's assembler may be: its own place, or that of tools/dev/setup.
        "/usr/local/cuda/bin",
        os.path.join(config.treadle_source_dir, "build/cuda/nvidia/cu13/bin"),
    ]
)
config.environment["PYTHONPATH"] = os.path.join(config.treadle_source_dir, "python")
config.environment["FILECHECK_OPTS"] = "--enable-var-scope --allow-unused-prefixes=false"

# A program that loads emitted code with `--sanitize=address` brings the sanitizer's runtime, clang's own
# whatever built Treadle; Python gets it preloaded.
asan_runtime = subprocess.run(
    [os.path.join(config.llvm_tools_dir, "clang"), f"-print-file-name=libclang_rt.asan-{platform.machine()}.so"],
    check=True,
    capture_output=True,
    text=True,
).stdout.strip()
preload_asan = f"env LD_PRELOAD={asan_runtime}"

# Every test of a pass also checks that its input survives printing and parsing.
config.substitutions += [
    (r"(?<![\w./-])treadle-opt(?![\w./-])(?!.*--verify-roundtrip)", "treadle-opt --verify-roundtrip"),
    # For what a test compiles and runs: instrumented where Treadle is.
    ("%sanitize", "--sanitize=address" if config.sanitizers else ""),
    # In every preset. Here nothing of MLIR runs, so memory may be poisoned by hand.
    ("%asan_python", f"{preload_asan} ASAN_OPTIONS=detect_leaks=0 {config.python}"),
    ("%python", f"{preload_asan} {config.python}" if config.sanitizers else config.python),
    ("%cc", config.host_cc),
    ("%cxx_path", config.host_cxx_path),
    ("%cxx", config.host_cxx),
    ("%cmake", config.cmake),
    ("%source", config.treadle_source_dir),
    ("%build", config.treadle_binary_dir),
    ("%include", os.path.join(config.treadle_source_dir, "include")),
]


def host_features():
    """What this machine can execute; tests ask for it with `REQUIRES:`."""
    with open("/proc/cpuinfo", encoding="utf-8") as cpuinfo:
        flags = next((set(line.split()) for line in cpuinfo if line.startswith("flags")), set())
    needs = {
        "avx2": {"avx2", "fma"},
        "avx512": {"avx512f", "avx512bw", "avx512dq", "avx512vl"},
        "avx512bf16": {"avx512_bf16"},
        "avx512vnni": {"avx512_vnni"},
    }
    yield from (feature for feature, wanted in needs.items() if wanted <= flags)
    if os.path.exists("/dev/nvidia0"):
        yield "cuda"
    if shutil.which("ptxas", path=config.environment["PATH"]):
        yield "ptxas"
    else:
        lit_config.note("no ptxas: what assembles GPU kernels is not tested; run tools/dev/setup")


config.available_features.update(host_features())


def note_untested_silence():
    """SilentTeamTest checks what the machine permits; what it does not is not to pass unnoticed."""
    number = {"x86_64": 317, "aarch64": 277}.get(platform.machine())
    get_action_avail, user_notif = 2, ctypes.c_uint32(0x7FC00000)
    if number is None or ctypes.CDLL(None).syscall(number, get_action_avail, 0, ctypes.byref(user_notif)):
        lit_config.note("no seccomp: which system calls a thread team makes is not tested")
    if (processors := len(os.sched_getaffinity(0))) < 3:
        lit_config.note(f"processors: {processors}; that three awake threads make no system call is not tested")


note_untested_silence()

# The documentation speaks of build/release.
if os.path.realpath(config.treadle_binary_dir) == os.path.join(os.path.realpath(config.treadle_source_dir), "build/release"):
    config.available_features.add("release")

if config.sanitizers:
    config.available_features.add("asan")
    config.environment["ASAN_OPTIONS"] = config.asan_options
    config.environment["UBSAN_OPTIONS"] = "print_stacktrace=1"

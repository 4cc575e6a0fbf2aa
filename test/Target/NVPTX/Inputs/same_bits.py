"""same_bits.py FOLDER CONFIG [OPTION]...: GPU kernels run thread by thread give the bits of the CPU's.

The stages of a config are lowered twice, to the CPU's kernels and to schedules of GPU kernels. The LLVM IR of the
latter is taken for the host, with calls of threads.c in place of what only a GPU has, and the entry points of both run
over the same memory of random weights.
"""

import ctypes
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

INTRINSICS = {
    "llvm.nvvm.read.ptx.sreg.tid.x": "threadIndex",
    "llvm.nvvm.read.ptx.sreg.ctaid.x": "blockIndex",
    "llvm.nvvm.shfl.sync.idx.i32": "shuffleWord",
    "llvm.nvvm.shfl.sync.idx.f32": "shuffleFloat",
    "llvm.nvvm.bar.warp.sync": "warpBarrier",
}
STAGES_TO_CPU = "treadle-cpu-assign-tiles,convert-stages-to-vector"
TO_LLVM = "treadle-kernels-to-llvm{cpu=x86-64-v3}"


def run(*command: str, text: str | None = None) -> str:
    done = subprocess.run(command, input=text, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    return done.stdout


def lower(stages: str, passes: str) -> str:
    return run("treadle-opt", "-", f"--pass-pipeline=builtin.module({passes})", text=stages)


def translate(module: str) -> str:
    """To LLVM IR, without what is the model's; products and sums fuse where the program says so."""
    module = re.sub(r"^\s*treadle\.(weight|state) .*\n", "", module, flags=re.MULTILINE)
    module = re.sub(r"(, )?treadle\.stages = \[([^\[\]]|\[[^\[\]]*\])*\]", "", module)
    module = re.sub(r"(, )?treadle\.\w+ = (#treadle\.\w+<(\"[^\"]*\"|[^\"<>])*>|-?\d+ : i64)", "", module)
    module = module.replace("{, ", "{").replace("attributes {}", "")
    code = run("mlir-translate", "--mlir-to-llvmir", text=module)
    # `vector.fma` says fmuladd, which may fuse or not.
    declared = "@llvm.fma." in code
    code = re.sub(r"^declare .*@llvm\.fmuladd\.v16f32.*\n", "", code, flags=re.MULTILINE) if declared else code
    return code.replace("@llvm.fmuladd.", "@llvm.fma.")


def prefix_entries(code: str, entries: list[str], prefix: str) -> str:
    """Entry points get a prefix, and stay visible alone."""
    code = re.sub(r"^define void @", "define internal void @", code, flags=re.MULTILINE)
    for entry in entries:
        code = code.replace(f"define internal void @{entry}(", f"define void @{prefix}{entry}(")
    return code


def nested_module(text: str, name: str) -> str:
    """The gpu.module of that name as a module of its own."""
    body = text[text.index("{\n", text.index(f"gpu.module @{name}")) :]
    return "module " + body[: body.index("\n  }\n")] + "\n}\n"


def host_kernels(module: str) -> str:
    """LLVM IR of kernels for the host, with their table and one function that spoils shared memory."""
    code = translate(module)
    order = re.findall(r"^ *llvm\.func @(\w+)\(.*nvvm\.kernel", module, flags=re.MULTILINE)
    for intrinsic, function in INTRINSICS.items():
        code = code.replace(f"@{intrinsic}", f"@{function}")
    if unknown := set(re.findall(r"@llvm\.nvvm[\w.]*", code)):
        sys.exit(f"no form on the host: {unknown}")
    shared = re.findall(r"^(@\w+) = internal addrspace\(3\) global (\[.*\]) undef", code, flags=re.MULTILINE)
    code = re.sub(r"^(@\w+ = internal) addrspace\(3\) (global .*) undef", r"\1 \2 zeroinitializer", code, flags=re.MULTILINE)
    code = re.sub(r"addrspacecast ptr addrspace\(3\) (\S+) to ptr", r"getelementptr i8, ptr \1, i64 0", code)
    code = code.replace(" addrspace(3)", "").replace("ptx_kernel ", "")
    code = re.sub(r"^(attributes|!nvvm).*$| #\d+(?= *[{\n])", "", code, flags=re.MULTILINE)
    code = prefix_entries(code, [], "")

    extra = ["declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)", "define void @poisonShared() {"]
    extra += [
        f"  call void @llvm.memset.p0.i64(ptr {name}, i8 -1, i64 ptrtoint (ptr getelementptr ({type}, ptr null, i32 1) to i64), i1 true)"
        for name, type in shared
    ]
    extra += ["  ret void", "}"]
    for name in order:
        types = re.search(rf"^define internal void @{name}\((.*)\) *{{", code, flags=re.MULTILINE)[1]
        types = [parameter.split()[0] for parameter in types.split(", ")]
        extra += [f"define internal void @call_{name}(ptr %words) {{"]
        for i, type in enumerate(types):
            extra += [f"  %p{i} = getelementptr i64, ptr %words, i64 {i}", f"  %v{i} = load {type}, ptr %p{i}"]
        extra += [f"  call void @{name}({', '.join(f'{type} %v{i}' for i, type in enumerate(types))})", "  ret void", "}"]
    table = ", ".join(f"ptr @call_{name}" for name in order)
    return "\n".join([code, *extra, f"@kernels = constant [{len(order)} x ptr] [{table}]", ""])


@dataclass(frozen=True)
class Entry:
    kind: str
    rows: int
    sizes: list[list[int]]
    """Of its six memories: arena, states, weights, input, mask, output."""


def entry_points(module: str) -> dict[str, Entry]:
    """By name, in the order in which a sequence calls them."""
    pattern = r"func\.func @(\w+)\((.*?)\) attributes .*treadle\.entry = #treadle\.entry<(\w+), rows = (\d+)>"
    found = []
    for name, arguments, kind, rows in re.findall(pattern, module):
        memory = re.findall(r"memref<((?:\d+x)+)", arguments)[:6]
        found.append((name, Entry(kind, int(rows), [[int(size) for size in sizes.split("x")[:-1]] for sizes in memory])))
    return dict(sorted(found, key=lambda item: ["open", "forward", "head", "close"].index(item[1].kind)))


def address(array: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


class Memory:
    """What entry points share, the same for both devices."""

    def __init__(self, sizes: list[list[int]]):
        # Numbers of bf16 in a row are numbers of f32 as well.
        numbers = np.random.default_rng(1).uniform(-0.3, 0.3, sizes[2][0] // 2 + 64).astype(np.float32)
        self.weights = (numbers.view(np.uint32) >> 16).astype(np.uint16)
        self.states = np.zeros(sizes[1][0], np.uint8)

    def call(self, function: object, entry: Entry, position: int, valid: int, *rest: object) -> np.ndarray:
        """What an entry point writes, of inputs that depend on the position alone; `rest` follows its nine arguments."""
        random, sizes = np.random.default_rng(position), entry.sizes
        ids, rows = random.integers(0, 90, sizes[3], dtype=np.int32), random.standard_normal(sizes[3], np.float32)
        arena = np.full(sizes[0][0], 0xFF, np.uint8)
        mask = (random.uniform(size=sizes[4]) < 0.8).astype(np.uint8)
        output = np.zeros(sizes[5], np.float32)
        memory = (arena, self.states, self.weights, rows if entry.kind == "head" else ids, mask, output)
        function(*map(address, memory), *map(ctypes.c_int64, (position, valid, 2)), *rest)
        return output[:valid]


def main(folder: Path, config: str, *options: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    stages = run("treadle-compile", config, "--rows=1,16", "--to=stages", *options)
    entries = entry_points(lower(stages, STAGES_TO_CPU))
    kernels = lower(stages, "treadle-stages-to-gpu,treadle-kernels-to-nvvm")
    codes = {
        "cpu": prefix_entries(translate(lower(stages, f"{STAGES_TO_CPU},{TO_LLVM}")), [*entries], "cpu_"),
        "schedule": prefix_entries(
            translate(lower(stages, f"treadle-stages-to-gpu,treadle-lower-launches,{TO_LLVM}")), [*entries], "gpu_"
        ),
        "kernels": host_kernels(nested_module(kernels, "kernels")),
    }
    files = [str(Path(__file__).with_name("threads.c"))]
    for name, code in codes.items():
        files.append(str(folder / f"{name}.ll"))
        Path(files[-1]).write_text(code)
    library = str(folder / "both.so")
    run("clang", "-O1", "-mavx2", "-mfma", "-fPIC", "-shared", "-Wno-override-module", *files, "-o", library)
    code = ctypes.CDLL(library)

    cpu, gpu = (Memory(next(iter(entries.values())).sizes) for _ in range(2))
    position = 0
    # One member, without a team; nobody profiles.
    alone = (ctypes.c_int64(0), ctypes.c_int64(1), None, None)
    for name, entry in entries.items():
        # Some rows of a long chunk are padding, whose results mean nothing.
        valid = min(entry.rows, 13) if entry.kind == "forward" else entry.rows
        place = (position if entry.kind in ("forward", "close") else 0, valid)
        expected = cpu.call(getattr(code, f"cpu_{name}"), entry, *place, *alone)
        found = gpu.call(getattr(code, f"gpu_{name}"), entry, *place, None)
        assert not np.isnan(expected).any(), f"{name}: the CPU's numbers say nothing"
        assert np.array_equal(expected.view(np.uint32), found.view(np.uint32)), f"{name}: other numbers"
        assert np.array_equal(cpu.states, gpu.states), f"{name}: other states"
        position += valid if entry.kind == "forward" else 0
        print(f"{name}: same bits of {expected.size} numbers and {cpu.states.size} bytes of states")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])

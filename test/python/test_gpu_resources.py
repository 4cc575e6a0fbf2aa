"""What the kernels of published models take of a GPU's multiprocessor, as ptxas says, and how wide they read weights.

Nothing here runs a kernel: bounds are today's, which may only get better.
"""

import os
import re
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import ROOT
from test_cuda import PTXAS

pytestmark = pytest.mark.skipif(not PTXAS, reason="no ptxas")

WARP = 32
# Of a multiprocessor: bytes of shared memory for all of its blocks, each of which takes 1 KB more than it asks for.
SHARED = {"sm_80": 164 << 10, "sm_90a": 228 << 10}
REGISTERS, WARPS, BLOCKS, RESERVED = 65536, 64, 32, 1 << 10
# Units in which registers are given to a warp and shared memory to a block, and parts that warps are spread over.
REGISTER_UNIT, SHARED_UNIT, QUARTERS = 256, 128, 4


@dataclass(frozen=True)
class Kernel:
    name: str
    threads: int
    registers: int
    shared: int
    stack: int
    spilled: int

    def blocks(self, gpu: str) -> int:
        """That a multiprocessor runs at once: the "CUDA Occupancy Calculator" of NVIDIA's toolkit."""
        warps = -(-self.threads // WARP)
        of_warp = -(-self.registers * WARP // REGISTER_UNIT) * REGISTER_UNIT
        by_registers = REGISTERS // of_warp // QUARTERS * QUARTERS // warps
        shared = -(-(self.shared + RESERVED) // SHARED_UNIT) * SHARED_UNIT
        return min(by_registers, SHARED[gpu] // shared, WARPS // warps, BLOCKS)


@dataclass(frozen=True)
class Bound:
    """Of the kernels of a kind: registers and bytes of shared memory at most, warps of a multiprocessor at least."""

    registers: int
    shared: int
    warps: int


# By kind of kernel, over all models and levels below. Registers are given by eights. Attention of a decode step has
# few blocks, of which a multiprocessor gets one at most: its registers hold what is under way; where they are 255, which is
# all that there are, it is spilling and warps that bound. So has a recurrence in
# chunks, one for each head; and a decode step in one launch, which calls the kernels of its stages.
BOUNDS = {
    "forward": Bound(255, 40192, 8),
    "attention": Bound(192, 33024, 8),
    "attention in f32": Bound(255, 38144, 8),
    "linear": Bound(112, 12416, 16),
    "linear of many rows": Bound(152, 39936, 8),
    "linear of many rows, by warp groups": Bound(128, 39936, 16),
    "linear in f32": Bound(255, 16640, 8),
    "joint_linear": Bound(128, 17408, 16),
    "norm": Bound(56, 3072, 32),
    "gated_delta_rule": Bound(168, 16768, 8),
    "gated_delta_rule in chunks": Bound(255, 24704, 8),
    "other": Bound(168, 8192, 12),
}
PUBLISHED = ("llama/1b", "miniaxion/0.9m", "nanohammer/1.5b", "neollm/110m", "om/356m")
# Of models, with the form of recurrences.
BUILDS = [f"{model}-{dtype}-auto" for model in PUBLISHED for dtype in ("f32", "bf16")] + ["neollm/110m-bf16-chunked"]


@dataclass(frozen=True)
class Code:
    gpu: str
    form: str
    """Of recurrences."""
    folder: Path
    """With what was compiled, for both levels."""


@pytest.fixture(scope="module", params=BUILDS)
def build(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, programs: Path
) -> tuple[str, Path]:
    """The form, and a folder."""
    model, dtype, form = request.param.split("-")
    folder = tmp_path_factory.mktemp("build")
    path = os.pathsep.join([str(Path(PTXAS or "").parent), os.environ["PATH"]])
    command = [programs / "treadle-compile", ROOT / f"models/{model}.json", f"--dtype={dtype}", "--weights-mode=external"]
    command += ["--target=cpu,cuda", f"--gpu={','.join(SHARED)}", f"--recurrence-form={form}"]
    start = time.monotonic()
    subprocess.run([*command, f"--dump-phases={folder}", "-o", folder / "m.so"], check=True, env=os.environ | {"PATH": path})
    print(f"{request.param}: compiled in {time.monotonic() - start:.1f} s")
    return form, folder


@pytest.fixture(params=SHARED)
def code(request: pytest.FixtureRequest, build: tuple[str, Path]) -> Code:
    return Code(request.param, *build)


def kernels(code: Code) -> list[Kernel]:
    ptx = (code.folder / f"binary.{code.gpu}.ptx").read_text()
    threads = dict(re.findall(r"\.entry (\w+)\([^{]*?\.maxntid (\d+)", ptx))
    lines = (code.folder / f"binary.{code.gpu}.txt").read_text().splitlines()
    # ptxas makes products of warp groups wait for each other where it cannot keep them apart, and says so.
    assert not [line for line in lines if line.startswith("ptxas")]
    found = [(line.split(":")[0], [int(number) for number in re.findall(r" (\d+) ", line)]) for line in lines]
    return [Kernel(name, int(threads[name]), *numbers) for name, numbers in found]


@dataclass(frozen=True)
class Signature:
    """Of a kernel's parameters, those that are matrices in panels: [panels][words][16 outputs]; all that are memory."""

    panels: set[int]
    memory: set[int]
    has_many_rows: bool
    is_f32: bool


def signatures(folder: Path) -> dict[str, Signature]:
    found = {}
    text = (folder / "kernels.gpu.mlir").read_text()
    for name, arguments in re.findall(r"gpu\.func @(\w+)\((.*?)\) *(?:workgroup|kernel)", text):
        types = re.findall(r"%\w+: ([^,]+(?:<[^>]*>)?)", arguments)
        panels = {i for i, kind in enumerate(types) if re.fullmatch(r"memref<(\d+x)+16x(f32|i32)>", kind)}
        memory = {i for i, kind in enumerate(types) if kind.startswith("memref")}
        # The number of rows is a parameter then, and what has them an address alone.
        is_f32 = any("f32" in types[i] for i in panels)
        found[name] = Signature(panels, memory, types[0] in ("memref<i16>", "memref<f32>"), is_f32)
    return found


def kind(name: str, code: Code, signature: Signature | None = None) -> str:
    noun = re.sub(r"_\d+(_merge)?$", "", name)
    if noun in ("linear", "attention") and signature and signature.is_f32:
        return f"{noun} in f32"
    if noun == "linear" and signature and signature.has_many_rows:
        return "linear of many rows" + (", by warp groups" if code.gpu == "sm_90a" else "")
    if noun == "gated_delta_rule" and signature and signature.has_many_rows and code.form == "chunked":
        return "gated_delta_rule in chunks"
    return noun if noun in BOUNDS else "norm" if noun.endswith("_norm") else "other"


def test_kernels_fit_their_multiprocessor(code: Code) -> None:
    gpu = code.gpu
    found: dict[str, list[Kernel]] = defaultdict(list)
    known = signatures(code.folder)
    for kernel in kernels(code):
        assert kernel.spilled == 0, kernel
        found[kind(kernel.name, code, known.get(kernel.name))].append(kernel)
    assert ("gated_delta_rule in chunks" in found) == (code.form == "chunked")
    for name, alike in found.items():
        registers, shared = max(k.registers for k in alike), max(k.shared for k in alike)
        warps = min(k.blocks(gpu) * -(-k.threads // WARP) for k in alike)
        print(f"{name}: at most {registers} registers, {shared} bytes of shared memory, at least {warps} warps")
        bound = BOUNDS[name]
        for k in alike:
            assert k.registers <= bound.registers and k.shared <= bound.shared, k
            assert k.blocks(gpu) * -(-k.threads // WARP) >= bound.warps, (k, k.blocks(gpu))


def loads(function: str, name: str) -> Iterator[tuple[int, set[int]]]:
    """The bytes of each load from global memory of a kernel's PTX, and the parameters that its address is made of."""
    origins: dict[str, set[int]] = defaultdict(set)
    instructions = [line.strip().rstrip(";") for line in function.splitlines()]
    for register, number in re.findall(rf"ld\.param\.b64 \s*(%rd\d+), \[{name}_param_(\d+)\]", function):
        origins[register] = {int(number)}
    changed = True
    while changed:
        changed = False
        for line in instructions:
            target, *sources = re.findall(r"%rd\d+", line) or [""]
            if not target or line.startswith(("ld.", "st.")):
                continue
            before = len(origins[target])
            origins[target] |= set().union(*(origins[source] for source in sources))
            changed |= len(origins[target]) > before
    for line in instructions:
        pattern = r"ld\.global(?:\.nc)?(?:\.L\w+)*(?:\.v(\d))?\.[busf](\d+) .*\[(%rd\d+)"
        if match := re.match(pattern, line):
            yield int(match[1] or 1) * int(match[2]) // 8, origins[match[3]]
        elif match := re.match(r"cp\.async\.bulk\.shared::cluster\.global\S* \[.*?\], \[(%rd\d+)\], (\S+),", line):
            # How many bytes where K ends, a register says: whole words of 16 outputs.
            yield int(match[2]) if match[2].isdigit() else 64, origins[match[1]]
        elif match := re.match(r"cp\.async\.c[ag]\.shared\.global \[.*?\], \[(%rd\d+).*?\], (\d+)", line):
            yield int(match[2]), origins[match[1]]


def test_products_read_weights_by_16_bytes(code: Code) -> None:
    ptx, known, read = (code.folder / f"binary.{code.gpu}.ptx").read_text(), signatures(code.folder), 0
    functions = dict(re.findall(r"\.(?:entry|func) (\w+)\((.*?)\n}", ptx, re.DOTALL))
    for name, function in functions.items():
        if kind(name, code) not in ("linear", "joint_linear"):
            continue
        of = known[name]
        # LLVM may reach an activation by its distance from the weights: such an address is made of both.
        found = list(loads(function, name))
        widths = [width for width, origins in found if origins and origins & of.memory <= of.panels]
        assert widths and min(widths) >= 16, (name, widths)
        read += len(widths)
        # A step in one launch calls the same as a function, whose parameters are others.
        if called := functions.get(f"{name}_block"):
            wide = sum(width >= 16 for width, _ in loads(called, f"{name}_block"))
            assert wide >= len(widths), (name, wide, len(widths))
    print(f"{read} loads of weights")
    assert read > 0
    # Products of many rows in bf16 are those of warp groups where there are any.
    has_many = any(of.has_many_rows and of.panels and not of.is_f32 for of in known.values())
    assert ("wgmma.mma_async" in ptx) == (code.gpu == "sm_90a" and has_many)

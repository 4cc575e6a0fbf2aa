"""Whether threads are together where a GPU wants them to be, in kernels of published models, as LLVM's analysis of what
differs between threads says.

A barrier of the block is an instruction that whole warps execute, and so are products: LLVM may move neither to where only
some threads go, nor copy it. The fake driver sees that of the ways that threads take in its small models, one by one.
"""

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import ROOT

OPT = Path("/usr/lib/llvm-22/bin/opt")
MODELS = ("llama/1b", "miniaxion/0.9m", "nanohammer/1.5b", "neollm/110m", "om/356m")
FORMS = ("emulated", "emulated_90a")
WARP = 32

# LLVM takes these to differ between threads of a block: its index, and what any intrinsic returns. What an intrinsic makes of
# its operands differs if these do.
BLOCK_INDEX = re.compile(r"= (?:tail )?call [^@]*@llvm\.nvvm\.read\.ptx\.sreg\.n?ctaid\.x\(\).*")
PICK = re.compile(r"= (?:tail )?call [^@]*?(i\d+) @llvm\.[us](?:min|max)\.i\d+\(i\d+ ([^,]+), i\d+ ([^)]+)\).*")

OF_BLOCKS = re.compile(r"@llvm\.nvvm\.barrier(0|\.cta)")
OF_GROUPS = re.compile(r"@llvm\.nvvm\.wgmma\.| asm sideeffect \"[^\"]*\.sync\.aligned")
OF_WARPS = re.compile(r"@llvm\.nvvm\.mma\.")


@dataclass
class Function:
    is_kernel: bool
    blocks: dict[str, list[str]]  # instructions

    @property
    def meets(self) -> bool:
        return any(OF_BLOCKS.search(line) for lines in self.blocks.values() for line in lines)

    def after(self, block: str) -> list[str]:
        return re.findall(r"label %([\w.]+)", self.blocks[block][-1])

    def ends(self) -> dict[str, set[str]]:
        """By block, those that every way on from it comes to: itself and others."""
        found = {block: set(self.blocks) if self.after(block) else {block} for block in self.blocks}
        is_final = False
        while not is_final:
            is_final = True
            for block in reversed(self.blocks):
                ways = [found[after] for after in self.after(block)]
                common = {block}.union(set.intersection(*ways) if ways else set())
                is_final &= common == found[block]
                found[block] = common
        return found

    def until(self, block: str, ends: set[str]) -> set[str]:
        """The blocks that some ways on from a block come to, and others may not."""
        found: set[str] = set()
        left = self.after(block)
        while left:
            if (place := left.pop()) not in found | (ends - {block}):
                found.add(place)
                left += self.after(place)
        return found

    def definition(self, value: str) -> str:
        for lines in self.blocks.values():
            for line in lines:
                if line.startswith(f"{value} = "):
                    return line
        return ""

    def is_of_whole_warps(self, branch: str) -> bool:
        """if thread < a multiple of 32"""
        condition = re.search(r"br i1 (%[\w.]+)", branch)
        limit = re.search(r"icmp (?:samesign )?ult i32 (%[\w.]+), (\d+)$", self.definition(condition[1])) if condition else None
        return bool(limit) and int(limit[2]) % WARP == 0 and "sreg.tid.x" in self.definition(limit[1])


def functions(ir: str) -> dict[str, Function]:
    found = {}
    for match in re.finditer(r"^define (.*?)@(\w+)\(.*?\{\n(.*?)^\}", ir, re.M | re.S):
        parts = re.split(r"^([\w.]+):.*\n", match[3], flags=re.M)[1:]
        bodies = [[line.strip() for line in body.splitlines() if line.strip()] for body in parts[1::2]]
        found[match[2]] = Function("ptx_kernel" in match[1], dict(zip(parts[::2], bodies, strict=True)))
    return found


def branches(uniformity: str) -> Iterator[tuple[str, str, str]]:
    """Function, block, and the branch at its end, of which threads take different ways."""
    for part in uniformity.split("UniformityInfo for function '")[1:]:
        for block, ends in re.findall(r"^BLOCK (\S+)$.*?^TERMINATORS$(.*?)^END BLOCK$", part, re.M | re.S):
            for branch in re.findall(r"DIVERGENT:\s+(.*)", ends):
                yield part.split("'")[0], block, branch


def run(*arguments: object, text: str) -> subprocess.CompletedProcess[str]:
    command = [OPT, "-mtriple=nvptx64-nvidia-cuda", "-mcpu=sm_90a", *arguments, "-"]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True)


def apart(ir: str) -> list[str]:
    """What is wrong with the kernels of a module."""
    named = run("-passes=instnamer", "-S", text=ir).stdout
    named = PICK.sub(r"= add \1 \2, \3", BLOCK_INDEX.sub("= add i32 1, 1", named))
    found = functions(named)
    wrong = []
    # What a function's arguments are, nobody knows of it alone: kernels hold the same code.
    for name, block, branch in branches(run("-passes=print<uniformity>", "-disable-output", text=named).stderr):
        function = found[name]
        if not function.is_kernel:
            continue
        for place in function.until(block, function.ends()[block]):
            for line in function.blocks[place]:
                callee = re.search(r"@(\w+_block)\(", line)
                of_all = OF_BLOCKS.search(line) or OF_GROUPS.search(line) or (callee and found[callee[1]].meets)
                if of_all or (OF_WARPS.search(line) and not function.is_of_whole_warps(branch)):
                    wrong.append(f"{name}: '{line[:80]}' is behind '{branch}'")
    return wrong


pytestmark = pytest.mark.skipif(not OPT.exists(), reason=f"no {OPT}")


@pytest.mark.parametrize("model", MODELS)
def test_threads_are_together(model: str, programs: Path, tmp_path: Path) -> None:
    command = [programs / "treadle-compile", ROOT / f"models/{model}.json", "--dtype=bf16", "--weights-mode=external"]
    command += ["--target=cpu,cuda", f"--gpu={','.join(FORMS)}", "--rows=1,16,128", f"--dump-phases={tmp_path}"]
    subprocess.run([*command, "-o", tmp_path / "m.so"], check=True)
    for form in FORMS:
        ir = (tmp_path / f"binary.{form}.ll").read_text()
        assert OF_BLOCKS.search(ir) and OF_WARPS.search(ir) and bool(OF_GROUPS.search(ir)) == (form == "emulated_90a")
        assert not apart(ir)


KERNEL = """
declare i32 @llvm.nvvm.read.ptx.sreg.tid.x()
declare i32 @llvm.nvvm.read.ptx.sreg.ctaid.x()
declare void @llvm.nvvm.barrier.cta.sync.aligned.all(i32)
declare {float, float, float, float} @llvm.nvvm.mma.m16n8k16.row.col.bf16(
    i32, i32, i32, i32, i32, i32, float, float, float, float)
define internal void @stage_block() noinline {
  call void @llvm.nvvm.barrier.cta.sync.aligned.all(i32 0)
  ret void
}
define ptx_kernel void @kernel(i32 %n) {
  %thread = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %block = call i32 @llvm.nvvm.read.ptx.sreg.ctaid.x()
  %some = icmp ult i32 NUMBER, LIMIT
  br i1 %some, label %then, label %end
then:
  WHAT
  br label %end
end:
  call void @llvm.nvvm.barrier.cta.sync.aligned.all(i32 0)
  ret void
}
"""
BARRIER = "call void @llvm.nvvm.barrier.cta.sync.aligned.all(i32 0)"
STAGE = "call void @stage_block()"
PRODUCT = (
    "call {float, float, float, float} @llvm.nvvm.mma.m16n8k16.row.col.bf16("
    "i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, float 0.0, float 0.0, float 0.0, float 0.0)"
)


@pytest.mark.parametrize(
    ("number", "limit", "what", "count"),
    [
        ("%block", "%n", BARRIER, 0),
        ("%block", "%n", PRODUCT, 0),
        ("%thread", "64", PRODUCT, 0),
        ("%thread", "64", BARRIER, 1),
        ("%thread", "64", STAGE, 1),
        ("%thread", "48", PRODUCT, 1),
        ("%thread", "%n", PRODUCT, 1),
    ],
)
def test_threads_apart_are_found(number: str, limit: str, what: str, count: int) -> None:
    ir = KERNEL.replace("NUMBER", number).replace("LIMIT", limit).replace("WHAT", what)
    assert len(apart(ir)) == count

"""What the driver of test/lib/FakeCuda finds wrong with a kernel: each of these would pass on many a GPU, or hang it."""

import ctypes
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

THREADS, FLOATS = 32, 32
LAUNCH_FAILED = 719
# Thread i has its float of `x` in %place, and of `shared` in %other; %before is that of the thread below it.
PRELUDE = """
  %thread = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %block = call i32 @llvm.nvvm.read.ptx.sreg.ctaid.x()
  %below = add i32 %thread, 31
  %wrapped = and i32 %below, 31
  %isFirst = icmp eq i32 %thread, 0
  %place = getelementptr float, ptr %x, i32 %thread
  %other = getelementptr float, ptr addrspace(3) @shared, i32 %thread
  %before = getelementptr float, ptr addrspace(3) @shared, i32 %wrapped
"""
MODULE = """; a kernel
target triple = "nvptx64-nvidia-cuda"
@shared = internal addrspace(3) global [32 x float] undef, align 16
@table = private constant [4 x float] zeroinitializer
declare i32 @llvm.nvvm.read.ptx.sreg.tid.x()
declare i32 @llvm.nvvm.read.ptx.sreg.ctaid.x()
declare i32 @llvm.nvvm.shfl.sync.idx.i32(i32, i32, i32, i32)
declare void @llvm.nvvm.bar.warp.sync(i32)
declare void @llvm.nvvm.barrier0()
declare void @llvm.nvvm.membar.gl()
declare {float, float, float, float} @llvm.nvvm.mma.m16n8k16.row.col.bf16(i32, i32, i32, i32, i32, i32, float, float, float, float)
declare void @llvm.nvvm.cp.async.cg.shared.global.16(ptr addrspace(3), ptr addrspace(1))
declare void @llvm.nvvm.cp.async.cg.shared.global.16.s(ptr addrspace(3), ptr addrspace(1), i32)
declare void @llvm.nvvm.cp.async.commit.group()
declare void @llvm.nvvm.cp.async.wait.group(i32)
define ptx_kernel void @kernel(ptr %x, float %f, i1 %b) "nvvm.reqntid"="32" "nvvm.minctasm"="1" {
"""
BARRIER = "  call void @llvm.nvvm.bar.warp.sync(i32 -1)\n"
EXCHANGE = f"""
  store float %f, ptr addrspace(3) %other
{BARRIER}
  %value = load float, ptr addrspace(3) %before
{BARRIER}
  store float %value, ptr %place
"""


class Cuda:
    """The driver, with a context, a stream and a buffer of 32 floats that are 0."""

    def __init__(self, path: Path):
        self.library = ctypes.CDLL(str(path))
        self.library.fakeCudaReset()
        self.stream, self.buffer, context = ctypes.c_void_p(), ctypes.c_uint64(), ctypes.c_void_p()
        self.call("cuInit", 0)
        self.call("cuDevicePrimaryCtxRetain", ctypes.byref(context), 0)
        self.call("cuCtxPushCurrent_v2", context)
        self.call("cuStreamCreate", ctypes.byref(self.stream), 1)
        self.call("cuMemAlloc_v2", ctypes.byref(self.buffer), 4 * FLOATS)
        self.fill(self.buffer)

    def call(self, name: str, *arguments: Any) -> None:
        result = getattr(self.library, name)(*arguments)
        if result:
            text = ctypes.c_char_p()
            self.library.cuGetErrorString(result, ctypes.byref(text))
            raise RuntimeError(f"{result}: {(text.value or b'').decode()}")

    @contextmanager
    def unwritten(self) -> Iterator[ctypes.c_uint64]:
        """Another buffer of as many floats, which are nothing yet."""
        buffer = ctypes.c_uint64()
        self.call("cuMemAlloc_v2", ctypes.byref(buffer), 4 * FLOATS)
        try:
            yield buffer
        finally:
            self.library.fakeCudaReset()
            self.call("cuMemFree_v2", buffer)

    def fill(self, buffer: ctypes.c_uint64, count: int = FLOATS) -> None:
        self.call("cuMemsetD8Async", buffer, 0, 4 * count, self.stream)

    def run(
        self,
        body: str,
        blocks: int = 1,
        threads: int = THREADS,
        address: int | None = None,
        together: bool = False,
        before: str = MODULE + PRELUDE,
    ) -> list[float]:
        """What the buffer holds when a kernel has run."""
        module, function = ctypes.c_void_p(), ctypes.c_void_p()
        code = f"{before}{body}\n  ret void\n}}\n".encode()
        self.call("cuModuleLoadData", ctypes.byref(module), code)
        try:
            self.call("cuModuleGetFunction", ctypes.byref(function), module, b"kernel")
            values = ctypes.c_uint64(self.buffer.value if address is None else address), ctypes.c_float(2), ctypes.c_bool(1)
            arguments = (ctypes.c_void_p * 3)(*map(ctypes.addressof, values))
            launch = function, blocks, 1, 1, threads, 1, 1, 0, self.stream, arguments
            if together:
                self.call("cuLaunchCooperativeKernel", *launch)
            else:
                self.call("cuLaunchKernel", *launch, None)
            found = (ctypes.c_float * FLOATS)()
            self.call("cuMemcpyDtoHAsync_v2", found, self.buffer, 4 * FLOATS, self.stream)
            assert not any(found), "work is done before anybody waits for it"
            self.call("cuStreamSynchronize", self.stream)
            return list(found)
        finally:
            self.library.cuModuleUnload(module)

    def close(self) -> None:
        self.library.fakeCudaReset()
        self.call("cuMemFree_v2", self.buffer)
        self.call("cuStreamDestroy_v2", self.stream)
        self.call("cuCtxPopCurrent_v2", ctypes.byref(ctypes.c_void_p()))
        self.call("cuDevicePrimaryCtxRelease_v2", 0)


@pytest.fixture
def cuda(request: pytest.FixtureRequest) -> Iterator[Cuda]:
    path = request.config.getoption("--treadle-build").resolve() / "test/lib/libcuda.so.1"
    if not path.exists():
        pytest.skip("this platform has no fake driver")
    driver = Cuda(path)
    yield driver
    driver.close()


def finds(text: str, result: int = LAUNCH_FAILED) -> Any:
    return pytest.raises(RuntimeError, match=f"^{result}: .*{re.escape(text)}")


def test_right_kernels_run(cuda: Cuda) -> None:
    assert cuda.run(EXCHANGE) == [2.0] * FLOATS
    assert cuda.run(EXCHANGE.replace("bar.warp.sync(i32 -1)", "barrier0()")) == [2.0] * FLOATS
    rotated = """
  %got = call i32 @llvm.nvvm.shfl.sync.idx.i32(i32 -1, i32 %thread, i32 %wrapped, i32 31)
  %number = uitofp i32 %got to float
  store float %number, ptr %place
"""
    assert cuda.run(rotated) == [float((i + 31) % 32) for i in range(FLOATS)]
    # Halves of a warp, as the compiler's kernels take them.
    halves = rotated.replace("i32 -1", "i32 %half").replace("i32 31)", "i32 4127)")
    halves = "  %isLow = icmp ult i32 %thread, 16\n  %half = select i1 %isLow, i32 65535, i32 -65536\n" + halves
    assert cuda.run(halves) == [float(i // 16 * 16 + (i + 15) % 16) for i in range(FLOATS)]
    # One half meets while the other waits for the block.
    waiting = """
  %isLow = icmp ult i32 %thread, 16
  br i1 %isLow, label %low, label %both
low:
  %got = call i32 @llvm.nvvm.shfl.sync.idx.i32(i32 65535, i32 %thread, i32 %wrapped, i32 4127)
  br label %both
both:
  call void @llvm.nvvm.barrier0()
  store float %f, ptr %place
"""
    assert cuda.run(waiting) == [2.0] * FLOATS


def test_bounds(cuda: Cuda) -> None:
    with finds("kernel kernel, block 0, thread 31: writes 4 bytes at offset 128 of buffer "):
        cuda.run("  %next = getelementptr float, ptr %place, i32 1\n  store float %f, ptr %next")
    cuda.library.fakeCudaReset()
    with finds("reads 4 bytes that are not the device's"):
        number = ctypes.c_float()
        cuda.run("  %value = load float, ptr %x\n", address=ctypes.addressof(number))
    cuda.library.fakeCudaReset()
    with finds("writes 4 bytes at an address that is no multiple of 4"):
        cuda.run("  %odd = getelementptr i8, ptr %place, i32 2\n  store float %f, ptr %odd")
    cuda.library.fakeCudaReset()
    with finds("reads over the end of shared"):
        last = "  %last = getelementptr i8, ptr addrspace(3) %other, i32 2\n"
        load = "  %v = load i64, ptr addrspace(3) %last, align 2"
        cuda.run(f"  store float %f, ptr addrspace(3) %other\n{BARRIER}{last}{load}")
    cuda.library.fakeCudaReset()
    with finds("writes to the constant table"):
        cuda.run("  store float %f, ptr @table")


def test_races(cuda: Cuda) -> None:
    for gone in (0, 1):
        parts = EXCHANGE.split(BARRIER)
        mutant = f"  store float 0.0, ptr addrspace(3) %other\n{BARRIER}"
        mutant += parts[0] + (BARRIER if gone else "") + parts[1] + ("" if gone else BARRIER) + parts[2]
        if gone:  # what the second barrier is for
            mutant += "  store float %f, ptr addrspace(3) %other"
        with finds("of shared, which thread "):
            cuda.run(mutant)
        cuda.library.fakeCudaReset()
    with finds(", which thread "):
        cuda.run("  store float %f, ptr %x")
    cuda.library.fakeCudaReset()
    # Blocks never wait for each other.
    with finds("of block 0 has written with no barrier in between"):
        cuda.run("  store float %f, ptr %place", blocks=2)


@pytest.mark.parametrize("writer", [0, 1])
def test_races_with_one_of_two_readers(cuda: Cuda, writer: int) -> None:
    """Whoever of them reads last: their order is drawn by lot, so it runs a few times."""
    body = f"""
  store float %f, ptr addrspace(3) %other
{BARRIER}
  %isReader = icmp ult i32 %thread, 2
  br i1 %isReader, label %read, label %end
read:
  %value = load volatile float, ptr addrspace(3) @shared
  %isWriter = icmp eq i32 %thread, {writer}
  br i1 %isWriter, label %write, label %end
write:
  store volatile float %f, ptr addrspace(3) @shared
  br label %end
end:
  store float %f, ptr %place"""
    for _ in range(10):
        with finds("of shared, which thread "):
            cuda.run(body)
        cuda.library.fakeCudaReset()


SHARED_LOAD = "  %value = load float, ptr addrspace(3) %other\n"
LOAD = "  %value = load float, ptr %place\n"
UNWRITTEN = "before anything has written them"


def test_unwritten_shared_memory(cuda: Cuda) -> None:
    with finds(f"of shared, {UNWRITTEN}"):
        cuda.run(SHARED_LOAD)
    cuda.library.fakeCudaReset()
    with finds(f"of shared, {UNWRITTEN}"):
        cuda.run(f"  store i16 0, ptr addrspace(3) %other\n{SHARED_LOAD}")
    cuda.library.fakeCudaReset()
    # What a block has written is gone with it.
    with finds("kernel kernel, block 1, "):
        cuda.run(f"""
  %isLater = icmp ugt i32 %block, 0
  br i1 %isLater, label %read, label %write
write:
  store float %f, ptr addrspace(3) %other
  br label %read
read:
{SHARED_LOAD}""", blocks=2)


def test_unwritten_device_memory(cuda: Cuda) -> None:
    def read(buffer: ctypes.c_uint64) -> None:
        cuda.run(LOAD, address=buffer.value)

    def copy(to: ctypes.c_uint64, other: ctypes.c_uint64) -> None:
        cuda.call("cuMemcpyDtoDAsync_v2", to, other, 4 * FLOATS, cuda.stream)

    with cuda.unwritten() as buffer:
        cuda.fill(buffer, FLOATS - 1)
        with finds(f"thread 31: reads 4 bytes at offset 124 of buffer ") as found:
            read(buffer)
        assert str(found.value).endswith(f", which has 128, {UNWRITTEN}")
    floats = (ctypes.c_float * FLOATS)()
    with cuda.unwritten() as buffer, finds("cuMemcpyDtoHAsync_v2: reads 128 bytes at offset 0 of buffer "):
        cuda.call("cuMemcpyDtoHAsync_v2", floats, buffer, 4 * FLOATS, cuda.stream)
        cuda.call("cuStreamSynchronize", cuda.stream)
    # A copy of nothing is nothing.
    with cuda.unwritten() as buffer, cuda.unwritten() as other, finds(UNWRITTEN):
        cuda.fill(buffer)
        copy(buffer, other)
        read(buffer)


def test_written_memory(cuda: Cuda) -> None:
    floats = (ctypes.c_float * FLOATS)()
    ways = {
        "fill of bytes": lambda to: cuda.fill(to),
        "fill of words": lambda to: cuda.call("cuMemsetD32Async", to, 0, FLOATS, cuda.stream),
        "copy from the host": lambda to: cuda.call("cuMemcpyHtoDAsync_v2", to, floats, 4 * FLOATS, cuda.stream),
        "copy on the device": lambda to: cuda.call("cuMemcpyDtoDAsync_v2", to, cuda.buffer, 4 * FLOATS, cuda.stream),
        "kernel": lambda to: cuda.run("  store float %f, ptr %place", address=to.value),
    }
    for write in ways.values():
        with cuda.unwritten() as buffer:
            write(buffer)
            cuda.run(LOAD, address=buffer.value)


def test_meeting(cuda: Cuda) -> None:
    def some(call: str, others: str = "") -> str:
        return f"  br i1 %isFirst, label %one, label %rest\none:\n{call}  br label %end\nrest:\n{others}  br label %end\nend:\n"

    with finds("waits at a barrier of the warp for threads that never come"):
        cuda.run(some(BARRIER))
    cuda.library.fakeCudaReset()
    with finds("waits at a barrier of the block for threads that never come"):
        cuda.run(some("  call void @llvm.nvvm.barrier0()\n"))
    cuda.library.fakeCudaReset()
    with finds("for others of its warp, of which thread "):
        shuffle = "  %s = call i32 @llvm.nvvm.shfl.sync.idx.i32(i32 -1, i32 0, i32 0, i32 31)\n"
        cuda.run(some(BARRIER, shuffle))
    cuda.library.fakeCudaReset()
    with finds("waits at a barrier of the warp that it is no member of"):
        cuda.run("  call void @llvm.nvvm.bar.warp.sync(i32 1)\n")
    # All of them wait, but not at one instruction.
    for call, meeting in (
        (BARRIER, "a barrier of the warp"),
        ("  call void @llvm.nvvm.barrier0()\n", "a barrier of the block"),
        (shuffle, "a shuffle"),
        (PRODUCT.replace("ELEMENT", "0"), "a product of the warp"),
    ):
        cuda.library.fakeCudaReset()
        again = re.sub(r"%(?!thread|x|f|place)(\w+)", r"%\1_again", call)
        with finds(f"waits at {meeting} for others of its warp, of which thread "):
            cuda.run(some(call, again))


# Thread 4 g + t holds rows g and g + 8 of A and column g of B, at K 2 t, 2 t + 1, 2 t + 8 and 2 t + 9. Row g is (g, 1) over
# and over in the first half of K, row g + 8 is (0, 1) in the second; column n is (1, n) in the first, (0, 1) in the second.
PRODUCT = """
  %g = lshr i32 %thread, 2
  %number = uitofp i32 %g to bfloat
  %row = insertelement <2 x bfloat> <bfloat 0.0, bfloat 1.0>, bfloat %number, i32 0
  %column = insertelement <2 x bfloat> <bfloat 1.0, bfloat 0.0>, bfloat %number, i32 1
  %a = bitcast <2 x bfloat> %row to i32
  %n = bitcast <2 x bfloat> %column to i32
  %d = call {float, float, float, float} @llvm.nvvm.mma.m16n8k16.row.col.bf16(
      i32 %a, i32 0, i32 0, i32 1065353216, i32 %n, i32 1065353216, float %f, float 0.0, float 0.0, float 5.0)
  %value = extractvalue {float, float, float, float} %d, ELEMENT
  store float %value, ptr %place
"""


def test_products_of_a_warp(cuda: Cuda) -> None:
    # Of rows g and g + 8, the thread gets columns 2 t and 2 t + 1.
    places = [divmod(thread, 4) for thread in range(FLOATS)]
    assert cuda.run(PRODUCT.replace("ELEMENT", "0")) == [4.0 * (g + 2 * t) + 2 for g, t in places]
    assert cuda.run(PRODUCT.replace("ELEMENT", "1")) == [4.0 * (g + 2 * t + 1) for g, t in places]
    assert cuda.run(PRODUCT.replace("ELEMENT", "2")) == [4.0] * FLOATS
    assert cuda.run(PRODUCT.replace("ELEMENT", "3")) == [9.0] * FLOATS
    with finds("waits at a product of the warp for threads that never come"):
        cuda.run(f"  br i1 %isFirst, label %end, label %rest\nrest:{PRODUCT.replace('ELEMENT', '0')}  br label %end\nend:\n")


COPY = """
  %quarter = mul i32 %thread, 4
  %isCopying = icmp ult i32 %thread, 8
  br i1 %isCopying, label %copy, label %copied
copy:
  %from = getelementptr float, ptr %x, i32 %quarter
  %global = addrspacecast ptr %from to ptr addrspace(1)
  %to = getelementptr float, ptr addrspace(3) @shared, i32 %quarter
  call void @llvm.nvvm.cp.async.cg.shared.global.16(ptr addrspace(3) %to, ptr addrspace(1) %global)
  br label %copied
copied:
  call void @llvm.nvvm.cp.async.commit.group()
"""
WAIT = "  call void @llvm.nvvm.cp.async.wait.group(i32 0)\n"
USE = f"""
  %value = load float, ptr addrspace(3) %other
  %more = fadd float %value, %f
{BARRIER}
  store float %more, ptr %place
"""


def test_copies_in_the_background(cuda: Cuda) -> None:
    assert cuda.run(COPY + WAIT + BARRIER + USE) == [2.0] * FLOATS
    # What lies behind the bytes that are copied becomes 0.
    some = COPY.replace("16(ptr addrspace(3) %to, ptr addrspace(1) %global)", "16.s(ptr addrspace(3) %to, ptr addrspace(1) %global, i32 0)")
    assert cuda.run(some + WAIT + BARRIER + USE) == [2.0] * FLOATS
    # Nobody has waited, or for an earlier group, or not yet.
    later = WAIT.replace("i32 0", "i32 1")
    for wait in (BARRIER, later + BARRIER, WAIT.replace("i32 0", "i32 1") + BARRIER):
        with finds(f"of shared, {UNWRITTEN}"):
            cuda.run(COPY + wait + USE + WAIT)
        cuda.library.fakeCudaReset()
    # The last group is not there yet, the first one is.
    commit = "  call void @llvm.nvvm.cp.async.commit.group()\n"
    cuda.fill(cuda.buffer)
    assert cuda.run(COPY + commit + later + BARRIER + USE + WAIT) == [2.0] * FLOATS
    # Each thread waits for its own copies.
    with finds("of shared, "):
        cuda.run(COPY + WAIT + USE)
    cuda.library.fakeCudaReset()
    with finds("ends before what it copies is there"):
        cuda.run(COPY)
    cuda.library.fakeCudaReset()
    # The place is still in use.
    with finds("of shared, which thread "):
        cuda.run("  store float %f, ptr addrspace(3) %other\n" + COPY + WAIT + BARRIER + USE)
    cuda.library.fakeCudaReset()
    with finds("reads 16 bytes at offset 128 of buffer "):
        cuda.run(COPY.replace("float, ptr %x, i32 %quarter", "i8, ptr %x, i32 128") + WAIT)


# Two blocks meet by a counter, and read what the other has written.
GRID = """
  %counter = getelementptr i32, ptr %x, i32 31
  %mine = getelementptr float, ptr %x, i32 %block
  %otherBlock = sub i32 1, %block
  %theirs = getelementptr float, ptr %x, i32 %otherBlock
  %result = getelementptr float, ptr %mine, i32 2
  %isLead = icmp eq i32 %block, 0
  %isLast = icmp eq i32 %thread, 31
  br i1 %isLast, label %write, label %written
write:
  store float %f, ptr %mine
  br label %written
written:
  call void @llvm.nvvm.barrier0()
  br i1 %isFirst, label %speak, label %met
speak:
  %step = select i1 %isLead, i32 2147483647, i32 1
  fence syncscope("device") release
  %phase = atomicrmw add ptr %counter, i32 %step syncscope("device") monotonic
  br label %spin
spin:
  %now = load atomic i32, ptr %counter syncscope("device") acquire, align 4
  %changes = xor i32 %now, %phase
  %isOpen = icmp slt i32 %changes, 0
  br i1 %isOpen, label %met, label %spin
met:
  call void @llvm.nvvm.barrier0()
  br i1 %isLast, label %read, label %end
read:
  %found = load float, ptr %theirs
  store float %found, ptr %result
  br label %end
end:
"""


def test_grids(cuda: Cuda) -> None:
    """Blocks that are there together."""

    def run(old: str = "", new: str = "", blocks: int = 2, together: bool = True) -> list[float]:
        assert old in GRID
        try:
            return cuda.run(GRID.replace(old, new, 1) if old else GRID, blocks, together=together)
        finally:
            cuda.library.fakeCudaReset()
            cuda.fill(cuda.buffer)
            cuda.call("cuStreamSynchronize", cuda.stream)

    # The counter is half a turn on: -0 as a float.
    assert run() == [2, 2, 2, 2] + [0] * 28
    no_barrier = "with no barrier in between"
    with finds(no_barrier):
        run('  fence syncscope("device") release\n')
    with finds(no_barrier):
        run("br i1 %isFirst, label %speak, label %met", "br i1 true, label %met, label %speak")
    # The block's barriers tie the others to the thread that speaks for them.
    with finds(no_barrier):
        run("written:\n  call void @llvm.nvvm.barrier0()", "written:")
    with finds(no_barrier):
        run("met:\n  call void @llvm.nvvm.barrier0()", "met:")
    with finds("waits at a counter for threads that never come"):
        run("i32 2147483647, i32 1", "i32 2147483646, i32 1")
    with finds("waits at a counter for threads that never come"):
        run(together=False)
    with finds("an atomic access that is not of the device's scope", 200):
        run('syncscope("device") monotonic', "monotonic")
    with finds("an atomic access, which this driver does not know", 200):
        run('syncscope("device") acquire', 'syncscope("device") monotonic')
    with finds("", 720):
        run(blocks=4)
    cuda.library.fakeCudaConfigureGrid(3, 0)
    with finds("", 801):
        run()


def test_what_it_does_not_know(cuda: Cuda) -> None:
    with finds("the intrinsic llvm.nvvm.membar.gl, which this driver does not know", 200):
        cuda.run("  call void @llvm.nvvm.membar.gl()")
    with finds("kernel kernel holds inline assembly 'bar.sync 0;', which this driver does not know", 200):
        cuda.run('  call void asm sideeffect "bar.sync 0;", ""()')
    with finds("kernel kernel holds an atomic access", 200):
        cuda.run("  %old = atomicrmw add ptr %x, i32 1 monotonic")
    with finds("", 1):
        cuda.run(EXCHANGE, threads=64)


def test_sectors(cuda: Cuda) -> None:
    """Of a warp: what it reads and writes at least, and what it asks for."""

    def lines(body: str, blocks: int = 1, cache: int = 0) -> list[list[str]]:
        cuda.library.fakeCudaCountSectors(1, ctypes.c_uint64(cache))
        cuda.run(body, blocks=blocks)
        cuda.library.fakeCudaSectors.restype = ctypes.c_char_p
        found = [line.split("\t") for line in cuda.library.fakeCudaSectors().decode().splitlines()]
        cuda.library.fakeCudaCountSectors(0, ctypes.c_uint64(0))
        return found

    def count(body: str, blocks: int = 1) -> list[int]:
        launch, touched, buffer, _ = lines(body, blocks)
        assert launch[:4] == ["launch", "kernel", str(blocks), "32"]
        assert touched == ["touched", buffer[1], *launch[4:6]]
        assert buffer[0] == "buffer" and buffer[3:] == launch[4:6]
        return [int(count) for count in launch[4:]]

    def through_cache(body: str, cache: int) -> list[int]:
        """What a cache reads and writes of memory."""
        name, *moved = lines(body, cache=cache)[-1]
        assert name == "cache"
        return [int(count) for count in moved]

    store = "  store float %value, ptr %place\n"
    assert count(LOAD + store) == [4, 4, 4, 4]
    assert count(LOAD.replace("%place", "%x")) == [1, 0, 1, 0]
    assert count(LOAD + LOAD.replace("%value", "%again")) == [4, 0, 8, 0]
    # The nth time of a loop is an access of its own, in whatever order threads come there.
    loop = """
  br label %body
body:
  %i = phi i32 [ 0, %0 ], [ %next, %body ]
  %value = load float, ptr %place
  %next = add i32 %i, 1
  %isDone = icmp eq i32 %next, 3
  br i1 %isDone, label %end, label %body
end:
"""
    assert count(loop) == [4, 0, 12, 0]
    assert count(LOAD, blocks=2) == [4, 0, 8, 0]
    assert count("  %wide = load <2 x i64>, ptr %x, align 4\n") == [1, 0, 1, 0]

    # Without room, each thread moves its own; with room for all, each sector is moved once.
    again = f"{LOAD}  call void @llvm.nvvm.bar.warp.sync(i32 -1)\n{LOAD.replace('%value', '%again')}"
    assert through_cache(again, 0) == [64, 0]
    assert 4 < through_cache(again, 2 * 32)[0] < 64
    assert through_cache(again, 4 * 32) == [4, 0]
    # What is written as a whole is not read, neither before nor behind; of other sectors the rest is.
    zero = "  store float 0.0, ptr %place\n"
    assert through_cache(zero, 4 * 32) == [0, 4]
    assert through_cache(f"{zero}{LOAD}", 4 * 32) == [0, 4]
    assert through_cache(f"{LOAD}{zero}", 4 * 32) == [4, 4]
    one = f"  br i1 %isFirst, label %first, label %end\nfirst:\n{zero}  br label %end\nend:"
    assert through_cache(one, 4 * 32) == [1, 1]

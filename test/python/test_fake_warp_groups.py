"""What the driver of test/lib/FakeCuda finds wrong with products of warp groups, and with copies that an mbarrier counts."""

import ctypes
import math

import pytest
from test_fake_cuda import FLOATS, Cuda, cuda, finds  # noqa: F401

THREADS, ROWS = 128, 32
SUMS = ROWS // 2
# `rows` holds B, 32 rows of 16 numbers: two columns of pieces, each of 32 rows with 16 bytes. Thread i has 8 bytes of it.
MODULE = """; a kernel
target triple = "nvptx64-nvidia-cuda"
@rows = internal addrspace(3) global [256 x i32] undef, align 128
@mbarrier = internal addrspace(3) global i64 undef, align 8
declare i32 @llvm.nvvm.read.ptx.sreg.tid.x()
declare void @llvm.nvvm.barrier0()
declare void @llvm.nvvm.fence.proxy.async.shared_cta()
declare void @llvm.nvvm.mbarrier.init.shared(ptr addrspace(3), i32)
declare void @llvm.nvvm.mbarrier.inval.shared(ptr addrspace(3))
declare i64 @llvm.nvvm.mbarrier.arrive.expect.tx.scope.cta.space.cta(ptr addrspace(3), i32)
declare void @llvm.nvvm.wgmma.commit_group.sync.aligned()
define ptx_kernel void @kernel(ptr %x, float %f, i1 %b) "nvvm.reqntid"="128" "nvvm.minctasm"="1" {
  %thread = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %isFirst = icmp eq i32 %thread, 0
  %isSecond = icmp eq i32 %thread, 1
  %isStoring = icmp ult i32 %thread, 32
  %place = getelementptr float, ptr %x, i32 %thread
  %own = getelementptr <2 x i32>, ptr addrspace(3) @rows, i32 %thread
  %address = ptrtoint ptr addrspace(3) @rows to i64
  %units = lshr i64 %address, 4
  %low = and i64 %units, 16383
  %descriptor = or i64 %low, LAYOUT
"""
LAYOUT = 512 // 16 << 16 | 128 // 16 << 32
BARRIER = "  call void @llvm.nvvm.barrier0()\n"
PROXY = "  call void @llvm.nvvm.fence.proxy.async.shared_cta()\n"
FENCE = '  %fenced = call {float, float} asm sideeffect "wgmma.fence.sync.aligned;", "=&f,=&f,0,1,~{memory}"(float %f, float %f)\n'
COMMIT = "  call void @llvm.nvvm.wgmma.commit_group.sync.aligned()\n"
# Numbers that are 1.
ONES = 0x3F803F80
WRITE = f"  store <2 x i32> <i32 {ONES}, i32 {ONES}>, ptr addrspace(3) %own\n"


def quoted(text: str) -> str:
    return text.replace("\n", "\\0A")


def only(condition: str, body: str, name: str) -> str:
    return f"  br i1 %{condition}, label %{name}, label %{name}Behind\n{name}:\n{body}  br label %{name}Behind\n{name}Behind:\n"


def store(value: str) -> str:
    return only("isStoring", f"  store float {value}, ptr %place\n", "storing")


class Group:
    """Kernels of one warp group."""

    def __init__(self, cuda: Cuda):
        self.cuda = cuda
        self.text = cuda.library.fakeCudaInlinePTX
        self.text.restype = ctypes.c_char_p

    def ptx(self, name: str, rows: int = 0) -> str:
        return quoted(self.text(name.encode(), rows).decode())

    def run(self, body: str, layout: int = LAYOUT) -> list[float]:
        self.cuda.fill(self.cuda.buffer)
        return self.cuda.run(body, threads=THREADS, before=MODULE.replace("LAYOUT", str(layout)))

    def finds(self, text: str, body: str, layout: int = LAYOUT) -> None:
        with finds(text):
            self.run(body, layout)
        self.cuda.library.fakeCudaReset()

    def call(self, name: str, text: str, others: str, operands: str, sums: list[str]) -> str:
        kind = "{" + ", ".join(["float"] * SUMS) + "}"
        constraints = ",".join(["=f"] * SUMS + [str(i) for i in range(SUMS)]) + f",{others}~{{memory}}"
        arguments = ", ".join(f"float {value}" for value in sums) + operands
        lines = [f'  %{name} = call {kind} asm sideeffect "{text}", "{constraints}"({arguments})']
        lines += [f"  %{name}{i} = extractvalue {kind} %{name}, {i}" for i in range(SUMS)]
        return "\n".join(lines) + "\n"

    def multiply(self, name: str, sums: list[str] | None = None, descriptor: str = "%descriptor") -> str:
        operands = f", i32 {ONES}" * 4 + f", i64 {descriptor}"
        return self.call(name, self.ptx("multiply", ROWS), "r,r,r,r,l,", operands, sums or ["%f"] * SUMS)

    def wait(self, name: str, of: str) -> str:
        return self.call(name, self.ptx("waitForProducts"), "", "", [f"%{of}{i}" for i in range(SUMS)])


READY = WRITE + PROXY + BARRIER + FENCE


def test_products_of_a_warp_group(cuda: Cuda) -> None:  # noqa: F811
    group = Group(cuda)
    product, wait = group.multiply("d"), group.wait("w", "d")
    # 2 and 16 products of 1 with 1; twice, in the same sums.
    assert group.run(READY + product + COMMIT + wait + store("%w7")) == [18.0] * FLOATS
    again = group.multiply("e", [f"%d{i}" for i in range(SUMS)])
    assert group.run(READY + product + again + COMMIT + group.wait("w", "e") + store("%w7")) == [34.0] * FLOATS
    # Sums are nothing before they are waited for, and what is not committed is not waited for.
    assert all(map(math.isnan, group.run(READY + product + COMMIT + store("%d7") + wait)))
    group.finds("ends before what it multiplies is there", READY + product + wait + store("%w7"))
    group.finds("multiplies into sums that it has not waited for", READY + product + group.multiply("e", ["%d1"] * SUMS))
    group.finds("waits for products, but not with their sums", READY + product + COMMIT + group.wait("w", "d").replace("%d3,", "%f,"))


def test_fences_of_products(cuda: Cuda) -> None:  # noqa: F811
    group = Group(cuda)
    rest = group.multiply("d") + COMMIT + group.wait("w", "d") + store("%w7")
    for body in (WRITE + PROXY + BARRIER, READY + "  %loaded = load float, ptr %x\n"):
        group.finds("with no fence of registers in between", body + rest)
    unfenced = "by the asynchronous proxy, which thread "
    for body in (WRITE + BARRIER, WRITE + BARRIER + PROXY, PROXY + WRITE + BARRIER):
        group.finds(unfenced, body + FENCE + rest)
    group.finds("which a product under way reads", READY + group.multiply("d") + COMMIT + WRITE + group.wait("w", "d"))
    group.finds("before anything has written them", PROXY + BARRIER + FENCE + rest)


def test_operands_of_products(cuda: Cuda) -> None:  # noqa: F811
    group = Group(cuda)
    rest = group.multiply("d") + COMMIT + group.wait("w", "d")
    group.finds("reads 16 bytes that are not the device's", READY + rest, LAYOUT + (128 // 16 << 32))
    group.finds("a descriptor with bits that this driver does not know", READY + rest, LAYOUT | 1 << 62)
    other = "  %odd = zext i1 %isFirst to i64\n  %theirs = add i64 %descriptor, %odd\n"
    group.finds("by rows that others of its group do not multiply by", READY + other + group.multiply("d", descriptor="%theirs"))
    group.finds("by rows that are not in shared memory", READY + "  %away = xor i64 %descriptor, 8192\n" + group.multiply("d", descriptor="%away"))
    apart = only("isStoring", group.multiply("d"), "some")
    group.finds("waits at a product of the warp group for threads that never come", READY + apart)
    twice = f"  br i1 %isStoring, label %one, label %two\none:\n{group.multiply('d')}  br label %end\ntwo:\n{group.multiply('e')}  br label %end\nend:\n"
    group.finds("is at another product", READY + twice)


MAKE = "  call void @llvm.nvvm.mbarrier.init.shared(ptr addrspace(3) @mbarrier, i32 1)\n"
END = "  call void @llvm.nvvm.mbarrier.inval.shared(ptr addrspace(3) @mbarrier)\n"
EXPECT = "  %phase = call i64 @llvm.nvvm.mbarrier.arrive.expect.tx.scope.cta.space.cta(ptr addrspace(3) @mbarrier, i32 128)\n"
MADE = only("isFirst", MAKE, "make") + PROXY + BARRIER
USE = f"""
  %word = and i32 %thread, 31
  %float = getelementptr float, ptr addrspace(3) @rows, i32 %word
  %value = load float, ptr addrspace(3) %float
  %more = fadd float %value, %f
{BARRIER}
{store("%more")}
"""


def test_copies_that_an_mbarrier_counts(cuda: Cuda) -> None:  # noqa: F811
    group = Group(cuda)

    def copy(bytes: int = 128, place: str = "%x", to: str = "@rows", expect: str = EXPECT) -> str:
        text = f'call void asm sideeffect "{group.ptx("bulkCopy")}", "l,l,r,l,~{{memory}}"'
        operands = f"(ptr addrspace(3) {to}, ptr addrspace(1) %global, i32 {bytes}, ptr addrspace(3) @mbarrier)"
        return only("isFirst", f"{expect}  %global = addrspacecast ptr {place} to ptr addrspace(1)\n  {text}{operands}\n", "copy")

    def wait(parity: int = 0) -> str:
        return f'  call void asm sideeffect "{group.ptx("waitForPhase")}", "l,r,~{{memory}}"(ptr addrspace(3) @mbarrier, i32 {parity})\n'

    right = MADE + copy() + wait() + USE
    assert group.run(right) == [2.0] * FLOATS
    assert group.run(right + BARRIER + only("isFirst", END, "finish")) == [2.0] * FLOATS
    for body in (MADE + copy() + BARRIER + USE + wait(), MADE + copy() + BARRIER + wait(1) + USE):
        group.finds("of rows, to which a copy is under way", body)
    alone = only("isSecond", wait(), "waiting")
    assert group.run(MADE + copy() + alone + BARRIER + USE) == [2.0] * FLOATS
    # Before thread 1 has waited, or behind that.
    group.finds("touches 4 bytes at offset ", MADE + copy() + BARRIER + alone + USE)
    group.finds("waits at an mbarrier for threads that never come", MADE + copy(64) + wait() + USE)
    group.finds("waits at an mbarrier for threads that never come", MADE + wait())
    half = EXPECT.replace("i32 128", "i32 64")
    group.finds("waits at an mbarrier for 64 bytes, of which 128 come", MADE + copy(expect=half) + wait() + USE)
    group.finds("copies 120 bytes, which are no multiple of 16", MADE + copy(120) + wait())
    behind = "  %behind = getelementptr float, ptr %x, i32 1\n"
    group.finds("at an address that is no multiple of 16", MADE + behind + copy(place="%behind"))
    group.finds("which has 128", MADE + behind.replace("i32 1", "i32 4") + copy(place="%behind"))
    group.finds("ends before what the block copies is there", MADE + copy())
    written = only("isSecond", WRITE.replace("%own", "@rows"), "write") + BARRIER
    group.finds("has written with no fence and barrier behind it", MADE + written + copy() + wait())


def test_mbarriers(cuda: Cuda) -> None:  # noqa: F811
    group = Group(cuda)
    expect = only("isSecond", EXPECT, "expect")
    group.finds("uses an mbarrier where there is none", expect)
    group.finds("makes an mbarrier where there is one", MADE + only("isFirst", MAKE, "again"))
    with pytest.raises(RuntimeError, match="has made, with no barrier in between|where there is none"):  # whoever comes first
        group.run(only("isFirst", MAKE, "make") + expect)
    cuda.library.fakeCudaReset()
    group.finds("uses an mbarrier where there is none", MADE + only("isFirst", "  store i64 0, ptr addrspace(3) @mbarrier\n", "spoil") + BARRIER + expect)
    group.finds("ends an mbarrier in the middle of a phase", MADE + only("isFirst", EXPECT + END, "finish"))
    group.finds("arrives at an mbarrier that waits for nobody", MADE + only("isFirst", EXPECT + EXPECT.replace("%phase", "%more"), "twice"))

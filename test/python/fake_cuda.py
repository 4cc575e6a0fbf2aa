"""The driver of test/lib/FakeCuda, and libraries for it."""

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cases import Case

ILLEGAL_ADDRESS = 700


class Driver:
    """The fake driver, and what it is told to be."""

    def __init__(self, path: Path):
        self.path = path
        self._library = ctypes.CDLL(str(path))
        self._library.fakeCudaLoaded.restype = ctypes.c_char_p

    def reset(self) -> None:
        self._library.fakeCudaReset()

    def configure(self, devices: int = 1, level: tuple[int, int] = (0, 0), memory: int = 1 << 32) -> None:
        self._library.fakeCudaConfigure(devices, *level, ctypes.c_uint64(memory))

    def configure_grid(self, multiprocessors: int = 3, cooperative: bool = True) -> None:
        """How many blocks the GPU runs side by side, and whether these may wait for each other."""
        self._library.fakeCudaConfigureGrid(multiprocessors, cooperative)

    def fail(self, function: str, nth: int = 1, error: int = ILLEGAL_ADDRESS) -> None:
        self._library.fakeCudaFail(function.encode(), nth, error)

    def calls(self, function: str) -> int:
        return self._library.fakeCudaCalls(function.encode())

    @property
    def live(self) -> int:
        return self._library.fakeCudaLive()

    @property
    def loaded(self) -> str:
        return self._library.fakeCudaLoaded().decode()

    def count(self, wanted: bool = True, cache: int = 0) -> None:
        """Forgets what was counted, and counts from now on, with an empty cache of so many bytes, or no more."""
        self._library.fakeCudaCountSectors(wanted, ctypes.c_uint64(cache))

    @property
    def sectors(self) -> list[list[str]]:
        """What was counted: lines of test/lib/FakeCuda/Sectors.cpp."""
        return self._lines("fakeCudaSectors")

    def add_mutants(self) -> None:
        """Modules that are loaded from now on have mutants."""
        self._library.fakeCudaAddMutants(1)

    def replace_code(self, text: bytes) -> None:
        """Modules that are loaded from now on are this LLVM IR."""
        self._library.fakeCudaReplaceCode(text)

    def replace_kernel(self, replaced: str, replacing: str) -> None:
        """Where one kernel is launched whose blocks wait for each other, another one of its module runs."""
        self._library.fakeCudaReplaceKernel(replaced.encode(), replacing.encode())

    @property
    def mutants(self) -> list[list[str]]:
        """Those of the module that was compiled last: what is wrong, with which kernel, at which instruction."""
        return self._lines("fakeCudaMutants")

    @contextmanager
    def mutant(self, number: int) -> Iterator[None]:
        self._library.fakeCudaMutate(number)
        try:
            yield
        finally:
            self._library.fakeCudaMutate(-1)

    @property
    def mutant_mattered(self) -> bool:
        """Whether the last mutant has done anything that the kernel would not have done."""
        return bool(self._library.fakeCudaReached())

    @property
    def crossed(self) -> set[str]:
        """The kernels whose threads have met in shared memory."""
        return {name for (name,) in self._lines("fakeCudaCrossed")}

    def hurry(self, nth: int) -> None:
        """The nth launch from now on does not wait for what its stream does before."""
        self._library.fakeCudaHurry(nth)

    def _lines(self, function: str) -> list[list[str]]:
        found = getattr(self._library, function)
        found.restype = ctypes.c_char_p
        return [line.split("\t") for line in found().decode().splitlines()]


Compile = Callable[..., str | None]


def compile_case(compile_library: Compile, folder: Path, case: Case, **options: Any) -> Path:
    config, weights = case.write(folder)
    # As it is on all levels of the CPU without a product of bf16: kernels are the same on GPUs.
    options = {"cpu": "x86-64-v3", "target": "cpu,cuda", "gpu": "emulated", "rows": [1, 16]} | options
    compile_library(config, weights=weights, out=folder / "m.so", **options)
    return folder / "m.so"

"""Libraries on a GPU: the driver of test/lib/FakeCuda runs their kernels on the CPU, and everything must be the CPU's.

What the CPU's numbers are worth, other tests say.
"""

import ctypes
import functools
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import treadle
from cases import FAMILIES, Case
from conftest import ROOT
from numpy.typing import NDArray
from toy_model import refused, same, same_states
from treadle import Status, TreadleError

CUDA_SOURCE = ROOT / "lib/Runtime/CudaDriver.h"
FUNCTIONS = re.findall(r"F\((cu\w+),", CUDA_SOURCE.read_text())
# A failure of these is nobody's: they say what has failed, or give back.
SILENT = ("cuGetErrorName", "cuGetErrorString", "cuMemGetInfo_v2")
GIVING_BACK = ("cuDevicePrimaryCtxRelease_v2", "cuModuleUnload", "cuMemFree_v2", "cuStreamDestroy_v2")
# Where test/lit.cfg.py looks as well.
PTXAS = shutil.which(
    "ptxas", path=os.pathsep.join([os.environ["PATH"], "/usr/local/cuda/bin", str(ROOT / "build/cuda/nvidia/cu13/bin")])
)
INVALID_IMAGE, ILLEGAL_ADDRESS = 200, 700


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


@pytest.fixture(scope="session")
def driver_file(request: pytest.FixtureRequest) -> Path:
    path = request.config.getoption("--treadle-build").resolve() / "test/lib/libcuda.so.1"
    if not path.exists():
        pytest.skip("this platform has no fake driver")
    return path


@pytest.fixture
def driver(driver_file: Path) -> Iterator[Driver]:
    driver = Driver(driver_file)
    driver.reset()
    before = driver.live
    yield driver
    driver.reset()
    assert driver.live == before, "something is left on the device"


Compile = Callable[..., str | None]


def compile_case(compile_library: Compile, folder: Path, case: Case, **options: Any) -> Path:
    config, weights = case.write(folder)
    # As it is on all levels of the CPU without a product of bf16: kernels are the same on GPUs.
    options = {"cpu": "x86-64-v3", "target": "cpu,cuda", "gpu": "emulated", "rows": [1, 16]} | options
    compile_library(config, weights=weights, out=folder / "m.so", **options)
    return folder / "m.so"


#
# Every family
#


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory, compile_library: Compile) -> Callable[[str], Path]:
    """A library of the first case of a family, by its name and dtype."""

    @functools.cache
    def get(name: str) -> Path:
        family, dtype = name.split("-")
        # Many rows and few are different tiles.
        rows = [1, 16] if dtype == "f32" else [1, 4]
        return compile_case(
            compile_library, tmp_path_factory.mktemp(name), FAMILIES[family].CASES[0], dtype=dtype, rows=rows
        )

    return get


@pytest.fixture(scope="module", params=[f"{family}-{dtype}" for family in FAMILIES for dtype in ("f32", "bf16")])
def library(request: pytest.FixtureRequest, libraries: Callable[[str], Path]) -> Path:
    return libraries(request.param)


@pytest.fixture
def devices(library: Path, driver: Driver) -> Iterator[tuple[treadle.Model, treadle.Model]]:
    with treadle.load(library) as cpu, treadle.load(library, device="cuda", cuda_driver=driver.path) as cuda:
        yield cpu, cuda


def tokens(model: treadle.Model, count: int) -> tuple[NDArray, NDArray]:
    random = np.random.default_rng(count)
    return random.integers(0, model.info["token_count"], count), (random.uniform(size=count) < 0.8).astype(np.uint8)


def test_everything_is_the_cpus(devices: tuple[treadle.Model, treadle.Model]) -> None:
    cpu, cuda = devices
    period = cpu.info["period"]
    # Whole chunks, padded ones, decode; with a turn early on. The last token after each way to go back.
    pieces = [16, 1, 13, 2, 1]
    ids, mask = tokens(cpu, sum(pieces))
    loops = min(2, cpu.info["max_loops"])
    ours, theirs = cpu.session(loops=loops, poison=True), cuda.session(loops=loops, poison=True)

    def step(start: int, count: int, logits: Any = "all") -> None:
        place = slice(start, start + count)
        expected = ours.forward(ids[place], mask[place], logits=logits)
        found = theirs.forward(ids[place], mask[place], logits=logits)
        assert logits == "none" or same(expected, found)

    start = 0
    for count in pieces[:-1]:
        step(start, count, "last" if count == 13 else "all")
        start += count
        if period and count == 16:
            ours.turn()
            theirs.turn()
    assert ours.position == theirs.position
    marks = ours.checkpoint(), theirs.checkpoint()
    fork, blob = theirs.fork(), theirs.save()
    assert blob == ours.save()
    step(start, 1)
    ours.rollback(marks[0])
    theirs.rollback(marks[1])
    assert same_states(ours, theirs)
    last = ids[start:], mask[start:]
    expected = ours.forward(*last)
    assert same(expected, theirs.forward(*last)) and same(expected, fork.forward(*last))
    assert same_states(theirs, fork) and same_states(ours, theirs)

    loaded = cuda.session(loops=loops, poison=True)
    loaded.load(blob)
    assert same(expected, loaded.forward(*last))
    given = cuda.session(loops=loops, poison=True)
    ours.load(blob)
    given.set_states(ours.states())
    assert same_states(ours, given)
    theirs.reset()
    assert theirs.position == 0 and same_states(cpu.session(loops=loops), theirs)
    for session in (ours, theirs):
        session.truncate(0)
    step(0, 16)
    if period:
        for session in (ours, theirs):
            session.turn()
        assert ours.save() == theirs.save()


#
# One library
#


@pytest.fixture(scope="module")
def small(libraries: Callable[[str], Path]) -> Path:
    """A model that has fixed and ring states as well."""
    return libraries("neollm-f32")


@pytest.fixture
def cuda(small: Path, driver: Driver) -> Iterator[treadle.Model]:
    with treadle.load(small, device="cuda", cuda_driver=driver.path) as model:
        yield model


def test_the_library_checks_itself(cuda: treadle.Model) -> None:
    assert cuda.selftest().invariance_rows > 16


def test_treadle_run(small: Path, driver: Driver, request: pytest.FixtureRequest) -> None:
    program = request.config.getoption("--treadle-build").resolve() / "bin/treadle-run"

    def run(*arguments: str) -> str:
        done = subprocess.run([program, small, "--ids=1,2,3", "-n", "4", *arguments], capture_output=True, text=True)
        return done.stdout or done.stderr

    assert run() == run("--device=cuda", f"--cuda-driver={driver.path}")
    assert "error: device 'cuda': cannot open the CUDA driver: " in run("--device=cuda", "--cuda-driver=/nowhere")


def test_beyond_the_context(cuda: treadle.Model, small: Path) -> None:
    with treadle.load(small) as cpu:
        ids, mask = tokens(cpu, 24)
        ours, theirs = (model.session(context=8, on_full="recompute") for model in (cpu, cuda))
        for place, logits in ((slice(0, 6), "last"), (slice(6, 11), "all"), (slice(11, 24), "last")):
            assert same(*(session.forward(ids[place], mask[place], logits=logits) for session in (ours, theirs)))
        assert same_states(ours, theirs)


def test_sessions_in_several_threads(cuda: treadle.Model) -> None:
    ids, _ = tokens(cuda, 12)
    found: list[NDArray] = []

    def run() -> None:
        session = cuda.session()
        session.forward(ids[:9], logits="none")
        found.append(session.forward(ids[9:], logits="all"))

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3 and all(same(found[0], other) for other in found)


#
# Opening
#


def test_what_is_not_there(small: Path, driver: Driver, toys: Path) -> None:
    def load(device: str = "cuda", path: Path | str = driver.path) -> None:
        treadle.load(small, device=device, cuda_driver=path)

    with refused(Status.UNSUPPORTED, "cannot open the CUDA driver: /nowhere/libcuda.so.1: cannot open shared object"):
        load(path="/nowhere/libcuda.so.1")
    with refused(Status.UNSUPPORTED, "libm.so.6 lacks cuInit; install a CUDA driver"):
        load(path="libm.so.6")
    with refused(Status.UNSUPPORTED, "device 'cuda:3': expects a device below 1, the number of GPUs"):
        load("cuda:3")
    for wrong in ("cuda:", "cuda:x", "cuda1", "tpu"):
        with refused(Status.UNSUPPORTED, f"no code for device '{wrong}', only for 'cpu' and 'cuda'"):
            load(wrong)
    with refused(Status.INVALID_ARGUMENT, "expects no cuda_driver with device 'cpu'"):
        load("cpu")
    with refused(Status.UNSUPPORTED, "no code for device 'cuda', only for 'cpu'"):
        treadle.load(toys / "toy.so", device="cuda", cuda_driver=driver.path)
    driver.configure(devices=0)
    with refused(Status.UNSUPPORTED, "the CUDA driver finds no GPU; use device 'cpu'"):
        load()
    driver.configure(level=(7, 5))
    with refused(Status.UNSUPPORTED, "holds GPU code for emulated, and Fake GPU is of level 7.5; compile with --gpu"):
        load()


def test_without_nvidias_driver(small: Path) -> None:
    if Path("/dev/nvidia0").exists():
        pytest.skip("this machine has a GPU")
    with refused(Status.UNSUPPORTED, "libcuda.so.1"):
        treadle.load(small, device="cuda")


def test_too_little_memory(small: Path, driver: Driver) -> None:
    driver.configure(memory=100)
    with refused(Status.OUT_OF_MEMORY, "too little memory for the weights: needs 1 MiB, has 0 of 0 MiB free"):
        treadle.load(small, device="cuda", cuda_driver=driver.path)
    driver.configure()
    with treadle.load(small, device="cuda", cuda_driver=driver.path) as model:
        bytes_of_weights = model.info["weights"]["bytes"]
        driver.configure(memory=bytes_of_weights + 1000)
        with refused(Status.OUT_OF_MEMORY, "too little memory for a session"):
            model.session()
        driver.configure()
        session = model.session()
        driver.configure(memory=bytes_of_weights + 1000)
        with refused(Status.OUT_OF_MEMORY, "too little memory for a session"):
            session.fork()
        session.forward([1])


@pytest.mark.skipif(not PTXAS, reason="no ptxas")
def test_the_best_code_is_chosen(
    tmp_path: Path, compile_library: Compile, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(Path(PTXAS or "").parent), prepend=":")
    library = compile_case(compile_library, tmp_path, FAMILIES["llama"].CASES[0], gpu="sm_80,sm_90a", rows=[1])

    def loaded(*level: int) -> str:
        driver.configure(level=level)
        before = len(driver.loaded)
        treadle.load(library, device="cuda", cuda_driver=driver.path).close()
        return driver.loaded[before:].strip()

    assert loaded(8, 0) == loaded(8, 6) == "cubin:sm_80"
    assert loaded(9, 0) == "cubin:sm_90"
    # Code for 9.0 alone is for 9.0 alone.
    assert loaded(10, 0) == loaded(12, 1) == "ptx:sm_80"
    driver.fail("cuModuleLoadData", error=INVALID_IMAGE)
    assert loaded(8, 9) == "ptx:sm_80"
    with refused(Status.UNSUPPORTED, "holds GPU code for sm_80, sm_90a, and Fake GPU is of level 7.5"):
        loaded(7, 5)


#
# Failures
#


def everything(library: Path, driver: Driver) -> None:
    """Calls every function of the driver."""
    with treadle.load(library, device="cuda", cuda_driver=driver.path) as model:
        session = model.session(poison=True)
        session.forward([1, 2, 3], logits="none")
        mark = session.checkpoint()
        blob = session.save()
        session.forward([4], logits="all")
        session.rollback(mark)
        fork = session.fork()
        fork.set_states(session.states())
        fork.load(blob)
        fork.reset()


def test_every_call_may_fail(small: Path, driver: Driver) -> None:
    before = driver.live
    everything(small, driver)
    counts = {function: driver.calls(function) for function in FUNCTIONS}
    assert not [function for function in FUNCTIONS if not counts[function] and function not in SILENT]
    for function in FUNCTIONS:
        if function in SILENT:
            continue
        # The first, the last and one in between.
        for nth in sorted({1, counts[function] // 2 + 1, counts[function]}):
            driver.fail(function, nth)
            try:
                everything(small, driver)
            except TreadleError as error:
                # A push or pop of the context may be one that gives back.
                assert error.status == Status.DEVICE
                assert f"CUDA driver: {function}: as the fake driver was told (CUDA_ERROR_ILLEGAL_ADDRESS" in error.message
                assert function not in GIVING_BACK
            else:
                assert function in GIVING_BACK or (function.startswith("cuCtx") and nth > 1)
            driver.fail("", 0)
            assert driver.live == before or function in GIVING_BACK, f"{function}, call {nth}"
            driver.reset()


def test_a_failure_loses_the_states(cuda: treadle.Model, driver: Driver) -> None:
    ids, _ = tokens(cuda, 8)
    session = cuda.session()
    session.forward(ids[:4], logits="none")
    mark, blob = session.checkpoint(), session.save()
    expected = session.forward(ids[4:])

    def lose() -> None:
        session.rollback(mark)
        driver.fail("cuLaunchKernel", 5)
        with refused(Status.DEVICE, "CUDA driver: cuLaunchKernel: "):
            session.forward(ids[4:])
        assert session.position == 4
        for use in (
            lambda: session.forward(ids[4:]),
            session.checkpoint,
            session.save,
            session.fork,
            session.states,
            lambda: session.truncate(2),
            lambda: session.set_states({"ids": np.zeros(4, np.float32)}),
        ):
            with refused(Status.DEVICE, "the session's states are lost"):
                use()

    lose()
    session.rollback(mark)
    assert same(expected, session.forward(ids[4:]))
    lose()
    session.load(blob)
    assert same(expected, session.forward(ids[4:]))
    mark = session.checkpoint()
    session.truncate(0)
    session.forward(ids[:4], logits="none")
    mark = session.checkpoint()
    lose()
    session.reset()
    session.forward(ids[:4], logits="none")
    assert same(expected, session.forward(ids[4:]))


def test_a_failed_read_loses_nothing(cuda: treadle.Model, driver: Driver) -> None:
    session = cuda.session()
    session.forward([1, 2, 3], logits="none")
    driver.fail("cuMemcpyDtoHAsync_v2")
    with refused(Status.DEVICE, "CUDA driver: cuMemcpyDtoHAsync_v2: "):
        session.save()
    assert session.forward([4]).size

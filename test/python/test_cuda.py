"""Libraries on a GPU: the driver of test/lib/FakeCuda runs their kernels on the CPU.

Logits are judged as the CPU's are. Their bits are others, since K is summed in slices, but as there they do not
depend on how a sequence is run.
"""

import functools
import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import treadle
from cases import FAMILIES, Case
from compiled_case import DTYPES, Compiled, Source, run
from conftest import ROOT
from fake_cuda import Compile, Driver
from judge import BF16_TOLERANCE, relative_error, typical_error
from numpy.typing import NDArray
from toy_model import refused, same, same_states
from treadle import Status, TreadleError

CUDA_SOURCE = ROOT / "lib/Runtime/CudaDriver.h"
FUNCTIONS = re.findall(r"F\((cu\w+),", CUDA_SOURCE.read_text())
# A failure of these is nobody's: they say what has failed, or give back.
SILENT = ("cuGetErrorName", "cuGetErrorString", "cuMemGetInfo_v2")
GIVING_BACK = (
    "cuDevicePrimaryCtxRelease_v2",
    "cuModuleUnload",
    "cuMemFree_v2",
    "cuStreamDestroy_v2",
    "cuGraphDestroy",
    "cuGraphExecDestroy",
)
# Where test/lit.cfg.py looks as well.
PTXAS = shutil.which(
    "ptxas", path=os.pathsep.join([os.environ["PATH"], "/usr/local/cuda/bin", str(ROOT / "build/cuda/nvidia/cu13/bin")])
)
IDS = np.arange(12)
EMULATED = {"target": "cpu,cuda", "gpu": "emulated"}
# sm_80's form of products of many rows, and sm_90a's.
FORMS = ("emulated", "emulated_90a")
INVALID_IMAGE, ILLEGAL_ADDRESS, OTHER_GRAPH = 200, 700, 910


Report = Callable[[str, float, float], None]


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory, compile_library: Compile) -> Callable[[str], Compiled]:
    """The first case of a family, by its name and dtype."""

    @functools.cache
    def get(name: str) -> Compiled:
        family, dtype = name.split("-")
        # Many rows and few are different tiles; in bf16 many are more than 32.
        rows = [1, 16] if dtype == "f32" else [1, 4, 48]
        case: Case = FAMILIES[family].CASES[0]
        source = Source(case, *case.write(tmp_path_factory.mktemp(name)))
        compiled = Compiled(source, dtype, source.config.with_name("m.so"))
        compile_library(
            source.config, weights=source.weights, out=compiled.library, dtype=dtype, rows=rows, **EMULATED
        )
        return compiled

    return get


#
# Every family
#

COUNT = 33


@pytest.fixture(scope="module", params=[f"{family}-{dtype}" for family in FAMILIES for dtype in DTYPES])
def compiled(request: pytest.FixtureRequest, libraries: Callable[[str], Compiled]) -> Compiled:
    return libraries(request.param)


@pytest.fixture
def cuda(compiled: Compiled, driver: Driver) -> Iterator[treadle.Model]:
    with treadle.load(compiled.library, device="cuda", cuda_driver=driver.path) as model:
        yield model


def tokens(case: Case) -> tuple[NDArray, NDArray]:
    return case.ids[:COUNT], case.mask[:COUNT]


def test_logits_are_those_of_the_reference(
    compiled: Compiled, cuda: treadle.Model, report_error: Report
) -> None:
    expected, tolerance = compiled.expected(compiled.loops, True, 0, COUNT)
    found = cuda.session(loops=compiled.loops).forward(*tokens(compiled.case), logits="all")
    report_error(f"{compiled.dtype} {compiled.case.name} on a GPU", relative_error(found, expected), tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_case_fits_a_block(family: str, dtype: str, tmp_path: Path, programs: Path) -> None:
    stages = tmp_path / "stages.mlir"
    for case in FAMILIES[family].CASES:
        config = tmp_path / f"{case.name}.json"
        config.write_text(json.dumps(case.config))
        subprocess.run([programs / "treadle-compile", config, f"--dtype={dtype}", "--to=stages", "-o", stages], check=True)
        for form in ("false", "true"):
            command = [programs / "treadle-opt", stages, f"--treadle-stages-to-gpu=chunked={form}", "-o", "/dev/null"]
            done = subprocess.run(command, capture_output=True, text=True)
            assert done.returncode == 0, f"{case.name}: {done.stderr[:400]}"


def test_a_long_prologue_is_right(
    tmp_path: Path, compile_library: Compile, driver: Driver, report_error: Report
) -> None:
    """Products in front of a product, which share memory for their slices: all of it would not fit a block."""
    case = next(case for case in FAMILIES["om"].CASES if case.name.startswith("om-13"))
    source = Source(case, *case.write(tmp_path))
    compiled = Compiled(source, "f32", tmp_path / "m.so")
    compile_library(source.config, weights=source.weights, out=compiled.library, rows=[1, 16], **EMULATED)
    expected, tolerance = compiled.expected(compiled.loops, True, 0, COUNT)
    with treadle.load(compiled.library, device="cuda", cuda_driver=driver.path) as model:
        found = model.session(loops=compiled.loops, poison=True).forward(*tokens(case), logits="all")
    report_error(f"{case.name} on a GPU", relative_error(found, expected), tolerance)


def test_many_rows_share_tiles(
    tmp_path: Path, compile_library: Compile, driver: Driver, report_error: Report
) -> None:
    """Of tensor cores: whole tiles and a part of one, slices of several steps, a K that ends in one of them, an odd K.

    Warp groups give the bits that warps give.
    """
    config = dict(FAMILIES["llama"].CASES[0].config)
    config |= {"hidden_size": 264, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16}
    config |= {"intermediate_size": 1101, "num_hidden_layers": 1, "max_position_embeddings": 160}
    case = Case("llama-wide", config, seed=3, context=160, width=264)
    source = Source(case, *case.write(tmp_path))
    count = 98

    def run_all(form: str) -> NDArray:
        compiled = Compiled(source, "bf16", tmp_path / f"{form}.so")
        options = {"dtype": "bf16", "rows": [1, 16, 80]} | EMULATED | {"gpu": form}
        compile_library(source.config, weights=source.weights, out=compiled.library, **options)
        expected, tolerance = compiled.expected(1, True, 0, count)
        with treadle.load(compiled.library, device="cuda", cuda_driver=driver.path) as model:
            whole, pieces = (model.session(poison=True) for _ in range(2))
            found = run(whole, case.ids[:count], case.mask[:count], [count])
            assert same(run(pieces, case.ids[:count], case.mask[:count], [16, 1, 1, 64, 16]), found)
            assert same_states(pieces, whole)
        report_error(f"{case.name} on a GPU, {form}", relative_error(found, expected), tolerance)
        return found

    of_warps, of_groups = map(run_all, FORMS)
    assert same(of_warps, of_groups)


@pytest.mark.parametrize("dims", [[5, 7], [1, 3]])
def test_matrices_of_uneven_heights(
    dims: list[int], tmp_path: Path, compile_library: Compile, driver: Driver, report_error: Report
) -> None:
    """Matrices with one input, of 32 and 10 outputs, say: a tile has two of the one's and five of the other's."""
    config = json.loads((ROOT / "models/om/tiny.json").read_text()) | {"dims_value": dims}
    case = Case("om-uneven", config, seed=5, context=64, width=config["dim_input"])
    source = Source(case, *case.write(tmp_path))
    compiled = Compiled(source, "bf16", tmp_path / "m.so")
    options = {"dtype": "bf16", "rows": [1, 4, 16]} | EMULATED
    compile_library(source.config, weights=source.weights, out=compiled.library, **options)
    expected, tolerance = compiled.expected(compiled.loops, True, 0, COUNT)
    with treadle.load(compiled.library, device="cuda", cuda_driver=driver.path) as model:
        found = model.session(loops=compiled.loops, poison=True).forward(*tokens(case), logits="all")
    report_error(f"{case.name} {dims} on a GPU", relative_error(found, expected), tolerance)


# Of columns of a head, there are less than a vector, keys with more than one, and two whole ones.
CHUNKED = [next(case for case in FAMILIES["neollm"].CASES if case.config["linear_value_head_dim"] == e) for e in (9, 12, 32)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CHUNKED, ids=lambda case: case.name)
def test_recurrences_in_chunks(
    case: Case, dtype: str, tmp_path: Path, compile_library: Compile, driver: Driver, report_error: Report
) -> None:
    """The bits depend on the cut; the numbers do not. After going back, the same cut gives the same bits."""
    count, source = 35, Source(case, *case.write(tmp_path))
    compiled = Compiled(source, dtype, tmp_path / "m.so")
    options = {"dtype": dtype, "rows": [1, 16, 32], "recurrence_form": "chunked"} | EMULATED
    compile_library(source.config, weights=source.weights, out=compiled.library, **options)
    expected, tolerance = compiled.expected(compiled.loops, True, 0, count)
    ids, mask = case.ids[:count], case.mask[:count]
    with treadle.load(compiled.library, device="cuda", cuda_driver=driver.path) as model:
        for pieces in ([count], [13, 22], [16, 1, 15, 3]):
            session = model.session(loops=compiled.loops, poison=True)
            error = relative_error(run(session, ids, mask, pieces), expected)
            report_error(f"{dtype} {case.name} in chunks on a GPU, {len(pieces)} pieces", error, tolerance)
        session = model.session(loops=compiled.loops, poison=True)
        session.forward(ids[:13], mask[:13], logits="none")
        mark, fork = session.checkpoint(), session.fork()
        found = session.forward(ids[13:], mask[13:], logits="all")
        assert same(fork.forward(ids[13:], mask[13:], logits="all"), found) and same_states(fork, session)
        session.rollback(mark)
        assert same(session.forward(ids[13:], mask[13:], logits="all"), found) and same_states(fork, session)


@pytest.mark.parametrize("compiled", [f"{family}-bf16" for family in FAMILIES], indirect=True)
def test_bf16_rounds_what_the_reference_rounds(
    compiled: Compiled, cuda: treadle.Model, report_error: Report
) -> None:
    windows = compiled.case.short_windows
    reference = compiled.case.reference(compiled.source.weights, np.float64, "bf16")
    expected = compiled.case.logits(reference, windows, loops=compiled.loops)
    found = np.stack([cuda.session(loops=compiled.loops).forward(ids, logits="all") for ids in windows])
    report_error(f"bf16, typical, {compiled.case.name} on a GPU", typical_error(found, expected), BF16_TOLERANCE)


def test_every_chunking_gives_the_same_bits(compiled: Compiled, cuda: treadle.Model) -> None:
    """Whole chunks, padded ones, decode."""
    sequence = tokens(compiled.case)
    whole = cuda.session(loops=compiled.loops)
    expected = run(whole, *sequence, [COUNT])
    for pieces in ([1] * COUNT, [16, 1, 13, 2, 1]):
        session = cuda.session(loops=compiled.loops)
        assert same(run(session, *sequence, pieces), expected) and same_states(session, whole)


@pytest.mark.parametrize("compiled", [f"{family}-bf16" for family in FAMILIES], indirect=True)
def test_warp_groups_give_the_bits_of_warps(
    compiled: Compiled, cuda: treadle.Model, compile_library: Compile, driver: Driver, tmp_path: Path
) -> None:
    """Products of many rows have two forms; those of few have one, so that ragged chunks meet both."""
    sequence, library = tokens(compiled.case), tmp_path / "m.so"
    options = EMULATED | {"dtype": "bf16", "rows": [1, 4, 48], "gpu": "emulated_90a"}
    compile_library(compiled.source.config, weights=compiled.source.weights, out=library, **options)
    whole = cuda.session(loops=compiled.loops)
    expected = run(whole, *sequence, [COUNT])
    with treadle.load(library, device="cuda", cuda_driver=driver.path) as model:
        for pieces in ([COUNT], [2, 27, 1, 3]):
            session = model.session(loops=compiled.loops, poison=True)
            assert same(run(session, *sequence, pieces), expected) and same_states(session, whole)


def test_going_back_gives_the_same_bits(compiled: Compiled, cuda: treadle.Model) -> None:
    """And sessions move between devices."""
    loops = compiled.loops
    # Rows behind the last token are computed as well, from whatever stands there: nobody looks at a NaN.
    ids, mask = tokens(compiled.case)
    first, last = (ids[:16], mask[:16]), (ids[16:18], mask[16:18])
    through = cuda.session(loops=loops, poison=True)
    through.forward(*first, logits="none")
    if cuda.info["period"]:
        through.turn()
    mark, fork, blob = through.checkpoint(), through.fork(), through.save()
    ours = compiled.session()
    ours.load(blob)
    assert ours.save() == blob and same_states(ours, through)
    expected = through.forward(*last)

    def rest(session: treadle.Session) -> bool:
        return same(session.forward(*last), expected) and same_states(session, through)

    assert rest(fork)
    position = through.position
    through.rollback(mark)
    assert rest(through) and through.position == position
    loaded, given = (cuda.session(loops=loops, poison=True) for _ in range(2))
    loaded.load(blob)
    given.set_states(ours.states())
    assert rest(loaded) and rest(given)
    through.reset()
    assert through.position == 0 and same_states(compiled.model.session(loops=loops), through)
    through.forward(*first, logits="none")
    if cuda.info["period"]:
        through.turn()
    assert through.save() == blob and same(through.forward(*last), expected)


@pytest.mark.parametrize("compiled", ["llama-f32"], indirect=True)
def test_a_fork_is_a_copy_of_each_slot(compiled: Compiled, cuda: treadle.Model, driver: Driver) -> None:
    """However many rows the last panel of keys has, whose columns do not follow each other."""
    session = cuda.session(loops=compiled.loops)
    session.forward(IDS[:5], logits="none")
    before = driver.calls("cuMemcpyDtoDAsync_v2")
    session.fork()
    slots = 2 + 2 * compiled.case.config["num_hidden_layers"]  # ids and mask, keys and values
    assert driver.calls("cuMemcpyDtoDAsync_v2") - before == slots


def test_launches_give_the_bits_of_one_launch(compiled: Compiled, driver: Driver) -> None:
    """Decode as a grid of one block and of several, and stage by stage as a graph."""
    ids, mask = tokens(compiled.case)

    def decode() -> tuple[NDArray, bytes]:
        with treadle.load(compiled.library, device="cuda", cuda_driver=driver.path) as model:
            session = model.session(loops=compiled.loops)
            return run(session, ids[:3], mask[:3], [1] * 3), session.save()

    expected, saved = decode()
    driver.configure_grid(multiprocessors=1)
    found = [decode()]
    launches = driver.calls("cuLaunchCooperativeKernel")
    driver.configure_grid(cooperative=False)
    found.append(decode())
    assert driver.calls("cuLaunchCooperativeKernel") == launches
    for logits, states in found:
        assert same(expected, logits) and saved == states


#
# One library
#


@pytest.fixture(scope="module")
def small(libraries: Callable[[str], Compiled]) -> Path:
    """A model that has fixed and ring states as well."""
    return libraries("neollm-f32").library


@pytest.fixture
def model(small: Path, driver: Driver) -> Iterator[treadle.Model]:
    with treadle.load(small, device="cuda", cuda_driver=driver.path) as model:
        yield model


def test_the_library_checks_itself(model: treadle.Model) -> None:
    assert model.selftest().invariance_rows > 16


def test_treadle_run(small: Path, driver: Driver, request: pytest.FixtureRequest) -> None:
    program = request.config.getoption("--treadle-build").resolve() / "bin/treadle-run"

    def run(*arguments: str) -> str:
        done = subprocess.run([program, small, "--ids=1,2,3", "-n", "4", *arguments], capture_output=True, text=True)
        return done.stdout or done.stderr

    assert run() == run("--device=cuda", f"--cuda-driver={driver.path}")
    assert "error: device 'cuda': cannot open the CUDA driver: " in run("--device=cuda", "--cuda-driver=/nowhere")


def test_one_launch_per_token(model: treadle.Model, driver: Driver) -> None:
    """And one for the logits."""
    session = model.session()
    for count in range(1, 4):
        session.forward([count], logits="none")
        assert driver.calls("cuLaunchCooperativeKernel") == count and not driver.calls("cuLaunchKernel")
    session.forward([4])
    assert driver.calls("cuLaunchKernel") == 1


def test_a_graph_is_made_once(small: Path, driver: Driver) -> None:
    """Then it gets other arguments; where it cannot, another one is made."""
    driver.configure_grid(cooperative=False)
    with treadle.load(small, device="cuda", cuda_driver=driver.path) as model:
        session = model.session()
        calls = ("cuGraphInstantiateWithFlags", "cuGraphExecUpdate_v2", "cuGraphLaunch", "cuGraphDestroy")
        expected = run(session, IDS[:4], None, [1] * 4)
        assert [driver.calls(name) for name in calls] == [1, 3, 4, 4]
        driver.fail("cuGraphExecUpdate_v2", 2, OTHER_GRAPH)
        again = model.session()
        assert same(expected, run(again, IDS[:4], None, [1] * 4))
        assert [driver.calls(name) for name in calls] == [3, 6, 8, 8]


def test_beyond_the_context(model: treadle.Model) -> None:
    ids = IDS
    session = model.session(context=8, on_full="recompute")
    found = run(session, ids[:6], None, [6])
    fork = session.fork()
    behind = run(session, ids[6:], None, [3, 1, 2])
    assert same(run(fork, ids[6:], None, [3, 1, 2]), behind)
    assert session.forgotten == fork.forgotten == 4
    found = np.concatenate([found, behind])
    for end in range(9, len(ids) + 1):
        assert same(model.session().forward(ids[end - 8 : end]), found[end - 1])


def test_sessions_in_several_threads(model: treadle.Model) -> None:
    ids = IDS
    found: list[NDArray] = []

    def run() -> None:
        session = model.session()
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
    config, weights = FAMILIES["llama"].CASES[0].write(tmp_path)
    library = tmp_path / "m.so"
    compile_library(config, weights=weights, out=library, target="cpu,cuda", gpu="sm_80,sm_90a", rows=[1])

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
    """Calls every function of the driver: decode in one launch, and as a graph."""
    for cooperative in (True, False):
        driver.configure_grid(cooperative=cooperative)
        everything_once(library, driver)


def everything_once(library: Path, driver: Driver) -> None:
    with treadle.load(library, device="cuda", cuda_driver=driver.path) as model:
        session = model.session(poison=True)
        session.forward([1, 2, 3], logits="none")
        mark = session.checkpoint()
        blob = session.save()
        session.forward([4], logits="all")
        session.forward([5], logits="all")
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


def test_a_failure_loses_the_states(model: treadle.Model, driver: Driver) -> None:
    ids = IDS[:8]
    session = model.session()
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


def test_a_failed_read_loses_nothing(model: treadle.Model, driver: Driver) -> None:
    session = model.session()
    session.forward([1, 2, 3], logits="none")
    driver.fail("cuMemcpyDtoHAsync_v2")
    with refused(Status.DEVICE, "CUDA driver: cuMemcpyDtoHAsync_v2: "):
        session.save()
    assert session.forward([4]).size

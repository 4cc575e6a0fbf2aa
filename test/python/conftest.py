"""What several Python tests share: the build they run against, the toy libraries, and the record of errors."""

import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import treadle
from error_curve import Curve, table
from fake_cuda import Driver

ROOT = Path(__file__).parents[2]

ERRORS = pytest.StashKey[dict[str, tuple[float, float]]]()
CURVES = pytest.StashKey[dict[str, dict[str, Curve]]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--treadle-build",
        type=Path,
        default=ROOT / "build/release",
        metavar="DIR",
        help="the build whose libTreadle.so compiles the models (build/release)",
    )
    parser.addoption(
        "--treadle-sanitize",
        choices=["address"],
        help="instrument the models; Python needs the sanitizer's runtime preloaded, as tools/dev/pytest does",
    )
    parser.addoption(
        "--treadle-every-case",
        action="store_true",
        help="run all cases on the fake GPU, in f32 and in bf16, and not every third one in one of them",
    )


@pytest.fixture(scope="session")
def compile_library(request: pytest.FixtureRequest) -> Callable[..., str | None]:
    """`treadle.compile` with the libTreadle.so under test, and `--treadle-sanitize`."""
    build = request.config.getoption("--treadle-build").resolve()
    library = build / "lib/libTreadle.so"
    if not library.exists():
        pytest.fail(f"no {library}: build it, or name another build with --treadle-build=DIR")
    return partial(treadle.compile, library=library, sanitize=request.config.getoption("--treadle-sanitize"))


@pytest.fixture(scope="session")
def programs(request: pytest.FixtureRequest) -> Path:
    """The folder of the programs under test."""
    return request.config.getoption("--treadle-build").resolve() / "bin"


@pytest.fixture(params=["cpu", "cuda"])
def on_device(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Options of `single_op.check`: each device in turn."""
    if request.param == "cpu":
        return {}
    load = {"device": "cuda", "cuda_driver": request.getfixturevalue("driver_file")}
    return {"target": "cpu,cuda", "gpu": "emulated", "load": load}


@pytest.fixture(scope="session")
def toys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with toy.so and its variants, hand-written models that have every kind of state (test/Runtime)."""
    folder = tmp_path_factory.mktemp("toys")
    subprocess.run([ROOT / "test/Runtime/Inputs/run.sh", folder, "toys"], check=True)
    return folder


@pytest.fixture
def toy(toys: Path) -> Iterator[treadle.Model]:
    with treadle.load(toys / "toy.so") as model:
        yield model


#
# GPUs
#


@pytest.fixture(scope="session")
def driver_file(request: pytest.FixtureRequest) -> Path:
    """The CUDA driver of test/lib/FakeCuda."""
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


#
# Errors
#


@pytest.fixture
def report_error(request: pytest.FixtureRequest) -> Callable[[str, float, float], None]:
    """report_error(what, error, tolerance): prints both, keeps them for the end of the run, and compares them."""
    errors = request.config.stash.setdefault(ERRORS, {})

    def report(what: str, error: float, tolerance: float) -> None:
        print(f"{what}: error {error:.2e}, tolerance {tolerance:.2e}")
        errors[what] = error, tolerance
        assert error <= tolerance, what

    return report


@pytest.fixture
def report_curves(request: pytest.FixtureRequest) -> Callable[[str, dict[str, Curve]], None]:
    """report_curves(what, curves by name): keeps them for the end of the run."""
    return request.config.stash.setdefault(CURVES, {}).__setitem__


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    errors = terminalreporter.config.stash.get(ERRORS, {})
    if errors:
        terminalreporter.section("errors against the reference")
    for what, (error, tolerance) in sorted(errors.items()):
        if terminalreporter.verbosity > 0 or error > tolerance / 2:
            terminalreporter.line(f"{what}: error {error:.2e}, tolerance {tolerance:.2e}")
    for dtype in ("f32", "bf16"):
        of_dtype = [pair for what, pair in errors.items() if what.startswith(dtype)]
        if of_dtype:
            error, tolerance = max(of_dtype, key=lambda pair: pair[0] / pair[1])
            terminalreporter.line(
                f"{dtype}: {len(of_dtype)} comparisons, the worst has error {error:.2e} at tolerance {tolerance:.2e}"
            )
    for what, curves in terminalreporter.config.stash.get(CURVES, {}).items():
        terminalreporter.section(f"errors of {what} against float64, by tokens decoded")
        for line in table(curves):
            terminalreporter.line(line)

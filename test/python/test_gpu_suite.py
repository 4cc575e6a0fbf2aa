"""What test/gpu makes for machines with a GPU and nothing else, run on the fake driver."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import treadle
from cases import FAMILIES
from conftest import ROOT

sys.path.append(str(ROOT / "test/gpu"))
from suite import write_golden  # noqa: E402


@pytest.fixture(scope="module")
def suite(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    build = request.config.getoption("--treadle-build").resolve()
    if not (build / "test/lib/libcuda.so.1").exists():
        pytest.skip("this platform has no fake driver")
    if request.config.getoption("--treadle-sanitize"):
        pytest.skip("the suite's libraries are as users compile them")
    folder = tmp_path_factory.mktemp("suite")
    program = [sys.executable, ROOT / "test/gpu/suite.py", folder, "--levels=emulated", "--families=llama", "--rows=1,16"]
    subprocess.run([*program, f"--build={build}"], check=True)
    return folder


def run(suite: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([suite / "run", *arguments], capture_output=True, text=True)


def test_all_pass(suite: Path, request: pytest.FixtureRequest) -> None:
    build = request.config.getoption("--treadle-build").resolve()
    done = run(suite, f"--cuda-driver={build / 'test/lib/libcuda.so.1'}")
    assert done.returncode == 0 and done.stdout.endswith("2 passed, 0 failed\n"), done.stdout
    # Vectors of the reference were compared with, and are not met by chance.
    worst = re.findall(r"golden vectors: 1, worst difference ([\d.e-]+) of the tolerance", done.stdout)
    assert len(worst) == 2 and all(0 < float(difference) < 1 for difference in worst)


def test_bench(suite: Path, request: pytest.FixtureRequest) -> None:
    """The ceiling is the device's. Times of the fake one mean nothing."""
    driver = request.config.getoption("--treadle-build").resolve() / "test/lib/libcuda.so.1"
    command = [suite / "treadle-run", suite / "llama-f32.so", "--bench", "--context=4", "--device=cuda"]
    found = subprocess.check_output([*command, f"--cuda-driver={driver}"], text=True)
    assert found.startswith("llama-f32, 1 loop, cuda\n")
    assert re.search(r"^ceiling +[\d.]+ GB/s  \([\d.]+ kB, copied within the device's memory, read and written, ", found, re.M)
    assert "multiply-adds" not in found


def test_without_a_gpu(suite: Path) -> None:
    done = run(suite, "--cuda-driver=/nowhere/libcuda.so.1")
    assert done.returncode == 0
    assert re.fullmatch(r"skipped: no GPU here: device 'cuda': cannot open the CUDA driver: .*\n", done.stdout)


def test_a_failure_counts(suite: Path, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    for name in ("run", "treadle-run"):
        (tmp_path / name).symlink_to(suite / name)
    (tmp_path / "broken.so").write_bytes(b"")
    build = request.config.getoption("--treadle-build").resolve()
    done = run(tmp_path, f"--cuda-driver={build / 'test/lib/libcuda.so.1'}")
    assert done.returncode == 1 and done.stdout.endswith("0 passed, 1 failed\n")
    assert "failed: broken.so --selftest\n  treadle-run: error: cannot load the library: " in done.stdout


def test_vectors_of_a_padded_vocabulary(compile_library: Callable[..., str | None], tmp_path: Path) -> None:
    """Om has logits that are no token's, minus infinity."""
    case = FAMILIES["om"].CASES[0]
    config, weights = case.write(tmp_path)
    golden, out = tmp_path / "golden.safetensors", tmp_path / "m.so"
    write_golden(case, weights, "f32", golden)
    compile_library(config, weights=weights, out=out, golden=golden, rows=[1])
    with treadle.load(out) as model:
        report = model.selftest()
    assert report.golden_count == 1 and 0 < report.golden_worst < 1

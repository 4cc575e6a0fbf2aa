"""`treadle-run --profile`: every stage of the work, what it needs and how long it takes. No time is compared."""

import ctypes
import re
import subprocess
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import treadle
from treadle import _capi

ROOT = Path(__file__).parents[2]
UNITS = {"": 1, "B": 1, "k": 1e3, "kB": 1e3, "M": 1e6, "MB": 1e6}


@dataclass
class Line:
    """One line of the table, in the unit of its text."""

    calls: float
    us: float
    share: float
    wait: float
    bytes: float
    flops: float
    bound: str


@dataclass
class Profile:
    heading: str
    stages: dict[str, Line]
    total: dict[str, float]


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def run(request: pytest.FixtureRequest) -> Run:
    program = request.config.getoption("--treadle-build").resolve() / "bin/treadle-run"

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run([program, *arguments, "--progress=off"], capture_output=True, text=True)

    return run


LINE = re.compile(
    r" +([\d.e+-]+) +([\d.]+) +([\d.]+) % +([\d.]+) % +([\d.]+) (B|kB|MB) +([\d.]+) ?(k|M|)"
    r"(?: +[\d.]+ +[\d.]+ +[\d.]+ %  (memory|arithmetic|overhead|waiting)| +- +- +-  (others)) +(\S.*)"
)
TOTAL = re.compile(
    r"total +([\d.]+) us = ([\d.]+) in stages \+ ([\d.]+) waiting for other threads \+ (-?[\d.]+) elsewhere; "
    r"without marks ([\d.]+) us"
)


def read(done: subprocess.CompletedProcess[str]) -> Profile:
    assert done.returncode == 0, done.stderr
    heading, _, *lines = done.stdout.splitlines()
    stages = {}
    while found := LINE.fullmatch(lines[0]):
        calls, us, share, wait, size, unit, count, prefix, bound, others, name = found.groups()
        stages[name] = Line(float(calls), float(us), float(share), float(wait), float(size) * UNITS[unit],
                            float(count) * UNITS[prefix], bound or others)  # fmt: skip
        lines.pop(0)
    found = TOTAL.fullmatch(lines[0])
    assert found, lines[0]
    return Profile(heading, stages, dict(zip(("all", "stages", "waits", "else", "unmarked"), map(float, found.groups()))))


def rounded(number: float) -> float:
    return float(f"{number:.3g}")


def check_times(profile: Profile) -> None:
    total = profile.total
    assert total["all"] == pytest.approx(total["stages"] + total["waits"] + total["else"], abs=0.2)
    for line in profile.stages.values():
        assert 0 <= line.share <= 100 and 0 <= line.wait <= 100


#
# Counts, on hand-written entry points: periods of 8 tokens, 2 rows lead them and 3 close them
#


@pytest.mark.parametrize("threads", [1, 2])
def test_turns_of_a_prefill(run: Run, toys: Path, threads: int) -> None:
    """20 tokens are 8 + 8 + 4; entry points have 16, 4 and 1 rows."""
    profile = read(run(toys / "turns.so", "--profile=prefill", "-n", "20", f"--threads={threads}"))
    assert profile.heading.startswith("turns, 1 loop, ") and "prefill of 20 tokens, all of them" in profile.heading
    stages = profile.stages
    assert stages["head"].calls == 1 and stages["head"].flops == 500
    assert stages["open"].calls == 3 and stages["open"].flops == 3 * 2 * 100
    assert stages["open"].bytes == 3 * 280
    assert stages["close"].calls == 2 and stages["close"].flops == 2 * 3 * 100
    assert stages["close"].bytes == rounded(2 * (300 + 33 * (2 + 8 + 3)))
    pairs = 2 * (8 * 2 + 8 * 9 / 2) + 4 * 2 + 4 * 5 / 2
    assert stages["walk"].flops == rounded(20 * 1000 + 10 * pairs)
    check_times(profile)


def test_turns_of_a_decode(run: Run, toys: Path) -> None:
    """3 tokens behind 18 others stand in the middle of a period: none of them turns. Numbers are a token's."""
    profile = read(run(toys / "turns.so", "--profile", "-n", "3", "--behind=18"))
    assert "decode of 3 tokens behind 18 others, a token" in profile.heading
    assert sorted(profile.stages) == ["head", "walk"]
    assert profile.stages["walk"].calls == 1
    # They see 2 + 3 ... 2 + 5 rows.
    assert profile.stages["walk"].bytes == rounded(4000 + 64 + 33 * (2 + 4))
    assert profile.stages["walk"].flops == rounded(1000 + 10 * (2 + 4))
    check_times(profile)


#
# A compiled model
#


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory, compile_library: Callable[..., str | None]) -> Path:
    folder = tmp_path_factory.mktemp("llama")
    config = ROOT / "models/llama/tiny.json"
    treadle.random_weights(config, folder / "w.safetensors", progress="off")
    compile_library(config, weights=folder / "w.safetensors", out=folder / "llama.so")
    return folder / "llama.so"


def test_work_of_llama(llama: Path) -> None:
    """3 layers of 48 columns, 4 heads of 12 over 2 of keys and values, 80 hidden; 97 ids, tied."""
    with treadle.load(llama) as model:
        work = model.info["work"]
    matrices = 48 * 48 + 2 * 24 * 48 + 48 * 48 + 3 * 80 * 48
    layers, vectors = 3 * matrices, 3 * 2 * 48 + 48
    assert work["token_weight_bytes"] == 4 * (97 * 48 + layers + vectors)
    assert work["forward"]["flops"] == 2 * layers
    assert work["forward"]["key_flops"] == 3 * 2 * 4 * (12 + 12)
    assert work["forward"]["loop_flops"] == work["forward"]["loop_key_flops"] == 0
    assert work["head"]["flops"] == 2 * 97 * 48
    assert work["forward"]["weight_bytes"] + work["head"]["weight_bytes"] == work["token_weight_bytes"]
    assert len(work["attended"]) == 3 and "mask" in work["attended"]


def test_profile_of_llama(run: Run, llama: Path) -> None:
    """Stages together do what the model needs, and those of a layer run 3 times."""
    profile = read(run(llama, "--profile", "-n", "2", "--behind", "10"))
    stages = profile.stages
    with treadle.load(llama) as model:
        work = model.info["work"]
    flops = work["forward"]["flops"] + work["head"]["flops"] + 11.5 * work["forward"]["key_flops"]
    assert sum(line.flops for line in stages.values()) == pytest.approx(flops, rel=5e-3)
    attention = [line for name, line in stages.items() if "attention" in name.split()]
    assert [line.calls for line in attention] == [3]
    # One stage from the norm to attention. Keys and values of 2 x 12 floats and a byte of the mask for each of 11.5 keys,
    # the appended ones; the norm, 96 columns of q, k and v; 12 cosines and sines; 48 columns in and out.
    floats = 48 + 96 * 48 + 2 * 24 + 12 + 2 * 48
    assert attention[0].bytes == pytest.approx(rounded(3 * (11.5 * (2 * 24 * 4 + 1) + 4 * floats)))
    assert attention[0].flops == pytest.approx(rounded(11.5 * work["forward"]["key_flops"] + 3 * 2 * 96 * 48))
    check_times(profile)


def test_the_bits_stay(llama: Path) -> None:
    """Marks tell of every stage of an entry point, as often as it runs, and change no bit."""
    ids = list(range(1, 18))
    marks: list[tuple[int, int]] = []
    note = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int32)(
        lambda _, entry, stage: marks.append((entry, stage))
    )
    with treadle.load(llama) as model:
        work = model.info["work"]
        marked, unmarked = model.session(), model.session()
        with marked._handle as session:
            assert marked._table.session_profile(session, ctypes.cast(note, ctypes.c_void_p), None) == 0
        assert marked.forward(ids).tobytes() == unmarked.forward(ids).tobytes()
    begin, wait, end = (_capi.MARKS[name] for name in ("begin", "wait", "end"))
    calls = [i for i, (_, stage) in enumerate(marks) if stage == begin]
    assert [marks[i][0] for i in calls] == [marks[i - 1][0] for i in calls[1:] + [len(marks)]]
    for first, last in zip(calls, calls[1:] + [len(marks)], strict=True):
        entry = marks[first][0]
        assert {mark[0] for mark in marks[first:last]} == {entry} and marks[last - 1][1] == end
        runs = Counter(stage for _, stage in marks[first:last] if stage >= 0)
        assert runs == {i: work["stages"][s]["calls"] for i, s in enumerate(work["entry_stages"][entry])}
        assert marks[last - 2][1] == wait


#
# Mistakes
#


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--profile=encode"], "--profile expects decode or prefill, got 'encode'"),
        (["--profile", "-n", "0"], "-n expects 1 token or more with --profile, got '0'"),
        (["--profile=prefill", "--behind=4"], "--behind goes with --profile=decode"),
        (["--bench", "--behind=4"], "--behind goes with --profile, not with --bench"),
        (["--bench", "-n", "4"], "-n goes with --ids or --profile, not with --bench"),
        (["--profile", "--bench"], "expects one of --info, --verify, --selftest, --bench, --profile, --ids"),
        (["--profile", "--temperature=1"], "--temperature goes with --ids, not with --profile"),
    ],
)
def test_mistakes(run: Run, toys: Path, arguments: list[str], message: str) -> None:
    done = run(toys / "toy.so", *arguments)
    assert (done.returncode, done.stderr, done.stdout) == (2, f"treadle-run: error: {message}\n", "")


def test_what_cannot_be_profiled(run: Run, toys: Path, llama: Path) -> None:
    done = run(toys / "toy.so", "--profile")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "treadle-run: error: the library does not say what its stages need; compile the model anew\n"
    done = run(llama, "--profile", "--behind=190")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "treadle-run: error: 16 tokens behind 190 others: expected 192 at most, together\n"
    for behind, tokens in (("99999999999", "1"), ("9223372036854775807", "9223372036854775807")):
        done = run(toys / "turns.so", "--profile", f"--behind={behind}", "-n", tokens)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.count("\n") == 1
    done = run(llama, "--profile", "--behind=99999999999", "-n", "1")
    assert "1 tokens behind 99,999,999,999 others: expected 192 at most" in done.stderr

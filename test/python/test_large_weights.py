"""Weights of hundreds of megabytes: where they go, what memory that takes, and what an end on the way leaves.

The files are holes but for their headers: they are written at once, and read as zeros.
"""

import json
import os
import resource
import signal
import struct
import subprocess
import time
from math import prod
from pathlib import Path

import pytest
from measured import run
from treadle.random_weights import tensor_specs

TINY = Path(__file__).parents[2] / "models/miniaxion/tiny.json"
MiB = 1 << 20


@pytest.fixture
def compiler(request: pytest.FixtureRequest) -> Path:
    return request.config.getoption("--treadle-build").resolve() / "bin/treadle-compile"


def write_hollow(folder: Path, vocabulary: int) -> list[str]:
    """The arguments that compile a model whose matrix of tokens has `vocabulary` rows of 2 KiB as float32, and as
    many of its head."""
    config = json.loads(TINY.read_text()) | {"vocab_size": vocabulary, "d_model": 512, "weight_tying": False}
    (folder / "config.json").write_text(json.dumps(config))
    header, end = {}, 0
    for name, spec in tensor_specs(folder).items():
        begin, end = end, end + 4 * prod(spec.shape)
        header[name] = {"dtype": "F32", "shape": list(spec.shape), "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + end)
    return [os.fspath(folder), f"--weights={folder}", "--rows=1", "--cpu=x86-64-v3"]


@pytest.mark.parametrize(
    ("arguments", "files"),
    [
        (["--dtype=f32"], {"m.so", "m.weights"}),  # above 64 MiB they stand beside the library
        (["--dtype=bf16", "--weights-mode=embed"], {"m.so"}),
        (["--dtype=bf16", "--pack"], {"m.weights"}),
    ],
    ids=["external", "embed", "pack"],
)
def test_memory(
    arguments: list[str], files: set[str], compiler: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    model, out = tmp_path / "model", tmp_path / "out"
    model.mkdir()
    out.mkdir()
    compile = write_hollow(model, 100_000)
    without = run(compiler, compile[0], *compile[2:], "-o", tmp_path / "without.so").resident / MiB
    full = run(compiler, *compile, *arguments, "-o", out / "m.so")
    assert (full.code, full.text) == (0, "")
    resident = full.resident / MiB
    assert {path.name for path in out.iterdir()} == files
    packed = max(path.stat().st_size for path in out.iterdir()) / MiB
    print(f"{resident:.0f} MiB, {without:.0f} MiB without {packed:.0f} MiB of weights")
    assert packed > 190
    if not request.config.getoption("--treadle-sanitize"):
        assert resident - without < 64


def test_embeds_at_most_one_gibibyte(compiler: Path, tmp_path: Path) -> None:
    compile = write_hollow(tmp_path, 270_000)
    refused = run(compiler, *compile, "--weights-mode=embed", "-o", tmp_path / "m.so")
    assert refused.code == 1
    assert "--weights-mode=embed: expected at most 1 GiB of packed weights, got 11" in refused.text
    assert refused.text.endswith("use --weights-mode=external\n")
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_no_file(end: signal.Signals, compiler: Path, tmp_path: Path) -> None:
    compile = write_hollow(tmp_path, 200_000)
    files = set(tmp_path.iterdir())
    with subprocess.Popen([compiler, *compile, "-o", tmp_path / "m.so"], stderr=subprocess.PIPE) as process:
        while process.poll() is None and not any(
            path.stat().st_size > MiB for path in set(tmp_path.iterdir()) - files if path.exists()
        ):
            time.sleep(0.01)
        process.send_signal(end)
        assert process.wait() != 0
    assert set(tmp_path.iterdir()) == files


def test_a_file_that_may_not_grow(compiler: Path, tmp_path: Path) -> None:
    compile = write_hollow(tmp_path, 10_000)
    files = set(tmp_path.iterdir())
    result = subprocess.run(
        [compiler, *compile, "-o", tmp_path / "m.so"],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (MiB, MiB)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr == f"treadle-compile: error: {tmp_path}/m.weights: cannot write: File too large\n"
    assert set(tmp_path.iterdir()) == files

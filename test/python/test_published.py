"""Every config in models/: what compiling it costs, that it gives the same bytes, and that depth costs no code."""

import json
import re
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cases import FAMILIES
from measured import run

ROOT = Path(__file__).parents[2]

# What is promised of any published config, compiled without weights on a quiet machine.
MAX_SECONDS = 10
SHARED_CORE = 3  # how much longer a second of work may take where other tests keep both threads of a core busy
MAX_RESIDENT_BYTES = 600e6
MAX_CODE_BYTES = 2e6
MAX_GROWTH = 1.10

Compile = Callable[..., str | None]


def _is_config(path: Path) -> bool:
    fields = json.loads(path.read_bytes())
    return isinstance(fields, dict) and "model_type" in fields


CONFIGS = sorted(path for path in (ROOT / "models").glob("*/*.json") if _is_config(path))


PARAMETERS = dict(re.findall(r"^\| \[.* \| (\w+/[\w.]+), ([\d,]+) \|$", (ROOT / "README.md").read_text(), re.M))
"""README's table: the parameters of a config, as people write them, by <family>/<size>."""


def test_readme_counts_every_published_config() -> None:
    published = {f"{path.parent.name}/{path.stem}" for path in CONFIGS if re.fullmatch(r"[\d.]+[mb]", path.stem)}
    assert PARAMETERS.keys() == published


def _name(path: Path) -> str:
    return f"{path.parent.name}-{path.stem}"


def code_bytes(library: Path) -> int:
    """The bytes of all sections that can be executed, of a 64-bit ELF file."""
    data = library.read_bytes()
    (offset,) = struct.unpack_from("<Q", data, 40)
    size, count = struct.unpack_from("<HH", data, 58)
    sections = (struct.unpack_from("<IIQQQQ", data, offset + i * size) for i in range(count))
    return sum(section[5] for section in sections if section[2] & 4)


@pytest.mark.parametrize("config", CONFIGS, ids=_name)
def test_cost_and_bytes(config: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    compiler = request.config.getoption("--treadle-build") / "bin/treadle-compile"
    libraries = [tmp_path / folder / "m.so" for folder in "ab"]  # of one name, which stands in them
    runs = []
    for library in libraries:
        library.parent.mkdir()
        runs.append(run(compiler, config, "--dtype=bf16", "-o", library))
        assert (runs[-1].code, runs[-1].text) == (0, "")
    assert libraries[0].read_bytes() == libraries[1].read_bytes()

    if parameters := PARAMETERS.get(f"{config.parent.name}/{config.stem}"):
        info = subprocess.check_output([compiler.with_name("treadle-run"), libraries[0], "--info"], text=True)
        assert re.search(rf"^ *parameters +{parameters}$", info, re.M)

    code = code_bytes(libraries[0])
    seconds = min(run.seconds for run in runs)
    resident = max(run.resident for run in runs)
    print(f"{_name(config)}: {seconds:.1f} s, {resident / 1e6:.0f} MB, {code} bytes of code")
    assert code < MAX_CODE_BYTES
    if not request.config.getoption("--treadle-sanitize"):
        assert seconds < SHARED_CORE * MAX_SECONDS and resident < MAX_RESIDENT_BYTES


@pytest.mark.parametrize("tiny", [path for path in CONFIGS if path.stem == "tiny"], ids=_name)
def test_code_does_not_grow_with_depth(tiny: Path, tmp_path: Path, compile_library: Compile) -> None:
    config = json.loads(tiny.read_text())
    family = FAMILIES[config["model_type"]]
    sizes = {}
    for layers in (2, 32):
        path, library = tmp_path / f"{layers}.json", tmp_path / f"{layers}.so"
        path.write_text(json.dumps(family.deepen(config, layers)))
        compile_library(path, out=library, rows=[1, 16])
        sizes[layers] = code_bytes(library)
    print(f"{_name(tiny)}: {sizes} bytes of code by layers")
    assert sizes[32] < MAX_GROWTH * sizes[2]

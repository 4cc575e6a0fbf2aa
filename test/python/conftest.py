"""What several Python tests share: the toy libraries of the runtime's tests."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import treadle

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def toys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with toy.so and its variants, hand-written models that have every kind of state (test/Runtime)."""
    folder = tmp_path_factory.mktemp("toys")
    subprocess.run([ROOT / "test/Runtime/Inputs/run.sh", folder, "libraries"], check=True)
    return folder


@pytest.fixture
def toy(toys: Path) -> Iterator[treadle.Model]:
    with treadle.load(toys / "toy.so") as model:
        yield model

"""The bar of the Python package."""

import io
from pathlib import Path

import pytest
import treadle
from treadle._progress import ProgressBar

TINY = Path(__file__).parents[2] / "models/miniaxion/tiny.json"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    time = 0.0

    def __call__(self) -> float:
        return self.time


def test_a_bar_comes_after_a_second_and_goes() -> None:
    terminal, clock = Terminal(), Clock()
    with ProgressBar("auto", terminal, clock) as bar:
        clock.time = 0.9
        bar.update("packing", 0.1)
        assert terminal.getvalue() == ""
        clock.time = 1.0
        bar.update("packing", 0.5)
        line = f"\r\033[K[{'#' * 15}{' ' * 15}]  50% packing"
        assert terminal.getvalue() == line
        clock.time = 1.05
        bar.update("packing", 0.6)
        assert terminal.getvalue() == line
    assert terminal.getvalue() == line + "\r\033[K"


@pytest.mark.parametrize(("progress", "stream"), [("off", Terminal()), ("auto", io.StringIO())])
def test_no_bar(progress: str, stream: io.StringIO) -> None:
    clock = Clock()
    with ProgressBar(progress, stream, clock) as bar:  # type: ignore[arg-type]
        clock.time = 5.0
        bar.update("packing", 0.5)
    assert stream.getvalue() == ""


def test_wrong_word(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="progress: expected auto, off, got 'on'"):
        treadle.random_weights(TINY, tmp_path / "w.safetensors", progress="on")  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())

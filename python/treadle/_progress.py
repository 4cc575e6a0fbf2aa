"""A line on the terminal for what takes long."""

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Literal, TextIO

Progress = Literal["auto", "off"]
"""`auto`: a bar on standard error, where that is a terminal, from the second second on."""

WIDTH = 30


class ProgressBar:
    """A context in which `update` draws; afterwards the line is gone."""

    def __init__(self, progress: Progress, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic):
        if progress not in ("auto", "off"):
            raise ValueError(f"progress: expected auto, off, got {progress!r}")
        self._stream = stream or sys.stderr
        self._enabled = progress == "auto" and self._stream is not None and self._stream.isatty()
        self._clock = clock
        self._next = clock() + 1
        self._visible = False

    def update(self, step: str, done: float) -> None:
        """`done` is the part that is done, 0 to 1."""
        if not self._enabled or self._clock() < self._next:
            return
        bar = "#" * int(done * WIDTH)
        self._stream.write(f"\r\033[K[{bar:{WIDTH}}] {int(done * 100):3}% {step}")
        self._stream.flush()
        self._visible = True
        self._next = self._clock() + 0.1

    def __enter__(self) -> "ProgressBar":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._visible:
            self._stream.write("\r\033[K")
            self._stream.flush()

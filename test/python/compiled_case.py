"""A case as a library: what its logits should be, and how a sequence is run in pieces."""

from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import treadle
from cases import Case
from judge import bf16_tolerance, f32_tolerance, relative_error
from numpy.typing import DTypeLike, NDArray
from treadle.reference import Storage

DTYPES: tuple[Storage, ...] = ("f32", "bf16")


@dataclass(frozen=True, eq=False)
class Source:
    """A case with its files."""

    case: Case
    config: Path
    weights: Path

    @cache  # noqa: B019
    def reference(
        self, storage: Storage, dtype: DTypeLike, loops: int, masked: bool, start: int = 0, end: int | None = None
    ) -> NDArray:
        """Logits of the window [start, end) of the case's ids."""
        window = slice(start, end)
        mask = self.case.mask[window] if masked else None
        model = self.case.reference(self.weights, dtype, storage)
        return self.case.logits(model, self.case.ids[window], mask, loops)


@dataclass(frozen=True, eq=False)
class Compiled:
    """A case as a library, and what its logits should be."""

    source: Source
    dtype: Storage
    library: Path

    @property
    def case(self) -> Case:
        return self.source.case

    @cached_property
    def model(self) -> treadle.Model:
        return treadle.load(self.library)

    @property
    def all_loops(self) -> list[int]:
        return list(range(1, self.model.info["max_loops"] + 1))

    @property
    def loops(self) -> int:
        """The case's own number."""
        return min(self.case.loops, self.model.info["max_loops"])

    @property
    def window(self) -> int:
        """Tokens whose rows a session holds at most."""
        return self.model.info["context"] or self.model.info["period"]

    def periods(self, count: int) -> list[int]:
        """The tokens of each period of a sequence."""
        period = self.model.info["period"] or count
        return [min(period, count - start) for start in range(0, count, period)]

    def session(self, loops: int | None = None, **options: Any) -> treadle.Session:
        """What is read before it is written is a NaN."""
        return self.model.session(loops=loops or self.loops, poison=True, **options)

    def expected(self, *window: Any) -> tuple[NDArray, float]:
        """Logits of `Source.reference(storage, dtype, *window)`, and what a library may differ from them."""
        expected = self.source.reference(self.dtype, np.float64, *window)
        if self.dtype == "f32":
            return expected, f32_tolerance(relative_error(self.source.reference("f32", np.float32, *window), expected))
        return expected, bf16_tolerance(relative_error(expected, self.source.reference("f32", np.float64, *window)))


def run(session: treadle.Session, ids: NDArray, mask: NDArray | None, pieces: list[int]) -> NDArray:
    """Logits of all tokens. Of single ones, "last" and "all" take turns: they run different entry points."""
    logits, start = [], 0
    for number, count in enumerate(pieces):
        piece = slice(start, start + count)
        start += count
        last = count == 1 and number % 2
        found = session.forward(ids[piece], None if mask is None else mask[piece], logits="last" if last else "all")
        logits.append(found[None] if last else found)
    assert start == len(ids)
    return np.concatenate(logits)

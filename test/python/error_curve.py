"""How the error of a library grows as it decodes token by token."""

import numpy as np
import treadle
from judge import differences
from numpy.typing import NDArray

Curve = list[tuple[int, float]]
"""(n, largest error of rows n / 2 ... n - 1) for powers of two n and the number of rows."""


def error_curve(found: NDArray, expected: NDArray) -> Curve:
    """found, expected (T, vocab)"""
    errors = differences(found, expected).max(axis=-1)
    ends = [1]
    while ends[-1] < len(errors):
        ends.append(min(2 * ends[-1], len(errors)))
    return [(end, float(errors[start:end].max())) for start, end in zip([0, *ends], ends)]


def decoded(session: treadle.Session, ids: NDArray[np.integer]) -> NDArray:
    """Logits of every token, each run alone.

    ids (T) -> (T, vocab)
    """
    return np.stack([session.forward(ids[i : i + 1]) for i in range(len(ids))])


def table(curves: dict[str, Curve]) -> list[str]:
    """One line for each number of tokens, one column for each curve."""
    lines = [f"{'tokens':>8}" + "".join(f"  {name:>12}" for name in curves)]
    for points in zip(*curves.values()):
        lines.append(f"{points[0][0]:>8}" + "".join(f"  {error:>12.2e}" for _, error in points))
    return lines

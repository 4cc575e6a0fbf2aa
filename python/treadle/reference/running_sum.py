import numpy as np
from numpy.typing import NDArray


def running_sum(x: NDArray, mask: NDArray | None = None, before: NDArray | None = None) -> NDArray:
    """S[t] = S[t - 1] + x[t], where a masked row adds nothing (docs/Families/nanohammer.md, Running integral).

    x (T, n), mask (T), before (n): the sum so far -> (T, n)
    """
    terms = x if mask is None else np.where(np.asarray(mask)[:, None] != 0, x, 0)
    sums = np.cumsum(terms, axis=0)
    return sums if before is None else sums + before


def read_rows(rows: NDArray, start: int, lag: int, mean: bool = False) -> NDArray:
    """The rows from start - lag on, up to `lag` before the last; zeros before row 0. With `mean` row i is divided by
    i + 1.

    rows (start + T, n) -> (T, n)
    """
    index = np.arange(start - lag, len(rows) - lag)
    found = np.where(index[:, None] >= 0, rows[np.maximum(index, 0)], 0)
    return found / np.maximum(index + 1, 1)[:, None].astype(rows.dtype) if mean else found


def blank_start(x: NDArray, start: int, rows: int) -> NDArray:
    """x with zeros for the rows at positions below `rows`.

    x (T, n), whose first row stands at `start` -> (T, n)
    """
    return np.where(start + np.arange(len(x))[:, None] < rows, 0, x).astype(x.dtype)

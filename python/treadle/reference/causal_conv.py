import numpy as np
from numpy.typing import NDArray

from .activation import Activation, activation


def causal_conv(
    x: NDArray,
    weight: NDArray,
    mask: NDArray | None = None,
    before: NDArray | None = None,
    name: Activation | None = "silu",
) -> NDArray:
    """act(sum_t w[c, t] x[p - taps + 1 + t, c]): each column over its last rows, the last tap on the row itself
    (docs/Families/neollm.md, Gated delta net).

    A masked row counts as zeros, and so does what stands before the sequence, unless `before` gives the taps - 1 rows
    that came last.

    x (T, n), weight (n, taps), mask (T), before (taps - 1, n) -> (T, n)
    """
    taps = weight.shape[1]
    rows = x if mask is None else np.where(np.asarray(mask)[:, None] != 0, x, 0)
    first = np.zeros((taps - 1, x.shape[1]), x.dtype) if before is None else before
    window = np.concatenate([first, rows])
    y = sum(window[t : t + len(x)] * weight[:, t] for t in range(taps))
    return y if name is None else activation(name, y)

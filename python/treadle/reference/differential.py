import numpy as np
from numpy.typing import NDArray


def differential(a: NDArray, b: NDArray, q1: NDArray, k1: NDArray, q2: NDArray, k2: NDArray, init: float) -> NDArray:
    """a - lambda b with lambda = exp(q1 · k1) - exp(q2 · k2) + init for each head (docs/Families/om.md, Differential
    attention).

    a, b (..., heads, d), q1, k1, q2, k2 (heads, w) -> (..., heads, d)
    """
    factor = np.exp((q1 * k1).sum(axis=-1)) - np.exp((q2 * k2).sum(axis=-1)) + a.dtype.type(init)
    return a - factor[:, None] * b

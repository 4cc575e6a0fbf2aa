import numpy as np
from numpy.typing import NDArray


def log_decay(x: NDArray, a_log: NDArray, dt_bias: NDArray) -> NDArray:
    """-exp(a_log) log(1 + exp(x + dt_bias)), the logarithm of a decay (docs/Families/neollm.md, Gated delta net).

    x (..., heads), a_log and dt_bias (heads) -> (..., heads)
    """
    y = x + dt_bias
    return -np.exp(a_log) * np.logaddexp(np.zeros_like(y), y)

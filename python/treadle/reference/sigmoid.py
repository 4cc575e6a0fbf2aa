import numpy as np
from numpy.typing import NDArray


def sigmoid(x: NDArray) -> NDArray:
    """1 / (1 + e^-x), written so that no exponential overflows."""
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + small), small / (1 + small))

import numpy as np
from numpy.typing import NDArray


def rms_norm(x: NDArray, weight: NDArray, eps: float) -> NDArray:
    """weight * x / sqrt(mean(x^2) + eps) over the last dimension (docs/Families/miniaxion.md, RMSNorm).

    x (..., n), weight (n) -> (..., n)
    """
    return weight * x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + eps)

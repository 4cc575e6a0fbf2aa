import numpy as np
from numpy.typing import NDArray


def rms_norm(x: NDArray, weight: NDArray, eps: float, groups: int = 1, offset: float = 0.0) -> NDArray:
    """(offset + weight) * x / sqrt(mean(x^2) + eps) over each of `groups` equal parts of the last dimension
    (docs/Families/miniaxion.md, RMSNorm).

    The weight has an entry per column, or those of one group for all.

    x (..., groups * n), weight (n) or (groups * n) -> (..., groups * n)
    """
    parts = x.reshape(*x.shape[:-1], groups, -1)
    unit = parts / np.sqrt(np.mean(parts * parts, axis=-1, keepdims=True) + eps)
    return ((offset + weight.reshape(-1, parts.shape[-1])) * unit).reshape(x.shape)

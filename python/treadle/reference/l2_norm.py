import numpy as np
from numpy.typing import NDArray


def l2_norm(x: NDArray, eps: float, groups: int = 1, scale: float = 1.0) -> NDArray:
    """scale x / sqrt(sum(x^2) + eps) over each of `groups` equal parts of the last dimension (docs/Families/neollm.md,
    Gated delta net).

    x (..., groups * n) -> (..., groups * n)
    """
    parts = x.reshape(*x.shape[:-1], groups, -1)
    unit = parts / np.sqrt(np.sum(parts * parts, axis=-1, keepdims=True) + eps)
    return (scale * unit).astype(x.dtype).reshape(x.shape)

import numpy as np
from numpy.typing import NDArray


def slice_columns(x: NDArray, groups: int, offset: int, size: int) -> NDArray:
    """Columns [offset, offset + size) of each of `groups` equal parts, side by side.

    x (..., groups * n) -> (..., groups * size)
    """
    parts = x.reshape(*x.shape[:-1], groups, -1)
    return parts[..., offset : offset + size].reshape(*x.shape[:-1], -1)


def concat_columns(*parts: NDArray) -> NDArray:
    """Columns side by side.

    parts (..., n), (..., m), ... -> (..., n + m + ...)
    """
    return np.concatenate(parts, axis=-1)

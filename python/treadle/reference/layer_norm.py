import numpy as np
from numpy.typing import NDArray


def layer_norm(
    x: NDArray, weight: NDArray, bias: NDArray | None, eps: float, groups: int = 1, offset: float = 0.0
) -> NDArray:
    """(offset + weight) * (x - mean) / sqrt(variance + eps) + bias, with the biased variance, over each of `groups`
    equal parts of the last dimension (docs/Families/nanohammer.md, State cell).

    Weight and bias have an entry per column, or those of one group for all.

    x (..., groups * n), weight and bias (n) or (groups * n) -> (..., groups * n)
    """
    parts = x.reshape(*x.shape[:-1], groups, -1)
    centred = parts - parts.mean(axis=-1, keepdims=True)
    unit = centred / np.sqrt(np.mean(centred * centred, axis=-1, keepdims=True) + eps)

    def by_group(vector: NDArray) -> NDArray:
        return vector.reshape(-1, unit.shape[-1])

    scaled = (offset + by_group(weight)) * unit
    return (scaled if bias is None else scaled + by_group(bias)).reshape(x.shape)

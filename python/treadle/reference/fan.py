import numpy as np
from numpy.typing import NDArray


def fan(x: NDArray, periodic: int, bias: NDArray | None = None) -> NDArray:
    """[cos(x[:periodic]) | sin(x[:periodic]) | x[periodic:] + bias] (docs/Families/neollm.md, FAN).

    x (..., periodic + n), bias (n) -> (..., 2 periodic + n)
    """
    waves, plain = x[..., :periodic], x[..., periodic:]
    return np.concatenate([np.cos(waves), np.sin(waves), plain if bias is None else plain + bias], axis=-1)

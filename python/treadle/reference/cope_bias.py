import numpy as np
from numpy.typing import NDArray

from .sigmoid import sigmoid


def cope_bias(
    q: NDArray, z: NDArray, keys: NDArray, start: int = 0, mask: NDArray | None = None
) -> NDArray:
    """What contextual position encoding adds to the scores (docs/Families/om.md, CoPE).

    The gate of key m for the row at i is sigmoid(q_i · k_m), 0 where the key is masked. Key j stands
    p = min(sum of the gates of j ... i, npos - 1) back; its bias is z_i read at p, between whole positions linearly.
    Row r of q stands at start + r. Keys behind a row have the bias 0.

    q (T, heads, d), z (T, heads, npos), keys (S, heads, d), mask (S) -> (T, heads, S)
    """
    row = start + np.arange(len(q))[:, None]
    included = np.arange(len(keys)) <= row  # (T, S)
    if mask is not None:
        included = included & (np.asarray(mask) != 0)
    gates = sigmoid(np.einsum("thd,shd->ths", q, keys)) * included[:, None, :]
    back = np.flip(np.cumsum(np.flip(gates, axis=-1), axis=-1), axis=-1)
    place = np.minimum(back, z.shape[-1] - 1)
    below = np.floor(place)
    fraction = place - below

    def read(index: NDArray) -> NDArray:
        return np.take_along_axis(z, index.astype(np.int64), axis=-1)

    bias = read(np.ceil(place)) * fraction + read(below) * (1 - fraction)
    return bias * (np.arange(len(keys)) <= row)[:, None, :]

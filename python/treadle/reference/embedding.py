import numpy as np
from numpy.typing import NDArray

from .rounding import Storage, round_to


def embedding(ids: NDArray[np.integer], weight: NDArray, storage: Storage = "f32") -> NDArray:
    """Rows of the matrix as it is stored; no scaling.

    ids (T), weight (vocab, n) -> (T, n)
    """
    return round_to(storage, weight[ids])

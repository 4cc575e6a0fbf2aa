import numpy as np
from numpy.typing import NDArray

from .embedding import embedding
from .rounding import Storage


def ngram_embedding(ids: NDArray[np.integer], weight: NDArray, window: int, storage: Storage = "f32") -> NDArray:
    """For each but the first window - 1 ids, the rows of it and the window - 1 ids before it, oldest first. An id
    below 0 is no token: its row is 0.

    ids (window - 1 + T), weight (vocab, n) -> (T, window * n)
    """
    ids = np.asarray(ids)
    rows = np.where(ids[:, None] >= 0, embedding(np.maximum(ids, 0), weight, storage), 0).astype(weight.dtype)
    count = len(ids) - window + 1
    return np.concatenate([rows[i : i + count] for i in range(window)], axis=-1)

import math

import numpy as np
from numpy.typing import NDArray


def attention(q: NDArray, k: NDArray, v: NDArray, start: int = 0, mask: NDArray | None = None) -> NDArray:
    """Causal grouped attention: softmax(q · kᵀ / sqrt(d)) · v (docs/Families/miniaxion.md, Attention).

    Row i of q stands at position start + i and attends to keys 0 ... start + i whose mask is not 0. Query head h reads
    KV head h // (heads / kv_heads). A row without any key to attend to gives zeros.

    q (T, heads, d), k and v (S, kv_heads, d), mask (S) -> (T, heads, d)
    """
    group = q.shape[1] // k.shape[1]
    keys = np.repeat(k, group, axis=1).transpose(1, 2, 0)  # (heads, d, S)
    values = np.repeat(v, group, axis=1).transpose(1, 0, 2)  # (heads, S, d)
    scores = q.transpose(1, 0, 2) @ keys / math.sqrt(q.shape[-1])  # (heads, T, S)

    allowed = np.arange(len(k)) <= start + np.arange(len(q))[:, None]  # (T, S)
    if mask is not None:
        allowed &= np.asarray(mask) != 0
    scores = np.where(allowed, scores, -np.inf)
    largest = scores.max(axis=-1, keepdims=True)
    weights = np.exp(scores - np.where(allowed.any(axis=-1, keepdims=True), largest, 0))
    total = weights.sum(axis=-1, keepdims=True)
    probabilities = weights / np.where(total > 0, total, 1)
    return (probabilities @ values).transpose(1, 0, 2)

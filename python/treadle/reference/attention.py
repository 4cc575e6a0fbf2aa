import math

import numpy as np
from numpy.typing import NDArray

from .rounding import Storage, round_to

SPAN_KEYS = 512
"""A library takes keys in spans of so many at absolute positions, and makes exponentials below each span's maximum."""


def attention(
    q: NDArray,
    k: NDArray,
    v: NDArray,
    start: int = 0,
    mask: NDArray | None = None,
    lane: tuple[NDArray, NDArray] | None = None,
    own: bool = False,
    scale: float | None = None,
    bias: NDArray | None = None,
    storage: Storage = "f32",
) -> NDArray:
    """Causal grouped attention: softmax(scale q · kᵀ + bias) · v (docs/Families/miniaxion.md, Attention).

    Row i of q stands at position start + i and attends to keys 0 ... start + i whose mask is not 0. `lane` holds a
    second key and value for each position, under the same mask: a row attends to those up to its own position as well,
    or with `own` to the one at it. Query head h reads KV head h // (heads / kv_heads). A row without any key to attend
    to gives zeros. The scale is 1 / sqrt(d) unless one is given. `storage` is that of k and v, which are rounded already.

    q (T, heads, d), k (S, kv_heads, d), v (S, kv_heads, e), mask (S), lane like k and v, bias (T, heads, S)
    -> (T, heads, e)
    """
    key, row = np.arange(len(k)), start + np.arange(len(q))[:, None]
    present = np.ones(len(k), bool) if mask is None else np.asarray(mask) != 0
    allowed = (key <= row) & present  # (T, S)
    borders = np.arange(SPAN_KEYS, len(k), SPAN_KEYS)
    if lane is not None:
        beside = (key == row) & present if own else allowed
        borders = np.concatenate([borders, [len(k)], len(k) + borders])
        k, v = (np.concatenate(pair) for pair in zip((k, v), lane))
        allowed = np.concatenate([allowed, beside], axis=1)
        if bias is not None:  # it is of the first keys
            bias = np.pad(bias, ((0, 0), (0, 0), (0, beside.shape[1])))
    return attend(q, k, v, allowed, scale, bias, storage, borders)


def attend(
    q: NDArray,
    k: NDArray,
    v: NDArray,
    allowed: NDArray[np.bool_],
    scale: float | None = None,
    bias: NDArray | None = None,
    storage: Storage = "f32",
    borders: NDArray[np.integer] | None = None,
) -> NDArray:
    """Grouped attention of each row to the keys that `allowed` names.

    Where k and v are stored in fewer bits, so are what meets them: q, and the exponentials of the scores, each below the
    maximum of its span of keys; `borders` are the first keys of all spans but the first.

    q (T, heads, d), k (S, kv_heads, d), v (S, kv_heads, e), allowed (T, S), bias (T, heads, S) -> (T, heads, e)
    """
    group = q.shape[1] // k.shape[1]
    keys = np.repeat(k, group, axis=1).transpose(1, 2, 0)  # (heads, d, S)
    values = np.repeat(v, group, axis=1).transpose(1, 0, 2)  # (heads, S, d)
    scores = round_to(storage, q).transpose(1, 0, 2) @ keys  # (heads, T, S)
    scores = scores * (1 / math.sqrt(q.shape[-1]) if scale is None else scale)
    if bias is not None:
        scores = scores + bias.transpose(1, 0, 2)

    scores = np.where(allowed, scores, -np.inf)
    largest = _largest(scores, 0)
    weights = np.empty_like(scores)
    for span in np.split(np.arange(len(k)), [] if borders is None else borders):
        here = scores[..., span]
        highest = _largest(here, largest)
        weights[..., span] = round_to(storage, np.exp(here - highest)) * np.exp(highest - largest)
    total = weights.sum(axis=-1, keepdims=True)
    probabilities = weights / np.where(total > 0, total, 1)
    return (probabilities @ values).transpose(1, 0, 2)


def _largest(scores: NDArray, otherwise: NDArray | float) -> NDArray:
    """The maximum of the last axis, or `otherwise` where all are excluded."""
    largest = scores.max(axis=-1, keepdims=True, initial=-np.inf)
    return np.where(np.isneginf(largest), otherwise, largest).astype(scores.dtype)

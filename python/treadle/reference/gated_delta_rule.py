"""The gated delta rule (docs/Families/neollm.md, Gated delta net), row by row and in chunks.

Both take a matrix S for each head, (heads, d, e), from before the first row, and return the one after the last.
"""

import numpy as np
from numpy.typing import NDArray


def gated_delta_rule(
    q: NDArray,
    k: NDArray,
    v: NDArray,
    beta: NDArray,
    decay: NDArray,
    state: NDArray | None = None,
    mask: NDArray | None = None,
) -> tuple[NDArray, NDArray]:
    """For each head: S <- exp(decay) S; e = beta (v - Sᵀ k); S <- S + k eᵀ; y = Sᵀ q.

    Neighbouring heads share a key head. A masked row has beta 0 and decay 0.

    q, k (T, key_heads, d), v (T, heads, e), beta, decay (T, heads), state (heads, d, e), mask (T)
    -> (T, heads, e), (heads, d, e)
    """
    q, k, beta, decay, state = _prepare(q, k, v, beta, decay, state, mask)
    y = np.empty_like(v)
    for t in range(len(v)):
        state = np.exp(decay[t])[:, None, None] * state
        error = beta[t][:, None] * (v[t] - np.einsum("hde,hd->he", state, k[t]))
        state = state + k[t][:, :, None] * error[:, None, :]
        y[t] = np.einsum("hde,hd->he", state, q[t])
    return y, state


def gated_delta_rule_chunked(
    q: NDArray,
    k: NDArray,
    v: NDArray,
    beta: NDArray,
    decay: NDArray,
    state: NDArray | None = None,
    mask: NDArray | None = None,
    start: int = 0,
    chunk: int = 64,
) -> tuple[NDArray, NDArray]:
    """The same, several rows at a time. Row 0 stands at position `start`; chunks end at multiples of `chunk`.

    With G the running sum of the decays within a chunk, D[i, j] = exp(G[i] - G[j]) for j <= i and
    A[i, j] = beta[i] (k[i] · k[j]) D[i, j] for j < i:
    (I + A) N = beta (V - exp(G) K S);  Y = exp(G) Q S + ((Q Kᵀ) D) N;  S <- exp(G[-1]) S + Kᵀ (exp(G[-1] - G) N).

    Shapes are those of `gated_delta_rule`.
    """
    q, k, beta, decay, state = _prepare(q, k, v, beta, decay, state, mask)
    y = np.empty_like(v)
    first = 0
    while first < len(v):
        rows = slice(first, min(first + chunk - (start + first) % chunk, len(v)))
        for h in range(v.shape[1]):
            y[rows, h], state[h] = _chunk(q[rows, h], k[rows, h], v[rows, h], beta[rows, h], decay[rows, h], state[h])
        first = rows.stop
    return y, state


def _chunk(
    q: NDArray, k: NDArray, v: NDArray, beta: NDArray, decay: NDArray, state: NDArray
) -> tuple[NDArray, NDArray]:
    """q, k (c, d), v (c, e), beta, decay (c), state (d, e) -> (c, e), (d, e)"""
    total = np.cumsum(decay)
    distance = total[:, None] - total
    # Only where i >= j: the other side overflows.
    share = np.tril(np.exp(np.where(distance <= 0, distance, 0)))
    coupling = np.tril(beta[:, None] * (k @ k.T) * share, -1)
    news = beta[:, None] * (v - np.exp(total)[:, None] * (k @ state))
    for i in range(1, len(news)):
        news[i] -= coupling[i, :i] @ news[:i]
    y = np.exp(total)[:, None] * (q @ state) + ((q @ k.T) * share) @ news
    return y, np.exp(total[-1]) * state + (k * np.exp(total[-1] - total)[:, None]).T @ news


def _prepare(
    q: NDArray, k: NDArray, v: NDArray, beta: NDArray, decay: NDArray, state: NDArray | None, mask: NDArray | None
) -> tuple[NDArray, NDArray, NDArray, NDArray, NDArray]:
    """Queries and keys for each head, beta and decay with masked rows taken out, and a state of one's own."""
    share = v.shape[1] // k.shape[1]
    q, k = np.repeat(q, share, axis=1), np.repeat(k, share, axis=1)
    if mask is not None:
        present = np.asarray(mask)[:, None] != 0
        beta, decay = np.where(present, beta, 0), np.where(present, decay, 0)
    if state is None:
        state = np.zeros((v.shape[1], k.shape[2], v.shape[2]), v.dtype)
    return q, k, beta, decay, state.copy()

"""How likely a model finds a text."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from treadle._arguments import Ids, token_ids
from treadle._capi import Status, TreadleError
from treadle.model import Model

CHUNK = 256
"""Tokens of one call: logits of a long text need not fit into memory at once."""


def score(model: Model, ids: Ids, *, loops: int | Literal["config"] | None = None) -> NDArray[np.float64]:
    """Log-probability of each token but the first, given those before it: log p(ids[t + 1] | ids[: t + 1]).

    ids (n), n >= 1 -> (n - 1)
    """
    tokens = token_ids(ids, model.info["token_count"])
    if not len(tokens):
        raise TreadleError(Status.INVALID_ARGUMENT, "expects at least one token id")
    scores = np.empty(len(tokens) - 1)
    with model.session(loops=loops) as session:
        for start in range(0, len(scores), CHUNK):
            inputs = tokens[start : min(start + CHUNK, len(scores))]
            targets = tokens[start + 1 : start + 1 + len(inputs)]
            scores[start : start + len(inputs)] = log_probabilities(session.forward(inputs, logits="all"), targets)
    return scores


def log_probabilities(logits: NDArray[np.floating], targets: NDArray[np.integer]) -> NDArray[np.float64]:
    """logits (n, vocab), targets (n) -> (n)"""
    x = logits.astype(np.float64)
    x -= x.max(axis=-1, keepdims=True)
    result: NDArray[np.float64] = x[np.arange(len(x)), targets] - np.log(np.exp(x).sum(axis=-1))
    return result

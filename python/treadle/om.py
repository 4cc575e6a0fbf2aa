"""Om as its README calls it: ids and states in, logits and states out."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from treadle._arguments import Ids, token_ids
from treadle._capi import Status, TreadleError
from treadle.model import Model


def call(
    model: Model, ids: Ids, states: Sequence[NDArray] | None = None, next_token: bool = False
) -> tuple[NDArray[np.float32], list[NDArray[np.float32]]]:
    """Runs a text, or its next piece, from the start of a segment.

    `ids` begin with the context that only the n-gram layers see: as many ids as the longest of these reaches back, the
    last ones of the call before or, in front of a text, the padding id. Without states (None or none at all) the
    learned ones hold; what numbers they are is not checked, NaN neither. The states that come back give the next call
    the bits of one call over both, if what was run ends with a segment.

    A short last segment is written into the states, unless `next_token`: then they are those before it, and only the
    last token's logits are made.

    ids (context + T), states: num_layers of (state_len, dim_input) -> logits (T, vocab_adj) or (vocab_adj), states
    """
    info = model.info
    if info["family"] != "om":
        raise TreadleError(Status.INVALID_ARGUMENT, f"expects a model of family om, got {info['family']}")
    tokens = token_ids(ids, info["token_count"])
    context, segment = info["context_ids"], info["segment"]
    if len(tokens) <= context:
        raise TreadleError(Status.INVALID_ARGUMENT, f"expects at least {context + 1} ids, got {len(tokens)}")
    with model.session() as session:
        start = session.states()
        if context:
            start["history"] = tokens[:context].astype(np.float32)
        if states is not None and len(states):
            start["layer.state"] = _stack(states, start["layer.state"].shape)
        session.set_states(start)
        tokens = tokens[context:]
        whole = len(tokens) - len(tokens) % segment if next_token else len(tokens)
        logits = None
        if whole:
            last = whole == len(tokens)
            logits = session.forward(tokens[:whole], logits="none" if not last else "last" if next_token else "all")
            session.turn()
        new = session.states()["layer.state"]
        if whole < len(tokens):
            logits = session.forward(tokens[whole:])
    assert logits is not None
    return logits, list(new)


def _stack(states: Sequence[NDArray], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """num_layers of (state_len, dim_input) -> (num_layers, state_len, dim_input)"""
    for number, state in enumerate(states):
        if np.shape(state) != shape[1:]:
            raise TreadleError(
                Status.INVALID_ARGUMENT, f"states[{number}]: expects shape {shape[1:]}, got {np.shape(state)}"
            )
    if len(states) != shape[0]:
        raise TreadleError(Status.INVALID_ARGUMENT, f"expects {shape[0]} states, one for each layer, got {len(states)}")
    return np.stack(states).astype(np.float32)

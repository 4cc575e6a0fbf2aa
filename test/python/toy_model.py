"""The toy model of test/Runtime, and what tests of the package say of it."""

from typing import Any

import numpy as np
import pytest
import treadle
from numpy.typing import NDArray
from treadle import Status, TreadleError

VOCAB, CONTEXT, LOOPS, RING, EOS = 37, 64, 3, 3, [2, 5]
IDS = np.random.default_rng(0).integers(0, VOCAB, 50)


def refused(status: Status, text: str) -> Any:
    """`with refused(...)`: a TreadleError of that status whose message contains `text`."""
    return pytest.raises(TreadleError, check=lambda error: error.status == status and text in error.message)


def same(a: NDArray, b: NDArray) -> bool:
    """The same bits."""
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


def same_states(a: treadle.Session, b: treadle.Session) -> bool:
    ours, others = a.states(), b.states()
    return ours.keys() == others.keys() and all(same(ours[name], others[name]) for name in ours)

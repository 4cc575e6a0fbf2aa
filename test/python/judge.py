"""How logits are judged, the same for every family (docs/rfcs/20261122-judging-bf16.md)."""

import numpy as np
from numpy.typing import NDArray

F32_TOLERANCE = 2e-5
BF16_TOLERANCE = 2e-3


def differences(found: NDArray, expected: NDArray) -> NDArray:
    """|difference| by max |expected|. Logits that are no token's are -inf in both, or the difference is infinite."""
    absent = np.isneginf(expected)
    assert not absent.all()
    distance = np.abs(np.where(absent, 0, found) - np.where(absent, 0, expected))
    distance[np.isneginf(found) != absent] = np.inf
    return distance / np.abs(expected[~absent]).max()


def relative_error(found: NDArray, expected: NDArray) -> float:
    """max |difference| / max |expected|"""
    return float(differences(found, expected).max())


def typical_error(found: NDArray, expected: NDArray) -> float:
    """The median over windows of the last row's max |difference|, by max |expected|.

    For rounded storages and windows of few tokens: most of these have no operand so close to the middle between two
    bfloat16 that float32 and float64 round it differently. What a library rounds wrongly shows in all of them.

    found, expected (windows, T, vocab)
    """
    return float(np.median(differences(found, expected)[:, -1].max(axis=-1)))


def f32_tolerance(float32_error: float) -> float:
    """What f32 may differ from float64, given the error of the reference evaluated in float32 on the same case."""
    return max(F32_TOLERANCE, 4 * float32_error)


def bf16_tolerance(rounding_error: float) -> float:
    """What bf16 may differ from float64 with the same rounding on a long window, given what that rounding costs: its
    distance from the reference that rounds nothing. Once an operand was rounded the other way, library and reference
    may stand on two sides of that. `typical_error` is held to BF16_TOLERANCE itself."""
    return max(BF16_TOLERANCE, 2 * rounding_error)

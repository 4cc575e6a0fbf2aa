"""The gated delta rule, row by row and in chunks, and the convolution before it."""

import numpy as np
import pytest
from numpy.typing import NDArray
from treadle.reference import causal_conv, gated_delta_rule, gated_delta_rule_chunked, l2_norm

T, KEY_HEADS, HEADS, D, E = 150, 2, 4, 7, 5
MASK = np.arange(T) % 7 != 3


def operands(decay: float = 0.5) -> dict[str, NDArray]:
    g = np.random.default_rng(3)
    return {
        "q": l2_norm(g.normal(size=(T, KEY_HEADS, D)), 1e-6),
        "k": l2_norm(g.normal(size=(T, KEY_HEADS, D)), 1e-6),
        "v": g.normal(size=(T, HEADS, E)),
        "beta": g.uniform(size=(T, HEADS)),
        "decay": -decay * g.uniform(size=(T, HEADS)),
    }


def cut(rows: dict[str, NDArray], part: slice) -> dict[str, NDArray]:
    return {name: array[part] for name, array in rows.items()}


def test_a_head_by_hand() -> None:
    """One matrix product per step: S <- (e^g (I - beta k kᵀ)) S + beta k vᵀ."""
    rows = operands()
    y, state = gated_delta_rule(**rows, mask=MASK)
    for h in range(HEADS):
        s = np.zeros((D, E))
        for t in range(T):
            k, q = (rows[name][t, h // 2] for name in "kq")
            if MASK[t]:
                beta = rows["beta"][t, h]
                s = np.exp(rows["decay"][t, h]) * (np.eye(D) - beta * np.outer(k, k)) @ s
                s = s + beta * np.outer(k, rows["v"][t, h])
            np.testing.assert_allclose(y[t, h], q @ s, rtol=0, atol=1e-12)
        np.testing.assert_allclose(state[h], s, rtol=0, atol=1e-12)


@pytest.mark.parametrize("decay", [0.0, 0.5, 40.0])
@pytest.mark.parametrize("chunk", [1, 16, 64])
def test_chunks_give_the_same(chunk: int, decay: float) -> None:
    rows = operands(decay)
    with np.errstate(over="raise", invalid="raise"):
        y, state = gated_delta_rule_chunked(**rows, mask=MASK, chunk=chunk)
    expected, last = gated_delta_rule(**rows, mask=MASK)
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(state, last, rtol=0, atol=1e-12)


def test_a_sequence_goes_on_from_any_row() -> None:
    rows = operands()
    expected, last = gated_delta_rule(**rows, mask=MASK)
    for chunked in (False, True):
        state, start = None, 0
        for count in (1, 2, 37, 64, 3, 1, 42):
            part = slice(start, start + count)
            if chunked:
                y, state = gated_delta_rule_chunked(**cut(rows, part), state=state, mask=MASK[part], start=start)
            else:
                y, state = gated_delta_rule(**cut(rows, part), state=state, mask=MASK[part])
            np.testing.assert_allclose(y, expected[part], rtol=0, atol=1e-12)
            start += count
        assert start == T
        np.testing.assert_allclose(state, last, rtol=0, atol=1e-12)


def test_masked_rows_leave_no_trace() -> None:
    rows = operands()
    other = {name: np.where(MASK.reshape(-1, *[1] * (array.ndim - 1)), array, 3.5) for name, array in rows.items()}
    for rule in (gated_delta_rule, gated_delta_rule_chunked):
        y, state = rule(**rows, mask=MASK)
        changed, same = rule(**other, mask=MASK)
        np.testing.assert_allclose(changed[MASK], y[MASK], rtol=0, atol=1e-12)
        np.testing.assert_allclose(same, state, rtol=0, atol=1e-12)


def test_the_convolution_by_hand() -> None:
    g = np.random.default_rng(4)
    x, weight, mask = g.normal(size=(9, 5)), g.normal(size=(5, 4)), np.arange(9) != 4
    y = causal_conv(x, weight, mask, name=None)
    for p in range(9):
        taps = [(t, p - 3 + t) for t in range(4) if p - 3 + t >= 0 and p - 3 + t != 4]
        np.testing.assert_allclose(y[p], sum(weight[:, t] * x[row] for t, row in taps), rtol=0, atol=1e-13)
    np.testing.assert_allclose(causal_conv(x, weight, mask), y / (1 + np.exp(-y)), rtol=0, atol=1e-13)
    rest = causal_conv(x[6:], weight, mask[6:], np.where(mask[3:6, None], x[3:6], 0), None)
    np.testing.assert_allclose(rest, y[6:], rtol=0, atol=1e-13)

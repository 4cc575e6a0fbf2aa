"""Running sums and what reads them."""

import numpy as np
import pytest
from treadle.reference import add_scaled, blank_start, read_rows, running_sum

X = np.random.default_rng(8).normal(size=(9, 5))
MASK = np.array([1, 0, 1, 1, 1, 0, 0, 1, 1])


def test_a_running_sum_leaves_masked_rows_out() -> None:
    for t in range(9):
        np.testing.assert_allclose(running_sum(X)[t], sum(X[: t + 1]), rtol=1e-12)
        expected = sum(X[i] for i in range(t + 1) if MASK[i])
        np.testing.assert_allclose(running_sum(X, MASK)[t], expected, rtol=1e-12)
    poisoned = np.where(MASK[:, None], X, np.nan)
    np.testing.assert_array_equal(running_sum(poisoned, MASK), running_sum(X, MASK))


def test_a_running_sum_goes_on() -> None:
    whole = running_sum(X, MASK)
    np.testing.assert_allclose(running_sum(X[4:], MASK[4:], whole[3]), whole[4:], rtol=1e-12)


@pytest.mark.parametrize("start", [0, 1, 4])
@pytest.mark.parametrize("lag", [0, 1, 2])
def test_rows_are_read_behind_time(start: int, lag: int) -> None:
    found, means = read_rows(X, start, lag), read_rows(X, start, lag, mean=True)
    assert len(found) == len(X) - start
    for r, (row, mean) in enumerate(zip(found, means)):
        index = start + r - lag
        np.testing.assert_array_equal(row, X[index] if index >= 0 else 0)
        np.testing.assert_array_equal(mean, X[index] / (index + 1) if index >= 0 else 0)


def test_the_start_is_blank() -> None:
    np.testing.assert_array_equal(blank_start(X, 0, 0), X)
    np.testing.assert_array_equal(blank_start(X, 2, 4), [0 * X[0], 0 * X[1], *X[2:]])
    poisoned = np.concatenate([[[np.nan] * 5], X])
    np.testing.assert_array_equal(blank_start(poisoned, 0, 1)[0], np.zeros(5))


def test_each_group_has_its_step() -> None:
    x, update, step = X[:, :4], X[:, 1:], np.array([2.0, -3.0])
    expected = np.concatenate([x[:, :2] + 2 * update[:, :2], x[:, 2:] - 3 * update[:, 2:]], axis=1)
    np.testing.assert_array_equal(add_scaled(x, update, step), expected)

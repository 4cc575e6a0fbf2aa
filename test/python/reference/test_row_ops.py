"""Norms and columns, against sums by hand."""

import math

import numpy as np
from treadle.reference import concat_columns, fan, l2_norm, poly_norm, rms_norm, slice_columns

X = np.random.default_rng(6).normal(size=(4, 12)) * 2


def test_rms_norm_of_groups_from_zero() -> None:
    weight = np.array([0.5, -0.25, 0.0, 2.0])
    y = rms_norm(X, weight, 1e-2, groups=3, offset=1.0)
    for row, found in zip(X, y):
        for g in range(3):
            part = row[4 * g : 4 * g + 4]
            size = math.sqrt(sum(part**2) / 4 + 1e-2)
            np.testing.assert_allclose(found[4 * g : 4 * g + 4], [a * (1 + w) / size for a, w in zip(part, weight)])
    np.testing.assert_array_equal(rms_norm(X, np.tile(weight, 3), 1e-2, 3, 1.0), y)


def test_l2_norm_gives_each_group_its_length() -> None:
    y = l2_norm(X, 1e-12, groups=2, scale=0.25).reshape(4, 2, 6)
    np.testing.assert_allclose(np.linalg.norm(y, axis=-1), 0.25)
    np.testing.assert_allclose(l2_norm(X[:1], 3.0)[0], X[0] / math.sqrt(sum(X[0] ** 2) + 3))


def test_poly_norm_by_hand() -> None:
    weight, bias = np.array([0.3, -0.2, 0.5]), np.array(0.1)
    for row, found in zip(X, poly_norm(X, weight, bias, 1e-6)):
        sizes = [math.sqrt(sum(row ** (2 * n)) / 12 + 1e-6) for n in (3, 2, 1)]
        expected = [sum(w * a**n / s for w, n, s in zip(weight, (3, 2, 1), sizes)) + 0.1 for a in row]
        np.testing.assert_allclose(found, expected)


def test_fan_by_hand() -> None:
    bias = np.arange(7.0)
    y = fan(X, 5, bias)
    assert y.shape == (4, 17)
    for row, found in zip(X, y):
        expected = [*map(math.cos, row[:5]), *map(math.sin, row[:5]), *(row[5:] + bias)]
        np.testing.assert_allclose(found, expected, rtol=1e-15)
    np.testing.assert_array_equal(fan(X, 5)[:, 10:], X[:, 5:])


def test_columns() -> None:
    x = np.arange(24).reshape(2, 12)
    np.testing.assert_array_equal(slice_columns(x, 3, 1, 2)[0], [1, 2, 5, 6, 9, 10])
    np.testing.assert_array_equal(concat_columns(x[:, :5], x[:, 5:]), x)

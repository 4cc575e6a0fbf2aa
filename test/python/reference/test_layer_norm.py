import numpy as np
from treadle.reference import layer_norm

X = np.random.default_rng(5).normal(size=(4, 12)) + 3
WEIGHT, BIAS = np.random.default_rng(6).normal(size=(2, 12))


def test_rows_have_mean_zero_and_variance_one() -> None:
    y = layer_norm(X, np.ones(12), None, 1e-12)
    np.testing.assert_allclose(y.mean(axis=-1), 0, atol=1e-12)
    np.testing.assert_allclose((y * y).mean(axis=-1), 1, rtol=1e-10)
    np.testing.assert_allclose(y, layer_norm(5 * X + 7, np.ones(12), None, 1e-12), rtol=1e-9)


def test_eps_weight_and_bias() -> None:
    constant = np.full((1, 12), 4.0)
    np.testing.assert_array_equal(layer_norm(constant, WEIGHT, BIAS, 1e-5)[0], BIAS)
    x = np.array([[1.0, -1.0]])
    y = layer_norm(x, np.array([2.0, 3.0]), np.array([0.0, 1.0]), 3.0, offset=1.0)
    np.testing.assert_allclose(y, [[1.5, -1.0]])


def test_each_group_on_its_own() -> None:
    y = layer_norm(X, WEIGHT, BIAS, 1e-5, groups=3)
    shared = layer_norm(X, WEIGHT[:4], None, 1e-5, groups=3)
    for g in range(3):
        own = slice(4 * g, 4 * g + 4)
        np.testing.assert_array_equal(y[:, own], layer_norm(X[:, own], WEIGHT[own], BIAS[own], 1e-5))
        np.testing.assert_array_equal(shared[:, own], layer_norm(X[:, own], WEIGHT[:4], None, 1e-5))
